#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/fs.h"

namespace tollgate::journal {

// A file system in memory that behaves as badly as a real one may:
//  - `power_loss` forgets what was not synced: of each file a random part of the unsynced bytes
//    survives (possibly with zeros at the end of it), of the directory a random prefix of the
//    unsynced changes;
//  - `kill` is kill -9: all bytes stay. After either of them the old process can do nothing any
//    more, neither with open files nor otherwise, and its locks are free; `restart` lets the next
//    one in;
//  - the Nth operation fails (`fail_at`); a failed append leaves a random prefix of its bytes, and
//    after a failed sync the bytes concerned never become durable, whatever a later sync says;
//  - a quota (`set_quota`) makes appends and reservations fail with "no space left".
// One flat directory tree. Threads: any.
class FaultFs final : public fs::FileSystem {
 public:
  explicit FaultFs(uint64_t seed = 1) : random_(seed) {}

  void power_loss();
  void kill();
  void restart();
  // Operations are counted from 0; those in the set fail once.
  void fail_at(std::set<uint64_t> operations);
  void fail_all(bool on);
  uint64_t operations() const;
  void set_quota(uint64_t bytes);
  uint64_t used() const;

  // Direct access, for damage. `names` are full paths.
  std::vector<std::string> names() const;
  std::string contents(const std::string& path) const;
  void set_contents(const std::string& path, std::string bytes);
  void erase(const std::string& path);

  Status create_directories(const std::string& path) override;
  Result<std::unique_ptr<fs::File>> open_append(const std::string& path) override;
  Result<std::unique_ptr<fs::File>> open_read(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status remove(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status sync_directory(const std::string& directory) override;
  Result<std::unique_ptr<fs::Lock>> lock(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) override;

 private:
  friend class FaultFile;
  friend class FaultLock;
  struct Inode {
    std::string data;
    std::string durable;
    uint64_t reserved = 0;
    uint64_t poisoned = 0;  // bytes before it that a failed sync left undurable
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  // Null inode: the name goes away.
  using Change = std::pair<std::string, std::shared_ptr<Inode>>;

  // With the lock held. True if this operation must fail.
  bool fails();
  bool dead(uint64_t generation) const { return generation != generation_; }
  uint64_t used_locked() const;
  void change(const std::string& path, std::shared_ptr<Inode> inode);
  uint64_t pick(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound)(random_);
  }

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  Names names_;
  Names durable_names_;
  std::vector<Change> changes_;
  std::set<std::string> locks_;
  std::set<uint64_t> failing_;
  bool fail_all_ = false;
  bool frozen_ = false;
  uint64_t operations_ = 0;
  uint64_t generation_ = 0;
  uint64_t quota_ = std::numeric_limits<uint64_t>::max();
};

}  // namespace tollgate::journal
