#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "body.h"

namespace tollgate::bench {

enum class Profile { kNode, kKubernetes, kMixed };

// Throws std::runtime_error if it is none of node, kubernetes and mixed.
Profile parse_profile(const std::string& name);

struct ModelOptions {
  Profile profile = Profile::kMixed;
  std::string cluster = "blue";
  int replica = 0;
  size_t series = 1000;   // of this replica, without exemplars
  double histograms = 0;  // fraction of the series that are native histograms
  double exemplars = 0;   // fraction of the series that send an exemplar with each sample
  size_t variants = 8;    // values before they repeat; counters restart then
  uint64_t seed = 1;
};

// The series of one Prometheus replica in the order of its scrapes, target by target, metric by
// metric: node exporters (about 7 labels), kubelets' cAdvisor, kube-state-metrics and an API
// server (10 to 14 labels), all with the external labels `prometheus` and `prometheus_replica` that
// the Prometheus operator sets. Entry::group is the number of the target.
//
// Values move as they do there: counters grow by small whole numbers or fractions of a second,
// gauges of bytes jitter by pages, most flags and many counters stay. The replicas of a cluster
// have the same series but for `prometheus_replica`. The same options give the same series.
std::vector<Entry> make_series(const ModelOptions& options);

// Labels like these, of another instance of the same thing: its pod (or its instance) is another
// one, told from all others by `number`.
std::string rename_series(const std::string& labels, uint64_t number);

// The name of the n-th cluster: ops, blue, green, then c3, c4, ….
std::string cluster_name(size_t n);

}  // namespace tollgate::bench
