#include "fault_fs.h"

#include <algorithm>

namespace tollgate::journal {
namespace {

Error io_error(const std::string& what, const std::string& path) {
  return our_error(Code::kUnavailable, what + " " + path + ": Input/output error");
}

Error disk_full(const std::string& what, const std::string& path) {
  return our_error(Code::kUnavailable,
                   "no space left: " + what + " " + path + ": No space left on device");
}

Error absent(const std::string& path) {
  return our_error(Code::kUnavailable, "open " + path + ": No such file or directory");
}

}  // namespace

class FaultFile final : public fs::File {
 public:
  FaultFile(FaultFs& fs, std::shared_ptr<FaultFs::Inode> inode, std::string path)
      : fs_(fs), inode_(std::move(inode)), path_(std::move(path)), generation_(fs.generation_) {}

  Status append(std::span<const std::string_view> pieces) override {
    std::lock_guard guard(fs_.mutex_);
    std::string all;
    for (std::string_view piece : pieces) all += piece;
    if (fs_.dead(generation_)) return io_error("write", path_);
    if (fs_.fails()) {
      inode_->data += all.substr(0, fs_.pick(all.size()));
      return io_error("write", path_);
    }
    const uint64_t used = fs_.used_locked();
    const uint64_t reserved_left =
        inode_->reserved > inode_->data.size() ? inode_->reserved - inode_->data.size() : 0;
    const uint64_t room = (fs_.quota_ > used ? fs_.quota_ - used : 0) + reserved_left;
    if (all.size() > room) {
      inode_->data += all.substr(0, room);
      return disk_full("write", path_);
    }
    inode_->data += all;
    return Ok{};
  }

  Status sync() override {
    std::lock_guard guard(fs_.mutex_);
    if (fs_.dead(generation_)) return io_error("fdatasync", path_);
    if (fs_.fails()) {
      inode_->poisoned = inode_->data.size();
      return io_error("fdatasync", path_);
    }
    const uint64_t kept = inode_->durable.size();
    inode_->durable = inode_->data;
    // The kernel has marked those pages clean without writing them.
    for (uint64_t i = kept; i < std::min<uint64_t>(inode_->poisoned, inode_->durable.size()); i++) {
      inode_->durable[i] = '\0';
    }
    return Ok{};
  }

  Result<size_t> read_at(uint64_t offset, char* out, size_t size) const override {
    std::lock_guard guard(fs_.mutex_);
    if (fs_.dead(generation_)) return io_error("read", path_);
    if (fs_.fails()) return io_error("read", path_);
    if (offset >= inode_->data.size()) return size_t{0};
    return inode_->data.copy(out, size, offset);
  }

  Status truncate(uint64_t size) override {
    std::lock_guard guard(fs_.mutex_);
    if (fs_.dead(generation_) || fs_.fails()) return io_error("truncate", path_);
    inode_->data.resize(size);
    inode_->poisoned = std::min(inode_->poisoned, size);
    inode_->reserved = std::min(inode_->reserved, size);
    return Ok{};
  }

  Result<uint64_t> size() const override {
    std::lock_guard guard(fs_.mutex_);
    if (fs_.dead(generation_) || fs_.fails()) return io_error("stat", path_);
    return static_cast<uint64_t>(inode_->data.size());
  }

  Status reserve(uint64_t offset, uint64_t size) override {
    std::lock_guard guard(fs_.mutex_);
    if (fs_.dead(generation_) || fs_.fails()) return io_error("fallocate", path_);
    const uint64_t held = std::max<uint64_t>(inode_->reserved, inode_->data.size());
    if (offset + size > held && fs_.used_locked() + (offset + size - held) > fs_.quota_) {
      return disk_full("fallocate", path_);
    }
    inode_->reserved = std::max(inode_->reserved, offset + size);
    return Ok{};
  }

 private:
  FaultFs& fs_;
  const std::shared_ptr<FaultFs::Inode> inode_;
  const std::string path_;
  const uint64_t generation_;
};

class FaultLock final : public fs::Lock {
 public:
  FaultLock(FaultFs& fs, std::string path)
      : fs_(fs), path_(std::move(path)), generation_(fs.generation_) {}
  ~FaultLock() override {
    std::lock_guard guard(fs_.mutex_);
    if (!fs_.dead(generation_)) fs_.locks_.erase(path_);
  }

 private:
  FaultFs& fs_;
  const std::string path_;
  const uint64_t generation_;
};

void FaultFs::kill() {
  std::lock_guard guard(mutex_);
  generation_++;
  frozen_ = true;
  locks_.clear();
}

void FaultFs::restart() {
  std::lock_guard guard(mutex_);
  frozen_ = false;
}

void FaultFs::power_loss() {
  std::lock_guard guard(mutex_);
  generation_++;
  frozen_ = true;
  locks_.clear();
  const uint64_t survivors = pick(changes_.size());
  for (uint64_t i = 0; i < survivors; i++) {
    if (changes_[i].second) {
      durable_names_[changes_[i].first] = changes_[i].second;
    } else {
      durable_names_.erase(changes_[i].first);
    }
  }
  changes_.clear();
  names_ = durable_names_;
  for (auto& [path, inode] : names_) {
    if (inode->data.starts_with(inode->durable) && inode->poisoned <= inode->durable.size()) {
      const uint64_t unsynced = inode->data.size() - inode->durable.size();
      const uint64_t kept = pick(unsynced);
      const uint64_t zeros = pick(3) == 0 ? pick(kept) : 0;
      inode->durable = inode->data.substr(0, inode->durable.size() + kept - zeros);
      inode->durable.append(zeros, '\0');
    } else if (pick(1) == 0 && inode->poisoned == 0) {
      inode->durable = inode->data;  // the truncation made it to the disk
    }
    inode->data = inode->durable;
    inode->poisoned = 0;
    inode->reserved = 0;
  }
}

void FaultFs::fail_at(std::set<uint64_t> operations) {
  std::lock_guard guard(mutex_);
  failing_ = std::move(operations);
}

void FaultFs::fail_all(bool on) {
  std::lock_guard guard(mutex_);
  fail_all_ = on;
}

uint64_t FaultFs::operations() const {
  std::lock_guard guard(mutex_);
  return operations_;
}

void FaultFs::set_quota(uint64_t bytes) {
  std::lock_guard guard(mutex_);
  quota_ = bytes;
}

uint64_t FaultFs::used() const {
  std::lock_guard guard(mutex_);
  return used_locked();
}

uint64_t FaultFs::used_locked() const {
  uint64_t total = 0;
  for (const auto& [path, inode] : names_) {
    total += std::max<uint64_t>(inode->data.size(), inode->reserved);
  }
  return total;
}

bool FaultFs::fails() {
  if (frozen_) return true;
  const uint64_t now = operations_++;
  return fail_all_ || failing_.contains(now);
}

std::vector<std::string> FaultFs::names() const {
  std::lock_guard guard(mutex_);
  std::vector<std::string> out;
  for (const auto& [path, inode] : names_) out.push_back(path);
  return out;
}

std::string FaultFs::contents(const std::string& path) const {
  std::lock_guard guard(mutex_);
  return names_.at(path)->data;
}

void FaultFs::set_contents(const std::string& path, std::string bytes) {
  std::lock_guard guard(mutex_);
  auto inode = std::make_shared<Inode>();
  inode->data = inode->durable = std::move(bytes);
  names_[path] = inode;
  durable_names_[path] = inode;
}

void FaultFs::erase(const std::string& path) {
  std::lock_guard guard(mutex_);
  names_.erase(path);
  durable_names_.erase(path);
}

void FaultFs::change(const std::string& path, std::shared_ptr<Inode> inode) {
  if (inode) {
    names_[path] = inode;
  } else {
    names_.erase(path);
  }
  changes_.emplace_back(path, std::move(inode));
}

Status FaultFs::create_directories(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("mkdir", path);
  return Ok{};
}

Result<std::unique_ptr<fs::File>> FaultFs::open_append(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("open", path);
  auto found = names_.find(path);
  if (found == names_.end()) {
    change(path, std::make_shared<Inode>());
    found = names_.find(path);
  }
  return std::unique_ptr<fs::File>(std::make_unique<FaultFile>(*this, found->second, path));
}

Result<std::unique_ptr<fs::File>> FaultFs::open_read(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("open", path);
  const auto found = names_.find(path);
  if (found == names_.end()) return absent(path);
  return std::unique_ptr<fs::File>(std::make_unique<FaultFile>(*this, found->second, path));
}

Result<std::vector<std::string>> FaultFs::list(const std::string& directory) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("list", directory);
  std::vector<std::string> out;
  for (const auto& [path, inode] : names_) {
    if (fs::directory_of(path) == directory) out.push_back(path.substr(directory.size() + 1));
  }
  return out;
}

Status FaultFs::remove(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("remove", path);
  if (!names_.contains(path)) return absent(path);
  change(path, nullptr);
  return Ok{};
}

Status FaultFs::rename(const std::string& from, const std::string& to) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("rename", from);
  const auto found = names_.find(from);
  if (found == names_.end()) return absent(from);
  auto inode = found->second;
  // One change, as a rename is atomic; that the old name goes too is kept separately.
  change(to, inode);
  change(from, nullptr);
  return Ok{};
}

Status FaultFs::sync_directory(const std::string& directory) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("fsync", directory);
  durable_names_ = names_;
  changes_.clear();
  return Ok{};
}

Result<std::unique_ptr<fs::Lock>> FaultFs::lock(const std::string& path) {
  std::lock_guard guard(mutex_);
  if (fails()) return io_error("lock", path);
  if (!locks_.insert(path).second) {
    return our_error(Code::kUnavailable, path + " is locked by another process");
  }
  return std::unique_ptr<fs::Lock>(std::make_unique<FaultLock>(*this, path));
}

Result<uint64_t> FaultFs::free_bytes(const std::string&) {
  std::lock_guard guard(mutex_);
  const uint64_t used = used_locked();
  return quota_ > used ? quota_ - used : 0;
}

}  // namespace tollgate::journal
