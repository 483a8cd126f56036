"""Every figure of a run by itself: what it is, when it was taken, and whether it means anything."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from gan_kd_ssd.analysis.epoch_size import EpochSize, epoch_size
from gan_kd_ssd.analysis.phases import epoch_phases
from gan_kd_ssd.analysis.resume import epochs_before
from gan_kd_ssd.logs.log import Log, Run, Segment
from gan_kd_ssd.logs.records import GAN_FIGURES, EpochEnd, Step, Validation

ACTIVE, INACTIVE, DIVERGED = "active", "inactive", "diverged"

SINCE_EPOCH = "mean since the epoch's start"
SINCE_RUN = "mean since the run's start"
ONE_BATCH = "one batch"
LOG_INTERVAL = "mean of one log interval"
ONE_EPOCH = "one epoch"
ONE_VALIDATION = "one validation"
ARTEFACT = "none: the timer had just been reset"

#: GluonCV's script never resets these between epochs (seen in the published Faster R-CNN log).
_NEVER_RESET = ("RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")

#: Adversarial figures that exist where discriminators are trained alone.
_OF_DISCRIMINATORS = ("Loss_D", "Loss_D_real", "Loss_D_fake")


@dataclass(frozen=True)
class Figure:
    """One number of one line.

    ``batch`` is None in the lines of a whole epoch, and ``images`` (seen since the run's start, an
    estimate where the log does not count them) is None where it cannot be known. ``name`` is the
    loss's, ``speed``, ``seconds``, ``mAP``, or ``AP <class>``.
    """

    name: str
    value: float
    state: str
    averaging: str
    epoch: int
    batch: int | None
    images: int | None
    phase: str
    segment: int
    line: int
    kind: str


def _state(name: str, value: float | None, phase: str, kind: str) -> str:
    if value is not None and math.isfinite(value):
        return ACTIVE
    if name in ("speed", "seconds"):  # of no batch, where a run goes on at an epoch's end
        return INACTIVE
    empty = value is None or math.isnan(value)
    if kind == "validation":  # no object of this class in the split
        return INACTIVE if empty and name != "mAP" else DIVERGED
    off = phase == "detection" or (phase == "discriminator" and name not in _OF_DISCRIMINATORS)
    return INACTIVE if empty and off and name in GAN_FIGURES else DIVERGED


def _averaging(record, name: str, usual_speed: float | None, ours: bool) -> str:
    if name == "speed":
        if isinstance(record, EpochEnd):
            odd = usual_speed is not None and record.speed > 100 * usual_speed
            return ARTEFACT if odd else ONE_EPOCH
        return LOG_INTERVAL if ours or record.style == "faster_rcnn" else ONE_BATCH
    if name == "seconds":
        return ONE_EPOCH
    return SINCE_RUN if name in _NEVER_RESET else SINCE_EPOCH


def _values(record) -> Iterator[tuple[str, float | None]]:
    if isinstance(record, Validation):
        for name, value in record.classes.items():
            yield f"AP {name}", value
        if record.mean is not None:
            yield "mAP", record.mean
        return
    yield from record.figures.items()
    for name in ("speed", "seconds"):
        value = getattr(record, name, None)
        if value is not None:
            yield name, value


@dataclass
class _Counter:
    """Images seen at each record of a segment, from what JSON lines tell, else by counting.

    ``offset``: before epoch ``first``, None where unknown. Without ``size`` (the images of an
    epoch) the first epoch can be counted alone.
    """

    first: int
    offset: int | None
    size: EpochSize | None
    batch_size: object
    told: dict[int, int] = field(default_factory=dict)

    def images(self, record) -> int | None:
        if getattr(record, "images", None) is not None:
            self.told[record.epoch] = record.images
            return record.images
        if isinstance(record, Validation) and record.epoch in self.told:
            return self.told[record.epoch]
        gone = record.epoch - self.first
        if self.offset is None or (self.size is None and gone):
            return None
        done = self.offset + (gone * self.size.images if self.size else 0)
        if isinstance(record, Step):
            known = type(self.batch_size) is int and self.batch_size > 0
            return done + (record.batch + 1) * self.batch_size if known else None
        return done + self.size.images if self.size else None


def segment_figures(
    segment: Segment,
    namespace: dict,
    size: EpochSize | None,
    number: int,
    offset: int | None = 0,
) -> list[Figure]:
    """The figures of one segment, the ``number``-th of its run.

    ``offset``: images seen before it, None where unknown.
    """
    phases = epoch_phases(segment, namespace)
    speeds = [entry.record.speed for entry in segment.of(Step)]
    usual = median(speeds) if speeds else None
    first = segment.epochs[0] if segment.epochs else 0
    counter = _Counter(first, offset, size, namespace.get("batch_size"))
    ours = "student" in namespace  # our scripts time a log interval, GluonCV's SSD script a batch
    found = []
    for entry in segment.of(Step, EpochEnd, Validation):
        record = entry.record
        kind = {Step: "step", EpochEnd: "epoch"}.get(type(record), "validation")
        phase = phases.get(record.epoch) or getattr(record, "phase", None) or "detection"
        images = counter.images(record)
        for name, value in _values(record):
            averaging = (
                ONE_VALIDATION if kind == "validation" else _averaging(record, name, usual, ours)
            )
            found.append(
                Figure(
                    name,
                    math.nan if value is None else value,
                    _state(name, value, phase, kind),
                    averaging,
                    record.epoch,
                    getattr(record, "batch", None),
                    images,
                    phase,
                    number,
                    entry.line,
                    kind,
                )
            )
    return found


def run_figures(run: Run, size: EpochSize | None = None) -> list[Figure]:
    """All figures of a run. A segment goes on counting images where the one before it stopped.

    Args:
        size: images of an epoch, where more is known than the run tells.
    """
    size, before, found = size or epoch_size(run), epochs_before(run), []
    offset = before * size.images if size else None if before else 0
    for number, segment in enumerate(run.segments, start=1):
        figures = segment_figures(segment, run.namespace, size, number, offset)
        found += figures
        offset = max((f.images for f in figures if f.images is not None), default=offset)
    return found


def last_trained(log: Log) -> Run | None:
    """The run that a file is about: the last with figures. None where there is none."""
    return next((run for run in reversed(log.runs) if run.trained), None)
