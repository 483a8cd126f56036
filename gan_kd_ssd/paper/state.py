"""How far a row is, from the files of its run alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.paper.job import Job
from gan_kd_ssd.paper.trainings import Progress, progress, read_json
from gan_kd_ssd.util.errors import UserError

DONE, RUNNING, STOPPED, FAILED, WAITING = "done", "running", "stopped", "failed", "not begun"


@dataclass(frozen=True)
class State:
    """How far a row is.

    Attributes:
        name: one of the five above. progress: None before the first epoch. seconds_left: of what is
        running. told: the last line of its log, or why it failed. quiet_for: seconds since that line.
        result: what eval_voc.py measured. seconds: that the training took, None where it was stopped.
    """

    name: str
    progress: Progress | None = None
    seconds_left: float | None = None
    told: str = ""
    quiet_for: float | None = None
    result: dict | None = None
    seconds: float | None = None

    @property
    def ours(self) -> float | None:
        """Measured mAP in percent; COCO's is the mean over IoU 0.5 to 0.95."""
        value = self.result and self.result.get("mAP")
        return None if value is None else 100 * value


def state_of(job: Job) -> State:
    """How far a row is."""
    running = is_running(job)  # asked first: what is read after it may be newer, never older
    found, result = progress(job.metrics), read_json(job.file("result.json"))
    if running:
        told, quiet_for = _last_line(job.log)
        return State(RUNNING, found, _left(job, found), told, quiet_for)
    done, failed = read_json(job.file("done.json")), read_json(job.file("failed.json"))
    if failed:
        return State(FAILED, found, told=failed["error"])
    if done and result:
        return State(DONE, found, result=result, seconds=done.get("seconds"))
    return State(STOPPED if job.file("started.json").exists() else WAITING, found)


def _left(job: Job, found: Progress | None) -> float | None:
    """Seconds left, at the speed since the process that is running began."""
    session = read_json(job.file("session.json"))
    if not (found and session):
        return None
    done = found.fraction - session["fraction"]
    return (time.time() - session["began"]) / done * (1 - found.fraction) if done > 0 else None


def _last_line(path: Path) -> tuple[str, float | None]:
    """The last whole line of a log, and the seconds since it was written."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 4096))
            lines = file.read().decode(errors="replace").split("\n")[:-1]
        return (lines[-1] if lines else ""), max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return "", None


@contextlib.contextmanager
def locked(job: Job) -> Iterator[int]:
    """Hold the row's lock; gives the file descriptor, which a child that inherits it holds as well.

    So the lock stands as long as somebody trains the row, even where the process that began it was
    killed.

    Raises:
        UserError: another process trains it.
    """
    with open(job.lock, "w") as file:
        for attempt in range(20):  # who asks whether it is running holds it for a moment
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 19:
                    raise UserError(
                        f"{job.name}: another process is at it; `gan-kd experiments "
                        "status` shows how far"
                    ) from None
                time.sleep(0.05)
        yield file.fileno()


def is_running(job: Job) -> bool:
    """Whether a process trains or measures the row."""
    try:
        with open(job.lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # nobody has begun it
    return False
