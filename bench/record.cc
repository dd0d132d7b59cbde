#include "record.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "CLI/CLI.hpp"
#include "commands.h"

namespace tollgate::bench {
namespace {

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

// The lines of a head for which `keep` holds, each with its CRLF.
template <typename Keep>
std::string lines_of(std::string_view head, Keep keep) {
  std::string out;
  size_t at = head.find("\r\n");
  while (at != std::string_view::npos && at + 2 < head.size()) {
    at += 2;
    const size_t end = head.find("\r\n", at);
    if (end == std::string_view::npos || end == at) break;
    const std::string_view line = head.substr(at, end - at);
    std::string name(line.substr(0, line.find(':')));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (keep(name)) out.append(line).append("\r\n");
    at = end;
  }
  return out;
}

bool of_the_connection(const std::string& name) {
  constexpr std::array<std::string_view, 5> kNames = {"connection", "keep-alive", "host",
                                                      "content-length", "transfer-encoding"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool secret(const std::string& name) {
  constexpr std::array<std::string_view, 5> kNames = {
      "authorization", "proxy-authorization", "cookie", "x-amz-security-token", "x-api-key"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

std::string storable_headers(std::string_view head) {
  return lines_of(
      head, [](const std::string& name) { return !of_the_connection(name) && !secret(name); });
}

Recorder::Recorder(const RecordOptions& options) : options_(options) {
  std::filesystem::create_directories(options.directory);
  for (const auto& entry : std::filesystem::directory_iterator(options.directory)) {
    if (entry.path().extension() != ".snappy") continue;
    number_ = std::max<uint64_t>(number_, std::strtoull(entry.path().stem().c_str(), nullptr, 10));
  }
  ServerOptions server = options.server;
  server.threads = 1;
  server_.reset(new Server(server, *this));  // make_unique cannot see the private base
}

Recorder::~Recorder() { server_.reset(); }

void Recorder::handle(const Request& request, Response& response) {
  if (request.method != "POST") {
    response.status = 405;
    response.body = "only POST is recorded\n";
    return;
  }
  try {
    if (options_.limit == 0 || stored_ < options_.limit) {
      char name[32];
      std::snprintf(name, sizeof name, "%06llu", static_cast<unsigned long long>(++number_));
      const auto stem = std::filesystem::path(options_.directory) / name;
      write_file(stem.string() + ".headers", storable_headers(request.head));
      write_file(stem.string() + ".snappy", request.body);
      stored_++;
    }
  } catch (const std::runtime_error& e) {
    response.status = 503;  // the sender keeps it
    response.body = std::string(e.what()) + "\n";
    return;
  }
  if (options_.to.empty()) return;
  try {
    std::string url = options_.to;
    if (parse_url(url, "").path.empty()) url += request.target;
    const std::string head =
        lines_of(request.head, [](const std::string& n) { return !of_the_connection(n); });
    Reply reply =
        call(url, request.method, head, request.body, std::chrono::seconds(30), options_.ca_file);
    response.status = reply.status;
    response.body = std::move(reply.body);
    response.headers = lines_of(reply.head, [](const std::string& n) {
      return !of_the_connection(n) && n != "content-type";
    });
  } catch (const std::runtime_error& e) {
    response.status = 502;
    response.body = std::string(e.what()) + "\n";
  }
}

void add_record_command(CLI::App& app, std::function<int()>& run) {
  auto* command = app.add_subcommand(
      "record", "Stores the bodies that a sender posts, for load --replay; prints its port.");
  auto options = std::make_shared<RecordOptions>();
  command->add_option("--listen", options->server.port, "Port on 127.0.0.1; 0 = any.");
  command->add_flag("--any-address", options->server.any_address, "Listens on all addresses.");
  command->add_option("--directory", options->directory, "Where to.")->required();
  command->add_option("--to", options->to,
                      "Passes requests on to this URL; without it, they are answered 204.");
  command->add_option("--ca", options->ca_file, "PEM file that signs an https:// destination.");
  command->add_option("--limit", options->limit, "Bodies to store; 0 = no limit.");
  command->add_option("--tls-cert", options->server.tls_certificate, "PEM chain: serves HTTPS.");
  command->add_option("--tls-key", options->server.tls_key, "PEM key of --tls-cert.");
  command->callback([options, &run] {
    run = [options] {
      Recorder recorder(*options);
      std::printf("{\"port\": %u}\n", recorder.port());
      std::fflush(stdout);
      recorder.wait();
      return 0;
    };
  });
}

}  // namespace tollgate::bench
