"""What results say about the machine, and the disk's own fdatasync."""

import os
import pathlib
import platform
import time


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_bytes():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def file_system(path):
    """Type of the file system that holds `path`: that of the longest mount point above it."""
    best, kind = "", "unknown"
    path = os.path.realpath(path)
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, mount, this, *_ = line.split(" ")
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, this
    return kind


def facts(folder):
    """No host name, no address: results are published."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "file_system": file_system(folder),
    }


def percentile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def fdatasync_ms(folder, size, seconds):
    """Append `size` bytes and fdatasync, again and again: how long each sync took, in ms."""
    path = pathlib.Path(folder) / "fdatasync-probe"
    block = os.urandom(max(1, int(size)))
    took = []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            os.write(fd, block)
            before = time.perf_counter()
            os.fdatasync(fd)
            took.append((time.perf_counter() - before) * 1e3)
    finally:
        os.close(fd)
        path.unlink()
    return took
