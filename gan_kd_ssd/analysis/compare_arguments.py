"""Comparison of the arguments of two runs."""

from __future__ import annotations

from dataclasses import dataclass

from gan_kd_ssd.analysis.analysed_run import AnalysedRun
from gan_kd_ssd.analysis.epoch_size import agree
from gan_kd_ssd.analysis.tolerances import settings
from gan_kd_ssd.logs.records import Validation

SAME, DIFFERENT, NO_EFFECT = "same", "different", "different, without effect on figures"
ONLY_HERE, ONLY_IN_REFERENCE = "only here", "only in the reference"

_SIZE = "images per epoch"


@dataclass(frozen=True)
class Argument:
    """An argument of two runs, with its values as text; None for a run that does not have it.

    Attributes:
        observed: Whether the value is read from the lines of the log and is not an option.
    """

    name: str
    mine: str | None
    reference: str | None
    verdict: str
    observed: bool = False

    @property
    def label(self) -> str:
        """The name for display; that of an observed value is in parentheses."""
        return f"({self.name})" if self.observed else self.name


def compare_arguments(mine: AnalysedRun, reference: AnalysedRun) -> list[Argument]:
    """Compare the observed values, then the options by name."""
    ours, theirs = _observed(mine), _observed(reference)
    sizes, found = (mine.size, reference.size), []
    for name, value in ours.items():
        same = value == theirs[name] or (name == _SIZE and None not in sizes and agree(*sizes))
        verdict = SAME if same else DIFFERENT
        found.append(Argument(name, value, theirs[name], verdict, observed=True))
    ours, theirs = _options(mine), _options(reference)
    for name in dict.fromkeys([*ours, *theirs]):
        values = [str(of[name]) if name in of else None for of in (ours, theirs)]
        found.append(Argument(name, *values, _verdict(name, ours, theirs)))
    return found


def _observed(of: AnalysedRun) -> dict[str, str]:
    trained = [f.place.phase for f in of.figures if f.place.record is not Validation]
    return {
        _SIZE: str(of.size) if of.size else "unknown",
        "first epoch": str(next(s.epochs[0] for s in of.run.segments if s.epochs)),
        "phases": ", ".join(dict.fromkeys(trained)),
        "classes": str(len(of.classes)),
    }


def _options(of: AnalysedRun) -> dict[str, object]:
    resume = of.run.namespace.get("resume")
    return of.options if resume is None else {**of.options, "resume": resume}


def _verdict(name: str, ours: dict, theirs: dict) -> str:
    if name not in theirs:
        return ONLY_HERE
    if name not in ours:
        return ONLY_IN_REFERENCE
    values = ours[name], theirs[name]
    if values[0] == values[1]:
        return SAME
    if name == "resume":  # a run that is resumed from a state continues as if it had not stopped
        no_effect = all(value == "" or str(value).endswith(".zip") for value in values)
    else:
        no_effect = name in settings()["no_effect"]["names"]
    return NO_EFFECT if no_effect else DIFFERENT
