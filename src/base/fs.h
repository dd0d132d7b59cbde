#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tollgate::fs {

// An open file. Owner: whoever opened it; closed on destruction. Threads: `read_at` from any
// thread at any time; everything else from one thread at a time. Errors: Code::kUnavailable, with
// the operation, the path and the system's words; `Error::message` of a full disk starts with
// "no space left".
class File {
 public:
  virtual ~File() = default;
  // Appends all pieces at the end; on failure the file may hold a prefix of them.
  virtual Status append(std::span<const std::string_view> pieces) = 0;
  // Makes everything appended durable (fdatasync).
  virtual Status sync() = 0;
  // Reads up to `size` bytes at `offset` into `out`; fewer only at the end of the file.
  virtual Result<size_t> read_at(uint64_t offset, char* out, size_t size) const = 0;
  virtual Status truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() const = 0;
  // Asks for `size` bytes of disk space from `offset` on without changing the file's size.
  virtual Status reserve(uint64_t offset, uint64_t size) = 0;
};

// Held while alive; released on destruction and when the process dies.
class Lock {
 public:
  virtual ~Lock() = default;
};

// The file system as a seam: tests pass one that fails the Nth operation or forgets unsynced
// bytes. Threads: any.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Status create_directories(const std::string& path) = 0;
  // Opens for appending and reading, creating an empty file if there is none.
  virtual Result<std::unique_ptr<File>> open_append(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> open_read(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  // Makes created, renamed and removed names of the directory durable.
  virtual Status sync_directory(const std::string& directory) = 0;
  // Exclusive advisory lock (flock); Code::kUnavailable if another process holds it.
  virtual Result<std::unique_ptr<Lock>> lock(const std::string& path) = 0;
  // Free bytes for us on the file system that holds `path`.
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;

  static FileSystem& real();
};

// Whole-file helpers on any FileSystem. `replace_file` writes `<path>.tmp`, syncs it, renames it
// over `path` and syncs the directory: readers see the old bytes or the new ones.
Result<std::string> read_file(FileSystem& fs, const std::string& path);
Status replace_file(FileSystem& fs, const std::string& path, std::string_view bytes);
std::string directory_of(const std::string& path);

}  // namespace tollgate::fs
