#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sockets.h"

namespace tollgate::e2e {

// The binary under test: $TOLLGATE_BINARY, or the one built beside the tests.
std::string tollgate_binary();

// How a process ended.
struct Exit {
  int code = -1;   // if it ended by itself
  int signal = 0;  // if a signal ended it
  std::string text() const;
};

// A temporary directory, removed with its contents. TOLLGATE_E2E_KEEP=1 keeps it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, const std::string& text);
std::string read_text(const std::filesystem::path& path);

// A child process, its output appended to a file. It dies with the thread that started it
// (PR_SET_PDEATHSIG), so start it from the test's main thread.
class Process {
 public:
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  void start(const std::vector<std::string>& arguments, const std::filesystem::path& directory,
             const std::filesystem::path& output);
  void signal(int number) const;
  bool running();
  // Nothing if it still runs at the deadline.
  std::optional<Exit> wait(Deadline deadline);
  // SIGKILL and reaped.
  void kill9();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  std::optional<Exit> exit_;
};

// Runs a program to its end and returns its exit and output (stdout and stderr together).
struct Finished {
  Exit exit;
  std::string output;
};
Finished run(const std::vector<std::string>& arguments, const std::filesystem::path& directory);

// `tollgate serve` in a directory of its own, on ports that stay the same over restarts.
class Gateway {
 public:
  explicit Gateway(std::filesystem::path directory);

  uint16_t port() const { return port_; }
  uint16_t admin_port() const { return admin_port_; }
  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path config_file() const { return directory_ / "tollgate.yml"; }
  std::filesystem::path journal() const { return directory_ / "journal"; }

  // Writes the configuration; what is running does not notice before a reload.
  void configure(const std::string& text) const { write_file(config_file(), text); }
  // More command line flags for start().
  void set_flags(std::vector<std::string> flags) { flags_ = std::move(flags); }
  void start();
  // Polls /-/ready. False at the deadline or when the process has ended.
  bool wait_ready(Deadline deadline);
  // Starts and waits for readiness; a GoogleTest failure with the log's end otherwise.
  void start_ready();
  void kill9() { process_.kill9(); }
  void signal(int number) const { process_.signal(number); }
  bool running() { return process_.running(); }
  std::optional<Exit> wait(Deadline deadline) { return process_.wait(deadline); }
  // SIGTERM, and the exit code 0 that must follow; a GoogleTest failure otherwise.
  void stop_gracefully(milliseconds limit = milliseconds(60'000));
  std::string log() const { return read_text(directory_ / "tollgate.log"); }
  std::string log_tail() const;

 private:
  std::filesystem::path directory_;
  uint16_t port_;
  uint16_t admin_port_;
  std::vector<std::string> flags_;
  Process process_;
};

}  // namespace tollgate::e2e
