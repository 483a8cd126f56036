"""Tolerances of comparisons, from ``tolerances.json`` in this folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gan_kd_ssd.analysis.figures import LOSS


@dataclass(frozen=True)
class Tolerance:
    """The largest gap that counts as agreement.

    Attributes:
        name: Name of the entry in the file: that of a loss, ``mAP`` or ``AP``.
        kind: "absolute" or "relative" (to the value of the reference).
        limit: Three times the measured spread.
        origin: Where the spread was measured.
    """

    name: str
    kind: str
    limit: float
    origin: str

    def allowed(self, reference: float) -> float:
        """The largest gap to ``reference`` that is within the tolerance."""
        return self.limit * (abs(reference) if self.kind == "relative" else 1.0)


@lru_cache(maxsize=1)
def settings() -> dict:
    """The content of the file."""
    file = Path(__file__).with_name("tolerances.json")
    return json.loads(file.read_text(encoding="utf-8"))


def tolerance(kind: str, name: str, detector: str | None) -> Tolerance | None:
    """The tolerance of a figure; None if it has none.

    Args:
        kind: LOSS, MAP or CLASS_AP of :mod:`gan_kd_ssd.analysis.figures`.
        name: Name of the loss.
    """
    content = settings()
    if kind == LOSS:
        entry = content["losses"].get(detector or "", {}).get(name)
    else:
        name, entry = kind, content[kind]
    if entry is None:
        return None
    return Tolerance(name, entry["kind"], content["factor"] * entry["spread"], entry["origin"])
