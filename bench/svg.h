// Two kinds of plots as SVG text: bars in groups, and lines. Self-contained, without scripts, and
// readable on light and on dark ground (`prefers-color-scheme`), as a file or inside a page.
#pragma once

#include <string>
#include <vector>

namespace tollgate::bench {

/// One thing in the legend. In a bar plot, values[i] belongs to groups[i]; NaN: no bar.
struct Bars {
  std::string name;
  std::vector<double> values;
  std::vector<double> low;  // whiskers: as long as values, or empty
  std::vector<double> high;
};

struct BarPlot {
  std::string title;
  std::string y_title;
  std::vector<std::string> groups;  // along the x axis
  std::vector<Bars> bars;
};

/// Points in order of x; a NaN in y interrupts the line.
struct Line {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;  // as long as x
  bool dotted = false;    // marks each point
};

struct LinePlot {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<Line> lines;
  bool logarithmic = false;  // the y axis
};

std::string to_svg(const BarPlot& plot);
std::string to_svg(const LinePlot& plot);

/// Where an axis that has to show [low, high] puts its marks: 1, 2 or 5 times a power of ten apart,
/// about `wanted` of them, the first one at or below `low` and the last one at or above `high`.
std::vector<double> axis_marks(double low, double high, int wanted);

}  // namespace tollgate::bench
