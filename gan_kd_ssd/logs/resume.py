"""Resumed runs, joined with the runs that they continue if one file contains both."""

from __future__ import annotations

from pathlib import Path

from gan_kd_ssd.logs.log import FIGURES, Entry, Log, Run, Segment, position
from gan_kd_ssd.logs.records import Start

_STATE = "_state.zip"


def _first(run: Run) -> tuple:
    return next(position(entry.record) for entry in run.of(*FIGURES))


def _resumed_at(run: Run) -> tuple:
    """The position at which a resumed run continues.

    A state may have been saved within an epoch. A run from weights begins with the epoch of its Start
    line.
    """
    start = next(run.of(Start), None)
    if start is None or str(run.namespace["resume"]).endswith(".zip"):
        return _first(run)
    return start.record.epoch, -1, 0


def _may_continue(run: Run, before: Run) -> bool:
    """Whether ``run`` may resume ``before``, by the names of their files."""
    prefix = before.namespace.get("save_prefix")
    if prefix != run.namespace.get("save_prefix"):
        return False
    state = Path(str(run.namespace["resume"])).name
    named = isinstance(prefix, str) and prefix and not prefix.endswith("/")
    return not (named and state.endswith(_STATE)) or state == Path(prefix).name + _STATE


def resumed(log: Log, run: Run) -> Run | None:
    """Find the earlier run of the same file that ``run`` resumes; None if there is none."""
    if not run.namespace.get("resume") or not run.trained:
        return None
    at = _resumed_at(run)
    earlier = log.runs[: log.number(run) - 1]
    earlier = [before for before in earlier if before.trained and _may_continue(run, before)]
    return next((before for before in reversed(earlier) if _first(before) < at), None)


def with_resumed(log: Log, run: Run) -> Run:
    """Join ``run`` with the earlier runs of the file that it resumes.

    Epochs that were trained again after an interruption are included once, as trained last.
    """
    before = resumed(log, run)
    if before is None:
        return run
    at = _resumed_at(run)
    cut = (_until(segment, at) for segment in with_resumed(log, before).segments)
    kept = [entries for entries in cut if entries]
    if not kept:
        return run
    *whole, last = kept
    joined = [*map(Segment, whole), Segment(last + run.segments[0].entries)]
    return Run(run.start, (*joined, *run.segments[1:]))


def _until(segment: Segment, at: tuple) -> tuple[Entry, ...]:
    """The entries of a segment before the first one at or after a position."""
    for index, entry in enumerate(segment.entries):
        record = entry.record
        later = getattr(record, "epoch", at[0]) > at[0]
        if later or (isinstance(record, FIGURES) and position(record) >= at):
            return segment.entries[:index]
    return segment.entries
