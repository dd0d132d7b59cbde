#include "replay.h"

#include <snappy.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <stdexcept>
#include <unordered_map>

#include "labels.h"
#include "wire.h"

namespace tollgate::bench {
namespace {

// Without the timestamp, whose field number is `timestamp_field`.
std::string without_timestamp(std::string_view message, uint32_t timestamp_field) {
  std::string out;
  FieldReader reader(message);
  while (reader.next()) {
    if (!reader.is(timestamp_field, 0)) out.append(reader.whole());
  }
  return out;
}

std::string labels_of_copy(const std::string& fields, size_t copy) {
  if (copy == 0) return fields;
  constexpr std::string_view kReplica = "prometheus_replica";
  LabelViews labels;
  read_labels(fields, labels);
  std::map<std::string, std::string> all(labels.begin(), labels.end());
  std::string& replica = all[std::string(kReplica)];
  replica = (replica.empty() ? "replica" : replica) + "-" + std::to_string(copy);
  std::string out;
  for (const auto& [name, value] : all) put_label(out, name, value);
  return out;
}

}  // namespace

Recording Recording::load(const std::string& directory) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".snappy") paths.push_back(entry.path());
  }
  if (paths.empty()) throw std::runtime_error("there are no *.snappy files in " + directory);
  std::sort(paths.begin(), paths.end());

  Recording out;
  std::unordered_map<std::string, uint32_t> occurrences;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    const std::string packed(std::istreambuf_iterator<char>(in), {});
    std::string raw;
    File& file = out.files_.emplace_back();
    bool sound = snappy::Uncompress(packed.data(), packed.size(), &raw);
    FieldReader request(raw);
    while (sound && request.next()) {
      if (!request.is(1, 2)) {
        file.extra.append(request.whole());
        continue;
      }
      std::string labels;
      std::vector<Entry> entries;
      FieldReader series(request.bytes());
      while (series.next()) {
        Entry e;
        if (series.is(1, 2)) {
          labels.append(series.whole());
          continue;
        } else if (series.is(2, 2)) {
          uint64_t bits = 0;
          FieldReader sample(series.bytes());
          while (sample.next()) {
            if (sample.is(1, 1)) bits = sample.number();
          }
          e.values = {bits};
        } else if (series.is(3, 2)) {
          e.kind = Entry::Kind::kExemplar;
          e.payloads = {without_timestamp(series.bytes(), 3)};
        } else if (series.is(4, 2)) {
          e.kind = Entry::Kind::kHistogram;
          e.payloads = {without_timestamp(series.bytes(), 15)};
        } else {
          continue;
        }
        entries.push_back(std::move(e));
      }
      sound = series.ok();
      for (Entry& e : entries) {
        e.labels = labels;
        Datum d;
        if (e.kind != Entry::Kind::kExemplar) {
          d.occurrence = occurrences[labels]++;
          out.samples_++;
        }
        d.entry = std::move(e);
        file.data.push_back(std::move(d));
      }
    }
    if (!sound || !request.ok()) {
      throw std::runtime_error(path.string() + " is not a remote write 1.0 body in snappy");
    }
  }
  for (File& file : out.files_) {
    for (Datum& d : file.data) {
      const auto found = occurrences.find(d.entry.labels);
      if (found != occurrences.end()) d.occurrences = std::max(1u, found->second);
    }
  }
  out.series_ = occurrences.size();
  return out;
}

std::vector<Body> Recording::bodies(size_t copy, int64_t t0, int64_t step_ms) const {
  // One pass takes a time that every series can divide by its number of samples.
  int64_t common = 1;
  uint32_t most = 1;
  for (const File& file : files_) {
    for (const Datum& d : file.data) {
      most = std::max(most, d.occurrences);
      common = std::lcm(common, static_cast<int64_t>(d.occurrences));
      if (common > 100'000) throw std::runtime_error("the series of this recording are too uneven");
    }
  }
  const int64_t wanted = std::max<int64_t>(1, step_ms) * most;
  const int64_t pass = (wanted + common - 1) / common * common;

  std::vector<Body> out;
  for (const File& file : files_) {
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> groups;
    std::vector<int64_t> starts;
    std::vector<Entry> entries;
    for (const Datum& d : file.data) {
      const auto [group, is_new] =
          groups.try_emplace({d.occurrences, d.occurrence}, static_cast<uint32_t>(starts.size()));
      if (is_new) starts.push_back(t0 + d.occurrence * (pass / d.occurrences));
      Entry e = d.entry;
      e.group = group->second;
      e.labels = labels_of_copy(e.labels, copy);
      entries.push_back(std::move(e));
    }
    out.emplace_back(std::move(entries), std::move(starts), pass, 1, file.extra);
  }
  return out;
}

}  // namespace tollgate::bench
