"""Children of a run, and what /proc says about them. Only Python's standard library."""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# The certificates of a run are its own; nothing is checked but that an answer comes.
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


class CannotMeasure(Exception):
    """Something is missing or died, so there is no figure, and nothing to say about a peer."""


class VerdictFailed(Exception):
    """Samples were lost, reordered, repeated or mislabelled: the round has no figure."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, seconds=10):
    with urllib.request.urlopen(url, timeout=seconds, context=UNVERIFIED) as answer:
        return answer.read().decode()


def post(url, body=b"", seconds=10):
    request = urllib.request.Request(url, data=body, method="POST")
    with urllib.request.urlopen(request, timeout=seconds, context=UNVERIFIED) as answer:
        return answer.read().decode()


def die_with_parent():
    """In the child: SIGKILL when the driver goes away, however it goes."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Child:
    """A process with its log. What it prints is read from `stdout` where that is a pipe."""

    def __init__(self, name, argv, folder, pipe=False):
        self.name, self.argv = name, [str(a) for a in argv]
        self.log = pathlib.Path(folder) / f"{name}.log"
        if shutil.which(self.argv[0]) is None:
            raise CannotMeasure(f"{self.argv[0]} is missing: `./dev bench` installs and builds it")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stderr=log, text=True,
                stdout=subprocess.PIPE if pipe else log, cwd=folder,
                start_new_session=True, preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.stdout = self.process.stdout

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "\n".join("    " + line for line in lines) or "    (empty)"

    def check_alive(self):
        if self.process.poll() is not None:
            raise CannotMeasure(f"{self.name} ended early (exit {self.process.returncode}); its "
                                f"log ends:\n{self.tail()}")

    def wait_ready(self, url, seconds=60):
        """Until `url` answers 2xx; returns the seconds that it took."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            self.check_alive()
            try:
                get(url, 1)
                return time.monotonic() - began
            except OSError:
                time.sleep(0.01)
        raise CannotMeasure(f"{self.name} was not ready after {seconds} s; its log ends:\n"
                            f"{self.tail()}")

    def kill(self):
        """SIGKILL, of its children too (nginx has workers)."""
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        if self.stdout:
            self.stdout.close()


class Family:
    """Every child of a run, so that none is left over, however the run ends."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []

    def start(self, name, argv, pipe=False):
        child = Child(name, argv, self.folder, pipe)
        self.children.append(child)
        return child

    def end(self, child):
        child.kill()
        if child in self.children:
            self.children.remove(child)

    def end_all(self):
        for child in list(self.children):
            self.end(child)


# --- /proc ----------------------------------------------------------------------------------------


def with_children(pid):
    out, todo = [], [pid]
    while todo:
        one = todo.pop()
        out.append(one)
        for task in pathlib.Path(f"/proc/{one}/task").iterdir():
            todo += [int(c) for c in (task / "children").read_text().split()]
    return out


def cpu_seconds(pid):
    """CPU time of a process with its children, user and system, by the kernel's accounting.

    The sum of its threads' time in nanoseconds (schedstat); where threads have ended since, or the
    kernel does not count so, utime + stime, which is coarser (1/100 s) but forgets nobody.
    """
    total = 0.0
    for one in with_children(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        coarse = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
        fine = 0
        try:
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                fine += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass  # no such accounting, or a thread that ended while we looked
        fine /= 1e9
        total += fine if fine > coarse - 2 / TICKS_PER_SECOND else coarse
    return total


def memory_mib(pid, key):
    """VmRSS or VmHWM, of the process with its children."""
    total = 0
    for one in with_children(pid):
        for line in pathlib.Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                total += int(line.split()[1])
    return total / 1024


class Sampler:
    """A thread that calls functions every `every` seconds and keeps what they return.

    A function that raises OSError (the process is away just now) leaves a gap. Long runs are
    thinned to at most `kMost` points.
    """
    kMost = 240

    def __init__(self, columns, every=0.25):
        self.columns, self.every = columns, every
        self.rows = []
        self.stopping = threading.Event()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        while not self.stopping.wait(self.every):
            row = [round(time.monotonic() - self.began, 2)]
            for read in self.columns.values():
                try:
                    row.append(round(read(), 2))
                except (OSError, ValueError, KeyError):
                    row.append(None)
            self.rows.append(row)
            if len(self.rows) >= 2 * self.kMost:
                self.rows = self.rows[::2]
                self.every *= 2

    def timeline(self):
        rows = self.rows[::max(1, -(-len(self.rows) // self.kMost))]
        return {name: [row[i] for row in rows]
                for i, name in enumerate(["seconds", *self.columns])}


def wait_until(what, condition, seconds, children=()):
    """Until `condition()`; OSError counts as "not yet"."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for child in children:
            child.check_alive()
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise CannotMeasure(f"gave up waiting for {what} after {seconds:.0f} s")
