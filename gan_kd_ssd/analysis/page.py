"""The HTML page of one run and its reference. It is self-contained: the plot is part of the file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.analysis.analysed_run import AnalysedRun
from gan_kd_ssd.analysis.compare_arguments import SAME
from gan_kd_ssd.analysis.comparison import CLASSES, ComparedRow, Comparison, Verdict
from gan_kd_ssd.analysis.report import SPEED_NOTE, argument_cells, cells
from gan_kd_ssd.analysis.summary import mean_ap, phase_speed
from gan_kd_ssd.analysis.wording import count, printable, render
from gan_kd_ssd.logs.log import Entry

#: How many rows that are outside are listed at the top, and how many lines that were not understood.
_MOST_OUTSIDE, _MOST_LINES = 8, 50


def page(
    comparison: Comparison,
    mine: AnalysedRun,
    reference: AnalysedRun,
    plot: bytes,
    command: str | None = None,
    unknown: Sequence[Entry] = (),
) -> str:
    """Return the page as text.

    Args:
        plot: The curves as SVG.
        command: The command that repeats the run; None if the log does not record its options.
        unknown: The lines of the log that were not understood.
    """
    rows = comparison.rows
    return render(
        "page.html",
        name=Path(mine.name).name,
        reference=reference,
        comparison=comparison,
        outside=_listed([row for row in rows if row.verdict is Verdict.OUTSIDE]),
        reason=_main_reason(comparison),
        overview=[_overview("this run", mine), _overview(reference.role, reference)],
        plot=base64.b64encode(plot).decode(),
        rows=[(cells(row), row.verdict) for row in rows if row.group != CLASSES],
        classes=[(row, cells(row)) for row in rows if row.group == CLASSES],
        bar=lambda value: f"{100 * min(max(value, 0.0), 1.0):.1f}%",
        differing=[argument_cells(a) for a in comparison.arguments if a.verdict != SAME],
        same=[argument_cells(a) for a in comparison.arguments if a.verdict == SAME],
        command=command,
        unknown=[(e.line, printable(e.record.text[:300])) for e in unknown[:_MOST_LINES]],
        unknown_lines=count(len(unknown), "line"),
        more_unknown=max(0, len(unknown) - _MOST_LINES),
        speed_note=SPEED_NOTE,
    )


def _listed(outside: list[ComparedRow]) -> list[str]:
    """The rows that are outside, in words."""
    listed = []
    for row in outside[:_MOST_OUTSIDE]:
        _, mine, reference, _, allowed, _, why = cells(row)
        figures = f"{mine} against {reference}, allowed {allowed} ({why})"
        listed.append(f"{row.label}: {why if row.gap is None else figures}")
    more = len(outside) - len(listed)
    return [*listed, f"and {more} more"] if more else listed


def _main_reason(comparison: Comparison) -> str:
    """The most frequent reason why rows are not comparable."""
    reasons = [r.why for r in comparison.rows if r.verdict is Verdict.NOT_COMPARABLE and r.why]
    return max(dict.fromkeys(reasons), key=reasons.count) if reasons else ""


def _overview(label: str, of: AnalysedRun) -> list[str]:
    reached = mean_ap(of.figures, 5)
    values = [f"{f.value:.4f}" for f in (reached.best, reached.last)] if reached else ["-", "-"]
    seen = of.counted(of.images_seen) if of.images_seen else "-"
    size = str(of.size) if of.size else "unknown"
    phases = ", ".join(f"{name} {speed.epochs}" for name, speed in phase_speed(of.figures).items())
    return [label, *values, seen, size, phases]
