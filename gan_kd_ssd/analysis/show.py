"""The text of ``show``."""

from __future__ import annotations

from gan_kd_ssd.analysis.plain import count, printable
from gan_kd_ssd.analysis.summary import published_cost

#: How many lines that were not understood are shown; all of them are counted.
SHOWN = 10


def show_text(summary: dict) -> str:
    """``summary`` (of :func:`~gan_kd_ssd.analysis.summary.summarize`) for a person."""
    runs = summary["runs"]
    out = [
        f"{summary['source']}: {count(summary['lines'], 'line')}, {count(len(runs), 'run')},"
        f" {count(summary['namespaces'], 'different Namespace')}",
        f"sha256 {summary['sha256']}",
    ]
    waiting: list[dict] = []
    for run in runs:
        if run["segments"]:
            out += _untrained(waiting)
            waiting = []
            out += _run(run)
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


def _run(run: dict) -> list[str]:
    a, b = run["lines"]
    out = ["", f"run {run['run']}  lines {a}..{b}  {run['detector'] or 'other losses'}"]
    if run["namespace"]:
        keys = ("dataset", "batch_size", "gpus", "epochs", "lr", "lrD", "clamp_upper")
        told = [f"{k}={v}" for k in keys if (v := run["namespace"].get(k)) not in (None, "")]
        out.append(f"  {'options':<10}{'  '.join(told)}  (all of them: args)")
    else:
        out.append(f"  {'options':<10}none: the log has no Namespace line")
    out.append(f"  {'images':<10}{run['images_per_epoch'] or 'unknown number'} an epoch")
    out += [f"  {'note':<10}{remark}" for remark in run["remarks"]]
    for number, segment in enumerate(run["segments"], start=1):
        out += _segment(number, segment)
    for phase, of in run["phases"].items():
        out.append(f"  {'phase':<10}{_phase(run, phase, of)}")
    out.append(f"  {'mAP':<10}{_mean_ap(run['mAP'])}")
    return out


def _segment(number: int, segment: dict) -> list[str]:
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


def _phase(run: dict, phase: str, of: dict) -> str:
    parts = [f"{phase}: {count(of['epochs'], 'epoch')}"]
    if of["samples_per_second"] is not None:
        parts.append(f"{of['samples_per_second']:.3g} samples/s")
    if of["seconds_per_epoch"] is not None:
        parts.append(f"{of['seconds_per_epoch']:.0f} s an epoch")
    cost = run["phase_costs"].get(phase)
    if cost is not None:
        published = published_cost(run["detector"], phase)
        aside = f" (published: {published:.2f}x)" if published else ""
        parts.append(f"{cost:.2f}x of detection only{aside}")
    return ", ".join(parts)


def _mean_ap(figures: dict | None) -> str:
    if figures is None:
        return "no validation"
    return (
        f"best {figures['best']:.4f} (epoch {figures['best_epoch']}, line {figures['best_line']}),"
        f" last {figures['last']:.4f} (epoch {figures['last_epoch']}), mean of the last"
        f" {figures['counted']} {figures['mean_of_last']:.4f} ± {figures['deviation_of_last']:.4f}"
    )


def _not_understood(unknown: list[dict]) -> list[str]:
    if not unknown:
        return ["", "every line was understood"]
    out = ["", f"not understood: {count(len(unknown), 'line')}"]
    for line in unknown[:SHOWN]:
        cut = "  (the file breaks off here)" if line["cut"] else ""
        text = line["text"].encode("ascii", "backslashreplace").decode()
        text = text if len(text) <= 90 else text[:87] + "..."
        out.append(f"  line {line['line']}: {printable(text)}{cut}")
    if len(unknown) > SHOWN:
        out.append(f"  and {len(unknown) - SHOWN} more (all of them: --json)")
    return out
