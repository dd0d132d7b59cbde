#include "process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

namespace tollgate::e2e {

std::string tollgate_binary() {
  const char* given = std::getenv("TOLLGATE_BINARY");
  return given != nullptr ? given : TOLLGATE_DEFAULT_BINARY;
}

std::string Exit::text() const {
  return signal != 0 ? "signal " + std::to_string(signal) : "exit code " + std::to_string(code);
}

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "tollgate-e2e-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TempDir::~TempDir() {
  if (std::getenv("TOLLGATE_E2E_KEEP") != nullptr) {
    std::cout << "kept " << path_ << "\n";
    return;
  }
  std::error_code ignored;  // the next run does not depend on it
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  if (!out.flush()) ADD_FAILURE() << "cannot write " << path;
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in_file(path, std::ios::binary);
  std::stringstream text;
  text << in_file.rdbuf();
  return text.str();
}

Process::~Process() {
  if (running()) kill9();
}

void Process::start(const std::vector<std::string>& arguments,
                    const std::filesystem::path& directory, const std::filesystem::path& output) {
  ASSERT_FALSE(running());
  // Everything that allocates happens before fork: other threads may hold the allocator's lock.
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const std::string where = directory.string();
  const int out = ::open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
  ASSERT_GE(out, 0) << output;
  const pid_t parent = ::getpid();
  exit_.reset();
  pid_ = ::fork();
  ASSERT_GE(pid_, 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    if (::chdir(where.c_str()) != 0) ::_exit(127);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out);
}

void Process::signal(int number) const {
  if (pid_ > 0 && !exit_) ::kill(pid_, number);
}

bool Process::running() { return pid_ > 0 && !wait(Clock::now()).has_value(); }

std::optional<Exit> Process::wait(Deadline deadline) {
  if (pid_ <= 0) return exit_;
  eventually(deadline, [&] {
    if (exit_) return true;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
    exit_ = Exit{};
    if (WIFEXITED(status)) exit_->code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) exit_->signal = WTERMSIG(status);
    return true;
  });
  return exit_;
}

void Process::kill9() {
  signal(SIGKILL);
  (void)wait(in(milliseconds(30'000)));
}

Finished run(const std::vector<std::string>& arguments, const std::filesystem::path& directory) {
  TempDir scratch;
  Process process;
  process.start(arguments, directory, scratch.path() / "output");
  Finished result;
  const auto exit = process.wait(in(milliseconds(30'000)));
  if (!exit) {
    ADD_FAILURE() << arguments[0] << " did not end within 30 s";
    process.kill9();
  } else {
    result.exit = *exit;
  }
  result.output = read_text(scratch.path() / "output");
  return result;
}

Gateway::Gateway(std::filesystem::path directory)
    : directory_(std::move(directory)), port_(free_port()), admin_port_(free_port()) {
  while (admin_port_ == port_) admin_port_ = free_port();
  std::filesystem::create_directories(directory_);
}

void Gateway::start() {
  std::vector<std::string> arguments = {tollgate_binary(), "serve",
                                        "--config.file=" + config_file().string()};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  process_.start(arguments, directory_, directory_ / "tollgate.log");
}

bool Gateway::wait_ready(Deadline deadline) {
  return eventually(deadline,
                    [&] {
                      if (!running()) return true;
                      return http(admin_port_, "GET", "/-/ready").status == 200;
                    }) &&
         running();
}

void Gateway::start_ready() {
  start();
  const bool ready = wait_ready(in(milliseconds(30'000)));
  ASSERT_TRUE(ready) << "tollgate is not ready; the end of its log:\n" << log_tail();
}

void Gateway::stop_gracefully(milliseconds limit) {
  signal(SIGTERM);
  const auto exit = wait(in(limit));
  ASSERT_TRUE(exit.has_value()) << "still running after SIGTERM:\n" << log_tail();
  EXPECT_EQ(exit->signal, 0) << exit->text() << "\n" << log_tail();
  EXPECT_EQ(exit->code, 0) << log_tail();
}

std::string Gateway::log_tail() const {
  const std::string text = log();
  return text.size() > 4000 ? text.substr(text.size() - 4000) : text;
}

}  // namespace tollgate::e2e
