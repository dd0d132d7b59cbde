#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace tollgate::fs {
namespace {

Error os_error(const char* operation, const std::string& path, int code) {
  std::string what = code == ENOSPC || code == EDQUOT ? "no space left: " : "";
  return our_error(Code::kUnavailable, what + operation + " " + path + ": " + std::strerror(code));
}

class RealFile final : public File {
 public:
  RealFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~RealFile() override { ::close(fd_); }

  Status append(std::span<const std::string_view> pieces) override {
    constexpr size_t kBatch = 256;
    iovec vec[kBatch];
    size_t next = 0;
    while (next < pieces.size()) {
      const size_t count = std::min(kBatch, pieces.size() - next);
      for (size_t i = 0; i < count; i++) {
        vec[i] = {const_cast<char*>(pieces[next + i].data()), pieces[next + i].size()};
      }
      if (auto s = write_all(vec, count); !s) return s;
      next += count;
    }
    return Ok{};
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return os_error("fdatasync", path_, errno);
    return Ok{};
  }

  Result<size_t> read_at(uint64_t offset, char* out, size_t size) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_, out + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return os_error("read", path_, errno);
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status truncate(uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return os_error("truncate", path_, errno);
    return Ok{};
  }

  Result<uint64_t> size() const override {
    struct stat st{};
    if (::fstat(fd_, &st) != 0) return os_error("stat", path_, errno);
    return static_cast<uint64_t>(st.st_size);
  }

  Status reserve(uint64_t offset, uint64_t size) override {
    if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(size)) != 0) {
      if (errno == EOPNOTSUPP || errno == ENOSYS) return Ok{};  // the write itself will tell
      return os_error("fallocate", path_, errno);
    }
    return Ok{};
  }

 private:
  Status write_all(iovec* vec, size_t count) {
    while (count > 0) {
      const ssize_t n = ::writev(fd_, vec, static_cast<int>(count));
      if (n < 0) {
        if (errno == EINTR) continue;
        return os_error("write", path_, errno);
      }
      auto left = static_cast<size_t>(n);
      while (count > 0 && left >= vec->iov_len) {
        left -= vec->iov_len;
        vec++;
        count--;
      }
      if (count > 0) {
        vec->iov_base = static_cast<char*>(vec->iov_base) + left;
        vec->iov_len -= left;
      }
    }
    return Ok{};
  }

  const int fd_;
  const std::string path_;
};

class RealLock final : public Lock {
 public:
  explicit RealLock(int fd) : fd_(fd) {}
  ~RealLock() override { ::close(fd_); }

 private:
  const int fd_;
};

class RealFileSystem final : public FileSystem {
 public:
  Status create_directories(const std::string& path) override {
    std::string prefix;
    size_t at = 0;
    while (at != std::string::npos) {
      at = path.find('/', at + 1);
      prefix = path.substr(0, at);
      if (prefix.empty()) continue;
      if (::mkdir(prefix.c_str(), 0750) != 0 && errno != EEXIST) {
        return os_error("mkdir", prefix, errno);
      }
    }
    return Ok{};
  }

  Result<std::unique_ptr<File>> open_append(const std::string& path) override {
    return open(path, O_RDWR | O_CREAT | O_APPEND);
  }

  Result<std::unique_ptr<File>> open_read(const std::string& path) override {
    return open(path, O_RDONLY);
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* dir = ::opendir(directory.c_str());
    if (dir == nullptr) return os_error("list", directory, errno);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
      std::string entry_name = entry->d_name;
      if (entry_name != "." && entry_name != "..") names.push_back(std::move(entry_name));
    }
    ::closedir(dir);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return os_error("remove", path, errno);
    return Ok{};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error("rename", from, errno);
    return Ok{};
  }

  Status sync_directory(const std::string& directory) override {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return os_error("open", directory, errno);
    const int rc = ::fsync(fd);
    const int code = errno;
    ::close(fd);
    if (rc != 0) return os_error("fsync", directory, code);
    return Ok{};
  }

  Result<std::unique_ptr<Lock>> lock(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return os_error("open", path, errno);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      ::close(fd);
      if (code == EWOULDBLOCK) {
        return our_error(Code::kUnavailable, path + " is locked by another process");
      }
      return os_error("lock", path, code);
    }
    return std::unique_ptr<Lock>(std::make_unique<RealLock>(fd));
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs st{};
    if (::statvfs(path.c_str(), &st) != 0) return os_error("statvfs", path, errno);
    return static_cast<uint64_t>(st.f_bavail) * st.f_frsize;
  }

 private:
  static Result<std::unique_ptr<File>> open(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
    if (fd < 0) return os_error("open", path, errno);
    return std::unique_ptr<File>(std::make_unique<RealFile>(fd, path));
  }
};

}  // namespace

FileSystem& FileSystem::real() {
  static RealFileSystem instance;
  return instance;
}

Result<std::string> read_file(FileSystem& fs, const std::string& path) {
  auto file = fs.open_read(path);
  if (!file) return file.error();
  std::string out;
  constexpr size_t kChunk = 64 * 1024;
  for (;;) {
    const size_t old = out.size();
    out.resize(old + kChunk);
    auto n = (*file)->read_at(old, out.data() + old, kChunk);
    if (!n) return n.error();
    out.resize(old + *n);
    if (*n < kChunk) return out;
  }
}

Status replace_file(FileSystem& fs, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    auto file = fs.open_append(temporary);
    if (!file) return file.error();
    if (auto s = (*file)->truncate(0); !s) return s;
    const std::string_view pieces[] = {bytes};
    if (auto s = (*file)->append(pieces); !s) return s;
    if (auto s = (*file)->sync(); !s) return s;
  }
  if (auto s = fs.rename(temporary, path); !s) return s;
  return fs.sync_directory(directory_of(path));
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace tollgate::fs
