"""Tolerances of comparisons, from ``tolerances.json`` in this folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gan_kd_ssd.analysis.logged_figures import LOSS


@dataclass(frozen=True)
class Tolerance:
    """The largest gap that counts as agreement: three times a spread that was measured.

    Attributes:
        name: Name of the entry in the file: that of a loss, ``mAP`` or ``AP``.
        relative: Whether the limit is a share of the value of the reference.
        origin: Where the spread was measured.
    """

    name: str
    relative: bool
    limit: float
    origin: str

    def allowed(self, reference: float) -> float:
        """The largest gap to ``reference`` that is within the tolerance."""
        return self.limit * (abs(reference) if self.relative else 1.0)


@cache
def settings() -> dict:
    """The content of the file."""
    return json.loads(Path(__file__).with_name("tolerances.json").read_text(encoding="utf-8"))


def tolerance(kind: str, name: str, detector: str | None) -> Tolerance | None:
    """The tolerance of a figure; None if it has none.

    Args:
        kind: LOSS, MAP or CLASS_AP of :mod:`gan_kd_ssd.analysis.logged_figures`.
        name: Name of the loss.
    """
    known = settings()
    name = name if kind == LOSS else kind
    entries = known["losses"].get(detector, {}) if kind == LOSS else known
    if name not in entries:
        return None
    entry = entries[name]
    limit = known["factor"] * entry["spread"]
    return Tolerance(name, entry["kind"] == "relative", limit, entry["origin"])
