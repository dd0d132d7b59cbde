#include "promtool.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace tollgate::metrics {

Verdict check_metrics(const std::string& text) {
  Verdict out;
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) return out;
  out.installed = true;
  std::string path = (std::filesystem::temp_directory_path() / "tollgate-metrics-XXXXXX").string();
  const int fd = mkstemp(path.data());
  if (fd < 0) return out;
  FILE* file = fdopen(fd, "w");
  std::fwrite(text.data(), 1, text.size(), file);
  std::fclose(file);
  FILE* pipe = popen(("promtool check metrics <" + path + " 2>&1").c_str(), "r");
  if (pipe != nullptr) {
    std::array<char, 4096> chunk;
    size_t n = 0;
    while ((n = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0) {
      out.words.append(chunk.data(), n);
    }
    const int status = pclose(pipe);
    if (WIFEXITED(status)) out.exit_code = WEXITSTATUS(status);
  }
  std::filesystem::remove(path);
  return out;
}

}  // namespace tollgate::metrics
