#include "model/label_plan.h"

#include <algorithm>
#include <utility>

namespace tollgate::model {

LabelPlan::LabelPlan(std::vector<PlannedLabel> labels) {
  for (PlannedLabel& label : labels) {
    const auto at =
        std::lower_bound(labels_.begin(), labels_.end(), label.name,
                         [](const PlannedLabel& a, const std::string& b) { return a.name < b; });
    if (at == labels_.end() || at->name != label.name) {
      labels_.insert(at, std::move(label));
    } else if (at->action == LabelAction::kAddAbsent && label.action != LabelAction::kAddAbsent) {
      *at = std::move(label);
    }
  }
}

}  // namespace tollgate::model
