#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include "metrics/build_info.h"
#include "metrics/registry.h"

namespace tollgate::metrics {
namespace {

std::string slurp(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The numbers of /proc/self/stat that we show (proc(5)).
struct Stat {
  double start_ticks = 0;     // field 22, since boot
  double virtual_bytes = 0;   // field 23
  double resident_pages = 0;  // field 24
};

std::optional<Stat> read_stat() {
  const std::string text = slurp("/proc/self/stat");
  // Field 2 is the file name in parentheses and may hold anything, ')' too.
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(end + 1));
  std::string skipped;
  for (int field = 3; field < 22; field++) fields >> skipped;
  Stat stat;
  fields >> stat.start_ticks >> stat.virtual_bytes >> stat.resident_pages;
  if (!fields) return std::nullopt;
  return stat;
}

std::optional<double> boot_time_seconds() {
  std::istringstream words(slurp("/proc/stat"));
  for (std::string word; words >> word;) {
    double seconds = 0;
    if (word == "btime" && words >> seconds) return seconds;
  }
  return std::nullopt;
}

std::optional<double> start_time_seconds() {
  const auto stat = read_stat();
  const auto boot = boot_time_seconds();
  if (!stat || !boot) return std::nullopt;
  return *boot + stat->start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::optional<double> open_fds() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  double count = 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count - 1;  // without the one that reads the directory
}

// What cannot be read is left out of the scrape, as in client_golang.
void add(Registry& registry, const char* name, const char* help, Type type,
         std::optional<double> (*read)()) {
  registry.collect(name, help, type, [read](std::vector<Value>& out) {
    if (const auto value = read()) out.push_back({{}, *value});
  });
}

}  // namespace

void add_process_metrics(Registry& registry) {
  add(registry, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
      Type::kCounter, []() -> std::optional<double> {
        // The same time as utime + stime of /proc/self/stat, but not in steps of 10 ms.
        timespec t{};
        if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return std::nullopt;
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
      });
  add(registry, "process_resident_memory_bytes", "Resident memory size in bytes.", Type::kGauge,
      []() -> std::optional<double> {
        const auto stat = read_stat();
        if (!stat) return std::nullopt;
        return stat->resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
      });
  add(registry, "process_virtual_memory_bytes", "Virtual memory size in bytes.", Type::kGauge,
      []() -> std::optional<double> {
        const auto stat = read_stat();
        if (!stat) return std::nullopt;
        return stat->virtual_bytes;
      });
  add(registry, "process_open_fds", "Number of open file descriptors.", Type::kGauge, open_fds);
  add(registry, "process_max_fds", "Maximum number of open file descriptors.", Type::kGauge,
      []() -> std::optional<double> {
        rlimit limit{};
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
        return static_cast<double>(limit.rlim_cur);
      });
  if (const auto start = start_time_seconds()) {
    registry
        .gauge("process_start_time_seconds",
               "Start time of the process since unix epoch in seconds.")
        .set(*start);
  }
  const BuildInfo& info = build_info();
  registry
      .gauge("tollgate_build_info", "What this binary was built from; always 1.",
             {{"version", info.version}, {"revision", info.revision}, {"compiler", info.compiler}})
      .set(1);
}

}  // namespace tollgate::metrics
