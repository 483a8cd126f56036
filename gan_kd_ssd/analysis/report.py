"""A comparison as text: for a terminal, or in Markdown."""

from __future__ import annotations

from gan_kd_ssd.analysis.compare_arguments import SAME, Argument
from gan_kd_ssd.analysis.comparison import ComparedRow, Comparison
from gan_kd_ssd.analysis.wording import count, printable
from gan_kd_ssd.util.tables import aligned

HEAD = ["figure", "here", "reference", "gap", "allowed", "verdict", "why, where"]
ARGUMENT_HEAD = ["argument", "here", "reference", ""]

#: A note for all forms of a comparison.
SPEED_NOTE = "speed is not compared, because it depends on the machine"
#: Columns of numbers under :data:`HEAD`.
_NUMBERS = (1, 2, 3, 4)
#: Widest column of a table for a terminal, except the last one.
_WIDEST = 46


def cells(row: ComparedRow) -> list[str]:
    """Format a row under :data:`HEAD`."""
    values = ["-" if v is None else f"{v:.4f}" for v in (row.mine, row.reference)]
    gap = "-" if row.gap is None else f"{row.gap:+.4f}"
    allowed = "-" if row.allowed is None else f"±{row.allowed:.4f}"
    return [row.label, *values, gap, allowed, row.verdict.value, row.why]


def argument_cells(argument: Argument) -> list[str]:
    """Format an argument under :data:`ARGUMENT_HEAD`."""
    shown = ["-" if v is None else v or "''" for v in (argument.mine, argument.reference)]
    return [argument.label, *shown, argument.verdict]


def _arguments(comparison: Comparison, everything: bool, table) -> list[str]:
    """The table of arguments, and a note on those that it leaves out."""
    shown = [a for a in comparison.arguments if everything or a.verdict != SAME]
    same = len(comparison.arguments) - len(shown)
    verb = "is" if same == 1 else "are"
    tables = [table([ARGUMENT_HEAD, *map(argument_cells, shown)])] if shown else []
    notes = [f"{count(same, 'argument')} {verb} the same (see --all)"] if same else []
    return tables + notes


def table_text(comparison: Comparison, everything: bool = False) -> str:
    """Format a comparison for a terminal, with ``everything`` also the arguments that are the same."""
    rows = [HEAD, *map(cells, comparison.rows)]
    out = [
        *(f"{comparison.mine} against {comparison.reference}", *comparison.remarks, ""),
        *(*_arguments(comparison, everything, _table), "", _table(rows, _NUMBERS), ""),
        *(f"tolerance of {name}: {origin}" for name, origin in comparison.origins.items()),
        *(SPEED_NOTE, "", f"verdict: {comparison.verdict.value} ({comparison.counts})"),
    ]
    return "\n".join(map(printable, "\n".join(out).split("\n"))) + "\n"


def _table(rows: list[list[str]], right=()) -> str:
    """A table with a rule below its head."""
    head, *body = aligned(rows, right=right, widest=_WIDEST).split("\n")
    return "\n".join([head, "-" * min(max(map(len, [head, *body])), 100), *body])


def markdown_text(comparison: Comparison, everything: bool = False) -> str:
    """Format a comparison in Markdown; see :func:`table_text`."""
    arguments = _arguments(comparison, everything, _markdown)
    rows = [HEAD, *map(cells, comparison.rows)]
    out = [
        f"# {_escape(comparison.mine)} against {_escape(comparison.reference)}",
        *("", f"**{comparison.verdict.value}**: {comparison.counts}."),
        *(f"- {_escape(remark)}" for remark in comparison.remarks),
        *("", *(f"{part}\n" for part in arguments), _markdown(rows, _NUMBERS), ""),
        *(f"- tolerance of {name}: {origin}" for name, origin in comparison.origins.items()),
        f"- {SPEED_NOTE}\n",
    ]
    return "\n".join(out)


def _markdown(rows: list[list[str]], right=()) -> str:
    return aligned([list(map(_escape, row)) for row in rows], right=right, markdown=True)


def _escape(text: str) -> str:
    """Escape what Markdown would read as markup. ``aligned`` escapes bars."""
    for mark in "\\*`<>[]#":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
