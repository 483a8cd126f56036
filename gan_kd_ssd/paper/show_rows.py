"""Texts of ``gan-kd experiments``: the list of rows, one row, and the states of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from gan_kd_ssd.config.command import shell_line
from gan_kd_ssd.paper import row_state
from gan_kd_ssd.paper.job import Job, with_teachers
from gan_kd_ssd.paper.row_state import RowState, duration, state_of
from gan_kd_ssd.paper.rows import SCALE, by_name, table_texts
from gan_kd_ssd.util.tables import aligned


def list_text(jobs: Sequence[Job]) -> str:
    """A table of all rows."""
    rows = [["row", "table", "student", "teacher", "data", "published", "ours", "state"]]
    for job in jobs:
        row, state = job.row, state_of(job)
        name = state.name
        if name == row_state.WAITING and row.networks.weights and job.scale.name == SCALE:
            name = "GluonCV publishes the weights"
        teacher = (row.teacher or "-") + (" + cos" if row.cosine else "")
        student = row.student + (f", RoI {row.roi_mode}" if row.roi_mode and row.table else "")
        figures = [_percent(row.published), _percent(state.ours)]
        table = str(row.table or "-")
        rows.append([row.name, table, student, teacher, row.dataset, *figures, name])
    return aligned(rows, right=(5, 6)) + _caution(jobs)


def show_text(job: Job) -> str:
    """All about a row: its figure, the origin of each choice, its commands and its state."""
    row = job.row
    titles = table_texts()["titles"]
    where = f"Table {row.table}: {titles[str(row.table)]}" if row.table else "in no table"
    figure = row.figure
    published = "no figure" if figure.published is None else f"mAP {figure.published:.1f} %"
    lines = [row.name, f"  {where}", f"  {figure.cell or row.label}: published {published}", ""]
    if row.origin:
        lines += [aligned(_origins(job)), ""]
    lines.append(f"  commands at the scale {job.scale.name}:")
    commands: dict[str, str] = {}  # rows that share their data generate it once
    for each in with_teachers([job]):
        for command in each.commands():
            commands.setdefault(shell_line(command), "" if each is job else f"  # {each.name}")
    lines += [f"    {command}{note}" for command, note in commands.items()]
    if figure.published_log and job.scale.name == SCALE:
        words = ["logs", "compare", str(job.files.log), "--reference", figure.published_log]
        lines += ["  comparison with the published log of this row:", f"    {shell_line(words)}"]
    return "\n".join([*lines, "", f"  state: {_sentence(state_of(job))}"])


def _origins(job: Job) -> list[list[str]]:
    """Each choice of a row, its value, and whether it is published or inferred."""
    row = job.row
    known = {"dataset": row.dataset, **asdict(row.networks), **row.options}
    known = {name: value for name, value in known.items() if value is not None}
    cells = [[f"  {name}", known.get(name, ""), why] for name, why in row.origin.items()]
    teacher_row = row.networks.teacher_row
    if teacher_row:
        why = "none are published at this scale: the teacher is trained first"
        if not job.teacher:
            why = f"GluonCV publishes them: {by_name(teacher_row).networks.weights}"
        cells.append(["  teacher's weights", teacher_row, why])
    return cells


def _sentence(state: RowState) -> str:
    words = [state.name]
    if state.progress:
        words.append(f"epoch {state.progress.epoch} of {state.progress.epochs}")
    if state.seconds_left is not None:
        words.append(f"{duration(state.seconds_left)} left")
    if state.ours is not None:
        words.append(f"mAP {state.ours:.2f} %")
    return ", ".join(words) + (f": {state.message}" if state.message else "")


def status_text(jobs: Sequence[Job], everything: bool = False) -> str:
    """A table of the states of rows (of all, or of those that were started), and their counts."""
    states = [(job, state_of(job)) for job in jobs]
    rows = [["row", "state", "epochs", "left", "published", "ours", ""]]
    for job, state in states:
        if state.name == row_state.WAITING and not everything:
            continue
        done, left, published = state.progress, state.seconds_left, job.row.published
        epochs = f"{done.epoch}/{done.epochs}" if done else "-"
        ours = _percent(state.ours)
        if job.scale.name == SCALE and None not in (state.ours, published):
            ours += f" ({state.ours - published:+.1f})"
        figures = [epochs, "-" if left is None else duration(left), _percent(published), ours]
        rows.append([job.name, state.name, *figures, state.message])
    counts = Counter(state.name for _, state in states)
    total = ", ".join(f"{counts[name]} {name}" for name in row_state.NAMES)
    table = aligned(rows, right=(2, 3, 4, 5)) + "\n\n" if len(rows) > 1 else ""
    return f"{table}{len(jobs)} rows: {total}{_caution(jobs)}"


def _caution(jobs: Sequence[Job]) -> str:
    scale = jobs[0].scale.name
    text = f"\nfigures of the scale {scale} cannot be compared with the published ones"
    return "" if scale == SCALE else text


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
