"""The paper's Tables 1 to 3 with the best of our runs next to each published figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.analysis.logged_figures import run_figures
from gan_kd_ssd.analysis.summary import mean_ap
from gan_kd_ssd.config.command import Command
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.logs.log import Log
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.resume import with_resumed
from gan_kd_ssd.paper.rows import Row, cells, table_texts
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.tables import aligned


@dataclass(frozen=True)
class BestRun:
    """The best run of a row: mAP in percent, and its log."""

    mean_ap: float
    log: str


def is_of(cell: Row, command: Command) -> bool:
    """Whether a run with this command belongs to a row."""
    options = command.options
    if command.script != cell.script or options.get("dataset") not in cell.dataset_options:
        return False
    adversarial = "lrD" in options and options.get("distill", "gan") != "none"
    student = str(read_name(options.get("student")))
    teacher = str(read_name(options.get("teacher"))) if adversarial else None
    if (student, teacher) != (cell.student, cell.teacher):
        return False
    if cell.roi_mode is None:
        cosine = adversarial and bool(options.get("cosine_attention"))
        return cosine == cell.cosine and options.get("data_shape") in (512, None)
    # the published log does not say whether cosine attention was used, nor GluonCV's log the RoI mode
    cosine = not adversarial or options.get("cosine_attention") != 0
    sizes = options.get("short") in (600, None) and options.get("max_size") in (1000, None)
    roi_mode = options.get("roi_mode", "align")
    return cosine and sizes and roi_mode == cell.roi_mode and not options.get("use_fpn")


def runs_in(folder: str | Path) -> Iterable[Log]:
    """Read the training logs (``*_train.log``) below a folder. Other files are skipped."""
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is not a folder: name the folder of your runs")
    for path in sorted(Path(folder).rglob("*_train.log")):
        try:
            yield read(path)
        except UserError:
            continue


def best_runs(logs: Iterable[Log]) -> dict[Row, BestRun]:
    """Find the best run of each row of the tables, for the rows that have one."""
    found: dict[Row, BestRun] = {}
    for log in logs:
        run = log.last_trained
        if run is None or run.start is None:
            continue
        run = with_resumed(log, run)
        command, reached = command_of(log, run), mean_ap(run_figures(run), 1)
        if reached is None:
            continue
        for cell in cells():
            best = 100 * reached.best.value
            if is_of(cell, command) and (cell not in found or best > found[cell].mean_ap):
                found[cell] = BestRun(best, log.source)
    return found


def tables_as_dict(found: dict[Row, BestRun]) -> list[dict]:
    """The tables for JSON, one object a row."""
    return [
        {
            **{"table": cell.table, "row": cell.name, "cell": cell.label},
            "published": cell.published,
            "ours": found[cell].mean_ap if cell in found else None,
            "log": found[cell].log if cell in found else None,
            "command": cell.command().line(),
            "teacher_command": cell.trained_teacher and cell.trained_teacher.command().line(),
        }
        for cell in cells()
    ]


def tables_text(found: dict[Row, BestRun]) -> str:
    """The tables as text: each row with its figures, and below it the commands that train it."""
    lines = []
    columns = iter(aligned([_columns(cell, found.get(cell)) for cell in cells()]).splitlines())
    texts = table_texts()
    for table, title in texts["titles"].items():
        note = texts["notes"].get(table)
        lines += [f"Table {table}: {title}", *([note] if note else [])]
        for cell in cells():
            if cell.table == int(table):
                lines.append(next(columns).rstrip())
                if cell.trained_teacher:
                    lines.append(f"      {cell.trained_teacher.command().line()}  # its teacher")
                lines.append(f"      {cell.command().line()}")
        lines.append("")
    return "\n".join(lines)


def _columns(cell: Row, here: BestRun | None) -> list[str]:
    ours = f"{here.mean_ap:.1f} ({here.mean_ap - cell.published:+.1f}), {here.log}" if here else "-"
    return [f"  {cell.name}", cell.label, f"published {cell.published:.1f}", f"ours {ours}"]
