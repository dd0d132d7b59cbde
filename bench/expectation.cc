#include "expectation.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "bytes.h"

namespace tollgate::bench {
namespace {

constexpr uint64_t kMagic = 0x3150584547424754;  // "TGBGEXP1"

}  // namespace

std::string Expectation::encode() const {
  ByteWriter w;
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
  }
  return w.take();
}

Expectation Expectation::decode(std::string_view bytes) {
  ByteReader r(bytes, "the file of expectations");
  if (r.get<uint64_t>() != kMagic) {
    throw std::runtime_error("this is not a file that load --expect has written");
  }
  Expectation out;
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
  const std::string bytes = encode();
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

Expectation Expectation::load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  try {
    return decode(bytes);
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(path + ": " + e.what());
  }
}

}  // namespace tollgate::bench
