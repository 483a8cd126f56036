"""The summary of a log: runs, segments, phases, mAP, speed, and lines that were not understood."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby

from gan_kd_ssd.analysis.analysed_run import AnalysedRun, analyse, remarks_on
from gan_kd_ssd.analysis.logged_figures import DIVERGED, INACTIVE, MAP, SPEED, Figure, run_figures
from gan_kd_ssd.analysis.phases import PUBLISHED_COST
from gan_kd_ssd.analysis.summary import MeanAP, mean_ap, phase_costs, phase_speed
from gan_kd_ssd.analysis.wording import printable, render
from gan_kd_ssd.logs.log import Log, Segment
from gan_kd_ssd.logs.records import LearningRate, Step
from gan_kd_ssd.logs.resume import resumed

#: How many lines that were not understood are printed.
SHOWN = 10

#: Options that are printed, if the run records them.
OPTIONS = (
    *("student", "teacher", "distill", "dataset", "batch_size", "gpus", "epochs", "lr", "lrD"),
    "clamp_upper",
)
#: GluonCV's script never resets these figures between epochs (seen in the published Faster R-CNN log).
_NEVER_RESET = ("RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")


def summarise(log: Log, last: int = 5) -> dict:
    """Collect everything that ``logs show`` prints, as plain data; ``last`` validations are averaged.

    Phases and mAP of a run that resumes an earlier run of the file are those of both together.
    """
    namespaces: list[dict] = []
    for run in log.runs:
        if run.start and run.namespace not in namespaces:
            namespaces.append(run.namespace)
    return {
        "source": log.source,
        "sha256": log.sha256,
        "lines": sum(entry.count for entry in log.entries),
        "namespaces": len(namespaces),
        "runs": [_run(log, number, last) for number in range(1, len(log.runs) + 1)],
        "not_understood": [{"line": entry.line, **vars(entry.record)} for entry in log.unknown],
    }


def _run(log: Log, number: int, last: int) -> dict:
    run = log.runs[number - 1]
    found = {"run": number, "lines": list(run.lines), "namespace": run.namespace, "segments": []}
    if not run.trained:
        return found
    own, joined, before = run_figures(run), analyse(log, number), resumed(log, run)
    phases, reached = phase_speed(joined.figures), mean_ap(joined.figures, last)
    return {
        **found,
        "options": _options(joined),
        "resumes": log.number(before) if before else None,
        "remarks": list(remarks_on(log, run)),
        "detector": joined.detector,
        "images_per_epoch": str(joined.size) if joined.size else None,
        "segments": [_segment(s, i, own) for i, s in enumerate(run.segments, start=1)],
        "phases": {phase: asdict(speed) for phase, speed in phases.items()},
        "phase_costs": phase_costs(phases),
        "mAP": _reached(reached) if reached else None,
        "averaging": _averaging(joined),
    }


def _options(run: AnalysedRun) -> dict:
    plain = run.options.get("distill") == "none"
    names = [name for name in OPTIONS if not (plain and name == "teacher")]
    return {n: value for n in names if (value := run.options.get(n)) not in (None, "")}


def _reached(reached: MeanAP) -> dict:
    best, last = reached.best, reached.last
    return {
        **{"best": best.value, "best_epoch": best.place.epoch, "best_line": best.place.line},
        **{"last": last.value, "last_epoch": last.place.epoch},
        **{name: value for name, value in vars(reached).items() if name not in ("best", "last")},
    }


def _averaging(run: AnalysedRun) -> dict[str, str]:
    """What each figure of a step line averages over."""
    names = {f.name for f in run.figures if f.place.record is Step}
    averaging = dict.fromkeys(sorted(names), "mean since the epoch's start")
    averaging |= {name: "mean since the run's start" for name in names.intersection(_NEVER_RESET)}
    if SPEED in names:
        # GluonCV's SSD script times one batch, all others time a log interval
        style = next(segment.style for segment in run.run.segments if segment.style)
        interval = "student" in run.run.namespace or style == "faster_rcnn"
        averaging[SPEED] = "mean of one log interval" if interval else "one batch"
    return averaging


def _segment(segment: Segment, number: int, figures: list[Figure]) -> dict:
    here = [f for f in figures if f.place.segment == number]
    phases: dict[str, list[int]] = {}
    inactive: dict[str, list[int]] = {}
    for f in here:
        phases.setdefault(f.place.phase, []).append(f.place.epoch)
        if f.state == INACTIVE:
            inactive.setdefault(f.label, []).append(f.place.epoch)
    lost = [f for f in here if f.state == DIVERGED]
    return {
        "lines": list(segment.lines),
        "style": segment.style,
        "epochs": list(segment.epochs) if segment.epochs else None,
        "phases": {phase: spans(epochs) for phase, epochs in phases.items()},
        "validations": sum(f.kind == MAP for f in here),
        "inactive": {name: spans(epochs) for name, epochs in inactive.items()},
        "diverged": [{"line": f.place.line, "name": f.label, "value": str(f.value)} for f in lost],
        "learning_rates": [{"line": e.line, **vars(e.record)} for e in segment.of(LearningRate)],
    }


def spans(numbers) -> str:
    """Format numbers as ranges: ``1..4, 7`` for 1, 2, 3, 4, 7."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in runs)


def show_text(summary: dict) -> str:
    """Format the result of :func:`summarise` for a terminal."""
    runs = groupby(summary["runs"], lambda run: bool(run["segments"]))
    groups = [(trained, list(of)) for trained, of in runs]
    helpers = {"inactive": _inactive, "published": PUBLISHED_COST, "shown": _shown, "most": SHOWN}
    return render("show.j2", groups=groups, **helpers, **summary)


def _inactive(segment: dict) -> list[tuple[str, list[str]]]:
    """The inactive figures of a segment by their epochs."""
    by_epochs: dict[str, list[str]] = {}
    for name, epochs in segment["inactive"].items():
        by_epochs.setdefault(epochs, []).append(name)
    return list(by_epochs.items())


def _shown(text: str) -> str:
    text = text.encode("ascii", "backslashreplace").decode()
    return printable(text if len(text) <= 90 else text[:87] + "...")
