"""The summary of a log: runs, segments, phases, mAP, speed, and lines that were not understood."""

from __future__ import annotations

from dataclasses import asdict

from gan_kd_ssd.analysis.analysed_run import AnalysedRun, analyse, remarks_on
from gan_kd_ssd.analysis.figures import DIVERGED, INACTIVE, MAP, SPEED, Figure, run_figures
from gan_kd_ssd.analysis.phases import PUBLISHED_COST
from gan_kd_ssd.analysis.summary import MeanAP, mean_ap, phase_costs, phase_speed
from gan_kd_ssd.analysis.wording import count, printable
from gan_kd_ssd.logs.log import Log, Segment
from gan_kd_ssd.logs.records import LearningRate, RunStart, Step
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
    """Collect everything that ``logs show`` prints, as plain data.

    Phases and mAP of a run that resumes an earlier run of the file are those of both together.

    Args:
        last: How many of the last validations are averaged.
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
        "runs": [_run(log, number, last) for number in range(1, len(log.runs) + 1)],
        "not_understood": [
            {"line": entry.line, "text": entry.record.text, "cut": entry.record.cut}
            for entry in log.unknown
        ],
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
        "mean_of_last": reached.mean_of_last,
        "deviation_of_last": reached.deviation_of_last,
        "counted": reached.counted,
        "validations": reached.validations,
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
    runs = summary["runs"]
    out = [
        f"{summary['source']}: {count(summary['lines'], 'line')}, {count(len(runs), 'run')},"
        f" {count(summary['namespaces'], 'different Namespace')}",
        f"sha256 {summary['sha256']}",
    ]
    waiting: list[dict] = []
    for run in runs:
        if run["segments"]:
            out += _untrained(waiting) + _run_text(run)
            waiting = []
        else:
            waiting.append(run)
    out += _untrained(waiting)
    out += _not_understood(summary["not_understood"])
    return "\n".join(out) + "\n"


def _untrained(runs: list[dict]) -> list[str]:
    if not runs:
        return []
    first, last = runs[0], runs[-1]
    number = str(first["run"]) if first is last else f"{first['run']}..{last['run']}"
    return ["", f"run {number}  lines {first['lines'][0]}..{last['lines'][1]}  no figures"]


def _run_text(run: dict) -> list[str]:
    a, b = run["lines"]
    options = "  ".join(f"{name}={value}" for name, value in run["options"].items())
    if run["namespace"]:
        options += "  (`logs args` prints all of them)"
    else:
        options = "none: the log has no Namespace line"
    facts = [
        ("options", options),
        ("images", f"{run['images_per_epoch'] or 'unknown number'} per epoch"),
        *(("note", remark) for remark in run["remarks"]),
    ]
    out = ["", f"run {run['run']}  lines {a}..{b}  {run['detector'] or 'other losses'}"]
    out += [f"  {name:<10}{text}" for name, text in facts]
    for number, segment in enumerate(run["segments"], start=1):
        out += _segment_text(number, segment)
    for phase in run["phases"]:
        out.append(f"  {'phase':<10}{_phase(run, phase)}")
    out.append(f"  {'mAP':<10}{_mean_ap(run['mAP'])}")
    return out


def _segment_text(number: int, segment: dict) -> list[str]:
    a, b = segment["lines"]
    phases = "; ".join(f"{name} {epochs}" for name, epochs in segment["phases"].items())
    out = [
        f"  segment {number} lines {a}..{b}  epochs by phase: {phases or 'none'};"
        f" {count(segment['validations'], 'validation')}"
    ]
    by_epochs: dict[str, list[str]] = {}
    for name, epochs in segment["inactive"].items():
        by_epochs.setdefault(epochs, []).append(name)
    for epochs, names in by_epochs.items():
        out.append(f"    inactive: {', '.join(names)} in epochs {epochs}")
    lost = segment["diverged"]
    if lost:
        first = lost[0]
        out.append(
            f"    DIVERGED: {count(len(lost), 'figure')}, first {first['name']} ="
            f" {first['value']} in line {first['line']}"
        )
    for rate in segment["learning_rates"]:
        whose = "adversarial" if rate["gan"] else "student's"
        at = f"epoch {rate['epoch']}"
        at += f", iteration {rate['iteration']}" if rate["iteration"] is not None else ""
        out.append(f"    line {rate['line']}: {whose} learning rate {rate['rate']:.4g} at {at}")
    return out


def _phase(run: dict, phase: str) -> str:
    of = run["phases"][phase]
    parts = [f"{phase}: {count(of['epochs'], 'epoch')}"]
    if of["samples_per_second"] is not None:
        parts.append(f"{of['samples_per_second']:.3g} samples/s")
    if of["seconds_per_epoch"] is not None:
        parts.append(f"{of['seconds_per_epoch']:.0f} s per epoch")
    cost = run["phase_costs"].get(phase)
    if cost is not None:
        published = PUBLISHED_COST.get(run["detector"] or "", {}).get(phase)
        aside = f" (published: {published:.2f}x)" if published else ""
        parts.append(f"{cost:.2f}x of detection only{aside}")
    return ", ".join(parts)


def _mean_ap(reached: dict | None) -> str:
    if reached is None:
        return "no validation"
    return (
        f"best {reached['best']:.4f} (epoch {reached['best_epoch']}, line {reached['best_line']}),"
        f" last {reached['last']:.4f} (epoch {reached['last_epoch']}), mean of the last"
        f" {reached['counted']} {reached['mean_of_last']:.4f} ± {reached['deviation_of_last']:.4f}"
    )


def _not_understood(unknown: list[dict]) -> list[str]:
    if not unknown:
        return ["", "every line was understood"]
    out = ["", f"not understood: {count(len(unknown), 'line')}"]
    for line in unknown[:SHOWN]:
        cut = "  (the file ends within this line)" if line["cut"] else ""
        text = line["text"].encode("ascii", "backslashreplace").decode()
        text = text if len(text) <= 90 else text[:87] + "..."
        out.append(f"  line {line['line']}: {printable(text)}{cut}")
    if len(unknown) > SHOWN:
        out.append(f"  and {len(unknown) - SHOWN} more (--json lists all of them)")
    return out
