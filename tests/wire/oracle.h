#pragma once

#include <string>
#include <string_view>

#include "model/label_plan.h"
#include "wire/walker.h"

namespace tollgate::wire {

// Walks `body` and does the same slowly: libprotobuf parses it, a std::map is the label set, and a
// naive copy of the rules decides. Returns what differs, or an empty string. Shared by the random
// tests and the fuzzer.
std::string differs_from_libprotobuf(std::string_view body, const model::LabelPlan& plan,
                                     HaLabels ha = {});

}  // namespace tollgate::wire
