#include "series_model.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <stdexcept>

#include "labels.h"
#include "wire.h"

namespace tollgate::bench {
namespace {

using LabelMap = std::map<std::string, std::string, std::less<>>;

// How a value moves from scrape to scrape.
enum class Moves {
  kCounter,   // whole numbers
  kSeconds,   // a counter of CPU seconds, in hundredths
  kBytes,     // a gauge in pages of 4096
  kGauge,     // a small whole number that changes now and then
  kRatio,     // any double
  kConstant,  // a limit, a size, an info
  kFlag,      // 0 or 1, for ever
  kCreated,   // a Unix time, for ever
};

struct Family {
  const char* name;
  Moves moves;
};

class Model {
 public:
  explicit Model(const ModelOptions& options)
      : options_(options), random_(options.seed * 0x9e3779b97f4a7c15 ^ hash(options.cluster)) {}

  std::vector<Entry> run() {
    for (int round = 0; !full(); round++) {
      switch (options_.profile) {
        case Profile::kNode:
          node_exporter(round);
          break;
        case Profile::kKubernetes:
          kubernetes(round);
          break;
        case Profile::kMixed:
          node_exporter(round);
          kubernetes(round);
          break;
      }
    }
    return std::move(entries_);
  }

 private:
  static uint64_t hash(std::string_view text) {
    uint64_t h = 14695981039346656037u;
    for (const char c : text) h = (h ^ static_cast<uint8_t>(c)) * 1099511628211u;
    return h;
  }
  bool full() const { return series_ >= options_.series; }
  uint64_t below(uint64_t n) { return random_() % n; }
  bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }

  std::string letters(size_t n, std::string_view alphabet = "bcdfghjklmnpqrstvwxz2456789") {
    std::string out;
    for (size_t i = 0; i < n; i++) out += alphabet[below(alphabet.size())];
    return out;
  }
  std::string hex(size_t n) { return letters(n, "0123456789abcdef"); }
  std::string uuid() { return hex(8) + "-" + hex(4) + "-" + hex(4) + "-" + hex(4) + "-" + hex(12); }
  std::string address(const char* port) {
    const uint64_t n = addresses_++;
    return "10." + std::to_string(n / 62500) + "." + std::to_string(n / 250 % 250) + "." +
           std::to_string(1 + n % 250) + ":" + port;
  }

  void begin_target(LabelMap labels) {
    target_ = std::move(labels);
    target_["prometheus"] = "monitoring/" + options_.cluster;
    target_["prometheus_replica"] = options_.cluster + "-" + std::to_string(options_.replica);
    group_++;
  }

  std::vector<double> values(Moves moves) {
    const size_t n = options_.variants;
    std::vector<double> out(n, 0);
    double value = 0;
    switch (moves) {
      case Moves::kCounter:
      case Moves::kSeconds: {
        // Every third counter has never counted; of the others, half stand still.
        if (chance(0.35)) return out;
        value = std::floor(std::pow(10, 1 + 6 * std::uniform_real_distribution<>(0, 1)(random_)));
        if (chance(0.4)) value = static_cast<double>(1 + below(60));
        const bool stands = chance(0.5);
        const double pace = stands ? 0 : std::max(1.0, value / 2000);
        for (double& v : out) {
          v = moves == Moves::kSeconds ? std::round(value) / 100 : value;
          if (pace > 0) {
            value += static_cast<double>(
                std::poisson_distribution<int64_t>(std::min(pace, 1e5))(random_));
          }
        }
        return out;
      }
      case Moves::kBytes: {
        value = 4096 *
                std::floor(std::pow(10, 2 + 4 * std::uniform_real_distribution<>(0, 1)(random_)));
        const bool stands = chance(0.4);
        for (double& v : out) {
          v = value;
          if (!stands) value = std::max(0.0, value + 4096 * (static_cast<double>(below(65)) - 32));
        }
        return out;
      }
      case Moves::kGauge:
        value = chance(0.4) ? 0 : static_cast<double>(below(40));
        for (double& v : out) {
          v = value;
          if (value > 0 && chance(0.2)) value = static_cast<double>(below(40));
        }
        return out;
      case Moves::kRatio:
        for (double& v : out) v = std::exponential_distribution<>(20)(random_);
        return out;
      case Moves::kConstant:
        value = static_cast<double>(uint64_t{1} << below(36));
        break;
      case Moves::kFlag:
        value = chance(0.25) ? 1 : 0;
        break;
      case Moves::kCreated:
        value = 1'700'000'000 + static_cast<double>(below(60'000'000));
        break;
    }
    std::fill(out.begin(), out.end(), value);
    return out;
  }

  std::string serialise(const char* name, const LabelMap& own) const {
    LabelMap all = target_;
    for (const auto& [n, v] : own) {
      if (!v.empty()) all[n] = v;
    }
    all["__name__"] = name;
    std::string out;
    for (const auto& [n, v] : all) put_label(out, n, v);
    return out;
  }

  void add(const char* name, Moves moves, const LabelMap& own = {}) {
    add_values(name, own, values(moves));
  }

  void add_values(const char* name, const LabelMap& own, const std::vector<double>& values) {
    if (full()) return;
    series_++;
    Entry e;
    e.group = group_;
    e.labels = serialise(name, own);
    if (options_.histograms > 0 && chance(options_.histograms)) {
      e.kind = Entry::Kind::kHistogram;
      // Another name, because a classic series of this name may exist with the same labels.
      e.labels = serialise((std::string(name) + "_native").c_str(), own);
      e.payloads = native_histograms();
    } else {
      for (const double v : values) e.values.push_back(std::bit_cast<uint64_t>(v));
    }
    const bool with_exemplar = options_.exemplars > 0 && chance(options_.exemplars);
    std::string labels = with_exemplar ? e.labels : std::string();
    entries_.push_back(std::move(e));
    if (!with_exemplar) return;
    Entry x;
    x.kind = Entry::Kind::kExemplar;
    x.group = group_;
    x.labels = std::move(labels);
    for (size_t v = 0; v < options_.variants; v++) {
      std::string payload;
      put_label(payload, "trace_id", hex(32));
      payload.push_back(0x11);
      put_fixed64(payload, std::bit_cast<uint64_t>(std::exponential_distribution<>(5)(random_)));
      x.payloads.push_back(std::move(payload));
    }
    entries_.push_back(std::move(x));
  }

  // Integer native histograms of latencies, schema 3, which grow from variant to variant. The count
  // is the sum of the buckets, or Prometheus would refuse them.
  std::vector<std::string> native_histograms() {
    const size_t buckets = 8 + below(20);
    const auto offset = static_cast<int64_t>(below(40)) - 30;
    std::vector<int64_t> counts(buckets);
    for (int64_t& c : counts) c = static_cast<int64_t>(below(200));
    uint64_t zeros = below(3);
    double sum = 0;
    std::vector<std::string> out;
    for (size_t v = 0; v < options_.variants; v++) {
      int64_t total = static_cast<int64_t>(zeros);
      std::string deltas;
      int64_t before = 0;
      for (int64_t& c : counts) {
        c += static_cast<int64_t>(below(4));
        total += c;
        put_varint(deltas, zigzag(c - before));
        before = c;
      }
      sum += std::exponential_distribution<>(1)(random_) * 10;
      std::string h;
      h.push_back(0x08);  // count_int
      put_varint(h, static_cast<uint64_t>(total));
      h.push_back(0x19);  // sum
      put_fixed64(h, std::bit_cast<uint64_t>(sum));
      h.push_back(0x20);  // schema
      put_varint(h, zigzag(3));
      h.push_back(0x29);  // zero_threshold
      put_fixed64(h, std::bit_cast<uint64_t>(2.938735877055719e-39));
      h.push_back(0x30);  // zero_count_int
      put_varint(h, zeros);
      std::string span;
      if (offset != 0) {
        span.push_back(0x08);  // offset
        put_varint(span, zigzag(offset));
      }
      span.push_back(0x10);  // length
      put_varint(span, buckets);
      put_bytes(h, 0x5a, span);    // positive_spans
      put_bytes(h, 0x62, deltas);  // positive_deltas
      out.push_back(std::move(h));
    }
    return out;
  }
  static uint64_t zigzag(int64_t v) {
    return static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63);
  }

  // A classic histogram: cumulative buckets, then sum and count.
  void classic_histogram(const std::string& name, LabelMap own,
                         std::initializer_list<const char*> bounds) {
    const size_t n = options_.variants;
    std::vector<double> cumulated(n, 0);
    const bool used = chance(0.6);
    const std::string bucket = name + "_bucket";
    for (const char* bound : bounds) {
      if (used && chance(0.5)) {
        const auto counts = values(Moves::kCounter);
        for (size_t v = 0; v < n; v++) cumulated[v] += counts[v];
      }
      own["le"] = bound;
      add_values(bucket.c_str(), own, cumulated);
    }
    own["le"] = "+Inf";
    add_values(bucket.c_str(), own, cumulated);
    own.erase("le");
    std::vector<double> sum(n, 0);
    for (size_t v = 0; v < n; v++) sum[v] = cumulated[v] * 0.0173;
    add_values((name + "_sum").c_str(), own, sum);
    add_values((name + "_count").c_str(), own, cumulated);
  }

  void node_exporter(int round);
  void kubernetes(int round);
  void cadvisor();
  void kube_state_metrics();
  void api_server();
  void go_process();

  const ModelOptions options_;
  // The same stream for all replicas of a cluster: they scrape the same targets.
  std::mt19937_64 random_;
  std::vector<Entry> entries_;
  size_t series_ = 0;
  LabelMap target_;
  uint32_t group_ = UINT32_MAX;
  uint64_t addresses_ = 0;

  struct Pod {
    std::string name;
    std::string space;
    std::string uid;
    std::string node;
    std::string container;
    std::string image;
    std::string app;
  };
  std::vector<Pod> pods_;  // of the cluster in this round
};

void Model::go_process() {
  for (const char* q : {"0", "0.25", "0.5", "0.75", "1"}) {
    add("go_gc_duration_seconds", Moves::kRatio, {{"quantile", q}});
  }
  static constexpr Family kFamilies[] = {
      {"go_gc_duration_seconds_sum", Moves::kRatio},
      {"go_gc_duration_seconds_count", Moves::kCounter},
      {"go_goroutines", Moves::kGauge},
      {"go_memstats_alloc_bytes", Moves::kBytes},
      {"go_memstats_alloc_bytes_total", Moves::kBytes},
      {"go_memstats_buck_hash_sys_bytes", Moves::kConstant},
      {"go_memstats_frees_total", Moves::kCounter},
      {"go_memstats_gc_sys_bytes", Moves::kConstant},
      {"go_memstats_heap_alloc_bytes", Moves::kBytes},
      {"go_memstats_heap_idle_bytes", Moves::kBytes},
      {"go_memstats_heap_inuse_bytes", Moves::kBytes},
      {"go_memstats_heap_objects", Moves::kGauge},
      {"go_memstats_mallocs_total", Moves::kCounter},
      {"go_threads", Moves::kConstant},
      {"process_cpu_seconds_total", Moves::kSeconds},
      {"process_max_fds", Moves::kConstant},
      {"process_open_fds", Moves::kGauge},
      {"process_resident_memory_bytes", Moves::kBytes},
      {"process_start_time_seconds", Moves::kCreated},
      {"process_virtual_memory_bytes", Moves::kConstant},
  };
  for (const Family& f : kFamilies) add(f.name, f.moves);
}

void Model::node_exporter(int round) {
  begin_target({{"job", "node-exporter"}, {"instance", address("9100")}});
  if (options_.profile == Profile::kMixed) {
    // As the operator's ServiceMonitor of kube-prometheus relabels it.
    target_["namespace"] = "monitoring";
    target_["pod"] = "node-exporter-" + letters(5);
    target_["container"] = "kube-rbac-proxy";
    target_["endpoint"] = "https";
    target_["service"] = "node-exporter";
  }
  const uint64_t cpus = 4 << below(3);
  for (uint64_t cpu = 0; cpu < cpus; cpu++) {
    for (const char* mode :
         {"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"}) {
      add("node_cpu_seconds_total", Moves::kSeconds,
          {{"cpu", std::to_string(cpu)}, {"mode", mode}});
    }
  }
  for (uint64_t cpu = 0; cpu < cpus; cpu++) {
    for (const char* name :
         {"node_schedstat_running_seconds_total", "node_schedstat_timeslices_total",
          "node_schedstat_waiting_seconds_total"}) {
      add(name, Moves::kSeconds, {{"cpu", std::to_string(cpu)}});
    }
  }
  for (const char* device : {"nvme0n1", "nvme1n1", "dm-0"}) {
    for (const char* what :
         {"reads_completed", "reads_merged", "read_bytes", "writes_completed", "writes_merged",
          "written_bytes", "io_time_seconds", "io_time_weighted_seconds", "discards_completed"}) {
      add((std::string("node_disk_") + what + "_total").c_str(), Moves::kCounter,
          {{"device", device}});
    }
  }
  for (const char* mount : {"/", "/boot/efi", "/run", "/var/lib/kubelet"}) {
    for (const char* what : {"avail_bytes", "files", "files_free", "free_bytes", "size_bytes"}) {
      add((std::string("node_filesystem_") + what).c_str(), Moves::kBytes,
          {{"device", mount[1] == 'r' ? "tmpfs" : "/dev/nvme0n1p1"},
           {"fstype", mount[1] == 'r' ? "tmpfs" : "ext4"},
           {"mountpoint", mount}});
    }
    for (const char* what : {"readonly", "device_error"}) {
      add((std::string("node_filesystem_") + what).c_str(), Moves::kFlag,
          {{"device", mount[1] == 'r' ? "tmpfs" : "/dev/nvme0n1p1"},
           {"fstype", mount[1] == 'r' ? "tmpfs" : "ext4"},
           {"mountpoint", mount}});
    }
  }
  for (const char* what :
       {"Active",        "Active_anon",       "Active_file",  "AnonHugePages",  "AnonPages",
        "Bounce",        "Buffers",           "Cached",       "CommitLimit",    "Committed_AS",
        "DirectMap1G",   "DirectMap2M",       "DirectMap4k",  "Dirty",          "FileHugePages",
        "FilePmdMapped", "HardwareCorrupted", "Hugepagesize", "Inactive",       "Inactive_anon",
        "Inactive_file", "KReclaimable",      "KernelStack",  "Mapped",         "MemAvailable",
        "MemFree",       "MemTotal",          "Mlocked",      "PageTables",     "Percpu",
        "SReclaimable",  "SUnreclaim",        "Shmem",        "ShmemHugePages", "Slab",
        "SwapCached",    "SwapFree",          "SwapTotal",    "Unevictable",    "VmallocTotal",
        "VmallocUsed",   "Writeback"}) {
    add((std::string("node_memory_") + what + "_bytes").c_str(), Moves::kBytes);
  }
  for (const char* device : {"lo", "ens5", "eni1a2b3c4d5e6", "eni9f8e7d6c5b4"}) {
    for (const char* what :
         {"receive_bytes", "receive_compressed", "receive_drop", "receive_errs", "receive_fifo",
          "receive_frame", "receive_multicast", "receive_packets", "transmit_bytes",
          "transmit_carrier", "transmit_colls", "transmit_compressed", "transmit_drop",
          "transmit_errs", "transmit_fifo", "transmit_packets"}) {
      add((std::string("node_network_") + what + "_total").c_str(), Moves::kCounter,
          {{"device", device}});
    }
  }
  for (const char* what : {"Icmp_InErrors",
                           "Icmp_InMsgs",
                           "Icmp_OutMsgs",
                           "Ip_Forwarding",
                           "TcpExt_ListenDrops",
                           "TcpExt_ListenOverflows",
                           "TcpExt_SyncookiesFailed",
                           "TcpExt_TCPSynRetrans",
                           "TcpExt_TCPTimeouts",
                           "Tcp_ActiveOpens",
                           "Tcp_CurrEstab",
                           "Tcp_InErrs",
                           "Tcp_InSegs",
                           "Tcp_OutSegs",
                           "Tcp_PassiveOpens",
                           "Tcp_RetransSegs",
                           "Udp_InDatagrams",
                           "Udp_InErrors",
                           "Udp_NoPorts",
                           "Udp_OutDatagrams"}) {
    add((std::string("node_netstat_") + what).c_str(), Moves::kCounter);
  }
  for (const char* what :
       {"arp",    "bonding",    "conntrack", "cpu",      "diskstats", "edac",     "entropy",
        "filefd", "filesystem", "hwmon",     "loadavg",  "mdadm",     "meminfo",  "netclass",
        "netdev", "netstat",    "nvme",      "pressure", "schedstat", "sockstat", "softnet",
        "stat",   "time",       "timex",     "uname",    "vmstat",    "xfs",      "zfs"}) {
    add("node_scrape_collector_duration_seconds", Moves::kRatio, {{"collector", what}});
  }
  for (const char* what :
       {"arp", "conntrack", "cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo",
        "netdev", "netstat", "pressure", "stat", "time", "timex", "uname", "vmstat"}) {
    add("node_scrape_collector_success", Moves::kFlag, {{"collector", what}});
  }
  for (const Family& f :
       std::initializer_list<Family>{{"node_load1", Moves::kRatio},
                                     {"node_load5", Moves::kRatio},
                                     {"node_load15", Moves::kRatio},
                                     {"node_boot_time_seconds", Moves::kCreated},
                                     {"node_context_switches_total", Moves::kCounter},
                                     {"node_filefd_allocated", Moves::kGauge},
                                     {"node_forks_total", Moves::kCounter},
                                     {"node_intr_total", Moves::kCounter},
                                     {"node_procs_blocked", Moves::kGauge},
                                     {"node_procs_running", Moves::kGauge},
                                     {"node_vmstat_pgfault", Moves::kCounter},
                                     {"node_vmstat_pgmajfault", Moves::kCounter},
                                     {"up", Moves::kFlag},
                                     {"scrape_duration_seconds", Moves::kRatio},
                                     {"scrape_samples_scraped", Moves::kConstant}}) {
    add(f.name, f.moves);
  }
  go_process();
  // A Prometheus among the nodes: the other half of what a small installation has.
  if (round % 2 == 0 && options_.profile == Profile::kNode) {
    begin_target({{"job", "prometheus"}, {"instance", address("9090")}});
    for (const char* handler :
         {"/", "/-/healthy", "/-/quit", "/-/ready", "/-/reload", "/alerts", "/api/v1/labels",
          "/api/v1/query", "/api/v1/query_range", "/api/v1/rules", "/api/v1/series",
          "/api/v1/targets", "/api/v1/write", "/config", "/graph", "/metrics", "/targets"}) {
      classic_histogram("prometheus_http_request_duration_seconds", {{"handler", handler}},
                        {"0.1", "0.2", "0.4", "1", "3", "8", "20", "60", "120"});
      classic_histogram("prometheus_http_response_size_bytes", {{"handler", handler}},
                        {"100", "1000", "10000", "100000", "1e+06", "1e+07", "1e+08", "1e+09"});
    }
    go_process();
  }
}

void Model::cadvisor() {
  if (pods_.empty()) return;
  const std::string node = pods_[0].node;
  begin_target({{"job", "kubelet"},
                {"instance", address("10250")},
                {"metrics_path", "/metrics/cadvisor"},
                {"node", node},
                {"endpoint", "https-metrics"},
                {"service", "kubelet"}});
  static constexpr Family kContainer[] = {
      {"container_cpu_cfs_periods_total", Moves::kCounter},
      {"container_cpu_cfs_throttled_periods_total", Moves::kCounter},
      {"container_cpu_cfs_throttled_seconds_total", Moves::kSeconds},
      {"container_cpu_usage_seconds_total", Moves::kSeconds},
      {"container_memory_cache", Moves::kBytes},
      {"container_memory_failcnt", Moves::kCounter},
      {"container_memory_mapped_file", Moves::kBytes},
      {"container_memory_max_usage_bytes", Moves::kBytes},
      {"container_memory_rss", Moves::kBytes},
      {"container_memory_swap", Moves::kConstant},
      {"container_memory_usage_bytes", Moves::kBytes},
      {"container_memory_working_set_bytes", Moves::kBytes},
      {"container_oom_events_total", Moves::kCounter},
      {"container_processes", Moves::kGauge},
      {"container_sockets", Moves::kGauge},
      {"container_spec_cpu_period", Moves::kConstant},
      {"container_spec_cpu_quota", Moves::kConstant},
      {"container_spec_cpu_shares", Moves::kConstant},
      {"container_spec_memory_limit_bytes", Moves::kConstant},
      {"container_start_time_seconds", Moves::kCreated},
      {"container_threads", Moves::kGauge},
  };
  std::vector<std::string> ids;
  for (const Pod& pod : pods_) {
    ids.push_back("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + pod.uid +
                  ".slice/cri-containerd-" + hex(64) + ".scope");
  }
  for (const Family& f : kContainer) {
    for (size_t i = 0; i < pods_.size(); i++) {
      const Pod& pod = pods_[i];
      add(f.name, f.moves,
          {{"container", pod.container},
           {"id", ids[i]},
           {"image", pod.image},
           {"namespace", pod.space},
           {"pod", pod.name}});
    }
  }
  static constexpr const char* kNetwork[] = {
      "container_network_receive_bytes_total",
      "container_network_receive_packets_dropped_total",
      "container_network_receive_packets_total",
      "container_network_transmit_bytes_total",
      "container_network_transmit_packets_dropped_total",
      "container_network_transmit_packets_total",
  };
  for (const char* name : kNetwork) {
    for (const Pod& pod : pods_) {
      add(name, Moves::kCounter,
          {{"id",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + pod.uid + ".slice"},
           {"image", "registry.k8s.io/pause:3.9"},
           {"interface", "eth0"},
           {"namespace", pod.space},
           {"pod", pod.name}});
    }
  }
}

void Model::kube_state_metrics() {
  begin_target({{"job", "kube-state-metrics"},
                {"instance", address("8443")},
                {"endpoint", "https-main"},
                {"service", "kube-state-metrics"}});
  for (const Pod& pod : pods_) {
    add("kube_pod_info", Moves::kFlag,
        {{"container", "kube-rbac-proxy-main"},
         {"created_by_kind", "ReplicaSet"},
         {"created_by_name", pod.app},
         {"host_ip", "10.0.1.7"},
         {"namespace", pod.space},
         {"node", pod.node},
         {"pod", pod.name},
         {"uid", pod.uid}});
  }
  for (const Pod& pod : pods_) {
    for (const char* phase : {"Failed", "Pending", "Running", "Succeeded", "Unknown"}) {
      add("kube_pod_status_phase", Moves::kFlag,
          {{"container", "kube-rbac-proxy-main"},
           {"namespace", pod.space},
           {"phase", phase},
           {"pod", pod.name},
           {"uid", pod.uid}});
    }
  }
  for (const char* name :
       {"kube_pod_container_resource_requests", "kube_pod_container_resource_limits"}) {
    for (const Pod& pod : pods_) {
      for (const auto& [resource, unit] :
           std::initializer_list<std::pair<const char*, const char*>>{{"cpu", "core"},
                                                                      {"memory", "byte"}}) {
        add(name, Moves::kConstant,
            {{"container", pod.container},
             {"namespace", pod.space},
             {"node", pod.node},
             {"pod", pod.name},
             {"resource", resource},
             {"uid", pod.uid},
             {"unit", unit}});
      }
    }
  }
  for (const auto& f :
       std::initializer_list<Family>{{"kube_pod_container_status_ready", Moves::kFlag},
                                     {"kube_pod_container_status_restarts_total", Moves::kGauge},
                                     {"kube_pod_container_status_running", Moves::kFlag},
                                     {"kube_pod_container_status_terminated", Moves::kFlag},
                                     {"kube_pod_container_status_waiting", Moves::kFlag},
                                     {"kube_pod_created", Moves::kCreated},
                                     {"kube_pod_start_time", Moves::kCreated}}) {
    for (const Pod& pod : pods_) {
      add(f.name, f.moves,
          {{"container", pod.container},
           {"namespace", pod.space},
           {"pod", pod.name},
           {"uid", pod.uid}});
    }
  }
}

void Model::api_server() {
  begin_target({{"job", "apiserver"},
                {"instance", address("6443")},
                {"endpoint", "https"},
                {"namespace", "default"},
                {"service", "kubernetes"},
                {"component", "apiserver"}});
  const std::array<const char*, 8> resources = {
      "configmaps", "deployments", "endpoints", "leases", "nodes", "pods", "secrets", "services"};
  const std::array<const char*, 4> verbs = {"GET", "LIST", "PATCH", "WATCH"};
  for (int i = 0; i < 4; i++) {
    const char* resource = resources[below(resources.size())];
    for (const char* verb : verbs) {
      classic_histogram(
          "apiserver_request_duration_seconds",
          {{"group", i % 2 == 0 ? "apps" : ""},
           {"resource", resource},
           {"scope", i < 2 ? "namespace" : "cluster"},
           {"subresource", i % 2 == 0 ? "status" : ""},
           {"verb", verb},
           {"version", "v1"}},
          {"0.005", "0.025", "0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1",  "1.25", "1.5", "2",
           "3",     "4",     "5",    "6",   "8",   "10",  "15",  "20",  "30", "45",   "60"});
    }
  }
  go_process();
}

void Model::kubernetes(int round) {
  static constexpr const char* kApps[] = {"checkout",  "payments", "search",   "catalog",
                                          "inventory", "frontend", "sessions", "mailer",
                                          "reports",   "billing",  "gateway",  "recommender"};
  static constexpr const char* kSpaces[] = {"shop-production", "shop-staging", "data-platform",
                                            "kube-system", "monitoring"};
  pods_.clear();
  const std::string node = "ip-10-" + std::to_string(below(4)) + "-" + std::to_string(below(250)) +
                           "-" + std::to_string(1 + below(250)) + ".eu-west-2.compute.internal";
  for (int i = 0; i < 20; i++) {
    Pod pod;
    const char* app = kApps[below(std::size(kApps))];
    pod.app = std::string(app) + "-" + letters(10);
    pod.name = pod.app + "-" + letters(5);
    pod.space = kSpaces[below(std::size(kSpaces))];
    pod.uid = uuid();
    pod.node = node;
    pod.container = app;
    pod.image = std::string("registry.example.com/shop/") + app + ":v1." +
                std::to_string(below(60)) + "." + std::to_string(below(9));
    pods_.push_back(std::move(pod));
  }
  cadvisor();
  kube_state_metrics();
  if (round % 3 == 0) api_server();
}

}  // namespace

Profile parse_profile(const std::string& name) {
  if (name == "node") return Profile::kNode;
  if (name == "kubernetes") return Profile::kKubernetes;
  if (name == "mixed") return Profile::kMixed;
  throw std::runtime_error("there is no profile \"" + name + "\": node, kubernetes or mixed");
}

std::vector<Entry> make_series(const ModelOptions& options) { return Model(options).run(); }

std::string rename_series(const std::string& labels, uint64_t number) {
  LabelViews views;
  read_labels(labels, views);
  const auto has = [&](std::string_view name) {
    return std::any_of(views.begin(), views.end(), [&](const auto& l) { return l.first == name; });
  };
  const std::string_view which = has("pod") ? "pod" : "instance";
  std::string out;
  for (const auto& [name, value] : views) {
    if (name != which) {
      put_label(out, name, value);
      continue;
    }
    // The end is what tells pods of one ReplicaSet apart.
    constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
    std::string end;
    for (uint64_t n = number, i = 0; i < 5 || n > 0; i++, n /= kAlphabet.size()) {
      end += kAlphabet[n % kAlphabet.size()];
    }
    const std::string_view stem = value.substr(0, value.rfind('-'));
    put_label(out, name, std::string(stem) + "-" + end);
  }
  return out;
}

std::string cluster_name(size_t n) {
  constexpr const char* kNames[] = {"ops", "blue", "green"};
  return n < std::size(kNames) ? kNames[n] : "c" + std::to_string(n);
}

}  // namespace tollgate::bench
