"""Figures of a run as curves over images seen: one point an epoch, apart by phase."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from gan_kd_ssd.analysis.figures import ACTIVE, Figure

_NOT_CURVES = ("speed", "seconds")


@dataclass(frozen=True)
class Point:
    """Value of an epoch: of its last line, where a mean since the epoch's start is complete.

    ``whole``: the epoch is at its end; False in the last one of a run that goes on or broke off.
    """

    images: float
    value: float
    epoch: int
    line: int
    whole: bool = True


Key = tuple[str, str]  # name and phase


def epoch_lines(figures: list[Figure], by_epoch: bool = False) -> dict[Key, list[list[Point]]]:
    """(name, phase) -> for each epoch in order, its lines' points in order.

    Inactive and diverged figures are left out.

    Args:
        by_epoch: count epochs instead of images, for logs that do not tell the images of one.
    """
    before, whole = epochs_before_segments(figures), _whole_epochs(figures)
    found: dict[Key, dict[tuple[int, int], list[Point]]] = {}
    for f in figures:
        if f.state == ACTIVE and f.name not in _NOT_CURVES and (by_epoch or f.images is not None):
            at = before[f.segment] + f.epoch if by_epoch else f.images
            place = (f.segment, f.epoch)
            point = Point(at, f.value, f.epoch, f.line, place in whole)
            found.setdefault((f.name, f.phase), {}).setdefault(place, []).append(point)
    return {
        key: sorted(epochs.values(), key=lambda lines: lines[-1].images)
        for key, epochs in found.items()
    }


def epoch_curves(figures: list[Figure], by_epoch: bool = False) -> dict[Key, list[Point]]:
    """(name, phase) -> one point an epoch, that of its last line: see :func:`epoch_lines`."""
    lines = epoch_lines(figures, by_epoch)
    return {key: [of_epoch[-1] for of_epoch in epochs] for key, epochs in lines.items()}


def epochs_before_segments(figures: list[Figure]) -> dict[int, int]:
    """Segment -> last epoch of the segments before it, in sum."""
    before, total = {}, 0
    for segment, last in _last_epochs(figures).items():
        before[segment] = total
        total += last
    return before


def _last_epochs(figures: list[Figure]) -> dict[int, int]:
    """Segment -> its last epoch. Epochs of a segment only go forward."""
    return {f.segment: f.epoch for f in figures}


def _whole_epochs(figures: list[Figure]) -> set[tuple[int, int]]:
    """(segment, epoch) of epochs that have a line of their end, or after which another begins."""
    last = _last_epochs(figures)
    return {(f.segment, f.epoch) for f in figures if f.kind != "step" or f.epoch < last[f.segment]}


def value_at(points: list[Point], images: float, reach: float) -> float | None:
    """The curve's value after ``images``, between its points by a straight line.

    Up to ``reach`` images before its first or after its last point that point's value is taken;
    None further out.
    """
    if not points or not points[0].images - reach <= images <= points[-1].images + reach:
        return None
    at = bisect_left([p.images for p in points], images)
    if at == 0:
        return points[0].value
    if at == len(points):
        return points[-1].value
    a, b = points[at - 1], points[at]
    share = (images - a.images) / (b.images - a.images)
    return a.value + share * (b.value - a.value)


class LinesOfEpochs:
    """A figure's lines by epoch, to hold a line against those of the same part of an epoch.

    A mean since the epoch's start is larger early in an epoch than at its end.
    """

    def __init__(self, epochs: list[list[Point]]):
        self._epochs, self._ends = epochs, [lines[-1].images for lines in epochs]

    def value_at(self, images: float, reach: float) -> float | None:
        """The value after ``images``, by the lines of that epoch alone.

        ``reach`` as in :func:`value_at`, from the epoch's first and last line.
        """
        at = bisect_left(self._ends, images - reach)
        return value_at(self._epochs[at], images, reach) if at < len(self._epochs) else None
