"""Checks of a single log: relations between its figures that hold for every training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gan_kd_ssd.analysis.phases import PUBLISHED_COST
from gan_kd_ssd.analysis.summary import detector_of, phase_costs, phase_speed
from gan_kd_ssd.analysis.tolerances import settings
from gan_kd_ssd.analysis.wording import count
from gan_kd_ssd.logs.log import Run
from gan_kd_ssd.logs.records import BestMap, EpochEnd, NewBest, Step, Validation


@dataclass(frozen=True)
class Invariant:
    """The result of a check: None if the log has nothing to check, and the first line that breaks it."""

    name: str
    holds: bool | None
    detail: str
    line: int | None = None


def check_invariants(run: Run, figures) -> list[Invariant]:
    """Check a run and its :func:`~gan_kd_ssd.analysis.logged_figures.run_figures`."""
    limits = settings()["invariants"]
    return [
        _difference(run, limits["Loss_D"]["tolerance"]),
        _mean_of_classes(run, limits["mAP"]["tolerance"]),
        _best_never_falls(run),
        *_costs(run, figures, limits["phase_cost"]["at_least"]),
    ]


def _largest(name: str, gaps: list[tuple[float, float, int]], noun: str) -> Invariant:
    """Judge ``gaps`` of (gap, allowed gap, line); ``noun`` names what each of them belongs to."""
    if not gaps:
        return Invariant(name, None, f"no {noun}s to check")
    broken = [line for gap, allowed, line in gaps if not gap <= allowed]
    more = f", {len(broken)} are too large" if broken else ""
    detail = f"{count(len(gaps), noun)}, largest gap {max(gaps)[0]:.2g}{more}"
    return Invariant(name, not broken, detail, broken[0] if broken else None)


def _finite(*values) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)


def _difference(run: Run, allowed: float) -> Invariant:
    gaps = []
    for entry in run.of(Step, EpochEnd):
        of = entry.record.figures
        total, real, fake = (of.get(n) for n in ("Loss_D", "Loss_D_real", "Loss_D_fake"))
        if _finite(total, real, fake):
            gaps.append((abs(total - (real - fake)), allowed + 1e-9, entry.line))
    return _largest("Loss_D = Loss_D_real - Loss_D_fake", gaps, "line")


def _unit(values: Iterable[float]) -> float:
    """One unit in the last decimal place of the most precise of ``values``."""
    decimals = (repr(float(v)).partition(".")[2] for v in values)
    return 10.0 ** -max((len(d) for d in decimals if "e" not in d), default=17)


def _mean_of_classes(run: Run, allowed: float) -> Invariant:
    gaps = []
    for entry in run.of(Validation):
        found = [v for v in entry.record.classes.values() if v is not None and not math.isnan(v)]
        mean = entry.record.mean
        if not found or mean is None:
            continue
        gap = abs(mean - sum(found) / len(found))
        rounding = (_unit([mean]) + _unit(found)) / 2
        gaps.append((gap, allowed + rounding, entry.line))
    return _largest("mAP = mean of its classes", gaps, "validation")


def _best_never_falls(run: Run) -> Invariant:
    name = "best mAP never falls"
    checked, breach = 0, None
    for segment in run.segments:
        highest, best = -math.inf, -math.inf
        for entry in segment.of(Validation, BestMap, NewBest):
            record = entry.record
            if isinstance(record, Validation):
                if _finite(record.mean):
                    rounding = 0.0005 if record.coco else 0.0  # COCO's block has one decimal
                    highest = max(highest, record.mean - rounding)
                continue
            checked += 1
            # a best mAP with few digits may be a little below the mAP that it stands for
            falls = record.value < best or record.value < highest - _unit([record.value])
            if isinstance(record, NewBest):
                falls = falls or record.value < record.previous
            best = max(best, record.value)
            breach = entry.line if falls and breach is None else breach
    if not checked:
        return Invariant(name, None, "no line records the best mAP")
    return Invariant(name, breach is None, count(checked, "line"), breach)


def _costs(run: Run, figures, at_least: float) -> list[Invariant]:
    costs = phase_costs(phase_speed(figures))
    published = PUBLISHED_COST.get(detector_of(run) or "", {})
    if not costs:
        return [Invariant("cost of a phase", None, "no two phases to compare")]
    found = []
    for phase, cost in costs.items():
        aside = f"; published {published[phase]:.2f}x, not compared" if phase in published else ""
        detail = f"{cost:.2f}x of detection only, at least {at_least}x is possible{aside}"
        found.append(Invariant(f"cost of phase {phase}", cost >= at_least, detail))
    return found
