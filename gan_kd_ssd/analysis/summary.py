"""What ``show`` tells of a log: runs, segments, phases, mAP, speed, and what is wrong with it."""

from __future__ import annotations

from statistics import fmean, pstdev

from gan_kd_ssd.analysis.epoch_size import epoch_size
from gan_kd_ssd.analysis.figures import ACTIVE, DIVERGED, INACTIVE, Figure, run_figures
from gan_kd_ssd.analysis.phases import PUBLISHED_COST
from gan_kd_ssd.analysis.remarks import remarks_on
from gan_kd_ssd.analysis.resume import resumed, with_resumed
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.logs.log import Log, Run, Segment
from gan_kd_ssd.logs.records import LearningRate, RunStart


def spans(numbers) -> str:
    """``1..4, 7`` for 1, 2, 3, 4, 7."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in runs)


def mean_ap(figures: list[Figure], last: int) -> dict | None:
    """Best, last and mean of the last ``last`` mAP of a run; None without a validation."""
    found = [f for f in figures if f.name == "mAP" and f.state != DIVERGED]
    if not found:
        return None
    best = max(found, key=lambda f: f.value)
    tail = [f.value for f in found[-last:]]
    return {
        "best": best.value,
        "best_epoch": best.epoch,
        "best_line": best.line,
        "last": found[-1].value,
        "last_epoch": found[-1].epoch,
        "mean_of_last": fmean(tail),
        "deviation_of_last": pstdev(tail),
        "counted": len(tail),
        "validations": len(found),
    }


def phase_speed(figures: list[Figure]) -> dict[str, dict]:
    """By phase: epochs, mean speed of the step lines (samples/s), mean seconds an epoch."""
    phases: dict[str, dict] = {}
    for phase in dict.fromkeys(f.phase for f in figures if f.kind != "validation"):
        here = [f for f in figures if f.phase == phase and f.kind != "validation"]
        told = [f for f in here if f.state == ACTIVE]
        speeds = [f.value for f in told if f.name == "speed" and f.kind == "step"]
        seconds = [f.value for f in told if f.name == "seconds"]
        phases[phase] = {
            "epochs": len({(f.segment, f.epoch) for f in here}),
            "samples_per_second": fmean(speeds) if speeds else None,
            "seconds_per_epoch": fmean(seconds) if seconds else None,
        }
    return phases


def phase_costs(phases: dict[str, dict]) -> dict[str, float]:
    """How much longer an image takes in a phase than with the detection loss alone."""
    plain = phases.get("detection", {})
    costs = {}
    for phase, of in phases.items():
        if phase == "detection":
            continue
        if of["seconds_per_epoch"] and plain.get("seconds_per_epoch"):
            costs[phase] = of["seconds_per_epoch"] / plain["seconds_per_epoch"]
        elif of["samples_per_second"] and plain.get("samples_per_second"):
            costs[phase] = plain["samples_per_second"] / of["samples_per_second"]
    return costs


def detector_of(run: Run) -> str | None:
    """``ssd`` or ``faster_rcnn``; None if the run does not show it."""
    names = {f for segment in run.segments for e in segment.entries for f in _loss_names(e.record)}
    metadata = run.start.record.info if run.start else None
    return kind_of(run.namespace, metadata, names)


def _loss_names(record):
    return getattr(record, "figures", None) or ()


def _segment(segment: Segment, number: int, figures: list[Figure]) -> dict:
    here = [f for f in figures if f.segment == number]
    phases: dict[str, list[int]] = {}
    for f in here:
        phases.setdefault(f.phase, []).append(f.epoch)
    inactive: dict[str, list[int]] = {}
    for f in here:
        if f.state == INACTIVE:
            inactive.setdefault(f.name, []).append(f.epoch)
    lost = [f for f in here if f.state == DIVERGED]
    return {
        "lines": list(segment.lines),
        "style": segment.style,
        "epochs": list(segment.epochs) if segment.epochs else None,
        "phases": {phase: spans(epochs) for phase, epochs in phases.items()},
        "validations": sum(f.name == "mAP" for f in here),
        "inactive": {name: spans(epochs) for name, epochs in inactive.items()},
        "diverged": [{"line": f.line, "name": f.name, "value": str(f.value)} for f in lost],
        "learning_rates": [
            {
                "line": e.line,
                "epoch": e.record.epoch,
                "iteration": e.record.iteration,
                "rate": e.record.rate,
                "gan": e.record.gan,
            }
            for e in segment.of(LearningRate)
        ],
    }


def _run(log: Log, run: Run, number: int, last: int) -> dict:
    own, joined = run_figures(run), with_resumed(log, run)
    figures, before = run_figures(joined), resumed(log, run)
    size = epoch_size(joined)
    phases = phase_speed(figures)
    return {
        "run": number,
        "lines": list(run.lines),
        "namespace": run.namespace,
        "resumes": log.number(before) if before else None,
        "remarks": list(remarks_on(log, run)),
        "detector": detector_of(run),
        "images_per_epoch": str(size) if size else None,
        "segments": [_segment(s, i, own) for i, s in enumerate(run.segments, start=1)],
        "phases": phases,
        "phase_costs": phase_costs(phases),
        "mAP": mean_ap(figures, last),
        "averaging": {f.name: f.averaging for f in figures if f.kind == "step"},
    }


def summarize(log: Log, last: int = 5) -> dict:
    """Everything that ``show`` prints, as plain data (for ``--json``).

    Phases and mAP of a run that resumes an earlier one of the file are those of both together.

    Args:
        last: how many validations the mean of the last mAP counts.
    """
    namespaces: list[dict] = []
    for entry in log.entries:
        if isinstance(entry.record, RunStart) and entry.record.namespace not in namespaces:
            namespaces.append(entry.record.namespace)
    return {
        "source": log.source,
        "sha256": log.sha256,
        "lines": sum(entry.count for entry in log.entries),
        "namespaces": len(namespaces),
        "runs": [
            _run(log, run, number, last) if run.trained else _untrained(run, number)
            for number, run in enumerate(log.runs, start=1)
        ],
        "not_understood": [
            {"line": entry.line, "text": entry.record.text, "cut": entry.record.cut}
            for entry in log.unknown
        ],
    }


def _untrained(run: Run, number: int) -> dict:
    return {"run": number, "lines": list(run.lines), "namespace": run.namespace, "segments": []}


def published_cost(detector: str | None, phase: str) -> float | None:
    """What the phase cost in the published log, against detection alone."""
    return PUBLISHED_COST.get(detector or "", {}).get(phase)
