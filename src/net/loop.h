#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace tollgate::net {

using Executor = boost::asio::io_context::executor_type;
// A coroutine on a loop. See docs/style for the expressions that g++ 12 miscompiles.
template <typename T>
using Task = boost::asio::awaitable<T, Executor>;

// One thread running one io_context. Everything bound to a loop runs on its thread alone, so it
// needs no lock. `context()` may be posted to from any thread. SIGPIPE is blocked on the thread.
// Coroutines still suspended when the loop stops are destroyed with the Loop.
class Loop {
 public:
  explicit Loop(size_t index);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  size_t index() const { return index_; }
  boost::asio::io_context& context() { return context_; }
  Executor executor() { return context_.get_executor(); }
  void start();
  // Lets handlers finish no more: stops the context and joins the thread.
  void stop();
  bool on_this_thread() const;
  // True between start() and stop().
  bool running() const { return running_; }

 private:
  const size_t index_;
  std::atomic<bool> running_{false};
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<Executor> work_;
  std::thread thread_;
};

// One loop per core.
class Loops {
 public:
  explicit Loops(size_t count);
  ~Loops();
  size_t size() const { return loops_.size(); }
  Loop& at(size_t i) { return *loops_[i % loops_.size()]; }
  void start();
  void stop();

 private:
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace tollgate::net
