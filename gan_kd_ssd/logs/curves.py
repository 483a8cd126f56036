"""Figures of a run as curves over images seen: one point an epoch, apart by phase."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from gan_kd_ssd.logs.figures import ACTIVE, Figure

_NOT_CURVES = ("speed", "seconds")


@dataclass(frozen=True)
class Point:
    """Value of an epoch: of its last line, where a mean since the epoch's start is complete."""

    images: float
    value: float
    epoch: int
    line: int


def epoch_curves(figures: list[Figure], by_epoch: bool = False) -> dict[tuple[str, str], list]:
    """(name, phase) -> points in order. Inactive and diverged figures are left out.

    Args:
        by_epoch: count epochs instead of images, for logs that do not tell the images of one.
    """
    last: dict[tuple, Figure] = {}
    for f in figures:
        if f.state == ACTIVE and f.name not in _NOT_CURVES and (by_epoch or f.images is not None):
            last[f.name, f.phase, f.segment, f.epoch] = f
    before = _epochs_before(figures)
    curves: dict[tuple[str, str], list[Point]] = {}
    for (name, phase, segment, epoch), f in last.items():
        at = before[segment] + epoch if by_epoch else f.images
        curves.setdefault((name, phase), []).append(Point(at, f.value, epoch, f.line))
    for points in curves.values():
        points.sort(key=lambda p: p.images)
    return curves


def _epochs_before(figures: list[Figure]) -> dict[int, int]:
    """Segment -> last epoch of the segments before it, in sum."""
    last: dict[int, int] = {}
    for f in figures:
        last[f.segment] = max(f.epoch, last.get(f.segment, 0))
    before, total = {}, 0
    for segment in sorted(last):
        before[segment] = total
        total += last[segment]
    return before


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
