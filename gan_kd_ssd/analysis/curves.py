"""Curves of a run over the images seen: one point per epoch, separated by phase."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from gan_kd_ssd.analysis.logged_figures import ACTIVE, SECONDS, SPEED, Figure


@dataclass(frozen=True)
class Key:
    """What a curve shows."""

    kind: str
    name: str
    phase: str


def epoch_lines(figures: list[Figure]) -> dict[Key, list[list[Figure]]]:
    """Group the active losses and APs of a run: for each key its epochs, each with its lines in order.

    The last line gives the value of an epoch: a mean since its start is complete there.
    """
    found: dict[Key, dict[tuple[int, int], list[Figure]]] = {}
    for f in figures:
        at = f.place
        if f.state == ACTIVE and f.kind not in (SPEED, SECONDS) and at.images is not None:
            epochs = found.setdefault(Key(f.kind, f.name, at.phase), {})
            epochs.setdefault((at.segment, at.epoch), []).append(f)
    return {
        key: sorted(epochs.values(), key=lambda lines: lines[-1].place.images)
        for key, epochs in found.items()
    }


def points_of(epochs: Iterable[list[Figure]]) -> list[Figure]:
    """One figure per epoch, without an incomplete last epoch unless there is no other.

    A mean since the start of an epoch is larger early in it, so the curve would seem to turn there.
    """
    last = [lines[-1] for lines in epochs]
    return [f for f in last if f.place.whole] or last


def value_at(points: list[Figure], images: float, reach: float) -> float | None:
    """Interpolate a curve linearly.

    Up to ``reach`` images before its first and after its last point, the value is that of this point;
    further away, it is None.
    """
    places = [f.place.images for f in points]
    if not points or not places[0] - reach <= images <= places[-1] + reach:
        return None
    at = bisect_left(places, images)
    if at == 0:
        return points[0].value
    if at == len(points):
        return points[-1].value
    a, b = points[at - 1], points[at]
    share = (images - places[at - 1]) / (places[at] - places[at - 1])
    return a.value + share * (b.value - a.value)


class LinesOfEpochs:
    """Interpolates between the lines of single epochs, because a running mean restarts with each."""

    def __init__(self, epochs: list[list[Figure]]):
        self._epochs, self._ends = epochs, [lines[-1].place.images for lines in epochs]

    def value_at(self, images: float, reach: float) -> float | None:
        """Interpolate within one epoch; ``reach`` as in :func:`value_at`."""
        at = bisect_left(self._ends, images - reach)
        return value_at(self._epochs[at], images, reach) if at < len(self._epochs) else None
