"""The figures of a run, one by one: what each of them is, its place in the run, and its state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gan_kd_ssd.analysis.epoch_size import EpochSize, epoch_size
from gan_kd_ssd.analysis.phases import epoch_phases
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.logs.log import FIGURES, Run, Segment
from gan_kd_ssd.logs.records import GAN_FIGURES, Step, Validation

#: What a figure measures.
LOSS, MAP, CLASS_AP, SPEED, SECONDS = "loss", "mAP", "AP", "speed", "seconds"
#: Whether a figure has a meaning. Inactive figures are those of parts that were not trained.
ACTIVE, INACTIVE, DIVERGED = "active", "inactive", "diverged"

#: Adversarial figures that exist while only the discriminators are trained.
_OF_DISCRIMINATORS = ("Loss_D", "Loss_D_real", "Loss_D_fake")


@dataclass(frozen=True)
class Place:
    """The place of a figure in its run and in the log, with segments and lines counted from 1.

    Attributes:
        record: Type of its record: Step, EpochEnd or Validation.
        images: Images seen since the start of the run; an estimate if the log does not count them.
        whole: Whether the epoch is complete; False in the last epoch of an unfinished run.
    """

    record: type
    phase: str
    epoch: int
    images: float | None
    segment: int
    line: int
    whole: bool


@dataclass(frozen=True)
class Figure:
    """One number of a log.

    Attributes:
        kind: LOSS, MAP, CLASS_AP, SPEED or SECONDS.
        name: Name of the loss or of the class; otherwise the same as ``kind``.
        state: ACTIVE, INACTIVE or DIVERGED.
    """

    kind: str
    name: str
    value: float
    state: str
    place: Place

    @property
    def label(self) -> str:
        """The name for display, such as ``AP person``."""
        return f"{self.kind} {self.name}" if self.kind == CLASS_AP else self.name


def _state(kind: str, name: str, value: float | None, phase: str) -> str:
    if value is not None and math.isfinite(value):
        return ACTIVE
    if kind in (SPEED, SECONDS):  # a run that is resumed at the end of an epoch times no batch
        return INACTIVE
    empty = value is None or math.isnan(value)
    if kind == CLASS_AP:  # the split has no object of the class
        return INACTIVE if empty else DIVERGED
    off = phase == "detection" or (phase == "discriminator" and name not in _OF_DISCRIMINATORS)
    return INACTIVE if empty and off and name in GAN_FIGURES else DIVERGED


def _values(record) -> Iterator[tuple[str, str, float | None]]:
    """Kind, name and value of each figure of a record."""
    if isinstance(record, Validation):
        for name, value in record.classes.items():
            yield CLASS_AP, name, value
        if record.mean is not None:
            yield MAP, MAP, record.mean
        return
    for name, value in record.figures.items():
        yield LOSS, name, value
    for kind in (SPEED, SECONDS):
        value = getattr(record, kind, None)
        if value is not None:
            yield kind, kind, value


def _segment_figures(
    segment: Segment, number: int, namespace: dict, size: EpochSize | None, before: float | None
) -> Iterator[Figure]:
    """The figures of the ``number``-th segment, which begins after ``before`` images."""
    phases = epoch_phases(segment, namespace)
    entries = list(segment.of(*FIGURES))
    first, last = segment.epochs or (0, 0)
    ended = {e.record.epoch for e in entries if not isinstance(e.record, Step)}
    batch_size = namespace.get("batch_size")
    recorded: dict[int, int] = {}

    def seen(record) -> int | None:
        """The images seen at a record; None if unknown. Without a size only one epoch is counted."""
        if getattr(record, "images", None) is not None:
            recorded[record.epoch] = record.images
        if record.epoch in recorded and (
            isinstance(record, Validation) or record.images is not None
        ):
            return recorded[record.epoch]
        epochs = record.epoch - first
        if before is None or (size is None and epochs):
            return None
        done = before + (epochs * size.images if size else 0)
        if isinstance(record, Step):
            known = type(batch_size) is int and batch_size > 0
            return done + (record.batch + 1) * batch_size if known else None
        return done + size.images if size else None

    for entry in entries:
        record = entry.record
        place = Place(
            record=type(record),
            phase=phases.get(record.epoch) or getattr(record, "phase", None) or "detection",
            epoch=record.epoch,
            images=seen(record),
            segment=number,
            line=entry.line,
            whole=record.epoch in ended or record.epoch < last,
        )
        for kind, name, value in _values(record):
            state = _state(kind, name, value, place.phase)
            yield Figure(kind, name, math.nan if value is None else value, state, place)


def run_figures(run: Run, size: EpochSize | None = None) -> list[Figure]:
    """All figures of a run, counted with ``size`` if more is known than the run records."""
    size, before, found = size or epoch_size(run), epochs_before(run), []
    seen = before * size.images if size else None if before else 0
    for number, segment in enumerate(run.segments, start=1):
        figures = list(_segment_figures(segment, number, run.namespace, size, seen))
        found += figures
        now = images_seen(figures)
        seen = seen if now is None else now
    return found


def images_seen(figures: list[Figure]) -> float | None:
    """The images seen since the start of the run; None if unknown."""
    return max((f.place.images for f in figures if f.place.images is not None), default=None)


def counted_by_epoch(figures: list[Figure]) -> list[Figure]:
    """Replace the images of figures by epochs, for logs that do not show the images per epoch."""
    last = {f.place.segment: f.place.epoch for f in figures}
    before, total = {}, 0
    for segment, epoch in last.items():
        before[segment] = total
        total += epoch
    return [
        replace(f, place=replace(f.place, images=before[f.place.segment] + f.place.epoch))
        for f in figures
    ]


def epochs_before(run: Run) -> int:
    """The number of epochs trained before the first one in ``run``; above 0 only if it is resumed.

    A state continues the count of its run. ``start_epoch`` of a run that begins with weights is the
    number of epochs that they have been trained for.
    """
    options = run.namespace
    first = next((segment.epochs[0] for segment in run.segments if segment.epochs), 0)
    if not options.get("resume"):
        return 0
    origin = 1 if "lrD" in options and kind_of(options) != "faster_rcnn" else 0
    if str(options["resume"]).endswith(".zip") and isinstance(options.get("start_epoch"), int):
        origin = options["start_epoch"]
    return max(0, first - origin)
