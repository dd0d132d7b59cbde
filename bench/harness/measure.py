"""One round of one cell: a peer between a load and its sinks, from start to verdict.

CPU counts from the start of the load until every sink has everything that was acknowledged, so that
what a peer has only queued is charged to it. Every round starts a peer of its own with empty state.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import statistics
import time

from harness import machine, peers
from harness.processes import (CannotMeasure, Family, Sampler, cpu_seconds, free_port, memory_mib,
                               wait_until)
from harness.traffic import Certificates, Load, Sink, Traffic, verdict

WARM_UP_SECONDS = 0.5
STALL_SECONDS = 20  # nothing arrives for so long: it will not come any more
GIB = 1024 ** 3


@dataclasses.dataclass
class Cell:
    """One peer under one load: what is measured again in each round."""
    name: str
    peer: str
    destinations: int = 1
    traffic: Traffic = dataclasses.field(default_factory=Traffic)
    setup: dict = dataclasses.field(default_factory=dict)  # of peers.Setup
    tls: bool = False
    rounds: int = 0  # 0 = as many as the run has
    measure: object = None  # a function below; None = steady
    options: dict = dataclasses.field(default_factory=dict)  # of that function
    title: str = ""


@dataclasses.dataclass
class Round:
    figures: dict
    timeline: dict
    load: str = ""
    verdict: dict = dataclasses.field(default_factory=dict)


class Bench:
    """What the rounds of a run share: programs, the state folder, certificates."""

    def __init__(self, tools, folder):
        self.tools, self.folder = tools, pathlib.Path(folder)
        self.family = Family(self.folder)
        self.described = {}  # peer -> command and configuration
        self.max_rates = {}  # peer -> samples a second to one destination, of each round at most
        self.commit_bytes = 64 * 1024  # of Tollgate's journal on average, once that is known
        self.count = 0
        self._certificates = None

    def certificates(self):
        if self._certificates is None:
            self._certificates = Certificates.make(self.folder)
        return self._certificates

    def describe(self, cell, peer):
        """Keeps command line and configuration of the cell with the most destinations."""
        if cell.destinations > self.described.get(cell.peer, {}).get("destinations", 0):
            self.described[cell.peer] = {"destinations": cell.destinations, **peer.described()}

    def path(self, suffix):
        self.count += 1
        return self.folder / f"{self.count}-{suffix}"


class Stage:
    """A cell's sinks and peer, running. Everything is gone when the `with` block ends."""

    def __init__(self, bench, cell, listen=0, start_sinks=True):
        self.bench, self.cell = bench, cell
        self.kind = peers.ALL[cell.peer]
        self.certificates = bench.certificates() if cell.tls else None
        self.sinks, self.expects = [], []
        self.peer = None
        self.listen = listen
        self.start_sinks = start_sinks

    def __enter__(self):
        try:
            if self.start_sinks:
                for i in range(self.cell.destinations):
                    self.add_sink(i, self.listen)
            ports = [s.port for s in self.sinks] or [self.listen]
            setup = peers.Setup(ports, certificates=self.certificates, **self.cell.setup)
            self.peer = self.kind(self.bench.tools, self.bench.family,
                                  self.bench.path(self.cell.peer), setup)
            self.peer.start()
            self.bench.describe(self.cell, self.peer)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.peer:
            self.peer.end()
        for sink in self.sinks:
            sink.end()
        for expect in self.expects:
            with contextlib.suppress(OSError):
                expect.unlink()

    def add_sink(self, i, listen):
        labels = self.cell.setup.get("labels", peers.LABELS)
        if self.cell.peer == "nginx":
            labels = {}
        self.sinks.append(Sink(self.bench.tools, self.bench.family, f"sink{i}", labels,
                               self.kind.allow_unsorted, self.certificates, listen,
                               self.cell.setup.get("tenant_header", "")))

    @property
    def pid(self):
        return self.peer.child.pid

    def load(self, traffic=None, **changes):
        traffic = dataclasses.replace(traffic or self.cell.traffic, **changes)
        expect = self.bench.path("expect")
        self.expects.append(expect)
        return Load(self.bench.tools, self.bench.family, self.peer.urls, traffic, expect,
                    self.certificates)

    def delivered(self, since=0):
        """Of the sink that has the least."""
        return min(sink.samples() for sink in self.sinks) - since

    def wait_everywhere(self, samples, seconds):
        """Until every sink has so many. Where nothing moves for `seconds`, the verdict says why."""
        best, moved = -1, time.monotonic()
        while True:
            self.peer.child.check_alive()
            now = self.delivered()
            if now >= samples:
                return
            if now > best:
                best, moved = now, time.monotonic()
            if time.monotonic() > moved + seconds:
                self.verdict(allow_duplicates=True)
                raise CannotMeasure(f"{self.cell.peer} has acknowledged {samples} samples, but a "
                                    f"sink stays at {now}")
            time.sleep(0.01)

    def wait_flow(self):
        """Until the first samples of a load arrive, which it takes a moment to prepare."""
        wait_until("the first samples", lambda: self.sinks[0].samples() > 0, 60,
                   [self.peer.child])
        return time.monotonic()

    def warm_up(self):
        """A short load, forgotten afterwards: connections are open, memory pools are filled."""
        result = self.load(seconds=WARM_UP_SECONDS,
                           seed=self.cell.traffic.seed + 1_000_000).result()
        self.wait_everywhere(result["samples"]["acknowledged"], STALL_SECONDS)
        for sink in self.sinks:
            sink.reset()
        for expect in self.expects:
            expect.unlink()
        self.expects.clear()

    def verdict(self, allow_duplicates=False):
        return verdict(self.bench.tools, self.expects, self.sinks, allow_duplicates,
                       self.kind.allow_reordering)

    def sampler(self, backlog=False, every=0.25):
        columns = {"rss_mib": lambda: memory_mib(self.pid, "VmRSS")}
        if backlog:
            columns["backlog_samples"] = self.peer.pending_samples
        return Sampler(columns, every)


def load_figures(result):
    """What the load itself measured. Refusals are no failure: the sender has kept the samples."""
    figures = {
        "samples": result["samples"]["acknowledged"],
        "samples_per_second": result["samples"]["acknowledged"] / result["seconds"],
        "bytes_in_per_sample": result["bytes_per_sample"]["compressed"],
        "behind_seconds": result.get("behind_seconds", 0),
        "refused_requests": result["requests"].get("refused", 0),
    }
    for q in ["p50", "p90", "p99", "p999", "max"]:
        figures[f"{q}_ms"] = result["latency_ms"][q]
    return figures


def sink_figures(stage):
    stats = [sink.stats() for sink in stage.sinks]
    sent = [s["bytes_per_sample"] for s in stats]
    figures = {"bytes_out_per_sample": sum(compressed(b) for b in sent) / len(sent)}
    for what in ["duplicates", "reordered"]:
        if any(s.get(what) for s in stats):
            figures[what] = sum(s[what] for s in stats)
    return figures


def compressed(value):
    return value["compressed"] if isinstance(value, dict) else value


# --- the rounds -----------------------------------------------------------------------------------


def steady(bench, cell, during=None):
    """Warm-up, load, catch-up, verdict. `during(stage, load)` may interfere while the load runs."""
    with Stage(bench, cell) as stage:
        stage.warm_up()
        cpu_before, began = cpu_seconds(stage.pid), time.monotonic()
        with stage.sampler() as sampler:
            load = stage.load()
            extra = during(stage, load) if during else {}
            result = load.result()
            loaded = time.monotonic()
            figures = load_figures(result)
            stage.wait_everywhere(figures["samples"], STALL_SECONDS)
            done = time.monotonic()
        cpu = cpu_seconds(stage.pid) - cpu_before
        if not figures["samples"]:
            raise CannotMeasure(f"{cell.peer} acknowledged nothing")
        figures |= {
            "cpu_ns_per_sample": cpu / figures["samples"] * 1e9,
            "cpu_cores": cpu / (done - began),
            "peak_rss_mib": memory_mib(stage.pid, "VmHWM"),
            "catch_up_seconds": done - loaded,
        } | sink_figures(stage) | (extra or {})
        found = stage.verdict()
        return Round(figures, sampler.timeline(), load.described(bench.family), found)


def latency(bench, cell):
    """Latency at a share of the peer's maximum rate; the disk's own fdatasync before and after.

    The probe appends as many bytes as one commit of Tollgate's journal has on average at that rate.
    """
    share, probe_seconds = cell.options["share"], cell.options.get("probe_seconds", 0)
    rate = share * max_rate(bench, cell.peer, cell.traffic)
    at_rate = dataclasses.replace(cell, traffic=dataclasses.replace(cell.traffic, rate=rate))
    synced = []
    if probe_seconds:
        synced += machine.fdatasync_ms(bench.folder, bench.commit_bytes, probe_seconds)

    def count_commits(stage, _):
        if stage.cell.peer != "tollgate" or not probe_seconds:
            return {}
        size_before, commits_before = stage.peer.commits()
        time.sleep(max(0.5, cell.traffic.seconds - 0.5))
        size_after, commits_after = stage.peer.commits()
        bench.commit_bytes = (size_after - size_before) / max(1, commits_after - commits_before)
        return {"bytes_per_commit": bench.commit_bytes}

    out = steady(bench, at_rate, count_commits)
    out.figures["offered_per_second"] = rate
    if probe_seconds:
        synced += machine.fdatasync_ms(bench.folder, bench.commit_bytes, probe_seconds)
        out.figures["fdatasync_p50_ms"] = machine.percentile(synced, 0.5)
        out.figures["fdatasync_p99_ms"] = machine.percentile(synced, 0.99)
    return out


def max_rate(bench, peer, traffic):
    """Samples a second to one destination, as fast as it is answered."""
    if peer not in bench.max_rates:
        cell = Cell("calibration", peer, traffic=dataclasses.replace(traffic, rate=0, seconds=3))
        bench.max_rates[peer] = [steady(bench, cell).figures["samples_per_second"]]
    return statistics.median(bench.max_rates[peer])


def throughput(bench, cell):
    out = steady(bench, dataclasses.replace(
        cell, traffic=dataclasses.replace(cell.traffic, rate=0)))
    if cell.destinations == 1:
        bench.max_rates.setdefault(cell.peer, []).append(out.figures["samples_per_second"])
    return out


def slow_destination(bench, cell):
    """The last sink takes its time; the others must not notice. It recovers when the load ends."""
    slow_ms = cell.options["latency_ms"]

    def during(stage, load):
        fast, slow = stage.sinks[0], stage.sinks[-1]
        slow.fault(latency=slow_ms)
        stage.wait_flow()
        # Both count since the warm-up, which the sinks have forgotten and the peer has not.
        before = stage.peer.accepted_samples() - fast.samples()
        lags = []
        while load.running():
            waiting = stage.peer.accepted_samples() - before - fast.samples()
            lags.append(max(0.0, waiting / cell.traffic.rate))
            time.sleep(0.1)
        behind = fast.samples() - slow.samples()
        slow.fault()
        return {"fast_lag_seconds": machine.percentile(lags, 0.99), "backlog_samples": behind}

    return steady(bench, cell, during)


def outage(bench, cell):
    """A destination is away for a while under a live load, and comes back while it goes on.

    The drain multiple is what the sink got a second until it was level with the load, over the
    load's rate; from the first samples after its return, because until then the peer waits out its
    back-off, which is a figure of its own. Order is part of the verdict.
    """
    lead, away = cell.options["lead_seconds"], cell.options["outage_seconds"]
    rate = cell.traffic.rate
    # Four times the live rate drains an outage in a third of its length; there is room for less.
    seconds = lead + away * 1.6 + 5
    with Stage(bench, cell) as stage:
        stage.warm_up()
        sink = stage.sinks[-1]

        def offered():
            return rate * min(seconds, time.monotonic() - began)

        def backlog():  # as the sink sees it, so that it is the same for every peer
            return max(0, offered() - sink.samples())

        cpu_before = cpu_seconds(stage.pid)
        load = stage.load(seconds=seconds)
        began = stage.wait_flow()
        columns = {"rss_mib": lambda: memory_mib(stage.pid, "VmRSS"), "backlog_samples": backlog}
        if stage.peer.pending_samples() is not None:
            columns["pending_samples"] = stage.peer.pending_samples  # in its own words
        with Sampler(columns, 0.25) as sampler:
            time.sleep(lead)
            sink.fault(outage=f"0s+{away}s")
            time.sleep(away)
            back, had = time.monotonic(), sink.samples()
            wait_until("samples after the outage", lambda: sink.samples() > had, 120,
                       [stage.peer.child])
            resumed, had = time.monotonic(), sink.samples()
            waiting = offered() - had
            # Level: as near to the load as a lane's linger and our own clock let us see.
            wait_until("the drain", lambda: offered() - sink.samples() < rate * 0.25,
                       60 + away * 4, [stage.peer.child])
            drained = time.monotonic() - resumed
            got = sink.samples() - had
            result = load.result()
            figures = load_figures(result)
            stage.wait_everywhere(figures["samples"], STALL_SECONDS)
        figures |= {
            "cpu_ns_per_sample": (cpu_seconds(stage.pid) - cpu_before) / figures["samples"] * 1e9,
            "peak_rss_mib": memory_mib(stage.pid, "VmHWM"),
            "backlog_samples": waiting,
            "resumed_seconds": resumed - back,
            "drain_seconds": drained,
            "drain_multiple": got / drained / rate,
        } | sink_figures(stage)
        found = stage.verdict()
        return Round(figures, sampler.timeline(), load.described(bench.family), found)


def kill(bench, cell):
    """Fill the journal with its destination away, kill -9, start again: how long until ready.

    Then the destination comes, and has to get everything that was acknowledged, in order.
    """
    wanted = cell.options["pending_bytes"]
    port = free_port()
    with Stage(bench, cell, listen=port, start_sinks=False) as stage:
        pending = 0
        number = 0
        while pending < wanted:
            number += 1
            result = stage.load(rate=0, seconds=cell.options["fill_seconds"],
                                seed=cell.traffic.seed + number).result()
            if not result["samples"]["acknowledged"]:
                raise CannotMeasure("the gateway accepts no more before there is enough pending")
            pending = stage.peer.pending_bytes()
        samples = stage.peer.pending_samples()
        os.kill(stage.pid, signal.SIGKILL)
        bench.family.end(stage.peer.child)
        ready = stage.peer.start()
        stage.add_sink(0, port)
        began = time.monotonic()
        stage.wait_everywhere(samples, STALL_SECONDS)
        drained = time.monotonic() - began
        wait_until("an empty backlog", lambda: stage.peer.pending_samples() == 0, 60)
        figures = {
            "ready_seconds": ready,
            "pending_gib": pending / GIB,
            "backlog_samples": samples,
            "drain_seconds": drained,
            "peak_rss_mib": memory_mib(stage.pid, "VmHWM"),
        } | sink_figures(stage)
        found = stage.verdict(allow_duplicates=True)
        return Round(figures, {}, "", found)


def capacity(bench, sinks, traffic, seconds):
    """Load and sinks without anybody between them: a bound on what can be measured here."""
    running = [Sink(bench.tools, bench.family, f"sink{i}") for i in range(sinks)]
    expect = bench.path("expect")
    try:
        urls = [f"{sink.data}{peers.WRITE}" for sink in running]
        load = Load(bench.tools, bench.family, urls,
                    dataclasses.replace(traffic, rate=0, seconds=seconds), expect)
        result = load.result()
        verdict(bench.tools, [expect], running)
        return result["samples"]["acknowledged"] / result["seconds"]
    finally:
        for sink in running:
            sink.end()
        with contextlib.suppress(OSError):
            expect.unlink()
