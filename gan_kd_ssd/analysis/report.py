"""A comparison as text: aligned for a terminal, or Markdown."""

from __future__ import annotations

from gan_kd_ssd.analysis.compare import WITHIN, Comparison, Row


def number(value: float | None, signed: bool = False) -> str:
    """Four decimals, - for none."""
    if value is None:
        return "-"
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def cells(row: Row) -> list[str]:
    """Name, here, reference, gap, allowed, verdict, why."""
    values = [number(row.mine), number(row.reference), number(row.gap, signed=True)]
    allowed = "-" if row.allowed is None else f"±{row.allowed:.4f}"
    return [row.name, *values, allowed, row.verdict, row.why]


HEAD = ["figure", "here", "reference", "gap", "allowed", "verdict", "why, where"]
ARGUMENT_HEAD = ["argument", "here", "reference", ""]


def argument_cells(argument) -> list[str]:
    """Name, here, reference, verdict."""
    shown = ["-" if v is None else v or "''" for v in (argument.mine, argument.reference)]
    return [argument.name, *shown, argument.verdict]


def counts(comparison: Comparison) -> str:
    """How many rows have which verdict."""
    verdicts = [row.verdict for row in comparison.rows]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys([WITHIN, *verdicts]))


def table_text(comparison: Comparison) -> str:
    """For a terminal."""
    out = [f"{comparison.mine} against {comparison.reference}"]
    out += [*comparison.remarks, ""]
    out += _aligned(ARGUMENT_HEAD, [argument_cells(a) for a in comparison.arguments], "lll")
    out += ["", *_aligned(HEAD, [cells(row) for row in comparison.rows], "lrrrrl"), ""]
    out += [f"tolerance of {name}: {origin}" for name, origin in comparison.origins.items()]
    out += ["speed is not compared: it depends on the machine", ""]
    out.append(f"verdict: {comparison.verdict} ({counts(comparison)})")
    return "\n".join(out) + "\n"


def _aligned(head: list[str], rows: list[list[str]], sides: str) -> list[str]:
    widths = [min(max(len(row[i]) for row in [head, *rows]), 46) for i in range(len(head))]
    widths[-1] = 0
    out = []
    for row in [head, *rows]:
        padded = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides.ljust(len(row), "l"))
        ]
        out.append("  ".join(padded).rstrip())
    out.insert(1, "-" * min(max(map(len, out)), 100))
    return out


def markdown_text(comparison: Comparison) -> str:
    """The same in Markdown."""
    out = [f"# {_escape(comparison.mine)} against {_escape(comparison.reference)}", ""]
    out.append(f"**{comparison.verdict}**: {counts(comparison)}.")
    out += [f"- {_escape(remark)}" for remark in comparison.remarks]
    out += ["", *_markdown(ARGUMENT_HEAD, [argument_cells(a) for a in comparison.arguments])]
    out += ["", *_markdown(HEAD, [cells(row) for row in comparison.rows]), ""]
    out += [f"- tolerance of {name}: {origin}" for name, origin in comparison.origins.items()]
    out.append("- speed is not compared: it depends on the machine")
    return "\n".join(out) + "\n"


def _markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(_escape, line))} |" for line in lines]


def _escape(text: str) -> str:
    for mark in "\\|*_`<>[]#":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split()).replace("\\_", "_") if text else text
