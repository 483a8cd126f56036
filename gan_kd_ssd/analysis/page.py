"""The HTML page of one run against the published one: it stands alone, pictures inside."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from gan_kd_ssd.analysis.compare import NOT_COMPARABLE, OUTSIDE, Comparison, Row
from gan_kd_ssd.analysis.facts import Subject
from gan_kd_ssd.analysis.plain import count, printable
from gan_kd_ssd.analysis.report import argument_cells, cells, counts
from gan_kd_ssd.analysis.summary import mean_ap, phase_speed

#: How many lines that were not understood are shown; all of them are counted.
_SHOWN = 50

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p.sub { color: #555; margin-top: 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #e3e3e3;
  vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.verdict { display: inline-block; padding: 0 .5rem; border: 1px solid; border-radius: .6rem;
  white-space: nowrap }
.within { color: #0b5d34; background: #e8f5ee } .outside { color: #8f1d14; background: #fdecea;
  font-weight: 600 } .not-comparable, .no-reference { color: #555; background: #f3f3f3 }
.banner { padding: .7rem 1rem; border-left: .4rem solid; margin: 1rem 0 }
img { max-width: 100%; height: auto }
.bar { position: relative; width: 16rem; height: 1rem; background: #f0f0f0 }
.bar i { position: absolute; left: 0; height: .42rem; top: .05rem; background: #0072b2 }
.bar i.ref { top: .53rem; background: #595959 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f6; padding: .6rem }
details { margin: .6rem 0 } summary { cursor: pointer }
"""


def page(
    mine: Subject, reference: Subject, comparison: Comparison, picture: bytes, facts: dict
) -> str:
    """The page as text.

    Args:
        picture: the curves as SVG.
        facts: ``command`` (what repeats the run, or None) and ``not_understood`` (entries).
    """
    name = escape(Path(mine.name).name)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{name}</h1>",
        f'<p class="sub">against the {reference.role} {escape(reference.name)}</p>',
        _banner(comparison),
        *(f"<p>{escape(remark)}</p>" for remark in comparison.remarks),
        _overview(mine, reference),
        "<h2>Curves</h2>",
        _image(picture, reference.role),
        "<h2>Verdicts</h2>",
        _rows(comparison, ("losses", "mAP", "invariants"), reference.role),
        _origins(comparison),
        "<h2>Classes</h2>",
        _classes([row for row in comparison.rows if row.group == "classes"], reference.role),
        "<h2>Arguments</h2>",
        _arguments(comparison, reference.role),
        _command(facts["command"]),
        _not_understood(facts["not_understood"]),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _banner(comparison: Comparison) -> str:
    kind = comparison.verdict.replace(" ", "-")
    outside = [row for row in comparison.rows if row.verdict == OUTSIDE]
    more = ""
    if outside:
        items = "".join(f"<li>{escape(r.name)}: {escape(_gap(r))}</li>" for r in outside[:8])
        rest = f"<li>and {len(outside) - 8} more</li>" if len(outside) > 8 else ""
        more = f"<ul>{items}{rest}</ul>"
    elif comparison.verdict == NOT_COMPARABLE:
        reasons = [r.why for r in comparison.rows if r.verdict == NOT_COMPARABLE and r.why]
        more = f"<p>{escape(max(set(reasons), key=reasons.count))}</p>" if reasons else ""
    text = f"<strong>{escape(comparison.verdict)}</strong>: {escape(counts(comparison))}"
    return f'<div class="banner {kind}">{text}{more}</div>'


def _gap(row: Row) -> str:
    if row.gap is None:
        return row.why
    return f"{row.mine:.4f} against {row.reference:.4f}, allowed ±{row.allowed:.4f} ({row.why})"


def _overview(mine: Subject, reference: Subject) -> str:
    rows = []
    for label, of in (("this run", mine), (reference.role, reference)):
        reached = mean_ap(of.figures, 5)
        best, last = (f"{reached[k]:.4f}" if reached else "-" for k in ("best", "last"))
        seen = of.counted(of.images_seen) if of.images_seen else "-"
        phases = ", ".join(f"{phase} {v['epochs']}" for phase, v in phase_speed(of.figures).items())
        size = str(of.size) if of.size else "unknown"
        rows.append([label, best, last, seen, size, phases])
    head = ["", "best mAP", "last mAP", "images seen", "images an epoch", "epochs by phase"]
    return _table(head, [[escape(cell) for cell in row] for row in rows], numbers=(1, 2, 3))


def _image(picture: bytes, role: str) -> str:
    data = base64.b64encode(picture).decode()
    return (
        f'<img alt="Losses, mAP over images seen and speed by phase; the {role} run is the'
        f' solid grey line" src="data:image/svg+xml;base64,{data}">'
    )


def _table(head: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    def line(row: list[str], tag: str) -> str:
        marks = [' class="n"' if i in numbers else "" for i in range(len(row))]
        return "".join(f"<{tag}{mark}>{cell}</{tag}>" for cell, mark in zip(row, marks))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{line(head, "th")}</tr>{body}</table></div>'


def _badge(verdict: str) -> str:
    return f'<span class="verdict {verdict.replace(" ", "-")}">{escape(verdict)}</span>'


def _rows(comparison: Comparison, groups: tuple[str, ...], role: str) -> str:
    rows = []
    for row in comparison.rows:
        if row.group in groups:
            name, here, reference, gap, allowed, verdict, why = map(escape, cells(row))
            rows.append([name, here, reference, gap, allowed, _badge(verdict), why])
    head = ["figure", "here", role, "gap", "allowed", "verdict", "why, where"]
    return _table(head, rows, numbers=(1, 2, 3, 4))


def _origins(comparison: Comparison) -> str:
    items = [f"<li>{escape(n)}: {escape(o)}</li>" for n, o in comparison.origins.items()]
    items.append("<li>speed is not compared: it depends on the machine</li>")
    title = "Where the tolerances come from"
    return f"<details><summary>{title}</summary><ul>{''.join(items)}</ul></details>"


def _classes(rows: list[Row], role: str) -> str:
    if not rows:
        return "<p>No validation yet.</p>"
    body = []
    for row in rows:
        bars = _bar(row.mine, "") + (_bar(row.reference, " class=ref") if row.reference else "")
        _, here, reference, gap, _, verdict, _ = map(escape, cells(row))
        name = escape(row.name.partition(" ")[2])
        body.append([name, f'<div class="bar">{bars}</div>', here, reference, gap, _badge(verdict)])
    head = ["class", f"AP here (blue), {role} (grey)", "here", role, "gap", "verdict"]
    return _table(head, body, numbers=(2, 3, 4))


def _bar(value: float, mark: str) -> str:
    share = 100 * min(max(value, 0.0), 1.0)
    return f'<i{mark} style="width:{share:.1f}%"></i>'


def _arguments(comparison: Comparison, role: str) -> str:
    head = ["argument", "here", role, ""]
    rows = [[escape(c) for c in argument_cells(a)] for a in comparison.arguments]
    differing = [row for row in rows if row[3] != "same"]
    same = [row for row in rows if row[3] == "same"]
    text = _table(head, differing) if differing else "<p>All arguments are the same.</p>"
    folded = f"<details><summary>{len(same)} the same</summary>{_table(head, same)}</details>"
    return text + (folded if same else "")


def _command(command: str | None) -> str:
    if command is None:
        return "<p>The log has no Namespace line, so its options are not known.</p>"
    return f"<p>This command repeats the run:</p><pre>{escape(command)}</pre>"


def _not_understood(entries) -> str:
    if not entries:
        return "<p>Every line of the log was understood.</p>"
    lines = [f"{e.line}: {printable(e.record.text[:300])}" for e in entries[:_SHOWN]]
    if len(entries) > _SHOWN:
        lines.append(f"and {len(entries) - _SHOWN} more: gan-kd logs show LOG --json")
    title = f"not understood: {count(len(entries), 'line')} of the log"
    shown = escape("\n".join(lines))
    return f"<details open><summary>{title}</summary><pre>{shown}</pre></details>"
