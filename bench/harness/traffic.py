"""The other commands of tollgate-bench: sinks, load and verdict, as a run uses them."""

import dataclasses
import json
import pathlib
import shutil
import subprocess

from harness.processes import CannotMeasure, VerdictFailed, get, post


@dataclasses.dataclass
class Certificates:
    """A certificate for 127.0.0.1 that is its own authority, for TLS in and out."""
    certificate: pathlib.Path
    key: pathlib.Path
    authority: pathlib.Path

    @staticmethod
    def make(folder):
        if shutil.which("openssl") is None:
            raise CannotMeasure("openssl is missing: `./dev bench` installs it")
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
             "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True)
        return Certificates(certificate, key, certificate)


@dataclasses.dataclass
class Traffic:
    """What the load sends. `rate` in samples a second; 0 = as fast as it is answered."""
    rate: float = 200_000
    seconds: float = 8
    senders: int = 16
    profile: str = "node"
    series: int = 5_000
    samples_per_request: int = 500
    clusters: int = 1
    replicas: int = 1
    tenants: int = 0
    tenant_header: str = ""
    reconnect_every: str = ""
    seed: int = 1

    def arguments(self):
        argv = ["--senders", self.senders, "--seconds", self.seconds, "--profile", self.profile,
                "--series", self.series, "--samples-per-request", self.samples_per_request,
                "--clusters", self.clusters, "--replicas", self.replicas, "--seed", self.seed]
        argv += ["--rate", int(self.rate)] if self.rate else ["--max"]
        if self.tenants:
            argv += ["--tenants", self.tenants, "--tenant-header", self.tenant_header]
        if self.reconnect_every:
            argv += ["--reconnect-every", self.reconnect_every]
        return [str(a) for a in argv]


class Sink:
    """A destination that checks what it gets. Its latency and outages are set while it runs."""

    def __init__(self, tools, family, name, labels=None, allow_unsorted=False, certificates=None,
                 listen=0, tenant_header=""):
        argv = [tools.bench, "sink", "--listen", listen, "--control", 0]
        for label, value in (labels or {}).items():
            argv += ["--require", f"{label}={value}"]
        if allow_unsorted:
            argv.append("--allow-unsorted")
        if certificates:
            argv += ["--tls-cert", certificates.certificate, "--tls-key", certificates.key]
        if tenant_header:
            argv += ["--tenant-header", tenant_header]
        self.family, self.certificates = family, certificates
        self.child = family.start(name, argv, pipe=True)
        line = self.child.stdout.readline()
        try:
            said = json.loads(line)
            self.port = said["port"]
        except (ValueError, KeyError):
            raise CannotMeasure(f"{name} did not say its port; its log ends:\n"
                                f"{self.child.tail()}") from None
        scheme = "https" if certificates else "http"
        self.data = f"{scheme}://127.0.0.1:{self.port}"
        # A port of its own: outages and latencies leave it alone.
        self.base = f"{scheme}://127.0.0.1:{said['control']}"

    def stats(self):
        return json.loads(get(self.base + "/stats"))

    def samples(self):
        return self.stats()["samples"]

    def reset(self):
        post(self.base + "/reset")

    def fault(self, **what):
        """latency=ms, outage="0s+30s", …; what is not named ends."""
        post(self.base + "/fault", json.dumps(what).encode())

    def end(self):
        self.family.end(self.child)


class Load:
    """A running load. Each load of a cell has an --expect file of its own."""

    def __init__(self, tools, family, urls, traffic, expect, certificates=None):
        argv = [tools.bench, "load", *traffic.arguments(), "--expect", expect]
        for url in urls:
            argv += ["--to", url]
        if certificates:
            argv += ["--ca", certificates.authority]
        self.family, self.expect, self.traffic = family, expect, traffic
        self.child = family.start("load", argv, pipe=True)

    def running(self):
        return self.child.process.poll() is None

    def result(self):
        """Waits for the end of the load."""
        lines = self.child.stdout.read().splitlines()
        code = self.child.process.wait()
        log = self.child.tail()
        self.family.end(self.child)
        if code != 0 or not lines:
            raise CannotMeasure(f"the load failed (exit {code}); its log ends:\n{log}")
        return json.loads(lines[-1])

    def described(self, family):
        command = " ".join(["tollgate-bench", *self.child.argv[1:]])
        return command.replace(str(family.folder), "$RUN")


# What a verdict counts that nobody may have. Unsorted labels are no fault where a sink allows them.
WRONG = ["lost", "duplicates", "reordered", "wrong_labels", "wrong_values", "unexpected", "mixed",
         "malformed"]


def verdict(tools, expects, sinks, allow_duplicates=False, allow_reordering=False):
    """What the sinks hold against what was acknowledged: counts. Raises VerdictFailed."""
    argv = [str(tools.bench), "verdict"]
    for expect in expects:
        argv += ["--expect", str(expect)]
    for sink in sinks:
        argv += ["--sink", sink.base if sink.certificates else sink.base.split("//")[1]]
        if sink.certificates:
            argv += ["--ca", str(sink.certificates.authority)]
    if allow_duplicates:
        argv.append("--allow-duplicates")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    try:
        out = json.loads(done.stdout.splitlines()[-1])
        found = {what: sum(sink.get(what, 0) for sink in out["sinks"])
                 for what in [*WRONG, "unsorted"]}
    except (ValueError, KeyError, IndexError):
        raise CannotMeasure(f"no verdict (exit {done.returncode}): {done.stderr.strip()}") from None
    allowed = {"unsorted"}
    allowed |= {"duplicates"} if allow_duplicates else set()
    allowed |= {"reordered"} if allow_reordering else set()
    wrong = {what: n for what, n in found.items() if n and what not in allowed}
    reordering_alone = allow_reordering and found["reordered"] and not wrong
    if wrong or (done.returncode == 1 and not reordering_alone):
        raise VerdictFailed(", ".join(f"{n} {what.replace('_', ' ')}" for what, n in wrong.items())
                            or done.stderr.strip() or "the verdict says no")
    if done.returncode not in (0, 1):
        raise CannotMeasure(f"no verdict: {done.stderr.strip()}")
    return found | {"acknowledged": out["acknowledged"]}
