#include "net/loop.h"

#include <pthread.h>
#include <signal.h>

#include <string>

#include "base/check.h"

namespace tollgate::net {
namespace {

thread_local const Loop* current_loop = nullptr;

// A peer that closes while we write must be an EPIPE, not the end of the process. Blocking the
// signal on our threads leaves the dispositions of the rest of the process alone.
void block_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

Loop::Loop(size_t index) : index_(index), work_(context_.get_executor()) {}

Loop::~Loop() { stop(); }

void Loop::start() {
  TG_CHECK(!running_);
  running_ = true;
  context_.restart();
  thread_ = std::thread([this] {
    current_loop = this;
    block_sigpipe();
    pthread_setname_np(pthread_self(), ("loop-" + std::to_string(index_)).c_str());
    context_.run();
    current_loop = nullptr;
  });
}

void Loop::stop() {
  if (!running_) return;
  context_.stop();
  thread_.join();
  running_ = false;
}

bool Loop::on_this_thread() const { return current_loop == this; }

Loops::Loops(size_t count) {
  TG_CHECK(count > 0);
  for (size_t i = 0; i < count; i++) loops_.push_back(std::make_unique<Loop>(i));
}

Loops::~Loops() { stop(); }

void Loops::start() {
  for (auto& loop : loops_) loop->start();
}

void Loops::stop() {
  // All are told first, so that no loop works for another one that is already gone.
  for (auto& loop : loops_) loop->context().stop();
  for (auto& loop : loops_) loop->stop();
}

}  // namespace tollgate::net
