#include "scenario.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

namespace tollgate::e2e {

Setup& Setup::to(const Sink& sink, const std::string& more) {
  destinations.push_back({sink.name(), sink.url(),
                          std::string("    tenant_header: ") + Sink::kTenantHeader + "\n" + more});
  return *this;
}

std::string Setup::yaml(const Gateway& gateway) const {
  const std::string here = "127.0.0.1:";
  std::string out = "ingest:\n  listen: " + here + std::to_string(gateway.port()) + "\n" + ingest;
  out += "admin:\n  listen: " + here + std::to_string(gateway.admin_port()) + "\n";
  out += "journal:\n  path: " + (journal_path.empty() ? gateway.journal().string() : journal_path) +
         "\n" + journal;
  out += sources;
  if (!destinations.empty()) out += "remote_write:\n";
  for (const Destination& d : destinations) {
    out += "  - name: " + d.name + "\n    url: " + d.url + "\n" + d.more;
  }
  return out;
}

uint64_t test_seed() {
  const char* given = std::getenv("TOLLGATE_E2E_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "TOLLGATE_E2E_SEED=" << seed << std::endl;
  return seed;
}

milliseconds test_duration(int default_seconds) {
  const char* given = std::getenv("TOLLGATE_E2E_SECONDS");
  return milliseconds(1000 * (given != nullptr ? std::atoi(given) : default_seconds));
}

void start(const std::vector<Sender*>& senders) {
  for (Sender* sender : senders) sender->start();
}

void stop(const std::vector<Sender*>& senders) {
  for (Sender* sender : senders) sender->stop();
}

void wait_for_progress(const std::vector<Sender*>& senders, uint64_t more, milliseconds limit) {
  const Deadline deadline = in(limit);
  std::vector<uint64_t> goals;
  for (const Sender* sender : senders) goals.push_back(sender->acknowledged() + more);
  for (size_t i = 0; i < senders.size(); ++i) {
    const Sender& sender = *senders[i];
    const bool made = eventually(
        deadline, [&] { return sender.acknowledged() >= goals[i] || sender.finished(); });
    EXPECT_TRUE(made) << sender.options().name << " is stuck at " << sender.acknowledged()
                      << " acknowledged; answers 503: " << sender.retries(503)
                      << ", none: " << sender.retries(0);
    EXPECT_EQ(sender.failure(), "");
  }
}

Answer write(uint16_t port, const prometheus::WriteRequest& message, const Headers& more,
             const std::string& path) {
  Headers headers = write_headers();
  headers.insert(headers.end(), more.begin(), more.end());
  return http(port, "POST", path, headers, compress(message));
}

}  // namespace tollgate::e2e
