"""Processors, memory, and the disk where downloads and runs go."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from gan_kd_ssd.doctor.check import FAIL, OK, WARN, Check
from gan_kd_ssd.util.files import mxnet_home

GB = 1e9
#: A published Faster R-CNN step of one image at 600 x 800 took 3.2 GB (measured on a CPU).
LEAST_MEMORY = 4 * GB
#: VOC 2007 and 2012, archives and pictures together; COCO 2017 takes about ten times as much.
LEAST_DISK = 6 * GB
#: A run keeps weights and states; a state of the published SSD run has both networks' optimizers.
LEAST_RUN_DISK = 1 * GB
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def checks() -> list[Check]:
    """Rows of processors, memory, disk."""
    home = mxnet_home()
    return [
        Check("processors", OK, f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}"),
        _memory(),
        _folder("downloads", home, LEAST_DISK, "name another place: export MXNET_HOME=/path"),
        _folder(
            "runs", Path.cwd(), LEAST_RUN_DISK, "work in another folder, or give --save-prefix"
        ),
    ]


def _memory() -> Check:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {
            name: 1024.0 * int(rest.split()[0]) for name, rest in (x.split(":") for x in lines)
        }
        total, free = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        return Check("memory", WARN, "not known", "/proc/meminfo cannot be read")
    limit = _container_limit()
    found = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    if limit < total:
        found += f", {limit / GB:.1f} GB allowed to this container"
        free = min(free, limit)
    if free < LEAST_MEMORY:
        return Check("memory", WARN, found, "give a smaller --batch-size and fewer --num-workers")
    return Check("memory", OK, found)


def _container_limit() -> float:
    """Bytes that this control group may use; infinite where there is no limit."""
    for file in _LIMITS:
        try:
            return float(Path(file).read_text().strip().replace("max", "inf"))
        except (OSError, ValueError):
            continue
    return float("inf")


def _folder(name: str, folder: Path, least: float, remedy: str) -> Check:
    """Whether files can be written there, and how much there is room for."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
        with tempfile.TemporaryFile(dir=there):  # tried: permission bits do not tell all
            pass
    except OSError as error:
        return Check(name, FAIL, f"{folder}: {there} cannot be written ({error.strerror})", remedy)
    found = f"{folder}: {free / GB:.1f} GB free"
    if free < least:
        return Check(name, WARN, found, f"free some space ({least / GB:.0f} GB), or {remedy}")
    return Check(name, OK, found)
