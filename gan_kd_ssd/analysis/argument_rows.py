"""The arguments of two runs beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from gan_kd_ssd.analysis.epoch_size import agree
from gan_kd_ssd.analysis.facts import Subject
from gan_kd_ssd.analysis.tolerances import settings

_SIZE = "(images an epoch)"


@dataclass(frozen=True)
class Argument:
    """An option on both sides; ``verdict``: same, different, only here, only in the reference."""

    name: str
    mine: str | None
    reference: str | None
    verdict: str


def compare_arguments(mine: Subject, reference: Subject) -> list[Argument]:
    """What the logs show (images an epoch, first epoch, phases, classes), then options by name."""
    found = []
    ours, theirs = _shown(mine), _shown(reference)
    for name in [*ours, *(n for n in theirs if n not in ours)]:
        a, b = ours.get(name), theirs.get(name)
        if name in ours and name in theirs:
            same = a == b or (name == _SIZE and _same_size(mine, reference))
            verdict = "same" if same else "different"
            if not same and _without_effect(name, a, b):
                verdict = "different, without effect on figures"
        else:
            verdict = "only here" if name in ours else "only in the reference"
        found.append(Argument(name, _text(name in ours, a), _text(name in theirs, b), verdict))
    return found


def _same_size(mine: Subject, reference: Subject) -> bool:
    sizes = mine.size, reference.size
    return None not in sizes and agree(*sizes)


def _shown(of: Subject) -> dict[str, object]:
    phases = list(dict.fromkeys(f.phase for f in of.figures if f.kind != "validation"))
    shown = {
        _SIZE: str(of.size) if of.size else "unknown",
        "(first epoch)": next(s.epochs[0] for s in of.run.segments if s.epochs),
        "(phases)": ", ".join(phases),
        "(classes)": len(of.classes),
        **of.options,
    }
    resume = of.run.namespace.get("resume")
    return shown if resume is None else {**shown, "resume": resume}


def _without_effect(name: str, *values) -> bool:
    if name == "resume":  # from a state a run goes on as if it had never stopped
        return all(value == "" or str(value).endswith(".zip") for value in values)
    return name in settings()["no_effect"]["names"]


def _text(known: bool, value) -> str | None:
    return str(value) if known else None
