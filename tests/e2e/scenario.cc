#include "scenario.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

namespace tollgate::e2e {

Topology& Topology::to(const Sink& sink, const std::string& more) {
  destinations.push_back({sink.name(), sink.url(),
                          std::string("    tenant_header: ") + Sink::kTenantHeader + "\n" + more});
  return *this;
}

std::string Topology::yaml(const Gateway& gateway) const {
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

const char* const kThreeSources = R"(sources:
  - name: blue
    auth: {bearer: {token: blue-token}}
    tenant: team-blue
    enforced_labels: {cluster: blue}
    external_labels: {region: eu-west-1}
  - name: green
    auth: {basic: {username: green, password: green-password}}
    tenant: {header: THANOS-TENANT, allow: [team-green, team-lime], default: team-green}
    enforced_labels: {cluster: green, zzz_last: "yes"}
  - name: ops
    auth: none
    tenant: platform
    enforced_labels: {cluster: ops}
)";

void add_senders(Senders& senders, const std::string& source, int count, uint16_t port,
                 uint64_t seed, const SenderOptions& base) {
  static const char* const kPaths[] = {"/api/v1/write", "/api/v1/receive", "/api/v1/push",
                                       "/api/v1/remote_write"};
  for (int i = 0; i < count; ++i) {
    SenderOptions o = base;
    o.name = source + "-" + std::to_string(i);
    o.port = port;
    o.path = kPaths[i % 4];
    o.seed = seed + senders.size();
    Treatment treatment{{{"cluster", source}}, {}};
    if (source == "blue") {
      o.authorization = "Bearer blue-token";
      o.tenant = "team-blue";
      treatment.external = {{"region", "eu-west-1"}};
    } else if (source == "green") {
      o.authorization = "Basic " + base64("green:green-password");
      o.tenant = i % 2 == 0 ? "team-green" : "team-lime";
      if (i % 4 != 0) o.headers.emplace_back("THANOS-TENANT", o.tenant);
      treatment.enforced.emplace_back("zzz_last", "yes");
    } else {
      o.tenant = "platform";
    }
    if (i % 2 == 1) o.labels.emplace_back("cluster", "spoofed");
    if (i % 4 == 2) o.labels.emplace_back("region", "their-own");
    if (i % 4 >= 2) o.labels.emplace_back("prometheus_replica", "r" + std::to_string(i % 4));
    if (i % 3 == 0) o.labels.emplace_back("empty", "");
    o.unsorted = i % 2 == 1;
    o.exemplars = i % 4 == 0;
    o.histograms = i % 4 == 1;
    o.samples_per_series = 1 + i % 3;
    o.series = o.histograms ? 10 : 5;
    o.treatments = {treatment};
    senders.push_back(std::make_unique<Sender>(o));
  }
}

std::vector<Sender*> all(const Senders& senders) {
  std::vector<Sender*> out;
  for (const auto& sender : senders) out.push_back(sender.get());
  return out;
}

std::vector<const Sender*> all_const(const Senders& senders) {
  std::vector<const Sender*> out;
  for (const auto& sender : senders) out.push_back(sender.get());
  return out;
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
