// Which plots a run's results give. Each has a file name, so that docs/ can hold it.
#pragma once

#include <string>
#include <vector>

#include "results.h"

namespace tollgate::bench {

struct NamedPlot {
  std::string name;     // of the file, without ".svg"
  std::string caption;  // what is seen
  std::string svg;
};

/// Only those for which the results hold something: throughput and CPU per sample by number of
/// destinations, latency percentiles against load, backlog and memory over an outage and its drain,
/// memory over the longest run.
std::vector<NamedPlot> plots_of(const Results& results);

}  // namespace tollgate::bench
