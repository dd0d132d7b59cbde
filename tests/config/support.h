#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "config/config.h"

namespace tollgate::config {

// A directory of its own, gone with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tollgate-config-XXXXXX");
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& contents) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << contents;
    return file;
  }

 private:
  std::string path_;
};

// The configuration, or a failed test with the problems found.
inline Config good(const std::string& text, const std::string& path = "gate.yml") {
  auto config = parse(text, path);
  if (!config) {
    ADD_FAILURE() << config.error().message;
    return {};
  }
  return *config;
}

// The problems found, or "" (and so a failed comparison) if there are none.
inline std::string bad(const std::string& text, const std::string& path = "gate.yml") {
  auto config = parse(text, path);
  return config ? "" : config.error().message;
}

// Half of a bcrypt hash of the right form; nobody's password.
inline const std::string kHash = "$2b$04$" + std::string(53, 'a');

}  // namespace tollgate::config
