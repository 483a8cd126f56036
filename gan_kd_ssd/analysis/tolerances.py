"""The tolerances of a comparison, from ``tolerances.json`` beside this file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Tolerance:
    """``kind`` is absolute or relative (to the reference's value); ``limit`` is 3 spreads."""

    kind: str
    limit: float
    origin: str

    def allowed(self, reference: float) -> float:
        """The greatest gap to ``reference`` that is within."""
        return self.limit * (abs(reference) if self.kind == "relative" else 1.0)


@lru_cache(maxsize=1)
def settings() -> dict:
    """The file's content."""
    file = Path(__file__).with_name("tolerances.json")
    return json.loads(file.read_text(encoding="utf-8"))


def tolerance(name: str, detector: str | None) -> Tolerance | None:
    """The tolerance of a figure (a loss's name, ``mAP``, ``AP <class>``); None if it has none."""
    content = settings()
    if name == "mAP" or name.startswith("AP "):
        entry = content[name.split(" ")[0]]
    else:
        entry = content["losses"].get(detector or "", {}).get(name)
    if entry is None:
        return None
    return Tolerance(entry["kind"], content["factor"] * entry["spread"], entry["origin"])
