"""What is to be reached, from figures of the same rounds of one run."""

import dataclasses
import statistics

GIB_PENDING = 4


def spread(values):
    """Median, smallest and largest, to four significant digits and more."""
    return {"median": trimmed(statistics.median(values)), "low": trimmed(min(values)),
            "high": trimmed(max(values))}


def trimmed(value):
    return float(f"{value:.6g}")


@dataclasses.dataclass
class Target:
    """`made_from` takes {cell name: figures} of one round; KeyError: that round has not all."""
    name: str
    title: str
    scenario: str
    better: str
    must: float
    aim: object
    unit: str
    made_from: object


def cpu(cells, name):
    return cells[name]["cpu_ns_per_sample"]


def further(cells):
    first = cpu(cells, "tollgate-1")
    return 100 * (cpu(cells, "tollgate-3") - first) / 2 / first


def drain(cells):
    return cells["tollgate-1"]["drain_multiple"]


TARGETS = [
    Target("cpu-vmagent-1", "CPU per sample, 1 destination: vmagent / Tollgate", "destinations",
           "higher", 3.5, 5, "x", lambda c: cpu(c, "vmagent-1") / cpu(c, "tollgate-1")),
    Target("cpu-vmagent-3", "CPU per sample, 3 destinations: vmagent / Tollgate", "destinations",
           "higher", 6.5, 10, "x", lambda c: cpu(c, "vmagent-3") / cpu(c, "tollgate-3")),
    Target("further-destination", "a further destination, of the first one's cost", "destinations",
           "lower", 12, 6, "%", further),
    Target("cpu-nginx-3", "CPU per sample, 3 destinations: Tollgate / nginx passing the body on",
           "destinations", "lower", 2.5, 1.5, "x",
           lambda c: cpu(c, "tollgate-3") / cpu(c, "nginx-3")),
    Target("cpu-full-vmagent-1", "at full load, 1 destination: vmagent / Tollgate", "throughput",
           "higher", 3.5, 5, "x", lambda c: cpu(c, "vmagent-1") / cpu(c, "tollgate-1")),
    Target("cpu-full-vmagent-3", "at full load, 3 destinations: vmagent / Tollgate", "throughput",
           "higher", 6.5, 10, "x", lambda c: cpu(c, "vmagent-3") / cpu(c, "tollgate-3")),
    Target("cpu-full-nginx-3", "at full load, 3 destinations: Tollgate / nginx passing the body on",
           "throughput", "lower", 2.5, 1.5, "x",
           lambda c: cpu(c, "tollgate-3") / cpu(c, "nginx-3")),
    Target("rss-vmagent-3", "peak RSS, 3 destinations: Tollgate / vmagent", "destinations", "lower",
           0.6, 0.35, "x",
           lambda c: c["tollgate-3"]["peak_rss_mib"] / c["vmagent-3"]["peak_rss_mib"]),
    Target("ack-p99", "acknowledgement p99 at half the maximum rate / the disk's p99 fdatasync",
           "latency", "lower", 3, 2, "x",
           lambda c: c["tollgate-0.5"]["p99_ms"] / c["tollgate-0.5"]["fdatasync_p99_ms"]),
    Target("tenants-1000", "CPU per sample: 1,000 tenants / 1 tenant", "tenants", "lower", 1.6, 1.2,
           "x", lambda c: cpu(c, "tollgate-1000") / cpu(c, "tollgate-1")),
    Target("bytes-out", "bytes per sample: sent to a destination / received", "destinations",
           "lower", 1.0, 0.85, "x",
           lambda c: c["tollgate-1"]["bytes_out_per_sample"]
           / c["tollgate-1"]["bytes_in_per_sample"]),
    Target("drain", "drain after an outage, of the live rate", "outage", "higher", 4, None, "x",
           drain),
    Target("ready", "ready after kill -9 with 4 GiB pending", "kill-9", "lower", 3, 1, "s",
           lambda c: c["tollgate-1"]["ready_seconds"]),
]


def reached(target, value):
    good = (lambda bound: value >= bound) if target.better == "higher" else (
        lambda bound: value <= bound)
    if target.aim is not None and good(target.aim):
        return "aim"
    return "must" if good(target.must) else "missed"


def ratios(scenarios, sink_capacity, rate):
    """`scenarios`: those of the results. Pairs the figures of the same round."""
    out = []
    for target in TARGETS:
        rounds = {}
        for scenario in scenarios:
            if scenario["name"] != target.scenario:
                continue
            for cell in scenario["cells"]:
                for one in cell["rounds"]:
                    rounds.setdefault(one["round"], {})[cell["name"]] = one["figures"]
        values, note = [], ""
        for number in sorted(rounds):
            try:
                values.append(target.made_from(rounds[number]))
            except (KeyError, ZeroDivisionError):
                pass
        row = {"name": target.name, "title": target.title, "unit": target.unit,
               "better": target.better, "must": target.must, "aim": target.aim,
               "rounds": [trimmed(v) for v in values], "reached": "not measured"}
        if values:
            row |= spread(values)
            row["reached"] = reached(target, row["median"])
            if target.name == "ready":
                pending = rounds[min(rounds)]["tollgate-1"]["pending_gib"]
                if pending < GIB_PENDING:
                    note = f"with {pending:.2f} GiB pending, not 4: --full fills 4 GiB"
                    row["reached"] = "not measured"
            if target.name == "drain" and sink_capacity:
                note = (f"load and sink without a gateway manage {sink_capacity / rate:.1f} times "
                        "the live rate, the load's own part included")
        out.append(row | {"note": note})
    return out
