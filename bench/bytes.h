#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// Plain binary for what one tollgate-bench tells another on the same machine: numbers as they are
// in memory, strings after their length.
namespace tollgate::bench {

class ByteWriter {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_.append(bytes, sizeof(T));
  }
  void put_text(std::string_view text) {
    put<uint32_t>(static_cast<uint32_t>(text.size()));
    out_.append(text);
  }
  template <typename Texts>
  void put_texts(const Texts& texts) {
    put<uint32_t>(static_cast<uint32_t>(texts.size()));
    for (const auto& text : texts) put_text(text);
  }
  void reserve(size_t bytes) { out_.reserve(bytes); }
  size_t size() const { return out_.size(); }
  std::string take() { return std::exchange(out_, {}); }

 private:
  std::string out_;
};

// Throws std::runtime_error, naming `what`, if there are fewer bytes than asked for.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, std::string what) : rest_(bytes), what_(std::move(what)) {}

  template <typename T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view get_text() { return take(get<uint32_t>()); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view take(size_t size) {
    if (rest_.size() < size) throw std::runtime_error(what_ + " is cut off");
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  std::string_view rest_;
  std::string what_;
};

}  // namespace tollgate::bench
