#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace tollgate::model {

// Why samples were refused at the door (tollgate_rejected_samples_total{reason}). A closed list.
enum class RejectReason : unsigned {
  kMissingName,     // no __name__ label
  kDuplicateLabel,  // the same label name twice
  kInvalidLabel,    // empty label name, or a name or value that is not UTF-8
  kBadHistogram,    // a native histogram whose parts contradict each other
  kSpoofedLabel,    // an enforced label with another value, under on_conflict: reject
  kJournalFull,     // journal.max_size reached under on_full: reject
  kJournalError,    // a failed write or fsync; the sender was told to retry
};
inline constexpr size_t kRejectReasons = 7;

// Why an accepted sample will not reach a destination (tollgate_dropped_samples_total{reason}).
enum class DropReason : unsigned {
  kRefused,             // the destination answered with a final error
  kJournalFull,         // oldest data removed under on_full: drop_oldest
  kCorrupt,             // the journal's bytes were damaged
  kDestinationRemoved,  // the destination was taken out of the configuration
};
inline constexpr size_t kDropReasons = 4;

constexpr std::string_view name(RejectReason reason) {
  constexpr std::array<std::string_view, kRejectReasons> kNames = {
      "missing_name",  "duplicate_label", "invalid_label", "bad_histogram",
      "spoofed_label", "journal_full",    "journal_error"};
  return kNames[static_cast<size_t>(reason)];
}
constexpr std::string_view name(DropReason reason) {
  constexpr std::array<std::string_view, kDropReasons> kNames = {"refused", "journal_full",
                                                                 "corrupt", "destination_removed"};
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace tollgate::model
