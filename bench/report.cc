#include "report.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include "CLI/CLI.hpp"
#include "compare.h"
#include "page.h"
#include "plots.h"
#include "results.h"

namespace tollgate::bench {
namespace {

struct ReportOptions {
  std::string results;
  std::string html;
  std::string svg_dir;
  std::string markdown;
};

struct CompareOptions {
  std::string before;
  std::string after;
  std::string threshold = "10%";
};

// The lines between these two in a page are ours; the rest is written by hand.
constexpr std::string_view kBegin = "<!-- results: written by `tollgate-bench report` -->\n";
constexpr std::string_view kEnd = "<!-- end of results -->\n";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("{}: cannot be read", path.string()));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw std::runtime_error(fmt::format("{}: cannot be written", path.string()));
}

std::string with_section(const std::string& page, const std::string& section,
                         const std::string& path) {
  const auto begin = page.find(kBegin);
  const auto end = page.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    throw std::runtime_error(fmt::format("{}: has no lines `{}` and `{}` to write between", path,
                                         kBegin.substr(0, kBegin.size() - 1),
                                         kEnd.substr(0, kEnd.size() - 1)));
  }
  return page.substr(0, begin + kBegin.size()) + "\n" + section + "\n" + page.substr(end);
}

int report(const ReportOptions& options) {
  const Results results = read_results(options.results);
  std::fputs(text_report(results).c_str(), stdout);
  if (!options.html.empty()) write_file(options.html, html_report(results));
  std::filesystem::path plots = options.svg_dir;
  if (!options.markdown.empty()) {
    const std::filesystem::path page = options.markdown;
    if (plots.empty()) plots = page.parent_path() / page.stem();
    const auto relative = std::filesystem::absolute(plots).lexically_relative(
        std::filesystem::absolute(page).parent_path());
    write_file(page, with_section(read_file(page), markdown_report(results, relative.string()),
                                  page.string()));
  }
  if (!plots.empty()) {
    std::filesystem::create_directories(plots);
    for (const auto& plot : plots_of(results)) write_file(plots / (plot.name + ".svg"), plot.svg);
  }
  return 0;
}

int compare(const CompareOptions& options) {
  const double threshold = parse_threshold(options.threshold);
  const auto comparison =
      compare_results(read_results(options.before), read_results(options.after), threshold);
  std::fputs(to_text(comparison).c_str(), comparison.impossible.empty() ? stdout : stderr);
  if (!comparison.impossible.empty()) return 2;
  return comparison.regressed() ? 1 : 0;
}

}  // namespace

void add_report_commands(CLI::App& app, std::function<int()>& run) {
  const auto report_options = std::make_shared<ReportOptions>();
  auto* report_command =
      app.add_subcommand("report", "Prints a run's results; writes pages and plots.");
  report_command->add_option("results", report_options->results, "results.json of bench/run.py")
      ->required();
  report_command->add_option("--html", report_options->html, "Write a self-contained page here.");
  report_command->add_option("--svg-dir", report_options->svg_dir, "Write the plots here.");
  report_command->add_option("--markdown", report_options->markdown,
                             "Put tables and plots into this page, between its two marks; plots "
                             "go to a folder of its name unless --svg-dir says otherwise.");
  report_command->callback(
      [report_options, &run] { run = [report_options] { return report(*report_options); }; });

  const auto compare_options = std::make_shared<CompareOptions>();
  auto* compare_command =
      app.add_subcommand("compare", "Prints what got worse between two results; exit code 1 then.");
  compare_command->add_option("before", compare_options->before, "results.json")->required();
  compare_command->add_option("after", compare_options->after, "results.json")->required();
  compare_command->add_option("--threshold", compare_options->threshold, "What counts as a change.")
      ->capture_default_str();
  compare_command->callback(
      [compare_options, &run] { run = [compare_options] { return compare(*compare_options); }; });
}

}  // namespace tollgate::bench
