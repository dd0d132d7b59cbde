#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace tollgate {

// A growing byte buffer whose new bytes are not zeroed first. Owner: one thread. Growth doubles;
// `clear` keeps the memory, `release_above` gives it back after an unusually large use.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {data_, size_}; }

  // Room for `n` more bytes; write them at the returned place, then `commit(n)`.
  char* grow(size_t n) {
    if (__builtin_expect(n > capacity_ - size_, 0)) reallocate(size_ + n);
    return data_ + size_;
  }
  void commit(size_t n) { size_ += n; }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(grow(bytes.size()), bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  // Sets the size; bytes beyond the old size have unspecified values.
  void resize(size_t n) {
    if (n > capacity_) reallocate(n);
    size_ = n;
  }
  void truncate(size_t n) {
    TG_CHECK(n <= size_);
    size_ = n;
  }
  void clear() { size_ = 0; }
  // Frees the memory if more than `keep` bytes are allocated. The contents are lost.
  void release_above(size_t keep) {
    if (capacity_ <= keep) return;
    std::free(data_);
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

 private:
  void reallocate(size_t needed) {
    size_t capacity = capacity_ < 256 ? 256 : capacity_ * 2;
    if (capacity < needed) capacity = needed;
    data_ = static_cast<char*>(std::realloc(data_, capacity));
    TG_CHECK(data_ != nullptr);
    capacity_ = capacity;
  }

  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace tollgate
