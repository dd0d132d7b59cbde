// tollgate-bench: load and sink for measuring a gateway as a process.
//   tollgate-bench sink --listen 9001
//   tollgate-bench load --to 127.0.0.1:19291 --corpus bench/corpus --connections 4 --seconds 10
// Closed loop: each connection has one request in flight, as a Prometheus shard has.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "peer.h"

namespace tollgate::bench {
namespace {

using Clock = std::chrono::steady_clock;

int sink(uint16_t port, int status) {
  auto [listener, bound] = listen_on(port);
  std::printf("{\"port\": %u}\n", bound);
  std::fflush(stdout);
  const std::string answer =
      "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 0\r\n\r\n";
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return 1;
    std::thread([fd, answer] {
      std::string buffer;
      Message message;
      try {
        while (read_message(fd, buffer, message)) write_all(fd, answer);
      } catch (const std::runtime_error&) {
        // The peer went away in the middle of an answer: it will come back.
      }
      ::close(fd);
    }).detach();
  }
}

struct LoadOptions {
  std::string to;
  std::string corpus;
  std::string authorization;
  int connections = 4;
  double seconds = 10;
  double rate = 0;  // requests a second over all connections; 0 = as fast as answered
};

int load(const LoadOptions& options) {
  const auto bodies = read_corpus(options.corpus, ".snappy");
  std::vector<std::string> requests;
  for (const auto& body : bodies) {
    std::string head = "POST /api/v1/write HTTP/1.1\r\nHost: " + options.to +
                       "\r\nUser-Agent: tollgate-bench\r\nContent-Type: application/x-protobuf\r\n"
                       "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    if (!options.authorization.empty()) head += "Authorization: " + options.authorization + "\r\n";
    requests.push_back(head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> failed{0};
  std::mutex mutex;
  std::vector<double> latencies;
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(options.seconds));
  std::vector<std::thread> threads;
  for (int c = 0; c < options.connections; c++) {
    threads.emplace_back([&, c] {
      std::vector<double> own;
      try {
        int fd = connect_to(options.to);
        std::string buffer;
        Message answer;
        size_t next = static_cast<size_t>(c);
        const auto interval =
            std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                options.rate > 0 ? options.connections / options.rate : 0));
        auto due = start;
        while (Clock::now() < end) {
          // Open loop: latency counts from the intended time.
          if (options.rate > 0) {
            due += interval;
            std::this_thread::sleep_until(due);
          } else {
            due = Clock::now();
          }
          write_all(fd, requests[next++ % requests.size()]);
          if (!read_message(fd, buffer, answer)) throw std::runtime_error("connection closed");
          own.push_back(std::chrono::duration<double>(Clock::now() - due).count());
          (answer.head.compare(9, 1, "2") == 0 ? sent : failed)++;
          if (answer.head.find("Connection: close") != std::string::npos) {
            ::close(fd);
            fd = connect_to(options.to);
          }
        }
        ::close(fd);
      } catch (const std::runtime_error& e) {
        std::fprintf(stderr, "connection %d: %s\n", c, e.what());
        failed++;
      }
      std::lock_guard lock(mutex);
      latencies.insert(latencies.end(), own.begin(), own.end());
    });
  }
  for (auto& t : threads) t.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::sort(latencies.begin(), latencies.end());
  auto quantile = [&](double q) {
    return latencies.empty() ? 0.0
                             : latencies[static_cast<size_t>(q * double(latencies.size() - 1))];
  };
  std::printf(
      "{\"requests\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"p50_ms\": %.3f, "
      "\"p99_ms\": %.3f}\n",
      static_cast<unsigned long long>(sent), static_cast<unsigned long long>(failed), seconds,
      quantile(0.5) * 1e3, quantile(0.99) * 1e3);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tollgate::bench

int main(int argc, char** argv) {
  using namespace tollgate::bench;
  CLI::App app("Load and sink for measuring a remote write gateway.", "tollgate-bench");
  app.require_subcommand(1);
  uint16_t port = 0;
  int status = 204;
  auto* sink_command = app.add_subcommand("sink", "Answers every request; prints its port.");
  sink_command->add_option("--listen", port, "Port on 127.0.0.1; 0 = any.");
  sink_command->add_option("--status", status, "The answer.");
  LoadOptions options;
  auto* load_command = app.add_subcommand("load", "Sends recorded bodies; prints JSON.");
  load_command->add_option("--to", options.to, "host:port")->required();
  load_command->add_option("--corpus", options.corpus, "Directory of *.snappy bodies.")->required();
  load_command->add_option("--authorization", options.authorization, "Header value.");
  load_command->add_option("--connections", options.connections);
  load_command->add_option("--seconds", options.seconds);
  load_command->add_option("--rate", options.rate,
                           "Requests a second, open loop; 0 = closed loop.");
  CLI11_PARSE(app, argc, argv);
  try {
    return sink_command->parsed() ? sink(port, status) : load(options);
  } catch (const std::runtime_error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
