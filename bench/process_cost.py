#!/usr/bin/env python3
"""What one sample costs the gateway's process: CPU by its own accounting, and resident memory.

    bench/process_cost.py --bin build/release/bin [--seconds 8] [--outage 0]

Starts 1, 2 and 3 sinks, one gateway with two enforced labels and `sync: always`, and a closed-loop
load of recorded Prometheus bodies on loopback. Prints a table; `--json` prints JSON.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {key} in /proc/{pid}/status")


def metrics(port):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    out = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            base = name.split("{", 1)[0]
            out[base] = out.get(base, 0.0) + float(value)
    return out


def wait_until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"gave up waiting for {what}")


class Processes:
    def __init__(self):
        self.all = []

    def start(self, *command, **kwargs):
        p = subprocess.Popen([str(c) for c in command], text=True, **kwargs)
        self.all.append(p)
        return p

    def stop(self, p):
        if p.poll() is None:
            p.kill()
        p.wait()
        self.all.remove(p)

    def stop_all(self):
        for p in list(self.all):
            self.stop(p)


def run(args, destinations, sync, processes, folder):
    sinks = []
    for _ in range(destinations):
        sink = processes.start(args.bin / "tollgate-bench", "sink", stdout=subprocess.PIPE)
        sinks.append((sink, json.loads(sink.stdout.readline())["port"]))
    data, admin = free_port(), free_port()
    remote = "".join(
        f"  - {{name: sink{i}, url: 'http://127.0.0.1:{port}/api/v1/write', "
        f"queue_config: {{max_samples_per_send: 2000}}}}\n" for i, (_, port) in enumerate(sinks))
    config = folder / f"gateway-{destinations}-{sync}.yml"
    config.write_text(
        f"ingest: {{listen: '127.0.0.1:{data}'}}\nadmin: {{listen: '127.0.0.1:{admin}'}}\n"
        f"journal: {{path: '{folder}/journal-{destinations}-{sync}', sync: {sync}, "
        f"retention: 1s, max_size: 8GB}}\n"
        "sources:\n  - {name: blue, auth: none, tenant: team-blue, "
        "enforced_labels: {cluster: blue, region: eu-west-2}}\n"
        f"remote_write:\n{remote}")
    log = open(folder / f"gateway-{destinations}-{sync}.log", "w")
    gateway = processes.start(args.bin / "tollgate", "serve", f"--config.file={config}", stderr=log)
    wait_until("the gateway", lambda: urllib.request.urlopen(
        f"http://127.0.0.1:{admin}/-/ready", timeout=1).status == 200)

    def load(seconds):
        p = processes.start(args.bin / "tollgate-bench", "load", "--to", f"127.0.0.1:{data}",
                            "--corpus", args.corpus, "--connections", args.connections,
                            "--seconds", seconds, stdout=subprocess.PIPE)
        out = p.stdout.read()
        if p.wait() != 0:
            raise RuntimeError(f"the load failed: {out}")
        processes.all.remove(p)
        return json.loads(out)

    def settled():
        m = metrics(admin)
        return m.get("tollgate_pending_samples", 0) == 0

    load(1)  # warm-up
    wait_until("the backlog", settled)
    before, cpu_before = metrics(admin), cpu_seconds(gateway.pid)
    result = load(args.seconds)
    wait_until("the backlog", settled)
    after, cpu_after = metrics(admin), cpu_seconds(gateway.pid)
    samples = (after["tollgate_accepted_samples_total"]
               - before["tollgate_accepted_samples_total"])
    dropped = after.get("tollgate_dropped_samples_total", 0)
    delivered = (after["tollgate_delivered_samples_total"]
                 - before["tollgate_delivered_samples_total"])
    if dropped or delivered != samples * destinations:
        raise RuntimeError(f"verdict failed: accepted {samples}, delivered {delivered} to "
                           f"{destinations} destination(s), dropped {dropped}")
    row = {
        "destinations": destinations, "sync": sync, "samples": samples,
        "samples_per_second": samples / result["seconds"],
        "cpu_ns_per_sample": (cpu_after - cpu_before) / samples * 1e9,
        "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"],
        "rss_mb": memory_mb(gateway.pid, "VmRSS"), "peak_rss_mb": memory_mb(gateway.pid, "VmHWM"),
    }
    if args.outage:
        os.kill(sinks[0][0].pid, signal.SIGSTOP)
        p = processes.start(args.bin / "tollgate-bench", "load", "--to", f"127.0.0.1:{data}",
                            "--corpus", args.corpus, "--connections", args.connections,
                            "--seconds", args.outage, "--rate", args.outage_rate,
                            stdout=subprocess.PIPE)
        p.stdout.read()
        p.wait()
        processes.all.remove(p)
        row["pending_after_outage"] = metrics(admin)["tollgate_pending_samples"]
        row["outage_rss_mb"] = memory_mb(gateway.pid, "VmRSS")
        os.kill(sinks[0][0].pid, signal.SIGCONT)
        wait_until("the drain", settled, 600)
        row["outage_peak_rss_mb"] = memory_mb(gateway.pid, "VmHWM")
        row["dropped_after_outage"] = metrics(admin).get("tollgate_dropped_samples_total", 0)
    gateway.terminate()
    if gateway.wait() != 0:
        raise RuntimeError("the gateway did not stop cleanly")
    processes.all.remove(gateway)
    for sink, _ in sinks:
        processes.stop(sink)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT / "bench/corpus")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--destinations", default="1,2,3")
    parser.add_argument("--sync", default="always")
    parser.add_argument("--outage", type=float, default=0, help="seconds; after the measurement")
    parser.add_argument("--outage-rate", type=float, default=400, help="requests a second in it")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    processes = Processes()
    rows = []
    try:
        with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
            for n in args.destinations.split(","):
                for sync in args.sync.split(","):
                    rows.append(run(args, int(n), sync, processes, pathlib.Path(folder)))
    finally:
        processes.stop_all()
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'dest':>4} {'sync':>7} {'samples/s':>11} {'CPU ns/sample':>14} {'p50 ms':>8} "
          f"{'p99 ms':>8} {'RSS MB':>7} {'peak MB':>8}")
    for r in rows:
        print(f"{r['destinations']:>4} {r['sync']:>7} {r['samples_per_second']:>11.0f} "
              f"{r['cpu_ns_per_sample']:>14.0f} {r['p50_ms']:>8.2f} {r['p99_ms']:>8.2f} "
              f"{r['rss_mb']:>7.1f} {r['peak_rss_mb']:>8.1f}")
        if "outage_rss_mb" in r:
            print(f"     outage: pending {r['pending_after_outage']:.0f} samples, RSS "
                  f"{r['outage_rss_mb']:.1f} MB, peak {r['outage_peak_rss_mb']:.1f} MB, "
                  f"dropped {r['dropped_after_outage']:.0f}")
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        extra = last["destinations"] - first["destinations"]
        if extra:
            each = (last["cpu_ns_per_sample"] - first["cpu_ns_per_sample"]) / extra
            print(f"each further destination: {each:.0f} ns/sample")


if __name__ == "__main__":
    sys.exit(main())
