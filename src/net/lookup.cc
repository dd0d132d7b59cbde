#include "net/lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "base/guarded.h"

namespace tollgate::net {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
constexpr asio::use_awaitable_t<Executor> kAwait;

Lookup::Answer look_up(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0) {
    const std::string words =
        failure == EAI_SYSTEM ? std::generic_category().message(errno) : ::gai_strerror(failure);
    return destination_error(Code::kUnavailable, "resolve " + host + ": " + words);
  }
  std::vector<Tcp::endpoint> endpoints;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    endpoint.resize(one->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(found);
  if (endpoints.empty()) {
    return destination_error(Code::kUnavailable, "resolve " + host + ": no address");
  }
  return endpoints;
}

}  // namespace

// One lookup. The thread may outlive client and loop: it posts only while `loop` is set.
struct Lookup::Run {
  explicit Run(Loop* l) : loop(l) {}
  Guarded<Loop*> loop;
  // Of the loop's thread:
  std::vector<Timer*> waiting;
  std::unique_ptr<Answer> answer;
};

Lookup::Lookup(Loop& loop, std::string host, uint16_t port)
    : loop_(loop), host_(std::move(host)), port_(port) {}

Lookup::~Lookup() { forget(); }

void Lookup::forget() {
  if (running_) *running_->loop.lock() = nullptr;
  running_.reset();
}

void Lookup::start() {
  running_ = std::make_shared<Run>(&loop_);
  std::thread([run = running_, host = host_, port = port_] {
    auto answer = std::make_unique<Answer>(look_up(host, port));
    auto loop = run->loop.lock();
    if (*loop == nullptr) return;
    asio::post((*loop)->context(), [run, answer = std::move(answer)]() mutable {
      run->answer = std::move(answer);
      for (Timer* timer : run->waiting) timer->cancel();
    });
  }).detach();
}

Task<Lookup::Answer> Lookup::resolve(Timer& waiting) {
  ErrorCode ec;
  const auto address = asio::ip::make_address(host_, ec);
  if (!ec) co_return std::vector<Tcp::endpoint>(1, Tcp::endpoint(address, port_));
  if (!running_ || running_->answer) start();
  const std::shared_ptr<Run> run = running_;
  run->waiting.push_back(&waiting);
  waiting.expires_at(std::chrono::steady_clock::time_point::max());
  auto token = asio::redirect_error(kAwait, ec);
  co_await waiting.async_wait(token);
  std::erase(run->waiting, &waiting);
  if (!run->answer) co_return our_error(Code::kUnavailable, "cancelled");
  co_return *run->answer;
}

}  // namespace tollgate::net
