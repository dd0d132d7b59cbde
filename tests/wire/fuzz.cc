#include "fuzz.h"

#include <snappy.h>

#include <vector>

#include "oracle.h"
#include "wire/snappy.h"
#include "wire/split.h"

namespace tollgate::wire {
namespace {

using model::LabelAction;
using model::LabelPlan;

constexpr uint64_t kLimit = 1 << 20;

const LabelPlan& plan_number(uint8_t n) {
  static const std::vector<LabelPlan> plans = {
      LabelPlan(),
      LabelPlan({{"cluster", "blue", LabelAction::kOverride},
                 {"tenant", "team-blue", LabelAction::kOverride}}),
      LabelPlan({{"cluster", "blue", LabelAction::kReject}, {"a", "1", LabelAction::kReject}}),
      LabelPlan({{"cluster", "blue", LabelAction::kAddAbsent},
                 {"prometheus_replica", "r0", LabelAction::kAddAbsent},
                 {"zz", "é", LabelAction::kOverride}}),
      LabelPlan({{"__name__", "up", LabelAction::kAddAbsent},
                 {"job", "x", LabelAction::kReject},
                 {"prometheus", "p", LabelAction::kOverride}}),
  };
  return plans[n % plans.size()];
}

std::string check_unpack(std::string_view block) {
  std::string theirs;
  size_t length = 0;
  const bool declared = snappy::GetUncompressedLength(block.data(), block.size(), &length);
  if (declared && length > kLimit) {
    return declared_length(block, kLimit).ok() ? "a length over the limit was taken" : "";
  }
  const bool decodes = declared && snappy::Uncompress(block.data(), block.size(), &theirs);
  Buffer ours;
  if (unpack(block, kLimit, ours).ok() != decodes) return "unpack and Google's decoder disagree";
  return decodes && ours.view() != theirs ? "unpack gives other bytes" : "";
}

std::string check_pack(std::string_view raw) {
  Buffer elements, back;
  pack_elements(raw, elements);
  if (!unpack_elements(elements.view(), raw.size(), back).ok() || back.view() != raw) {
    return "packed bytes do not unpack";
  }
  // Cut anywhere, packed apart, spliced.
  const size_t cut = raw.empty() ? 0 : static_cast<uint8_t>(raw[0]) * raw.size() / 256;
  elements.clear();
  pack_elements(raw.substr(0, cut), elements);
  pack_elements(raw.substr(cut), elements);
  std::string block;
  append_preamble(raw.size(), block);
  block += elements.view();
  std::string theirs;
  if (!snappy::Uncompress(block.data(), block.size(), &theirs) || theirs != raw) {
    return "spliced bytes do not unpack";
  }
  return "";
}

std::string check_split(std::string_view raw) {
  auto pieces = split(raw, 2, 64);
  if (!pieces.ok()) return "";
  std::string joined;
  Buffer back;
  for (const Piece& piece : *pieces) {
    if (!unpack_elements(piece.elements, piece.raw_length, back).ok()) return "a broken piece";
    joined += back.view();
  }
  return joined == raw ? "" : "the pieces are not the whole";
}

}  // namespace

std::string fuzz_walker(std::string_view input) {
  if (input.empty()) return "";
  const auto first = static_cast<uint8_t>(input[0]);
  return differs_from_libprotobuf(input.substr(1), plan_number(first),
                                  {"cluster", "prometheus_replica"});
}

std::string fuzz_snappy(std::string_view input) {
  std::string wrong = check_unpack(input);
  if (wrong.empty()) wrong = check_pack(input);
  if (wrong.empty()) wrong = check_split(input);
  return wrong;
}

}  // namespace tollgate::wire
