"""A run that goes on where an earlier one stopped, put together with it where one file holds both."""

from __future__ import annotations

import math
from pathlib import Path

from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.logs.log import Entry, Log, Run, Segment
from gan_kd_ssd.logs.records import EpochEnd, Start, Step, Validation

_FIGURES = (Step, EpochEnd, Validation)
_STATE = "_state.zip"


def _place(record) -> tuple[float, float, int]:
    """Where in a training a record of figures was taken: the larger, the later."""
    if isinstance(record, Step):
        return record.epoch, record.batch, 0
    return record.epoch, math.inf, int(isinstance(record, Validation))


def _first(run: Run) -> tuple[float, float, int]:
    return next(_place(entry.record) for entry in run.of(*_FIGURES))


def _goes_on_at(run: Run) -> tuple[float, float, int]:
    """The place from which on a resumed run tells what happened.

    A state may stand in the middle of an epoch; weights alone begin the epoch of the Start line.
    """
    start = next(run.of(Start), None)
    if start is None or str(run.namespace["resume"]).endswith(".zip"):
        return _first(run)
    return start.record.epoch, -1, 0


def _may_be_of(run: Run, before: Run) -> bool:
    """Whether ``run`` may resume ``before``, by the names of their files."""
    prefix = before.namespace.get("save_prefix")
    if prefix != run.namespace.get("save_prefix"):
        return False
    state = Path(str(run.namespace["resume"])).name
    named = isinstance(prefix, str) and prefix and not prefix.endswith("/")
    return not (named and state.endswith(_STATE)) or state == Path(prefix).name + _STATE


def resumed(log: Log, run: Run) -> Run | None:
    """The earlier run of the same file that ``run`` resumes; None where there is none."""
    if not run.namespace.get("resume") or not run.trained:
        return None
    place = _goes_on_at(run)
    earlier = log.runs[: log.number(run) - 1]
    earlier = [before for before in earlier if before.trained and _may_be_of(run, before)]
    return next((before for before in reversed(earlier) if _first(before) < place), None)


def with_resumed(log: Log, run: Run) -> Run:
    """``run`` together with the earlier runs of the file that it resumes.

    What was trained again after an interruption counts once, as trained last.
    """
    before = resumed(log, run)
    if before is None:
        return run
    place = _goes_on_at(run)
    cut = (_until(segment, place) for segment in with_resumed(log, before).segments)
    kept = [entries for entries in cut if entries]
    if not kept:
        return run
    *whole, last = kept
    joined = [*map(Segment, whole), Segment(last + run.segments[0].entries)]
    return Run(run.start, (*joined, *run.segments[1:]))


def _until(segment: Segment, place: tuple[float, float, int]) -> tuple[Entry, ...]:
    """The entries of a segment before the first at or after ``place``."""
    for index, entry in enumerate(segment.entries):
        record = entry.record
        later = getattr(record, "epoch", place[0]) > place[0]
        if later or (isinstance(record, _FIGURES) and _place(record) >= place):
            return segment.entries[:index]
    return segment.entries


def epochs_before(run: Run) -> int:
    """Epochs trained before the first that ``run`` tells of; above 0 in a resumed run alone.

    A state goes on in the count of its run; ``start_epoch`` of a run that begins with weights says
    how many epochs they have seen.
    """
    options = run.namespace
    first = next((segment.epochs[0] for segment in run.segments if segment.epochs), 0)
    if not options.get("resume"):
        return 0
    origin = 1 if "lrD" in options and kind_of(options) != "faster_rcnn" else 0
    if str(options["resume"]).endswith(".zip") and isinstance(options.get("start_epoch"), int):
        origin = options["start_epoch"]
    return max(0, first - origin)
