#pragma once

#include <filesystem>
#include <string>

namespace tollgate::net {

// Certificates made for one test, in a folder that goes with it.
class Certificates {
 public:
  Certificates();
  ~Certificates();
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  // Makes a CA; the path of its certificate.
  std::string ca(const std::string& name);
  // Makes `<name>.pem` and `<name>.key`, signed by the CA. `sans` as in openssl.cnf, such as
  // "DNS:a.test,IP:127.0.0.1". Valid from an hour ago for `valid_seconds`, which may be negative.
  void issue(const std::string& name, const std::string& ca, const std::string& sans,
             long valid_seconds = 3600);
  std::string cert(const std::string& name) const { return (folder_ / (name + ".pem")).string(); }
  std::string key(const std::string& name) const { return (folder_ / (name + ".key")).string(); }

 private:
  std::filesystem::path folder_;
};

}  // namespace tollgate::net
