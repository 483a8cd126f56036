"""The state of a row, read from the files of its run, and the lock of a row."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from gan_kd_ssd.paper.job import Job
from gan_kd_ssd.paper.training_runs import RunProgress, progress, read_json, write_json
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import locked

DONE, RUNNING, STOPPED, FAILED, WAITING = "done", "running", "stopped", "failed", "not started"
NAMES = (DONE, RUNNING, STOPPED, FAILED, WAITING)


@dataclass(frozen=True)
class RowState:
    """The state of a row."""

    name: str  # one of NAMES
    progress: RunProgress | None = None
    seconds_left: float | None = None  # estimated, of a running training
    message: str = ""  # the last line of a running training's log, or why the row failed
    result: dict | None = None  # what `gan-kd eval` measured
    seconds: float | None = None  # duration of the training, None if it was interrupted

    @property
    def ours(self) -> float | None:
        """Measured mAP in percent; for COCO, the mean over IoU 0.5 to 0.95."""
        value = (self.result or {}).get("mAP")
        return None if value is None else 100 * value


def state_of(job: Job) -> RowState:
    """Read the state of a row."""
    running = processes(job)  # read first: what is read later may be newer, but never older
    found = progress(job.files.metrics)
    started, result, done, failed = (
        read_json(job.files.named(f"{name}.json"))
        for name in ("started", "result", "done", "failed")
    )
    if running:
        return RowState(RUNNING, found, _seconds_left(job, found), _last_line(job))
    if failed:
        return RowState(FAILED, found, message=str(failed.get("error", "")))
    if done and result:
        return RowState(DONE, found, result=result, seconds=done.get("seconds"))
    return RowState(STOPPED if started else WAITING, found)


def _seconds_left(job: Job, found: RunProgress | None) -> float | None:
    """Time left at the speed since the running process started."""
    running = read_json(job.file_beside("running.json"))
    done = found.fraction - running["fraction"] if found and running else 0
    return (time.time() - running["began"]) / done * (1 - found.fraction) if done > 0 else None


def _last_line(job: Job) -> str:
    """The last complete line of the log, and its age."""
    try:
        lines = job.files.log.read_text(encoding="utf-8", errors="replace").split("\n")
        age = time.time() - job.files.log.stat().st_mtime
        return f"{duration(age)} ago: {lines[-2][:100]}"
    except (OSError, IndexError):
        return ""


def duration(seconds: float) -> str:
    """A time as hours, minutes and seconds: ``1:05:30``."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


@contextlib.contextmanager
def held(job: Job) -> Iterator[None]:
    """Hold a row for this process; UserError if another process, or the training it left, holds it."""
    others = processes(job)
    who = f"process {others[0]}" if others else "another process"
    busy = f"{job.name}: {who} runs it; see `gan-kd experiments status`"
    if others:
        raise UserError(busy)
    with locked(job.file_beside("lock"), busy=busy):
        try:
            record(job, os.getpid())
            yield
        finally:
            job.file_beside("running.json").unlink(missing_ok=True)


def record(job: Job, *pids: int) -> None:
    """Write which processes run the row, and the progress of its training when they started."""
    found = progress(job.files.metrics)
    known = {"began": time.time(), "fraction": found.fraction if found else 0}
    known["processes"] = [[pid, _started_at(pid)] for pid in pids]
    write_json(job.file_beside("running.json"), known)


def processes(job: Job) -> list[int]:
    """Ids of the living processes that run the row."""
    running = read_json(job.file_beside("running.json")) or {"processes": []}
    # the start time tells whether an id was used again
    return [pid for pid, began in running["processes"] if began and _started_at(pid) == began]


def _started_at(pid: int) -> float | None:
    """Start time of a living process, None if there is none with this id."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
