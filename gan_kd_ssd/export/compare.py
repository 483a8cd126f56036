"""Differences between the outputs of an exported file and those of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gan_kd_ssd.util.tables import aligned

#: Largest allowed differences between MXNet and another runtime. For a symbol none are allowed, because
#: the same library computes the same operators. Convolutions that sum in another order differ in the last
#: bits. Measured: up to 3.4e-5 in scores and 3e-3 pixels over nine SSDs of 300 and 512 pixels with random
#: weights, and up to 2.4e-4 in scores over thin SSDs of 256 pixels that were trained for some epochs. A
#: score printed with three decimals shows 1e-3; 0.1 pixels change the overlap of boxes of 20 pixels by 1%.
ALLOWED = {"class_scores": 1e-3, "scores": 1e-3, "class_boxes": 0.1, "boxes": 0.1, "ids": 0.0}
#: Least share of a Faster R-CNN's rows that must be found again within these differences. A proposal
#: whose overlap equals the threshold up to rounding may be kept by only one of the two runtimes, which
#: moves the rows below it.
LEAST_FOUND = 0.99


@dataclass
class OutputDifference:
    """The differences for one input.

    Attributes:
        image: Name of the input.
        largest: Largest difference by output.
        allowed: Largest allowed difference by output.
        found: Number of rows that were found again; 0 if values were compared one by one.
        rows: Number of rows; 0 if values were compared one by one.
    """

    image: str
    largest: dict[str, float] = field(default_factory=dict)
    allowed: dict[str, float] = field(default_factory=dict)
    found: int = 0
    rows: int = 0

    @property
    def equal(self) -> bool:
        """Whether all differences are allowed and enough rows were found again."""
        within = all(value <= self.allowed[name] for name, value in self.largest.items())
        return within and self.found >= LEAST_FOUND * self.rows


def excess(comparisons: Sequence[OutputDifference]) -> str:
    """Describe the differences that are not allowed."""
    found = []
    for one in comparisons:
        for name, value in one.largest.items():
            if not value <= one.allowed[name]:
                found.append(f"{name.replace('_', ' ')} of {one.image}: {value:.1e}")
        if one.found < LEAST_FOUND * one.rows:
            found.append(f"{one.image}: {one.found} of {one.rows} rows found again")
    return ", ".join(found)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest absolute difference; infinite if shapes, infinities or NaNs differ."""
    if one.shape != other.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(np.float64) - other)
    apart[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
    apart[np.isnan(apart)] = np.inf
    return float(apart.max(initial=0))


def one_by_one(image: str, want: dict, got: dict, allowed: dict | None = None) -> OutputDifference:
    """Compare arrays by output, value by value; ``allowed=None`` allows no difference."""
    largest = {name: difference(want[name], got[name]) for name in want}
    limits = {name: allowed[name] if allowed else 0.0 for name in want}
    return OutputDifference(image, largest, limits)


def as_sets(image: str, want: dict, got: dict) -> OutputDifference:
    """Compare detections without regard to their order; no difference is allowed."""

    def ordered(outputs: dict) -> dict:
        rows = np.concatenate(list(outputs.values()), axis=-1)  # (B, N, 6)
        rows = np.stack([image[np.lexsort(image.T[::-1])] for image in rows])
        return dict(zip(outputs, np.split(rows, [1, 2], axis=-1)))

    return one_by_one(image, ordered(want), ordered(got))


def row_by_row(image: str, want: dict, got: dict) -> OutputDifference:
    """Find each row of the outputs (1, N, ...) again, at the same place or at another."""
    limits = {name: ALLOWED[name] for name in want}
    rows = len(next(iter(want.values()))[0])
    if any(want[name].shape != got[name].shape for name in want):
        return OutputDifference(image, {name: float("inf") for name in want}, limits, 0, rows)
    wanted = {name: value.reshape(rows, -1) for name, value in want.items()}
    given = {name: value.reshape(rows, -1) for name, value in got.items()}
    largest, found = dict.fromkeys(want, 0.0), 0
    for row in range(rows):
        place = _place(wanted, given, limits, row)
        if place is None:
            continue
        found += 1
        for name in want:
            apart = difference(wanted[name][row], given[name][place])
            largest[name] = max(largest[name], apart)
    return OutputDifference(image, largest, limits, found, rows)


def _place(wanted: dict, given: dict, limits: dict, row: int) -> int | None:
    """The place of an equal row within the limits, None if there is none; the same place first."""

    def within(places) -> np.ndarray:
        near = np.ones(len(given[next(iter(given))][places]), bool)
        for name, limit in limits.items():
            near &= (np.abs(given[name][places] - wanted[name][row]) <= limit).all(axis=1)
        return np.flatnonzero(near)

    if len(within(slice(row, row + 1))):
        return row
    places = within(slice(None))
    return int(places[0]) if len(places) else None


def table(comparisons: Sequence[OutputDifference]) -> str:
    """A row for each input, a column for each output, and a row with the allowed differences."""
    names = list(dict.fromkeys(name for one in comparisons for name in one.largest))
    units = {"class_boxes": " [px]", "boxes": " [px]"}
    titles = [name.replace("_", " ") + units.get(name, "") for name in names]
    lines, allowed = [["largest difference", *titles, ""]], {}
    for one in comparisons:
        cells = [_number(one.largest[name]) if name in one.largest else "" for name in names]
        found = f"{one.found} of {one.rows} rows found again" if one.rows else ""
        lines.append([one.image, *cells, found])
        allowed.update(one.allowed)
    lines.append(["allowed", *(_number(allowed[name]) for name in names), ""])
    return aligned(lines, right=range(1, len(names) + 1))


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
