"""What the commands print: the list of rows, one row, and how far rows are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from gan_kd_ssd.paper.job import Job, line, with_teachers
from gan_kd_ssd.paper.rows import SCALE, by_name, titles
from gan_kd_ssd.paper.state import DONE, FAILED, RUNNING, STOPPED, WAITING, State, state_of
from gan_kd_ssd.util.tables import aligned


def list_text(jobs: Sequence[Job]) -> str:
    """All rows of a scale as an aligned table."""
    rows = [["row", "table", "student", "teacher", "data", "published", "ours", "state"]]
    for job in jobs:
        row, state = job.row, state_of(job)
        name = state.name
        if name == WAITING and row.weights and job.scale.name == SCALE:
            name = "weights published by GluonCV"
        teacher = (row.teacher or "-") + (" + cos" if row.cosine else "")
        student = row.student + (f", RoI {row.roi_mode}" if row.roi_mode and row.place else "")
        table = str(row.table or "-")
        figures = [_percent(row.published), _percent(state.ours)]
        rows.append([row.name, table, student, teacher, row.dataset, *figures, name])
    return aligned(rows, right=(5, 6)) + _note(jobs)


def show_text(job: Job) -> str:
    """Everything of a row: what it is, where each choice is from, the commands, how far it is."""
    row, state = job.row, state_of(job)
    where = f"Table {row.table}: {titles()[0][str(row.table)]}" if row.table else "a teacher"
    published = "no figure" if row.published is None else f"mAP {row.published:.1f} %"
    out = [row.name, f"  {where}", f"  {row.cell}: published {published}", ""]
    known = {"student": row.student, "teacher": row.teacher, "dataset": row.dataset}
    known |= {"weights": row.weights, "published": None, **row.options}
    origin = [
        [f"  {name}", "" if known.get(name) is None else str(known[name]), why]
        for name, why in row.origin.items()
    ]
    if row.teacher_row:
        said = f"GluonCV publishes them: {by_name(row.teacher_row).weights}"
        if job.teacher:
            said = "none at this scale: it is trained first"
        origin.append(["  teacher's weights", row.teacher_row, said])
    out += [aligned(origin), "", f"  what runs it at the scale {job.scale.name}:"]
    commands: dict[str, str] = {}  # the same data is generated once
    for each in with_teachers([job]):
        for command in each.commands():
            commands.setdefault(line(command), "" if each is job else f"  # {each.name}")
    out += [f"    {command}{note}" for command, note in commands.items()]
    if row.published_log and job.scale.name == SCALE:
        compare = ["-m", "gan_kd_ssd", "logs", "compare", str(job.log)]
        out += ["  the log of the authors is of this row:"]
        out += [f"    {line([*compare, '--reference', row.published_log])}"]
    out += ["", f"  state: {_sentence(state)}"]
    return "\n".join(out)


def _sentence(state: State) -> str:
    words = [state.name]
    if state.progress:
        words.append(f"epoch {state.progress.epoch} of {state.progress.epochs}")
    if state.seconds_left is not None:
        words.append(f"{_time(state.seconds_left)} left")
    if state.ours is not None:
        words.append(f"mAP {state.ours:.2f} %")
    return ", ".join(words) + (f": {state.told}" if state.told else "")


def status_text(jobs: Sequence[Job], everything: bool = False) -> str:
    """How far rows are; those that nobody has begun are counted, and shown if ``everything``."""
    states = [(job, state_of(job)) for job in jobs]
    rows = [["row", "state", "epochs", "left", "published", "ours", ""]]
    for job, state in states:
        if state.name == WAITING and not everything:
            continue
        done, left = state.progress, state.seconds_left
        rows.append(
            [
                job.name,
                state.name,
                f"{done.epoch}/{done.epochs}" if done else "-",
                "-" if left is None else _time(left),
                _percent(job.row.published),
                _percent(state.ours) + _gap(job, state),
                _told(state),
            ]
        )
    counts = [
        f"{sum(state.name == name for _, state in states)} {name}"
        for name in (DONE, RUNNING, STOPPED, FAILED, WAITING)
    ]
    table = aligned(rows, right=(2, 3, 4, 5)) + "\n\n" if len(rows) > 1 else ""
    return f"{table}{len(jobs)} rows: {', '.join(counts)}{_note(jobs)}"


def _gap(job: Job, state: State) -> str:
    """Ours against the published figure, where they may be compared."""
    if state.ours is None or job.row.published is None or job.scale.name != SCALE:
        return ""
    return f" ({state.ours - job.row.published:+.1f})"


def _told(state: State) -> str:
    if state.name != RUNNING or state.quiet_for is None:
        return state.told
    return f"{_time(state.quiet_for)} ago: {state.told[:100]}"


def _note(jobs: Sequence[Job]) -> str:
    if jobs[0].scale.name == SCALE:
        return ""
    return f"\nfigures of the scale {jobs[0].scale.name} are not comparable with the published ones"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
