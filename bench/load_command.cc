#include <csignal>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "CLI/CLI.hpp"
#include "commands.h"
#include "http.h"
#include "load.h"

namespace tollgate::bench {
namespace {

struct LoadFlags {
  LoadOptions options;
  std::string profile = "mixed";
  std::string protocol = "rw1";
  std::string expect;
  std::string reconnect_every = "0s";
  std::string drain = "30s";
  std::string timeout = "30s";
  bool max = false;
};

Load* running = nullptr;

int load(LoadFlags& flags) {
  LoadOptions& o = flags.options;
  if (flags.protocol != "rw1") {
    std::fprintf(stderr,
                 "tollgate-bench: the load does not speak \"%s\" yet: only remote write 1.0 "
                 "(--protocol rw1)\n",
                 flags.protocol.c_str());
    return 2;
  }
  if (flags.max == (o.rate > 0)) {
    std::fprintf(stderr, "tollgate-bench: say either --rate SAMPLES or --max\n");
    return 2;
  }
  o.profile = parse_profile(flags.profile);
  o.reconnect_every = parse_duration(flags.reconnect_every);
  o.drain = parse_duration(flags.drain);
  o.timeout = parse_duration(flags.timeout);
  Load load(o);
  running = &load;
  const auto stop = [](int) { running->stop(); };
  std::signal(SIGINT, stop);
  std::signal(SIGTERM, stop);
  const LoadReport report = load.run();
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  if (!flags.expect.empty()) {
    Expectation expectation = load.expectation();
    expectation.unknown = report.requests.unknown;
    expectation.save(flags.expect);
  }
  std::printf("%s\n", report.json().c_str());
  return report.complete() ? 0 : 1;
}

}  // namespace

void add_load_command(CLI::App& app, std::function<int()>& run) {
  auto* command = app.add_subcommand(
      "load", "Sends samples as Prometheus shards do; prints JSON when it is done.");
  auto flags = std::make_shared<LoadFlags>();
  LoadOptions& o = flags->options;
  const auto fraction = CLI::Range(0.0, 1.0);
  command
      ->add_option("--to", o.to, "URL or host:port; several: each body goes to one after another.")
      ->required();
  command->add_option("--protocol", flags->protocol, "rw1.");
  command->add_option("--senders", o.senders, "Shards: one connection, one request in flight.");
  command->add_option("--threads", o.threads, "Threads that the senders share.")
      ->check(CLI::Range(1, 64));
  command->add_option("--rate", o.rate,
                      "Samples a second, offered whatever the answers (open loop).");
  command->add_flag("--max", flags->max, "As fast as acknowledged (closed loop).");
  command->add_option("--seconds", o.seconds, "How long to send.");
  command->add_option("--drain", flags->drain, "How long to wait for answers after that.");
  command->add_option("--timeout", flags->timeout, "Of one attempt.");
  command->add_option("--profile", flags->profile, "node, kubernetes or mixed.");
  command->add_option("--series", o.series, "Per cluster and replica; rounded to whole requests.");
  command->add_option("--samples-per-request", o.samples_per_request,
                      "500 is the default of Prometheus before 2.45, 2000 that of later ones.");
  command->add_option("--clusters", o.clusters, "ops, blue, green, c3, ….");
  command->add_option("--replicas", o.replicas, "Prometheus servers of each cluster.");
  command->add_option("--churn", o.churn, "Fraction of the series replaced in a minute.");
  command->add_option("--histograms", o.histograms, "Fraction that are native histograms.")
      ->check(fraction);
  command->add_option("--exemplars", o.exemplars, "Fraction of the series with exemplars.")
      ->check(fraction);
  command->add_option("--replay", o.replay,
                      "Directory of recorded bodies (*.snappy), instead of a profile.");
  command->add_option("--tenants", o.tenants, "Requests are of tenants t0000, t0001, … in turn.");
  command->add_option("--tenant-header", o.tenant_header, "That says so.");
  command->add_option("--bearer", o.bearer, "Token; {cluster} is replaced by the cluster's name.");
  command->add_option("--bearer-file", o.bearer_file, "File with the token; {cluster} as well.");
  command->add_option("--basic", o.basic, "user:password; {cluster} as well.");
  command->add_option("--header", o.headers, "\"Name: value\", {cluster} as well (repeatable).");
  command->add_option("--ca", o.ca_file, "PEM file that signs https:// servers.");
  command->add_option("--reconnect-every", flags->reconnect_every,
                      "Connections are closed and opened again so often.");
  command->add_option("--expect", flags->expect, "Writes what was acknowledged, for verdict.");
  command->add_option("--seed", o.seed, "Same seed, same series.");
  command->add_option("--step-ms", o.step_ms,
                      "Between two timestamps of a series; by default what the rate makes of it.");
  command->callback([flags, &run] { run = [flags] { return load(*flags); }; });
}

}  // namespace tollgate::bench
