#include "model/label_plan.h"

#include <algorithm>

namespace tollgate::model {

LabelPlan::LabelPlan(std::vector<PlannedLabel> labels) {
  // Enforced labels sort before an external label of the same name, so `unique` keeps them.
  std::stable_sort(labels.begin(), labels.end(), [](const PlannedLabel& a, const PlannedLabel& b) {
    if (a.name != b.name) return a.name < b.name;
    return a.action != LabelAction::kAddAbsent && b.action == LabelAction::kAddAbsent;
  });
  labels.erase(
      std::unique(labels.begin(), labels.end(),
                  [](const PlannedLabel& a, const PlannedLabel& b) { return a.name == b.name; }),
      labels.end());
  labels_ = std::move(labels);
}

}  // namespace tollgate::model
