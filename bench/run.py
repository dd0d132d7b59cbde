#!/usr/bin/env python3
"""The benchmarks behind `./dev bench`: Tollgate and its peers under the same load, in turns.

    bench/run.py [--full] [--scenario NAME] [--out results.json]

Starts sinks, one peer at a time and the load, all on free loopback ports with state in a temporary
folder; measures, asks the sinks for their verdict, and writes results.json, from which
`tollgate-bench report` makes tables and plots. A round whose verdict fails has no figure.
docs/benchmarks.md says what each scenario does.

Exit codes: 0 fine, 1 a verdict failed, 2 something could not be measured.
Only Python's standard library.
"""

import argparse
import datetime
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from harness import machine, measure, peers, ratios, scenarios  # noqa: E402
from harness.processes import CannotMeasure, VerdictFailed  # noqa: E402
from harness.traffic import Traffic  # noqa: E402

SCHEMA = 1


def duration(text):
    """90, 90s, 30m, 1h30m: seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+)(h|m|s)", text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s or 1h30m")
    return float(sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in parts))


def arguments():
    names = list(scenarios.BUILDERS)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin",
                        help="where tollgate and tollgate-bench are")
    parser.add_argument("--full", action="store_true",
                        help="everything at its whole length, with every peer: three hours")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME",
                        help="only this one; repeatable: " + ", ".join(names))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of load in a round (3, or 10 with --full)")
    parser.add_argument("--rate", default="200000", metavar="SAMPLES/S|max",
                        help="the pace of the load in all but throughput and latency")
    parser.add_argument("--senders", type=int, default=16)
    parser.add_argument("--series", type=int, default=5_000,
                        help="of each of 3 clusters x 2 replicas")
    parser.add_argument("--samples-per-request", type=int, default=500)
    parser.add_argument("--profile", default="node", choices=["node", "kubernetes", "mixed"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--soak", type=duration, metavar="DURATION",
                        help="how long the soak is (1h with --full, else none)")
    parser.add_argument("--vmagent", default="vmagent", metavar="PATH")
    parser.add_argument("--nginx", default="nginx", metavar="PATH")
    parser.add_argument("--prometheus", default="prometheus", metavar="PATH")
    parser.add_argument("--state", type=pathlib.Path, default=ROOT / "build",
                        help="where the run's temporary folder goes: the disk that is measured")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/results.json")
    args = parser.parse_args()
    if args.soak is None:
        args.soak = 3600.0 if args.full else 0.0
    if args.seconds is None:
        args.seconds = 10.0 if args.full else 3.0
    args.state, args.out = args.state.resolve(), args.out.resolve()
    args.names = args.scenario or [n for n in names if args.full or n not in scenarios.ONLY_FULL]
    if args.soak and "soak" not in args.names:
        args.names.append("soak")
    return args


class Run:
    def __init__(self, args, bench):
        self.args, self.bench = args, bench
        self.traffic = Traffic(
            rate=0 if args.rate == "max" else float(args.rate), seconds=args.seconds,
            senders=args.senders, profile=args.profile, series=args.series,
            samples_per_request=args.samples_per_request, seed=args.seed)
        self.versions, self.skipped, self.failed = {}, [], []
        self.began = time.monotonic()
        self.status = 0

    def find_peers(self):
        for name, kind in peers.ALL.items():
            try:
                self.versions[name] = kind.version(self.bench.tools)
            except (CannotMeasure, OSError, subprocess.TimeoutExpired) as e:
                if name == "tollgate":
                    raise CannotMeasure(str(e)) from None
                self.skipped.append(f"{kind.title}: {e}")
                say(f"skipped: {kind.title}: {e}")

    def relabelling(self):
        """Whether this Tollgate has relabel_configs."""
        setup = peers.Setup([1], relabel_rules=5)
        probe = peers.Tollgate(self.bench.tools, self.bench.family, self.bench.path("probe"), setup)
        known = probe.accepts_configuration()
        probe.end()
        if not known:
            self.skipped.append("50 relabel rules: this Tollgate has no relabel_configs")
        return known

    def capacity(self):
        rows = []
        for sinks in (1, 3):
            rate = measure.capacity(self.bench, sinks, self.traffic, min(3.0, self.args.seconds))
            rows.append({"sinks": sinks, "samples_per_second": ratios.trimmed(rate)})
            say(f"the load and {sinks} sink(s) alone manage {rate:,.0f} samples/s")
            if self.traffic.rate and rate < 2 * self.traffic.rate:
                self.skipped.append(
                    f"headroom: {sinks} sink(s) manage only {rate:,.0f} samples/s on this machine, "
                    f"less than twice the load's {self.traffic.rate:,.0f}: use a lower --rate")
                say(self.skipped[-1])
        return rows

    def one(self, scenario, cell, number, record):
        where = f"{scenario.name} / {cell.name}, round {number}"
        try:
            done = (cell.measure or measure.steady)(self.bench, cell)
        except VerdictFailed as e:
            record["discarded"].append({"round": number, "why": f"verdict failed: {e}"})
            self.failed.append(f"{where}: {e}")
            self.status = self.status or 1
            say(f"  {cell.name:24} VERDICT FAILED: {e}; no figure")
        except (CannotMeasure, OSError, KeyError) as e:
            why = f"no {e}" if isinstance(e, KeyError) else str(e)
            record["discarded"].append({"round": number, "why": why.splitlines()[0]})
            self.failed.append(f"{where}: {why.splitlines()[0]}")
            self.status = 2
            say(f"  {cell.name:24} could not be measured: {why}")
        else:
            figures = {name: ratios.trimmed(value) for name, value in done.figures.items()}
            record["rounds"].append({"round": number, "figures": figures, "verdict": done.verdict})
            record["timeline"], record["load"] = done.timeline, done.load
            say(f"  {cell.name:24} " + brief(figures))
        finally:
            self.bench.family.end_all()

    def scenario(self, scenario):
        say(f"{scenario.name}: {scenario.title}")
        cells = [c for c in scenario.cells if c.peer in self.versions]
        records = {c.name: {"name": c.name, "peer": c.peer, "title": c.title or c.name,
                            "destinations": c.destinations, "rounds": [], "discarded": []}
                   for c in cells}
        for number in range(1, self.args.rounds + 1):
            for cell in cells:  # A B A B: what the machine does meanwhile befalls all of them
                if number <= (cell.rounds or self.args.rounds):
                    self.one(scenario, cell, number, records[cell.name])
        for record in records.values():
            names = {name for r in record["rounds"] for name in r["figures"]}
            record["summary"] = {name: ratios.spread([r["figures"][name] for r in record["rounds"]
                                                      if name in r["figures"]])
                                 for name in sorted(names)}
        return {"name": scenario.name, "title": scenario.title, "cells": list(records.values())}

    def results(self, capacity, measured):
        one_sink = capacity[0]["samples_per_second"] if capacity else 0
        mode = "chosen" if self.args.scenario else "full" if self.args.full else "short"
        return {
            "schema": SCHEMA,
            "started": (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(
                seconds=time.monotonic() - self.began)).strftime("%Y-%m-%d %H:%M UTC"),
            "mode": mode,
            "seconds": round(time.monotonic() - self.began),
            "machine": machine.facts(self.bench.folder),
            "settings": {"rate": self.args.rate, "seconds": self.args.seconds,
                         "rounds": self.args.rounds, "senders": self.traffic.senders,
                         "profile": self.traffic.profile, "series": self.traffic.series,
                         "samples_per_request": self.traffic.samples_per_request,
                         "seed": self.traffic.seed, "sync": "always"},
            "peers": [{"name": name, "title": peers.ALL[name].title, "version": version,
                       **self.bench.described.get(name, {})}
                      for name, version in self.versions.items() if name in self.bench.described],
            "skipped": self.skipped,
            "failed": self.failed,
            "capacity": capacity,
            "scenarios": measured,
            "ratios": ratios.ratios(measured, one_sink, self.traffic.rate or 1),
        }

    def go(self):
        self.find_peers()
        plan = scenarios.Plan(self.args.full, self.traffic, self.args.rounds, self.args.soak,
                              self.relabelling())
        capacity, measured = [], []
        try:
            capacity = self.capacity()
            for scenario in scenarios.build(plan, self.args.names):
                measured.append(self.scenario(scenario))
                # After each: an interrupted run of hours has shown something.
                self.save(capacity, measured)
        except KeyboardInterrupt:
            self.skipped.append("interrupted: later scenarios were not run")
            self.status = 2
        self.save(capacity, measured)

    def save(self, capacity, measured):
        self.args.out.parent.mkdir(parents=True, exist_ok=True)
        self.args.out.write_text(json.dumps(self.results(capacity, measured), indent=1) + "\n")


def brief(figures):
    shown = [("cpu_ns_per_sample", "{:,.0f} ns/sample"), ("samples_per_second", "{:,.0f}/s"),
             ("p99_ms", "p99 {:.2f} ms"), ("peak_rss_mib", "{:.1f} MiB"),
             ("bytes_out_per_sample", "{:.1f} B/sample out"), ("drain_multiple", "drain x{:.1f}"),
             ("ready_seconds", "ready after {:.2f} s"), ("fast_lag_seconds", "lag {:.2f} s"),
             ("fdatasync_p99_ms", "fdatasync p99 {:.2f} ms"), ("behind_seconds", "behind {:.2f} s")]
    return ", ".join(how.format(figures[name]) for name, how in shown
                     if figures.get(name) is not None
                     and not (name == "behind_seconds" and figures[name] < 0.1))


def say(text):
    print(text, flush=True)


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tools = peers.Tools(args.bin.resolve(), args.vmagent, args.nginx, args.prometheus)
    args.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-", dir=args.state) as folder:
        bench = measure.Bench(tools, folder)
        run = Run(args, bench)
        say(f"state in {folder} ({machine.file_system(folder)})")
        try:
            run.go()
        except VerdictFailed as e:
            print(f"run.py: load and sinks alone already fail their verdict: {e}", file=sys.stderr)
            return 1
        except CannotMeasure as e:
            print(f"run.py: {e}", file=sys.stderr)
            return 2
        finally:
            bench.family.end_all()
    print()
    page = args.out.with_suffix(".html")
    subprocess.run([str(tools.bench), "report", str(args.out), "--html", str(page)], check=False)
    say(f"\nresults: {args.out}; the same with plots: {page}")
    return run.status


if __name__ == "__main__":
    sys.exit(main())
