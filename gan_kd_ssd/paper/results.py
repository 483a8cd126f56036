"""Results of the rows as JSON and Markdown, written again after each row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.command import COMMANDS, shell_line
from gan_kd_ssd.logs.run_metadata import RunMetadata, metadata_beside
from gan_kd_ssd.paper.job import Job
from gan_kd_ssd.paper.row_state import DONE, RowState, state_of
from gan_kd_ssd.paper.rows import SCALE, table_texts
from gan_kd_ssd.paper.training_runs import read_json, write_json
from gan_kd_ssd.util.files import write_text
from gan_kd_ssd.util.tables import aligned

#: Columns of the tables: title, key in the JSON, and digits after the point of a number.
_COLUMNS = (
    ("row", "row", 0),
    ("student", "student", 0),
    ("teacher", "teacher", 0),
    ("parameters", "parameters", 0),
    ("epochs", "epochs", 0),
    ("seconds", "seconds", 0),
    ("teacher's mAP", "teacher_mAP", 2),
    ("mAP", "ours", 2),
    ("published", "published", 1),
)
_INTRODUCTION = """\
# The paper's rows at the scale {scale}

`gan-kd experiments run --all --scale {scale}` trains and measures the rows;
`gan-kd experiments show ROW --scale {scale}` prints the commands of one row.

{trained}
The mAP is in percent. The mAP of a row is measured on the test images by `gan-kd eval`, and that of its
teacher on the student's validation images. The column `seconds` has the duration of the training with its
start and its validations, or `-` if the training was interrupted and resumed.{caution}
"""


def result_of(job: Job, state: RowState) -> dict:
    """The result of a finished row for JSON."""
    row, metadata = job.row, metadata_beside(job.files.params) or RunMetadata({})
    teacher = metadata.distillation and metadata.distillation.teacher
    started = read_json(job.files.named("started.json")) or {}
    command, *words = started.get("command") or job.train_command()
    return {
        **{"row": row.name, "table": row.table, "cell": row.figure.cell},
        "student": metadata.namespace.get("student"),
        "teacher": row.teacher and metadata.namespace.get("teacher"),
        **{"published": row.published, "ours": state.ours},
        "epochs": state.progress and state.progress.epochs,
        "seconds": state.seconds,
        **{"versions": metadata.versions, "parameters": metadata.parameters},
        "teacher_mAP": teacher.mean_ap if teacher else None,
        "command": shell_line([COMMANDS.get(command, command), *words]),
        "measured": state.result,
    }


def save(jobs: Sequence[Job], folder: Path) -> None:
    """Write ``results.json`` and ``results.md`` of the jobs that are done."""
    states = [(job, state_of(job)) for job in jobs]
    done = [result_of(job, state) for job, state in states if state.name == DONE]
    write_json(folder / "results.json", done)
    write_text(folder / "results.md", markdown(done, folder.name))


def markdown(done: Sequence[dict], scale: str) -> str:
    """Tables of results: the paper's three, the other rows, and COCO's twelve figures."""
    if not done:
        return "No row is done yet.\n"
    versions = {", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in done}
    trained = "".join(f"Trained with {each}.\n" for each in sorted(filter(None, versions)))
    caution = "" if scale == SCALE else " These figures say nothing about the published ones."
    parts = [_INTRODUCTION.format(scale=scale, trained=trained, caution=caution)]
    titles = {int(n): f"Table {n}: {title}" for n, title in table_texts()["titles"].items()}
    for table, title in {**titles, None: "Teachers and other rows"}.items():
        rows = [_cells(result) for result in done if result["table"] == table]
        if rows:
            head = [column for column, _, _ in _COLUMNS]
            parts.append(f"## {title}\n\n{_table([head, *rows], 3)}")
    coco = {r["row"]: r["measured"]["figures"] for r in done if "figures" in r["measured"]}
    if coco:
        rows = [["row", *next(iter(coco.values()))]]
        for name, figures in coco.items():
            rows.append([name, *(_cell(v if v is None else 100 * v, 2) for v in figures.values())])
        parts.append(f"## COCO's twelve figures, in percent\n\n{_table(rows, 1)}")
    return "\n".join(parts)


def _table(rows: list[list[str]], first_right: int) -> str:
    return aligned(rows, right=range(first_right, len(rows[0])), markdown=True) + "\n"


def _cells(result: dict) -> list[str]:
    """The cells of a result. JSON has the teacher's mAP as a share."""
    shares = {**result, "teacher_mAP": result["teacher_mAP"] and 100 * result["teacher_mAP"]}
    return [_cell(shares[key], digits) for _, key, digits in _COLUMNS]


def _cell(value: object, digits: int) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:,.{digits}f}"
