"""Differences between the outputs of an exported file and those of its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gan_kd_ssd.util.tables import aligned

#: Largest allowed differences between MXNet and another runtime. For a symbol none are allowed, because
#: the same library computes the same operators. Convolutions that sum in another order differ in the last
#: bits. Measured: up to 3.4e-5 in scores and 3e-3 pixels over nine SSDs of 300 and 512 pixels with random
#: weights, and up to 2.4e-4 in scores over thin SSDs of 256 pixels that were trained for some epochs. A
#: score printed with three decimals shows 1e-3; 0.1 pixels change the overlap of boxes of 20 pixels by 1%.
ALLOWED = {"class_scores": 1e-3, "scores": 1e-3, "class_boxes": 0.1, "boxes": 0.1, "ids": 0.0}
#: Least share of a Faster R-CNN's rows that must be reproduced within these differences. A proposal
#: whose overlap equals the threshold up to rounding may be kept by only one of the two runtimes, which
#: moves the rows below it.
LEAST_FOUND = 0.99


@dataclass(frozen=True)
class OutputDifference:
    """The differences for one input."""

    image: str  # name of the input
    largest: dict[str, float]  # by output
    allowed: dict[str, float]  # by output
    found: int = 0  # number of rows that were reproduced, if rows were searched
    rows: int = 0  # number of rows, if rows were searched

    @property
    def excess(self) -> list[str]:
        """Descriptions of the differences that are not allowed."""
        found = [
            f"{name.replace('_', ' ')} of {self.image}: {value:.1e}"
            for name, value in self.largest.items()
            if not value <= self.allowed[name]
        ]
        if self.found < LEAST_FOUND * self.rows:
            found.append(f"{self.image}: {self.found} of {self.rows} rows were reproduced")
        return found


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
    return OutputDifference(image, largest, allowed or dict.fromkeys(want, 0.0))


def as_sets(image: str, want: dict, got: dict) -> OutputDifference:
    """Compare detections without regard to their order; no difference is allowed."""

    def ordered(outputs: dict) -> dict:
        rows = np.concatenate(list(outputs.values()), axis=-1)  # (B, N, 6)
        rows = np.stack([image[np.lexsort(image.T[::-1])] for image in rows])
        return dict(zip(outputs, np.split(rows, [1, 2], axis=-1)))

    return one_by_one(image, ordered(want), ordered(got))


def row_by_row(image: str, want: dict, got: dict) -> OutputDifference:
    """Find each row of the outputs (1, N, ...), at the same place or at another."""
    rows = len(next(iter(want.values()))[0])
    if any(want[name].shape != got[name].shape for name in want):
        return OutputDifference(image, dict.fromkeys(want, float("inf")), ALLOWED, 0, rows)
    wanted, given = ({k: v.reshape(rows, -1) for k, v in side.items()} for side in (want, got))
    same = _near(wanted, given)
    places = np.where(same, np.arange(rows), -1)
    for row in np.flatnonzero(~same):
        elsewhere = _near({name: value[row] for name, value in wanted.items()}, given)
        places[row] = elsewhere.argmax() if elsewhere.any() else -1
    found = places >= 0
    largest = {name: difference(wanted[name][found], given[name][places[found]]) for name in want}
    return OutputDifference(image, largest, ALLOWED, int(found.sum()), rows)


def _near(wanted: dict, given: dict) -> np.ndarray:
    """Whether each row of ``given`` is equal to ``wanted`` within the allowed differences."""
    apart = {name: np.abs(given[name] - wanted[name]) for name in wanted}
    return np.all([(apart[name] <= ALLOWED[name]).all(axis=1) for name in apart], axis=0)


def table(comparisons: Sequence[OutputDifference]) -> str:
    """A row for each input, a column for each output, and a row with the allowed differences."""

    def numbers(values: dict) -> list[str]:
        cells = [values.get(name) for name in names]
        return ["" if v is None else "0" if v == 0 else f"{v:.1e}" for v in cells]

    names = list(dict.fromkeys(name for one in comparisons for name in one.largest))
    units = {"class_boxes": " [px]", "boxes": " [px]"}
    titles = [name.replace("_", " ") + units.get(name, "") for name in names]
    lines, allowed = [["largest difference", *titles, ""]], {}
    for one in comparisons:
        found = f"{one.found} of {one.rows} rows were reproduced" if one.rows else ""
        lines.append([one.image, *numbers(one.largest), found])
        allowed.update(one.allowed)
    lines.append(["allowed", *numbers(allowed), ""])
    return aligned(lines, right=range(1, len(names) + 1))
