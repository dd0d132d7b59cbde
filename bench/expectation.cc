#include "expectation.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bytes.h"

namespace tollgate::bench {
namespace {

constexpr uint64_t kMagic = 0x3150584547424754;  // "TGBGEXP1"

}  // namespace

// Writes in pieces, because a million series make half a gigabyte.
void Expectation::write(std::ostream& out) const {
  ByteWriter w;
  const auto flush = [&] {
    const std::string piece = w.take();
    out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
  };
  w.put(kMagic);
  w.put(acknowledged);
  w.put(exemplars);
  w.put(unknown);
  w.put<uint64_t>(exceptions.size());
  for (const auto& passes : exceptions) {
    w.put<uint32_t>(static_cast<uint32_t>(passes.size()));
    for (const ExceptionalPass& p : passes) {
      w.put(p.pass);
      w.put<uint8_t>(p.may_have_arrived);
    }
  }
  w.put<uint64_t>(series.size());
  for (const ExpectedSeries& s : series) {
    w.put_text(s.labels);
    w.put_text(s.tenant);
    w.put(s.t0);
    w.put(s.step);
    w.put(s.count);
    w.put(s.first_pass);
    w.put(s.value_sum);
    w.put(s.body);
    if (w.size() > (1 << 20)) flush();
  }
  flush();
}

std::string Expectation::encode() const {
  std::ostringstream out;
  write(out);
  return std::move(out).str();
}

Expectation Expectation::decode(std::string encoded) {
  const auto kept = std::make_shared<const std::string>(std::move(encoded));
  ByteReader r(*kept, "the file of expectations");
  if (r.get<uint64_t>() != kMagic) {
    throw std::runtime_error("this is not a file that load --expect has written");
  }
  Expectation out;
  out.bytes = kept;
  out.acknowledged = r.get<uint64_t>();
  out.exemplars = r.get<uint64_t>();
  out.unknown = r.get<uint64_t>();
  for (auto n = r.get<uint64_t>(); n > 0; n--) {
    auto& passes = out.exceptions.emplace_back();
    for (auto p = r.get<uint32_t>(); p > 0; p--) {
      const auto pass = r.get<uint64_t>();
      passes.push_back({pass, r.get<uint8_t>() != 0});
    }
  }
  for (auto n = r.get<uint64_t>(); n > 0; n--) {
    ExpectedSeries& s = out.series.emplace_back();
    s.labels = r.get_text();
    s.tenant = r.get_text();
    s.t0 = r.get<int64_t>();
    s.step = r.get<int64_t>();
    s.count = r.get<uint64_t>();
    s.first_pass = r.get<uint64_t>();
    s.value_sum = r.get<uint64_t>();
    s.body = r.get<uint32_t>();
    if (s.body >= out.exceptions.size() || s.step <= 0) {
      throw std::runtime_error("the file of expectations contradicts itself");
    }
  }
  return out;
}

void Expectation::save(const std::string& path) const {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  write(out);
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

Expectation Expectation::load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::string encoded;
  in.seekg(0, std::ios::end);
  encoded.resize(static_cast<size_t>(std::max<std::streamoff>(0, in.tellg())));
  in.seekg(0);
  in.read(encoded.data(), static_cast<std::streamsize>(encoded.size()));
  try {
    return decode(std::move(encoded));
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(path + ": " + e.what());
  }
}

}  // namespace tollgate::bench
