"""What the rows came to, as JSON and Markdown; written again after each row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.paper.job import Job, line
from gan_kd_ssd.paper.rows import SCALE, titles
from gan_kd_ssd.paper.state import DONE, State, state_of
from gan_kd_ssd.paper.trainings import read_json, write_json
from gan_kd_ssd.util.files import write_text
from gan_kd_ssd.util.tables import aligned


def save(jobs: Sequence[Job], folder: Path) -> None:
    """Write ``results.json`` and ``results.md`` of those rows that are done."""
    done = [(job, state) for job in jobs for state in [state_of(job)] if state.name == DONE]
    write_json(folder / "results.json", [_as_dict(job, state) for job, state in done])
    write_text(folder / "results.md", markdown(done))


def _as_dict(job: Job, state: State) -> dict:
    row = job.row
    return {
        "row": row.name,
        "table": row.table,
        "cell": row.cell,
        "published": row.published,
        "ours": state.ours,
        "epochs": state.progress and state.progress.epochs,
        "seconds": state.seconds,
        "versions": run_facts(job).get("versions"),
        "parameters": run_facts(job).get("parameters"),
        "teacher_mAP": (run_facts(job).get("teacher") or {}).get("mAP"),
        "command": line((read_json(job.file("started.json")) or {}).get("command", [])),
        "measured": state.result,
    }


def run_facts(job: Job) -> dict:
    """What the run says of itself first: versions, parameters, its teacher; {} without it."""
    try:
        with open(job.metrics, encoding="utf-8") as file:
            return dict(json.loads(file.readline()))
    except (OSError, ValueError, TypeError):
        return {}


def markdown(done: Sequence[tuple[Job, State]]) -> str:
    """Tables of what is done: the paper's three, the teachers, COCO's twelve figures."""
    title_of, _ = titles()
    out = _head(done)
    for table in (1, 2, 3, None):
        rows = [(job, state) for job, state in done if job.row.table == table]
        if rows:
            out += [f"## {f'Table {table}: {title_of[str(table)]}' if table else 'Teachers'}", ""]
            out += [_table(rows), ""]
    figures = [(job, s) for job, s in done if "figures" in s.result]
    if figures:
        names = list(figures[0][1].result["figures"])
        rows = [["row", *names]]
        for job, state in figures:
            rows.append(
                [
                    job.name,
                    *(
                        _number(100 * v if v is not None else None, 2)
                        for v in state.result["figures"].values()
                    ),
                ]
            )
        out += ["## COCO's twelve figures, in percent", "", _right(rows, 1), ""]
    return "\n".join(out)


def _head(done: Sequence[tuple[Job, State]]) -> list[str]:
    """What was run, with what, and what the columns are."""
    if not done:
        return ["nothing is done yet"]
    scale = done[0][0].scale.name
    versions = {
        ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        for job, _ in done
        for facts in [run_facts(job)]
        if "versions" in facts
    }
    return [
        f"# The paper's rows at the scale {scale}",
        "",
        f"`gan-kd experiments run --all --scale {scale}` trains and measures them; "
        f"`gan-kd experiments show ROW --scale {scale}` prints the commands of one.",
        "",
        *(f"Trained with {each}." for each in sorted(versions)),
        "",
        "mAP in percent: of a teacher, on the images that its student is validated on; of a row, on the "
        "test images, by eval_voc.py. Seconds: of the training with its start and validations, `-` where "
        "it was stopped and went on."
        + ("" if scale == SCALE else " None of it says anything of the published figures."),
        "",
    ]


def _table(done: Sequence[tuple[Job, State]]) -> str:
    head = ["row", "student", "teacher", "parameters", "epochs", "seconds", "teacher's mAP", "mAP"]
    rows = [[*head, "published"]]
    for job, state in done:
        facts = run_facts(job)
        teacher = (facts.get("teacher") or {}).get("mAP")
        options = facts.get("namespace", {})
        rows.append(
            [
                job.name,
                str(options.get("student", "")),
                str(options.get("teacher", "")) if job.row.teacher else "-",
                f"{facts.get('parameters', 0):,}",
                str(state.progress.epochs if state.progress else "-"),
                _number(state.seconds, 0),
                _number(None if teacher is None else 100 * teacher, 2),
                _number(state.ours, 2),
                _number(job.row.published, 1),
            ]
        )
    return _right(rows, 3)


def _right(rows: list[list[str]], first: int) -> str:
    return aligned(rows, right=range(first, len(rows[0])), markdown=True)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
