#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "metrics/build_info.h"
#include "metrics/registry.h"
#include "promtool.h"

namespace tollgate::metrics {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class ProcessMetrics : public testing::Test {
 protected:
  ProcessMetrics() { add_process_metrics(registry_); }
  std::optional<double> value(const std::string& name) {
    const std::string text = registry_.text();
    const size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return std::nullopt;
    return std::strtod(text.c_str() + at + name.size() + 2, nullptr);
  }
  Registry registry_;
};

TEST_F(ProcessMetrics, HaveTheNamesThatDashboardsExpect) {
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_start_time_seconds"}) {
    EXPECT_GT(value(name).value_or(0), 0) << name;
  }
  EXPECT_THAT(registry_.text(), HasSubstr("# TYPE process_cpu_seconds_total counter\n"));
  EXPECT_PROMTOOL_LIKES(registry_.text());
}

TEST_F(ProcessMetrics, CountOpenFiles) {
  const double before = value("process_open_fds").value();
  std::vector<int> fds;
  for (int i = 0; i < 5; i++) fds.push_back(open("/dev/null", O_RDONLY));
  EXPECT_EQ(value("process_open_fds").value(), before + 5);
  for (const int fd : fds) close(fd);
  EXPECT_EQ(value("process_open_fds").value(), before);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_DOUBLE_EQ(value("process_max_fds").value(), static_cast<double>(limit.rlim_cur));
}

TEST_F(ProcessMetrics, MeasureMemoryThatIsTouched) {
  const double before = value("process_resident_memory_bytes").value();
  std::vector<char> memory(64 << 20, 'x');
  testing::internal::CaptureStdout();  // uses `memory`, so that it is not optimised away
  std::fwrite(memory.data() + memory.size() - 1, 1, 1, stdout);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "x");
  EXPECT_GE(value("process_resident_memory_bytes").value(), before + (48 << 20));
  EXPECT_GE(value("process_virtual_memory_bytes").value(),
            value("process_resident_memory_bytes").value());
}

TEST_F(ProcessMetrics, MeasureCpuTime) {
  const double before = value("process_cpu_seconds_total").value();
  const std::clock_t end = std::clock() + CLOCKS_PER_SEC / 20;
  while (std::clock() < end) {
  }
  const double used = value("process_cpu_seconds_total").value() - before;
  EXPECT_GE(used, 0.05);
}

TEST_F(ProcessMetrics, StartedInThePast) {
  const double start = value("process_start_time_seconds").value();
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(start, now + 1);  // the kernel's boot time is in whole seconds
  EXPECT_GE(start, now - 3600);
}

TEST_F(ProcessMetrics, SayWhatWasBuilt) {
  const BuildInfo& info = build_info();
  EXPECT_THAT(info.version, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(info.revision, MatchesRegex("unknown|[0-9a-f]+"));
  EXPECT_THAT(info.compiler, MatchesRegex("(gcc|clang) [0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(registry_.text(),
              HasSubstr("tollgate_build_info{compiler=\"" + info.compiler + "\",revision=\"" +
                        info.revision + "\",version=\"" + info.version + "\"} 1\n"));
}

}  // namespace
}  // namespace tollgate::metrics
