#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tollgate::model {

// What to do with one configured label of every series.
enum class LabelAction {
  kOverride,  // the series leaves with this value, whatever it came with
  kReject,    // a series that has the label with another value is refused
  kAddAbsent  // Prometheus's external labels: only where the series has no such label
};

struct PlannedLabel {
  std::string name;
  std::string value;  // never empty
  LabelAction action = LabelAction::kOverride;
};

// The labels of one source, compiled once: sorted by name, no name twice. Immutable after
// construction, so any thread may read it.
class LabelPlan {
 public:
  LabelPlan() = default;
  // `labels` in any order. Where a name is both enforced and external, the enforced one stays.
  explicit LabelPlan(std::vector<PlannedLabel> labels);

  const std::vector<PlannedLabel>& labels() const { return labels_; }
  bool empty() const { return labels_.empty(); }

 private:
  std::vector<PlannedLabel> labels_;
};

}  // namespace tollgate::model
