"""Tables 1 to 3 of the paper, with our runs beside the published figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.analysis.figures import run_figures
from gan_kd_ssd.analysis.summary import mean_ap
from gan_kd_ssd.config.command import FASTER_RCNN, Command
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.logs.log import Log
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.resume import with_resumed
from gan_kd_ssd.paper.rows import Row, cells, titles
from gan_kd_ssd.util.errors import UserError


@dataclass(frozen=True)
class Found:
    """The best of our runs for a cell: mAP in percent."""

    mean_ap: float
    log: str


def is_of(cell: Row, command: Command) -> bool:
    """Whether a run of this command belongs to a cell."""
    options = command.options
    if command.script != cell.script or not _same_data(cell.dataset, command):
        return False
    adversarial = "lrD" in options and options.get("distill", "gan") != "none"
    student = str(read_name(options.get("student")))
    teacher = str(read_name(options.get("teacher"))) if adversarial else None
    if (student, teacher) != (cell.student, cell.teacher):
        return False
    if cell.roi_mode is None:
        cosine = adversarial and bool(options.get("cosine_attention"))
        return cosine == cell.cosine and options.get("data_shape") in (512, None)
    # the published log does not tell whether it has cosine attention, and GluonCV's RoI mode
    cosine = not adversarial or options.get("cosine_attention") != 0
    sizes = options.get("short") in (600, None) and options.get("max_size") in (1000, None)
    roi_mode = options.get("roi_mode", "align")
    return cosine and sizes and roi_mode == cell.roi_mode and not options.get("use_fpn")


def _same_data(dataset: str, command: Command) -> bool:
    told = command.options.get("dataset")
    if command.script == FASTER_RCNN and told == "voc":  # 07 alone, as in the published log
        told = "voc07"
    return told == dataset


def runs_in(folder: str | Path) -> Iterable[Log]:
    """The training logs below a folder; files that are none are passed over.

    Raises:
        UserError: no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is not a folder: name the folder where your runs are")
    for path in sorted(Path(folder).rglob("*_train.log")):
        try:
            yield read(path)
        except UserError:
            continue


def find_runs(logs: Iterable[Log]) -> dict[Row, Found]:
    """The best run for each cell that has one."""
    everything, found = cells(), {}
    for log in logs:
        run = log.last_trained
        if run is None or run.start is None:
            continue
        run = with_resumed(log, run)
        command, reached = command_of(log, run), mean_ap(run_figures(run), 1)
        if reached is None:
            continue
        for cell in everything:
            best = 100 * reached.best.value
            if is_of(cell, command) and (cell not in found or best > found[cell].mean_ap):
                found[cell] = Found(best, log.source)
    return found


def tables_as_dict(found: dict[Row, Found]) -> list[dict]:
    """For JSON: one object a cell."""
    rows = []
    for cell in cells():
        here, teacher = found.get(cell), cell.trained_teacher
        rows.append(
            {
                "table": cell.table,
                "row": cell.name,
                "cell": cell.label,
                "published": cell.published,
                "ours": here.mean_ap if here else None,
                "log": here.log if here else None,
                "command": cell.command().line(),
                "teacher_command": teacher.command().line() if teacher else None,
            }
        )
    return rows


def tables_text(found: dict[Row, Found]) -> str:
    """The three tables for a terminal."""
    (title_of, note_of), out = titles(), []
    name_width = max(len(cell.name) for cell in cells())
    width = max(len(cell.label) for cell in cells())
    for table, title in title_of.items():
        out += [f"Table {table}: {title}"]
        if note_of[table]:
            out.append(note_of[table])
        for cell in cells():
            if cell.table != int(table):
                continue
            here = found.get(cell)
            ours = "-"
            if here:
                ours = f"{here.mean_ap:.1f} ({here.mean_ap - cell.published:+.1f}), {here.log}"
            out.append(
                f"  {cell.name:<{name_width}}  {cell.label:<{width}}  published "
                f"{cell.published:.1f}  ours {ours}"
            )
            if cell.trained_teacher:
                out.append(f"      {cell.trained_teacher.command().line()}  # its teacher")
            out.append(f"      {cell.command().line()}")
        out.append("")
    return "\n".join(out)
