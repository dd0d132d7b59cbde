#include <gtest/gtest.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

// A tmpfs of 16 MiB, and a file that takes up what is left of it.
class SmallDisk {
 public:
  explicit SmallDisk(std::filesystem::path at) : at_(std::move(at)) {
    std::filesystem::create_directories(at_);
    mounted_ = ::mount("tollgate-e2e", at_.c_str(), "tmpfs", 0, "size=16m,mode=0755") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return at_; }
  uint64_t free_bytes() const {
    struct statvfs fs{};
    ::statvfs(at_.c_str(), &fs);
    return fs.f_bavail * fs.f_bsize;
  }
  void fill() {
    std::ofstream out(at_ / "filler", std::ios::binary | std::ios::app);
    const std::string page(4096, 'x');
    while (out.write(page.data(), 4096) && out.flush()) {
    }
  }
  void free() { std::filesystem::remove(at_ / "filler"); }

 private:
  std::filesystem::path at_;
  bool mounted_ = false;
};

TEST(FullDisk, Is503AndNotReadyNeverACrashAndRecovers) {
  const uint64_t seed = test_seed();
  TempDir dir;
  SmallDisk disk(dir.path() / "disk");
  if (!disk.mounted()) {
    GTEST_SKIP() << "NOT TESTED: a full disk. Mounting a tmpfs needs root: " << strerror(errno);
  }
  Sink up("up", seed), down("down", seed);
  down.vanish();
  Gateway gateway(dir.path() / "gateway");
  Topology topology;
  topology.journal_path = (disk.path() / "journal").string();
  topology.journal = "  segment_size: 1MB\n  retention: 0s\n";
  gateway.configure(topology.to(up, kQuickRetry).to(down, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  SenderOptions options;
  options.port = gateway.port();
  options.padding = 500;
  options.name = "one";
  Sender one(options);
  options.name = "two";
  Sender two(options);
  const std::vector<Sender*> senders = {&one, &two};
  start(senders);
  wait_for_progress(senders, 20);

  for (int round = 0; round < 3; ++round) {
    const uint64_t refused = one.retries(503);
    // What the journal had reserved may take a while to use up; what it frees is filled again.
    ASSERT_TRUE(eventually(in(milliseconds(60'000)), [&] {
      disk.fill();
      return http(gateway.admin_port(), "GET", "/-/ready").status == 503 &&
             one.retries(503) > refused + 1;
    })) << gateway.log_tail();
    ASSERT_TRUE(gateway.running()) << gateway.log_tail();
    EXPECT_EQ(http(gateway.admin_port(), "GET", "/-/healthy").status, 200);
    prometheus::WriteRequest request;
    add_series(request, {{"__name__", "m"}, {"sender", "x"}, {"series", "0"}}, 1, now_ms());
    const Answer answer = write(gateway.port(), request);
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.headers.count("retry-after"), 1u);
    EXPECT_NE(answer.body.find("No space left"), std::string::npos) << answer.body;
    EXPECT_GT(scrape(gateway.admin_port())
                  .sum("tollgate_rejected_samples_total", {{"reason", "journal_error"}}),
              0);
    if (round == 1) gateway.kill9();
    disk.free();
    if (!gateway.running()) {
      ASSERT_NO_FATAL_FAILURE(gateway.start());
    }
    ASSERT_TRUE(gateway.wait_ready(in(milliseconds(30'000)))) << gateway.log_tail();
    wait_for_progress(senders, 20);
  }
  stop(senders);
  down.come_back();
  wait_for_everything({&one, &two}, {&up, &down});
  expect_delivered({&one, &two}, {&up, &down});
  expect_ledger_closes(gateway.admin_port(), {"up", "down"});
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
