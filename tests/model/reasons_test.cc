#include "model/reasons.h"

#include <gtest/gtest.h>

#include <set>

namespace tollgate::model {
namespace {

// The names are label values of metrics, and so a contract.
TEST(Reasons, OfRefusalAreAClosedList) {
  const std::set<std::string_view> expected = {"missing_name",  "duplicate_label", "invalid_label",
                                               "bad_histogram", "spoofed_label",   "journal_full",
                                               "journal_error"};
  std::set<std::string_view> names;
  for (size_t i = 0; i < kRejectReasons; i++) names.insert(name(static_cast<RejectReason>(i)));
  EXPECT_EQ(names, expected);
  EXPECT_EQ(name(RejectReason::kMissingName), "missing_name");
  EXPECT_EQ(name(RejectReason::kSpoofedLabel), "spoofed_label");
  EXPECT_EQ(name(RejectReason::kJournalError), "journal_error");
}

TEST(Reasons, OfDroppingAreAClosedList) {
  const std::set<std::string_view> expected = {"refused", "journal_full", "corrupt",
                                               "destination_removed"};
  std::set<std::string_view> names;
  for (size_t i = 0; i < kDropReasons; i++) names.insert(name(static_cast<DropReason>(i)));
  EXPECT_EQ(names, expected);
  EXPECT_EQ(name(DropReason::kRefused), "refused");
  EXPECT_EQ(name(DropReason::kDestinationRemoved), "destination_removed");
}

}  // namespace
}  // namespace tollgate::model
