#include <gtest/gtest.h>

#include <regex>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

constexpr const char* kGood =
    "sources:\n  - name: blue\n    auth: {bearer: {token: hush}}\n    tenant: team-blue\n"
    "    enforced_labels: {cluster: blue}\n"
    "remote_write:\n  - name: thanos\n    url: http://127.0.0.1:19999/api/v1/receive\n"
    "    dialect: thanos\n    tenant_header: THANOS-TENANT\n";

class CommandLine : public testing::Test {
 protected:
  Finished tollgate(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), tollgate_binary());
    return run(arguments, dir_.path());
  }
  Finished check(const std::string& text) {
    write_file(dir_.path() / "c.yml", text);
    return tollgate({"check", "config", "--config.file=" + (dir_.path() / "c.yml").string()});
  }
  TempDir dir_;
};

TEST_F(CommandLine, AGoodConfigurationIs0) {
  const Finished good = check(kGood);
  EXPECT_EQ(good.exit.text(), "exit code 0") << good.output;
  EXPECT_EQ(good.output.find("hush"), std::string::npos);
  EXPECT_EQ(check("{}\n").exit.code, 0) << "everything has a default";
}

TEST_F(CommandLine, ABadConfigurationIs1AndSaysWhereAndWhat) {
  struct Case {
    std::string text;
    std::string place;  // line and column
    std::string words;
  };
  const std::vector<Case> cases = {
      {"ingest:\n  lisen: 0.0.0.0:1\n", "2:3", "listen"},
      {"jornal: {}\n", "1:1", "journal"},
      {"journal:\n  max_size: many\n", "2:13", "many"},
      {"journal:\n  sync: sometimes\n", "2:9", "sometimes"},
      {"journal:\n  on_full: panic\n", "2:12", "drop_oldest"},
      {"ingest:\n  listen: 0.0.0.0:99999\n", "2:11", "99999"},
      {"sources:\n  - {name: a, auth: none}\n  - {name: a, auth: none}\n", "3:5", "unique"},
      {"sources:\n  - name: a\n    tenant: ../etc\n    auth: none\n", "3:13", "../etc"},
      {"sources:\n  - name: a\n    enforced_labels: {\"1x\": y}\n", "3:23", "1x"},
      {"remote_write:\n  - name: x\n", "2:5", "url"},
      {"remote_write:\n  - name: x\n    url: ftp://h/\n", "3:10", "ftp"},
      {"remote_write:\n  - {name: x, url: \"http://h/\"}\n  - {name: x, url: \"http://g/\"}\n",
       "3:5", "\"x\""},
      {"sources: [\n", "", ""},
      {"ingest: 5\n", "1:9", "ingest"},
  };
  for (const Case& c : cases) {
    const Finished bad = check(c.text);
    EXPECT_EQ(bad.exit.text(), "exit code 1") << c.text << bad.output;
    const std::string place = c.place.empty() ? "[0-9]+:[0-9]+" : c.place;
    EXPECT_TRUE(std::regex_search(bad.output, std::regex("c\\.yml:" + place + ": .+")))
        << c.text << "expected at " << place << ": " << bad.output;
    EXPECT_NE(bad.output.find(c.words), std::string::npos) << c.text << bad.output;
  }
  // The gateway does not start with it either.
  const Finished serve = tollgate({"serve", "--config.file=" + (dir_.path() / "c.yml").string()});
  EXPECT_GT(serve.exit.code, 0) << serve.output;
  EXPECT_NE(serve.output.find("c.yml:1:9"), std::string::npos) << serve.output;
}

TEST_F(CommandLine, WhatCannotBeCheckedAndWrongUsageIs2) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"check", "config", "--config.file=/nowhere/at/all.yml"},
        {"check", "config", "--no.such.flag"},
        {"serve", "--no.such.flag"},
        {"--no.such.flag"},
        {"frobnicate"},
        {"check"},
        {"check", "nothing"},
        {"serve", "--log.level=loud", "--config.file=/nowhere.yml"},
        {"serve", "--log.format=xml", "--config.file=/nowhere.yml"}}) {
    const Finished r = tollgate(arguments);
    std::string line;
    for (const std::string& a : arguments) line += " " + a;
    EXPECT_EQ(r.exit.text(), "exit code 2") << "tollgate" << line << "\n" << r.output;
    EXPECT_GT(r.output.size(), 10u) << "tollgate" << line;
  }
}

TEST_F(CommandLine, VersionAndHelpAre0) {
  const Finished version = tollgate({"version"});
  EXPECT_EQ(version.exit.text(), "exit code 0");
  EXPECT_TRUE(
      std::regex_search(version.output, std::regex("tollgate[^\n]* [0-9]+\\.[0-9]+\\.[0-9]+")))
      << version.output;
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"serve", "--help"}, {"check", "config", "--help"}}) {
    const Finished help = tollgate(arguments);
    EXPECT_EQ(help.exit.text(), "exit code 0") << help.output;
    EXPECT_NE(help.output.find("--config.file"), std::string::npos) << help.output;
  }
}

TEST_F(CommandLine, ATakenPortIsASentenceAndNotACrash) {
  const uint16_t port = free_port();
  const Socket taken = listen_on(port);
  write_file(dir_.path() / "c.yml",
             "ingest:\n  listen: 127.0.0.1:" + std::to_string(port) +
                 "\nadmin:\n  listen: 127.0.0.1:" + std::to_string(free_port()) +
                 "\njournal:\n  path: " + (dir_.path() / "journal").string() + "\n");
  const Finished r = tollgate({"serve", "--config.file=" + (dir_.path() / "c.yml").string()});
  EXPECT_EQ(r.exit.signal, 0);
  EXPECT_GT(r.exit.code, 0);
  EXPECT_NE(r.output.find(std::to_string(port)), std::string::npos) << r.output;
}

TEST_F(CommandLine, LogsAreLogfmtOrJson) {
  Gateway gateway(dir_.path() / "g");
  gateway.configure(Topology().yaml(gateway));
  Process process;
  process.start(
      {tollgate_binary(), "--config.file=" + gateway.config_file().string(), "--log.format=json"},
      gateway.directory(), dir_.path() / "log");
  EXPECT_TRUE(
      eventually(in(milliseconds(20'000)),
                 [&] { return http(gateway.admin_port(), "GET", "/-/ready").status == 200; }))
      << "serve is the default command; its log:\n"
      << read_text(dir_.path() / "log");
  process.signal(SIGTERM);
  const auto exit = process.wait(in(milliseconds(30'000)));
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->text(), "exit code 0");
  std::istringstream lines(read_text(dir_.path() / "log"));
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(line.front(), '{') << line;
    EXPECT_EQ(line.back(), '}') << line;
  }
  EXPECT_GT(count, 0u);
}

TEST_F(CommandLine, AdminAnswersItsEndpoints) {
  Sink sink("sink");
  Gateway gateway(dir_.path() / "g");
  Topology topology;
  topology.sources = kThreeSources;
  gateway.configure(topology.to(sink).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  const auto get = [&](const std::string& path) { return http(gateway.admin_port(), "GET", path); };
  for (const char* path : {"/-/healthy", "/-/ready", "/metrics"}) {
    EXPECT_EQ(get(path).status, 200) << path;
  }
  for (const char* path :
       {"/api/v1/status/config", "/api/v1/status/buildinfo", "/api/v1/status/flags",
        "/api/v1/status/ledger", "/api/v1/sources", "/api/v1/tenants", "/api/v1/destinations"}) {
    const Answer answer = get(path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.body.rfind("{\"status\":\"success\",\"data\":", 0), 0u)
        << path << ": " << answer.body.substr(0, 100);
  }
  EXPECT_EQ(get("/nowhere").status, 404);
  EXPECT_EQ(get("/-/reload").status, 405);
  const Scrape metrics = scrape(gateway.admin_port());
  for (const char* name :
       {"tollgate_build_info", "tollgate_config_last_reload_successful",
        "tollgate_config_last_reload_success_timestamp_seconds", "tollgate_journal_size_bytes",
        "tollgate_journal_appended_bytes_total", "tollgate_journal_corrupt_records_total",
        "process_resident_memory_bytes", "process_cpu_seconds_total"}) {
    EXPECT_TRUE(metrics.has(name)) << name;
  }
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
