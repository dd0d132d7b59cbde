#include "svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "table.h"

namespace tollgate::bench {
namespace {

constexpr double kWidth = 720;
constexpr double kPlotHeight = 224;
constexpr double kLeft = 76;
constexpr double kRight = 16;
constexpr double kTop = 64;  // title and one row of the legend
constexpr double kLegendRow = 17;
constexpr double kBottom = 52;
constexpr size_t kColours = 8;

// Colours that people with any colour vision tell apart (after Okabe and Ito), darker on light
// ground. No CSS variables: not every SVG viewer knows them.
constexpr std::array<std::string_view, kColours> kOnLight = {
    "#0072b2", "#d55e00", "#009e73", "#b06090", "#b8860b", "#3c8fc4", "#7a4fa3", "#666"};
constexpr std::array<std::string_view, kColours> kOnDark = {
    "#4aa8e0", "#f08a4b", "#35c79b", "#dc9ac0", "#e6b422", "#8cc8ee", "#b79ae0", "#aaa"};

std::string colours(const std::array<std::string_view, kColours>& values) {
  std::string out;
  for (size_t i = 0; i < values.size(); i++) {
    out += fmt::format(".tg .c{0}.f{{fill:{1}}}.tg .c{0}.l{{stroke:{1}}}", i, values[i]);
  }
  return out + "\n";
}

std::string style() {
  return "<style>\n.tg{font:12px system-ui,sans-serif}.tg .l{fill:none;stroke-width:2}\n"
         ".tg text{fill:#222}.tg .g{stroke:#ddd}.tg .a{stroke:#888}.tg .w{stroke:#222}"
         ".tg .b{fill:#fff}\n" +
         colours(kOnLight) +
         "@media (prefers-color-scheme:dark){\n.tg text{fill:#ddd}.tg .g{stroke:#3a3a3a}"
         ".tg .w{stroke:#eee}.tg .b{fill:#181a1b}\n" +
         colours(kOnDark) + "}\n</style>\n";
}

std::string mark_text(double value) {
  const double size = std::abs(value);
  for (const auto& [unit, letter] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}) {
    if (size >= unit * 0.9999) return fmt::format("{:.4g}{}", value / unit, letter);
  }
  return fmt::format("{:.4g}", value);
}

// The picture around a plot: its title, its legend in as many rows as it takes, the y axis's title.
struct Frame {
  double top = kTop;  // of the plot
  double bottom = 0;
  std::string svg;

  Frame(const std::string& title, const std::string& y_title,
        const std::vector<std::string>& legend) {
    std::string entries;
    double x = kLeft;
    for (size_t i = 0; i < legend.size(); i++) {
      const double width = 34 + 6.4 * static_cast<double>(legend[i].size());
      if (x > kLeft && x + width > kWidth) {
        x = kLeft;
        top += kLegendRow;
      }
      entries += fmt::format(
          "<rect class=\"c{0} f\" x=\"{1:.0f}\" y=\"{2:.0f}\" width=\"11\" height=\"11\"/>"
          "<text x=\"{3:.0f}\" y=\"{4:.0f}\">{5}</text>\n",
          i % kColours, x, top - 31, x + 16, top - 21, escape_html(legend[i]));
      x += width;
    }
    bottom = top + kPlotHeight;
    const double height = bottom + kBottom;
    svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tg\" viewBox=\"0 0 {0} {1}\" "
        "width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\">\n{3}"
        "<rect class=\"b\" width=\"{0}\" height=\"{1}\"/>\n"
        "<text x=\"{4}\" y=\"20\" font-size=\"15\" font-weight=\"600\">{2}</text>\n{5}"
        "<text transform=\"translate(14 {6:.0f}) rotate(-90)\" "
        "text-anchor=\"middle\">{7}</text>\n",
        kWidth, height, escape_html(title), style(), kLeft, entries, (top + bottom) / 2,
        escape_html(y_title));
  }
};

struct YAxis {
  double top;
  double bottom;
  double low = 0;
  double high = 1;
  bool logarithmic = false;

  double at(double value) const {
    double part = 0;
    if (logarithmic) {
      part = std::log10(std::max(value, low) / low) / std::log10(high / low);
    } else {
      part = (value - low) / (high - low);
    }
    return bottom - part * (bottom - top);
  }
};

std::string y_grid(const YAxis& axis, const std::vector<double>& marks) {
  std::string out;
  for (const double mark : marks) {
    out += fmt::format(
        "<line class=\"g\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kWidth - kRight, axis.at(mark), kLeft - 8, axis.at(mark) + 4, mark_text(mark));
  }
  return out;
}

std::string x_line(const YAxis& axis) {
  return fmt::format("<line class=\"a\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\n", kLeft,
                     kWidth - kRight, axis.bottom, axis.bottom);
}

std::string x_text(double x, double y, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x, y,
                     escape_html(text));
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

std::string no_data(const Frame& frame) {
  return frame.svg + x_text(kWidth / 2, (frame.top + frame.bottom) / 2, "nothing measured") +
         "</svg>\n";
}

std::string polyline(const Line& line, size_t colour, const std::function<double(double)>& x_at,
                     const YAxis& axis) {
  std::string path;
  std::string dots;
  bool pen_down = false;
  for (size_t i = 0; i < line.x.size(); i++) {
    if (!std::isfinite(line.y[i])) {
      pen_down = false;
      continue;
    }
    const double x = x_at(line.x[i]);
    const double y = axis.at(line.y[i]);
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', x, y);
    pen_down = true;
    if (line.dotted) {
      dots += fmt::format("<circle class=\"c{} f\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>", colour,
                          x, y);
    }
  }
  return fmt::format("<path class=\"c{} l\" d=\"{}\"/>{}\n", colour, path, dots);
}

}  // namespace

std::vector<double> axis_marks(double low, double high, int wanted) {
  if (!(high > low)) high = low + 1;
  const double rough = (high - low) / wanted;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = power * 10;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= rough * 0.999) {
      step = power * factor;
      break;
    }
  }
  std::vector<double> out;
  const double first = std::floor(low / step + 1e-9);
  for (double i = first;; i++) {
    out.push_back(i * step);
    if (i * step >= high - step * 1e-9) return out;
  }
}

std::string to_svg(const BarPlot& plot) {
  std::vector<std::string> legend;
  Range range;
  range.add(0);
  bool any = false;
  for (const auto& bars : plot.bars) {
    legend.push_back(bars.name);
    for (const double value : bars.values) any = any || std::isfinite(value);
    for (const double value : bars.values) range.add(value);
    for (const double value : bars.high) range.add(value);
  }
  const Frame frame(plot.title, plot.y_title, legend);
  if (!any) return no_data(frame);
  std::string out = frame.svg;
  const auto marks = axis_marks(0, range.high, 5);
  const YAxis axis{frame.top, frame.bottom, marks.front(), marks.back()};
  out += y_grid(axis, marks);
  const double group_width =
      (kWidth - kLeft - kRight) / static_cast<double>(std::max<size_t>(1, plot.groups.size()));
  const double bar_width =
      std::min(56.0, group_width * 0.8 / static_cast<double>(std::max<size_t>(1, legend.size())));
  for (size_t g = 0; g < plot.groups.size(); g++) {
    const double middle = kLeft + group_width * (static_cast<double>(g) + 0.5);
    double x = middle - bar_width * static_cast<double>(legend.size()) / 2;
    for (size_t b = 0; b < plot.bars.size(); b++, x += bar_width) {
      const auto& bars = plot.bars[b];
      if (g >= bars.values.size() || !std::isfinite(bars.values[g])) continue;
      const double top = axis.at(bars.values[g]);
      out += fmt::format(
          "<rect class=\"c{} f\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
          "<title>{}: {}</title></rect>",
          b % kColours, x + 1, top, bar_width - 2, axis.at(0) - top, escape_html(bars.name),
          format_number(bars.values[g], bars.values[g] < 100 ? 2 : 0));
      if (g < bars.low.size() && g < bars.high.size() && bars.high[g] > bars.low[g]) {
        out += fmt::format(
            "<line class=\"w\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>",
            x + bar_width / 2, axis.at(bars.low[g]), axis.at(bars.high[g]));
      }
      out += x_text(x + bar_width / 2,
                    std::min(top, g < bars.high.size() ? axis.at(bars.high[g]) : top) - 4,
                    mark_text(std::stod(fmt::format("{:.3g}", bars.values[g]))));
    }
    out += x_text(middle, frame.bottom + 18, plot.groups[g]);
  }
  return out + x_line(axis) + "</svg>\n";
}

std::string to_svg(const LinePlot& plot) {
  std::vector<std::string> legend;
  Range xs;
  Range ys;
  for (const auto& line : plot.lines) {
    legend.push_back(line.name);
    for (size_t i = 0; i < line.x.size(); i++) {
      if (plot.logarithmic && !(line.y[i] > 0)) continue;
      xs.add(line.x[i]);
      ys.add(line.y[i]);
    }
  }
  const Frame frame(plot.title, plot.y_title, legend);
  if (xs.empty() || ys.empty()) return no_data(frame);
  std::string out = frame.svg;

  YAxis axis{frame.top, frame.bottom};
  std::vector<double> marks;
  if (plot.logarithmic) {
    axis.low = std::pow(10, std::floor(std::log10(ys.low)));
    axis.high = std::pow(10, std::floor(std::log10(ys.high)) + 1);
    axis.logarithmic = true;
    for (double mark = axis.low; mark <= axis.high * 1.001; mark *= 10) marks.push_back(mark);
  } else {
    marks = axis_marks(0, ys.high, 5);
    axis.low = marks.front();
    axis.high = marks.back();
  }
  out += y_grid(axis, marks);
  const auto x_marks = axis_marks(std::min(0.0, xs.low), xs.high, 8);
  const double last = std::max(xs.high, x_marks.front() + 1e-9);
  const auto x_at = [&](double x) {
    return kLeft + (x - x_marks.front()) / (last - x_marks.front()) * (kWidth - kLeft - kRight);
  };
  for (const double mark : x_marks) {
    if (mark <= last) out += x_text(x_at(mark), frame.bottom + 18, mark_text(mark));
  }
  out += x_text((kLeft + kWidth - kRight) / 2, frame.bottom + kBottom - 10, plot.x_title);
  for (size_t i = 0; i < plot.lines.size(); i++) {
    out += polyline(plot.lines[i], i % kColours, x_at, axis);
  }
  return out + x_line(axis) + "</svg>\n";
}

}  // namespace tollgate::bench
