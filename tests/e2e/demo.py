#!/usr/bin/env python3
"""The demo behind `./dev demo`: real Prometheus servers write through Tollgate to real backends.

    node exporter <- prometheus blue  -- bearer --> tollgate -> prometheus (receiver)
                  <- prometheus green -- basic  -->          -> victoria-metrics

Everything listens on free loopback ports and keeps its state in a temporary folder. A live table
shows what flows. With --for it ends by itself, and exits 0 only if nothing was lost:

  - the ledger closes: accepted = delivered + dropped, with nothing dropped or pending, for every
    tenant and destination;
  - every sample of a choice of series that the two senders hold is in both backends, and nothing
    else, with the enforced `cluster` label in place of the wrong one that blue claims.

Exit codes: 0 fine, 1 a check failed, 2 it could not be checked (a process died, say).
Only Python's standard library.
"""

import argparse
import collections
import ctypes
import json
import math
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SENDERS = {"blue": "team-blue", "green": "team-green"}  # source -> tenant
DESTINATIONS = ["prometheus", "victoriametrics"]
# The series that are compared sample by sample: gauges, counters, and the scrape's own.
COMPARED = "up|scrape_samples_scraped|node_cpu_seconds_total|node_memory_MemFree_bytes"
OUTAGE_SECONDS = 15
RATE_WINDOW_SECONDS = 10  # two scrapes
# A well-known password and its bcrypt hash (cost 5, to keep the demo light on small machines).
GREEN_PASSWORD = "a demo on loopback"
GREEN_BCRYPT = "$2b$05$z2rhryecsS41oldZJ1opSekEwm/n60TIdA64KQJ1LeadHUUqARbuW"


class Failed(Exception):
    """A check came out wrong."""


class CannotCheck(Exception):
    """Something else went wrong, so there is nothing to say about Tollgate's ledger."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


# --- processes and HTTP ---------------------------------------------------------------------------


def die_with_parent():
    """In the child: SIGKILL when the driver goes away, however it goes."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Child:
    """A process of the demo with its port and log. Started again under the same port and state."""

    def __init__(self, name, argv, port, ready_path, state):
        self.name, self.argv, self.port, self.ready_path = name, argv, port, ready_path
        self.url = f"http://127.0.0.1:{port}"
        self.log = state / f"{name}.log"
        self.process = None
        self.wanted = False  # running is what it should be doing

    def start(self):
        if shutil.which(self.argv[0]) is None:
            raise CannotCheck(f"{self.argv[0]} is missing: `./dev demo` installs and builds it")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent)
        self.wanted = True

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                get(self.url + self.ready_path)
                return
            except OSError:
                time.sleep(0.1)
        raise CannotCheck(f"{self.name} was not ready after {seconds} s; its log ends:\n{self.tail()}")

    def check_alive(self):
        if self.wanted and self.process.poll() is not None:
            raise CannotCheck(f"{self.name} ended early ({exit_words(self.process.returncode)}); "
                              f"its log ends:\n{self.tail()}")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=20):
        """SIGTERM, then SIGKILL. True if it went by itself, with exit code 0 or the signal's."""
        if self.process is None:
            return True
        self.wanted = False
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return False
        return self.process.returncode in (0, -signal.SIGTERM)

    def tail(self, lines=20):
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join("    " + line[:300] for line in text) or "    (empty)"


def exit_words(code):
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def get(url, timeout=5.0, **query):
    if query:
        url += "?" + urllib.parse.urlencode(query)
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def api(child, path, **query):
    answer = json.loads(get(child.url + path, timeout=30.0, **query))
    if answer.get("status") != "success":
        raise CannotCheck(f"{child.name}{path} answered {answer}")
    return answer["data"]


def free_ports(count):
    """Ports nobody listens on, below the range from which the kernel takes outgoing ones."""
    held, ports = [], []
    while len(ports) < count:
        candidate = random.randrange(20000, 32000)
        try:
            s = socket.socket()
            s.bind(("127.0.0.1", candidate))
        except OSError:
            s.close()
            continue
        held.append(s)
        if candidate not in ports:
            ports.append(candidate)
    for s in held:
        s.close()
    return ports


SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape of a text exposition."""

    def __init__(self, child):
        self.samples = collections.defaultdict(list)
        for line in get(child.url + "/metrics").decode().splitlines():
            m = SAMPLE.match(line)
            if m:
                self.samples[m[1]].append((dict(LABEL.findall(m[2] or "")), float(m[3])))

    def sum(self, name, **labels):
        return sum(v for have, v in self.samples[name] if labels.items() <= have.items())

    def max(self, name, **labels):
        return max((v for have, v in self.samples[name]
                    if labels.items() <= have.items() and not math.isnan(v)), default=0.0)


# --- the demo -------------------------------------------------------------------------------------


class Demo:
    def __init__(self, options, state):
        self.options, self.state = options, state
        ports = free_ports(7)
        node, blue, green, tollgate, admin, sink, vm = ports
        self.tollgate_port = tollgate
        self.values = {
            "STATE": state, "TOLLGATE_PORT": tollgate, "ADMIN_PORT": admin,
            "PROMETHEUS_PORT": sink, "VICTORIAMETRICS_PORT": vm,
        }
        self.scrapes = {
            "blue": {"node": node, "prometheus": blue, "tollgate": admin},
            "green": {"node": node, "prometheus": green},
        }
        self.write_private("blue.token", secrets.token_hex(16))
        self.write_private("green.password", GREEN_PASSWORD)
        self.write_private("green.bcrypt", GREEN_BCRYPT)
        self.render("tollgate.yml")
        self.render("backend.yml")
        for name in SENDERS:
            self.render_sender(name, scraping=True)

        def prometheus(name, config, port, *flags):
            return Child(name, [
                "prometheus", f"--config.file={state}/{config}",
                f"--storage.tsdb.path={state}/{name}", f"--web.listen-address=127.0.0.1:{port}",
                *flags], port, "/-/ready", state)

        self.backends = {
            "prometheus": prometheus("prometheus", "backend.yml", sink,
                                     "--web.enable-remote-write-receiver"),
            "victoriametrics": Child("victoriametrics", [
                "victoria-metrics", f"-storageDataPath={state}/victoriametrics",
                f"-httpListenAddr=127.0.0.1:{vm}", "-retentionPeriod=1d",
                "-search.latencyOffset=0s"], vm, "/health", state),
        }
        self.node = Child("node-exporter", [
            "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}"],
            node, "/metrics", state)
        self.tollgate = Child("tollgate", [
            str(options.binary), "serve", f"--config.file={state}/tollgate.yml"],
            admin, "/-/ready", state)
        self.senders = {
            name: prometheus(f"sender-{name}", f"{name}.yml", port,
                             "--storage.remote.flush-deadline=5s")
            for name, port in (("blue", blue), ("green", green))}
        self.children = [self.node, *self.backends.values(), self.tollgate,
                         *self.senders.values()]
        self.history = collections.deque()  # (time, accepted by source, delivered by destination)
        self.drawn_lines = 0
        self.outage = None

    def write_private(self, name, text):
        path = self.state / name
        path.write_text(text + "\n")
        path.chmod(0o600)

    def render(self, name, **more):
        template = string.Template((ROOT / "configs" / "demo" / name).read_text())
        # `${…}` in the comment of a template is text, so unknown names stay.
        (self.state / name).write_text(template.safe_substitute(self.values, **more))

    def render_sender(self, name, scraping):
        jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                for job, port in self.scrapes[name].items()] if scraping else []
        self.render(f"{name}.yml", SCRAPE_CONFIGS=json.dumps(jobs))  # JSON is YAML

    # --- running ---

    def run(self):
        self.started = time.time()
        for child in (self.node, *self.backends.values(), self.tollgate):
            child.start()
        for child in (self.node, *self.backends.values(), self.tollgate):
            child.wait_ready()
        for child in self.senders.values():
            child.start()
        for child in self.senders.values():
            child.wait_ready()
        self.print_urls()

        began = time.monotonic()
        end = began + self.options.seconds if self.options.seconds else math.inf
        if self.options.outage:
            length = self.options.seconds or 90
            self.outage = Outage(self, self.options.outage, began + max(10, length / 3))
        terminal = sys.stdout.isatty()
        next_line = began
        while time.monotonic() < end:
            for child in self.children:
                child.check_alive()
            if self.outage:
                self.outage.step()
            snapshot = self.snapshot()
            if terminal:
                self.draw_table(snapshot, time.monotonic() - began)
            elif time.monotonic() >= next_line:
                self.print_line(snapshot, time.monotonic() - began)
                next_line += 5
            time.sleep(1)
        if self.outage:
            self.outage.finish()
        self.verify()

    def snapshot(self):
        """What one scrape of Tollgate and one of each sender say now."""
        m, now = Metrics(self.tollgate), time.time()
        oldest = "tollgate_destination_oldest_pending_timestamp_seconds"
        sources, destinations = {}, {}
        for name, tenant in SENDERS.items():
            sender = Metrics(self.senders[name])
            appended = sender.max("prometheus_remote_storage_highest_timestamp_in_seconds")
            sent = sender.max("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")
            sources[name] = {
                "tenant": tenant,
                "total": m.sum("tollgate_accepted_samples_total", source=name),
                "bad": m.sum("tollgate_rejected_samples_total", source=name),
                "pending": sender.sum("prometheus_remote_storage_samples_pending"),
                "lag": max(0.0, appended - sent) if sent else 0.0,
            }
        for name in DESTINATIONS:
            since = m.max(oldest, destination=name)
            destinations[name] = {
                "tenant": "all",
                "total": m.sum("tollgate_delivered_samples_total", destination=name),
                "bad": m.sum("tollgate_dropped_samples_total", destination=name),
                "pending": m.sum("tollgate_pending_samples", destination=name),
                "lag": max(0.0, now - since) if since > 0 else 0.0,
            }
        rows = {("source", n): r for n, r in sources.items()}
        rows.update({("destination", n): r for n, r in destinations.items()})
        self.history.append((now, {key: row["total"] for key, row in rows.items()}))
        while now - self.history[0][0] > RATE_WINDOW_SECONDS:
            self.history.popleft()
        then, before = self.history[0]
        for key, row in rows.items():
            row["rate"] = (row["total"] - before[key]) / (now - then) if now > then else 0.0
        return rows

    def print_urls(self):
        print(f"""
  node exporter                 {self.node.url}/metrics
  Prometheus blue (bearer)      {self.senders['blue'].url}/
  Prometheus green (basic)      {self.senders['green'].url}/
    both remote_write to        http://127.0.0.1:{self.tollgate_port}/api/v1/write
  Tollgate metrics              {self.tollgate.url}/metrics
  Tollgate ledger               {self.tollgate.url}/api/v1/status/ledger
  destination prometheus        {self.backends['prometheus'].url}/graph?g0.expr=up&g0.tab=1
  destination victoriametrics   {self.backends['victoriametrics'].url}/vmui/?#/?g0.expr=up&g0.tab=1
  logs and state                {self.state}
""", flush=True)

    def draw_table(self, rows, elapsed):
        ends = f" of {clock(self.options.seconds)}" if self.options.seconds else ", Ctrl-C ends it"
        lines = [f"  running {clock(elapsed)}{ends}{self.outage_words()}", "",
                 f"  {'source':<17}{'tenant':<12}{'samples/s':>10}{'accepted':>12}"
                 f"{'rejected':>10}{'pending':>10}{'lag':>8}   (pending and lag: at the sender)"]
        for (kind, name), row in rows.items():
            if kind == "destination" and name == DESTINATIONS[0]:
                lines += ["", f"  {'destination':<17}{'tenants':<12}{'samples/s':>10}"
                              f"{'delivered':>12}{'dropped':>10}{'pending':>10}{'lag':>8}"]
            lines.append(f"  {name:<17}{row['tenant']:<12}{row['rate']:>10.0f}{row['total']:>12.0f}"
                         f"{row['bad']:>10.0f}{row['pending']:>10.0f}{row['lag']:>7.1f}s")
        up = f"\033[{self.drawn_lines}A" if self.drawn_lines else ""
        width = shutil.get_terminal_size().columns - 1  # a wrapped line would break the redrawing
        print(up + "".join(f"\r\033[K{line[:width]}\n" for line in lines), end="", flush=True)
        self.drawn_lines = len(lines)

    def print_line(self, rows, elapsed):
        cells = [f"{name} {row['rate']:.0f}/s pending {row['pending']:.0f} lag {row['lag']:.1f}s"
                 for (_, name), row in rows.items()]
        print(f"{clock(elapsed)} | " + " | ".join(cells) + self.outage_words(), flush=True)

    def outage_words(self):
        return f"  ({self.outage.words})" if self.outage and self.outage.words else ""

    # --- the proof at the end ---

    def verify(self):
        print("\nstopping the scrapes and waiting for the senders to send what they have",
              flush=True)
        for name, child in self.senders.items():
            self.render_sender(name, scraping=False)
            child.signal(signal.SIGHUP)
        wait_until(30, "the senders had sent everything", self.senders_idle)
        held = {name: raw_samples(child, f'{{__name__=~"{COMPARED}"}}', self.started)
                for name, child in self.senders.items()}
        acknowledged = 0
        for name, child in self.senders.items():
            m = Metrics(child)
            failed = m.sum("prometheus_remote_storage_samples_failed_total")
            if failed:
                raise Failed(f"Tollgate refused {failed:.0f} samples of {name}; the sender's log "
                             f"ends:\n{child.tail()}")
            acknowledged += (m.sum("prometheus_remote_storage_samples_total")
                             - m.sum("prometheus_remote_storage_samples_retried_total"))
        for child in self.senders.values():
            child.stop()

        print("waiting for Tollgate to deliver everything", flush=True)
        wait_until(60, "nothing was pending", lambda: self.nothing_pending(acknowledged))
        self.verify_ledger(acknowledged)
        for backend in self.backends.values():
            verify_backend(backend, held, self.started)
        if not self.tollgate.stop():
            raise Failed("Tollgate did not end properly on SIGTERM; its log ends:\n"
                         + self.tollgate.tail())
        print("\nPASS: the ledger closes, and both backends hold what the senders hold")

    def senders_idle(self):
        for child in self.senders.values():
            m = Metrics(child)
            if (m.sum("prometheus_remote_storage_samples_pending") > 0
                    or m.max("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")
                    < m.max("prometheus_remote_storage_highest_timestamp_in_seconds")):
                return False
        return True

    def nothing_pending(self, acknowledged):
        m = Metrics(self.tollgate)
        return (m.sum("tollgate_pending_samples") == 0
                and m.sum("tollgate_accepted_samples_total") >= acknowledged)

    def verify_ledger(self, acknowledged):
        m = Metrics(self.tollgate)
        print(f"\n  {'tenant':<12}{'destination':<17}{'accepted':>10} ={'delivered':>10} +"
              f"{'dropped':>8} +{'pending':>8}")
        problems = []
        for tenant in SENDERS.values():
            accepted = m.sum("tollgate_accepted_samples_total", tenant=tenant)
            if accepted == 0:
                problems.append(f"nothing was accepted from {tenant}")
            for name in DESTINATIONS:
                which = {"tenant": tenant, "destination": name}
                delivered = m.sum("tollgate_delivered_samples_total", **which)
                dropped = m.sum("tollgate_dropped_samples_total", **which)
                pending = m.sum("tollgate_pending_samples", **which)
                closes = accepted == delivered + dropped + pending
                print(f"  {tenant:<12}{name:<17}{accepted:>10.0f} ={delivered:>10.0f} +"
                      f"{dropped:>8.0f} +{pending:>8.0f}   {'closes' if closes else 'DIFFERS'}")
                if not closes or dropped or pending:
                    problems.append(f"the ledger of {tenant} at {name} is not clean")
        rows = api(self.tollgate, "/api/v1/status/ledger")["destinations"]
        named = {(row["tenant"], row["destination"]) for row in rows}
        if named != {(t, d) for t in SENDERS.values() for d in DESTINATIONS}:
            problems.append(f"the ledger API has rows for {sorted(named)}")
        for row in rows:
            which = {"tenant": row["tenant"], "destination": row["destination"]}
            if (row["delivered"] != m.sum("tollgate_delivered_samples_total", **which)
                    or row["accepted"] != row["delivered"] or not row["closes"]):
                problems.append(f"the ledger API does not agree with the metrics: {row}")
        total = m.sum("tollgate_accepted_samples_total")
        print(f"  the senders count {acknowledged:.0f} acknowledged samples, "
              f"Tollgate {total:.0f} accepted\n", flush=True)
        if total < acknowledged:
            problems.append("samples were acknowledged that the ledger does not know")
        if problems:
            raise Failed("; ".join(problems))


class Outage:
    """Takes one backend away for 15 s in the middle, and sees that the other one does not mind."""

    def __init__(self, demo, kind, at):
        self.demo, self.kind, self.at, self.phase, self.words = demo, kind, at, "before", ""
        self.victim = "prometheus" if kind == "restart" else "victoriametrics"
        self.other = next(name for name in DESTINATIONS if name != self.victim)

    def step(self):
        now, backend = time.monotonic(), self.demo.backends[self.victim]
        if self.phase == "before" and now >= self.at:
            self.before = self.demo.snapshot()
            if self.kind == "restart":
                backend.stop()
            else:
                backend.signal(signal.SIGSTOP)
            self.phase, self.words = "during", f"{self.victim} is away"
        elif self.phase == "during" and now >= self.at + OUTAGE_SECONDS:
            self.judge(self.demo.snapshot())
            if self.kind == "restart":
                backend.start()
                backend.wait_ready()
            else:
                backend.signal(signal.SIGCONT)
            self.phase, self.words = "after", f"{self.victim} is back"

    def judge(self, after):
        """At the end of the outage the backlog is the victim's alone."""
        gained = {name: after["destination", name]["total"] - self.before["destination", name]["total"]
                  for name in DESTINATIONS}
        waiting = after["destination", self.victim]["pending"]
        if gained[self.other] <= 0:
            raise Failed(f"while {self.victim} was away, {self.other} got nothing")
        if waiting <= 0:
            raise Failed(f"after {OUTAGE_SECONDS} s without {self.victim} nothing is pending for it")
        print(f"  outage: {self.other} went on ({gained[self.other]:.0f} samples), "
              f"{waiting:.0f} wait for {self.victim}", flush=True)
        self.demo.drawn_lines = 0

    def finish(self):
        if self.phase != "after":
            raise CannotCheck("the demo was too short for the outage: use --for 40s or more")


def raw_samples(child, selector, since, **replace):
    """{label set: {timestamp ms: value}} of what a server holds. `replace` overrides labels."""
    end = time.time()
    window = min(int(end - since) + 60, 3600)
    data = api(child, "/api/v1/query", query=f"{selector}[{window}s]", time=f"{end:.3f}", nocache=1)
    result = {}
    for series in data["result"]:
        labels = frozenset({**series["metric"], **replace}.items())
        result[labels] = {round(float(t) * 1000): float(v) for t, v in series["values"]
                          if float(t) > end - 3500}
    return {labels: values for labels, values in result.items() if values}


def verify_backend(backend, held, since):
    """Every sample the senders hold is in the backend under the enforced label, and no other."""
    expected = {}
    for name, samples in held.items():
        more = {"cluster": name}
        if name == "blue":
            more["prometheus_replica"] = "blue-0"
        for labels, values in samples.items():
            expected[frozenset({**dict(labels), **more}.items())] = values
    problem = ""

    def same():
        nonlocal problem
        found = raw_samples(backend, f'{{__name__=~"{COMPARED}"}}', since)
        problem = difference(expected, found)
        return not problem

    try:
        wait_until(30, "", same)  # VictoriaMetrics shows new samples after a second or so
    except Failed:
        raise Failed(f"{backend.name} does not hold what the senders hold: {problem}") from None
    clusters = {s.get("cluster") for s in
                api(backend, "/api/v1/series", **{"match[]": "up", "start": int(since) - 60,
                                                  "end": int(time.time()) + 60})}
    if clusters != set(SENDERS):
        raise Failed(f"`up` at {backend.name} has the cluster labels {clusters}")
    spoofed = api(backend, "/api/v1/series", **{"match[]": '{cluster="spoofed"}',
                                                "start": int(since) - 60,
                                                "end": int(time.time()) + 60})
    if spoofed:
        raise Failed(f"{backend.name} has series with the spoofed label: {spoofed[0]}")
    count = sum(len(values) for values in expected.values())
    print(f"  {backend.name}: up has cluster {sorted(clusters)}, none spoofed; "
          f"{count} samples of {len(expected)} series compared with the senders: equal", flush=True)


def difference(expected, found):
    """Words for the first difference between two results of raw_samples; empty if there is none."""
    if not expected:
        return "the senders hold nothing"
    for labels in expected.keys() - found.keys():
        return f"{len(expected.keys() - found.keys())} series are missing, one is {dict(labels)}"
    for labels in found.keys() - expected.keys():
        return f"unexpected series {dict(labels)}"
    for labels, values in expected.items():
        have = found[labels]
        if values.keys() != have.keys():
            return (f"{dict(labels)}: {len(values.keys() - have.keys())} samples missing, "
                    f"{len(have.keys() - values.keys())} unexpected")
        for t, v in values.items():
            # VictoriaMetrics keeps decimals, not doubles.
            if not math.isclose(v, have[t], rel_tol=1e-9):
                return f"{dict(labels)} at {t}: {have[t]} instead of {v}"
    return ""


def wait_until(seconds, what, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"after {seconds} s it was still not so that {what}")
        time.sleep(0.5)


def words_of_dead_children(demo):
    """A refused connection mostly means that somebody died: then that is the news."""
    for child in demo.children if demo else []:
        try:
            child.check_alive()
        except CannotCheck as problem:
            return str(problem)
    return ""


def clock(seconds):
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def duration(text):
    m = re.fullmatch(r"(\d+)(s|m|h)?", text)
    if not m:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 60s or 5m")
    return int(m[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[m[2]]


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.split("\n")[0])
    parser.add_argument("--for", dest="seconds", type=duration, metavar="DURATION",
                        help="end after 60s, 5m, … and check that nothing was lost")
    parser.add_argument("--outage", nargs="?", const="restart", choices=["restart", "pause"],
                        help="take a backend away for 15 s: restart (default) stops Prometheus, "
                             "pause freezes VictoriaMetrics")
    parser.add_argument("--keep", action="store_true", help="keep the state and the logs")
    parser.add_argument("--binary", type=pathlib.Path,
                        default=ROOT / "build" / "release" / "bin" / "tollgate")
    options = parser.parse_args()
    options.binary = options.binary.resolve()

    def interrupt(number, frame):
        raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    state = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-demo-"))
    demo, code = None, 0
    try:
        demo = Demo(options, state)
        demo.run()
    except Interrupted:
        print("\ninterrupted: stopping")
        code = 130 if options.seconds else 0
    except Failed as problem:
        print(f"\nFAIL: {problem}\nTollgate's log ends:\n{demo.tollgate.tail()}")
        code = 1
    except (CannotCheck, OSError, ValueError) as problem:
        print(f"\nCANNOT CHECK: {words_of_dead_children(demo) or problem}")
        code = 2
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for child in reversed(demo.children if demo else []):
            child.stop(seconds=10)
        if options.keep:
            print(f"state and logs are in {state}")
        else:
            shutil.rmtree(state, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
