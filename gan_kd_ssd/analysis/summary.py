"""Summaries of a run: its mAP, and its speed by phase."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, pstdev

from gan_kd_ssd.analysis.logged_figures import ACTIVE, DIVERGED, MAP, SECONDS, SPEED, Figure
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.logs.log import Run
from gan_kd_ssd.logs.records import EpochEnd, Step, Validation


@dataclass(frozen=True)
class MeanAP:
    """The validations of a run. Mean and standard deviation are those of the last ``counted`` ones."""

    best: Figure
    last: Figure
    mean_of_last: float
    deviation_of_last: float
    counted: int
    validations: int


def mean_ap(figures: list[Figure], last: int) -> MeanAP | None:
    """Summarise the mAP of a run, averaging the ``last`` validations; None without a validation."""
    found = [f for f in figures if f.kind == MAP and f.state != DIVERGED]
    if not found:
        return None
    tail = [f.value for f in found[-last:]]
    best = max(found, key=lambda f: f.value)
    return MeanAP(best, found[-1], fmean(tail), pstdev(tail), len(tail), len(found))


@dataclass(frozen=True)
class PhaseSpeed:
    """The number of epochs of a phase, and their mean speed as far as the log records it."""

    epochs: int
    samples_per_second: float | None
    seconds_per_epoch: float | None


def phase_speed(figures: list[Figure]) -> dict[str, PhaseSpeed]:
    """Measure the speed of each phase of a run."""
    trained = [f for f in figures if f.place.record is not Validation]
    phases: dict[str, PhaseSpeed] = {}
    for phase in dict.fromkeys(f.place.phase for f in trained):
        here = [f for f in trained if f.place.phase == phase]
        active = [f for f in here if f.state == ACTIVE]
        speeds = [f.value for f in active if f.kind == SPEED and f.place.record is Step]
        seconds = [f.value for f in active if f.kind == SECONDS]
        phases[phase] = PhaseSpeed(
            epochs=len({(f.place.segment, f.place.epoch) for f in here}),
            samples_per_second=fmean(speeds) if speeds else None,
            seconds_per_epoch=fmean(seconds) if seconds else None,
        )
    return phases


def phase_costs(phases: dict[str, PhaseSpeed]) -> dict[str, float]:
    """The time per image in each other phase, relative to that in ``detection``."""
    plain = phases.get("detection")
    costs = {}
    for phase, of in phases.items():
        if plain is None or of is plain:
            continue
        if of.seconds_per_epoch and plain.seconds_per_epoch:
            costs[phase] = of.seconds_per_epoch / plain.seconds_per_epoch
        elif of.samples_per_second and plain.samples_per_second:
            costs[phase] = plain.samples_per_second / of.samples_per_second
    return costs


def detector_of(run: Run) -> str | None:
    """``ssd`` or ``faster_rcnn``; None if the run does not show it."""
    losses = {name for entry in run.of(Step, EpochEnd) for name in entry.record.figures}
    return kind_of(run.namespace, run.metadata, losses)
