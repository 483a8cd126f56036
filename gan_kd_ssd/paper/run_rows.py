"""Run rows in sequence: teachers first; skip finished rows; report failures at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from tqdm import tqdm

from gan_kd_ssd.paper import results
from gan_kd_ssd.paper.job import Job, with_teachers
from gan_kd_ssd.paper.row_state import held, record, state_of
from gan_kd_ssd.paper.rows import rows
from gan_kd_ssd.paper.training_runs import ResumableTraining, progress, run_program, write_json
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import writable_folder


def run(chosen: Sequence[Job], restart: bool = False) -> int:
    """Train and measure rows; return 0, or 1 if a row failed.

    Args:
        chosen: Jobs of one scale and folder.
        restart: Delete runs that had other options and train anew.

    Raises:
        UserError: An option is wrong, or the folder cannot be written. Nothing was run.
        KeyboardInterrupt, SystemExit: A signal stopped the run. States have been saved.
    """
    jobs = with_teachers(chosen)
    for job in jobs:
        job.options  # noqa: B018  reports a wrong option now rather than hours later
    scale, folder = chosen[0].scale, chosen[0].folder
    place = writable_folder(folder / scale.name, "--folder")
    everything = {job.name: job for job in [*(Job(row, scale, folder) for row in rows()), *jobs]}
    failed: dict[str, str] = {}
    with progress_bar(len(jobs), "{desc:<42}") as bar:
        for number, job in enumerate(jobs):
            bar.set_description_str(job.name)
            try:
                if job.teacher and job.teacher.name in failed:
                    raise UserError(f"its teacher {job.teacher.name} failed")
                bar.write(f"{job.name}: {_run(job, restart, partial(_show, bar, job, number))}")
            except (UserError, OSError) as error:
                failed[job.name] = str(error)
                bar.write(f"{job.name}: failed: {error}")
            move(bar, number + 1)
            results.save(list(everything.values()), place)
    for name, why in failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} done; results: {place / 'results.md'}")
    return 1 if failed else 0


def progress_bar(total: float, description: str) -> tqdm:
    """A progress bar with the time left; ``description`` is the format of the text before it."""
    return tqdm(
        total=total,
        bar_format=description + " {percentage:3.0f}% |{bar}| {elapsed} elapsed, {remaining} left",
        dynamic_ncols=True,
        smoothing=0.1,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )


def move(bar: tqdm, value: float) -> None:
    """Set the value of a bar. In a file, where each refresh would be a line, the bar is not refreshed."""
    bar.update(value - bar.n)
    if sys.stderr.isatty():
        bar.refresh()


def _show(bar: tqdm, job: Job, number: int) -> None:
    """Show the progress of a job that follows ``number`` others."""
    found = progress(job.files.metrics)
    if found:
        bar.set_description_str(f"{job.name} {found.epoch}/{found.epochs}", refresh=False)
    move(bar, number + (found.fraction if found else 0.0))


def _run(job: Job, restart: bool, show: Callable[[], None]) -> str:
    """Train and measure a row unless that is done; return a summary."""
    with held(job):
        training = job.training()
        if not restart:
            _check_recipe(job, training.started_recipe, training.recipe)
        done = training.is_done and job.files.named("result.json").exists()
        if not done:
            _train_and_measure(job, training, show)
    state = state_of(job)
    text = "done before, " if done else ""
    text += "no mAP" if state.ours is None else f"mAP {state.ours:.2f} %"
    return text + ("" if state.seconds is None else f", trained in {state.seconds:.0f} s")


def _train_and_measure(job: Job, training: ResumableTraining, show: Callable[[], None]) -> None:
    output, failed = job.files.named("output.txt"), job.files.named("failed.json")
    output.parent.mkdir(exist_ok=True)
    failed.unlink(missing_ok=True)
    started = partial(record, job, os.getpid())
    *data, _, evaluation = job.commands()
    try:
        if not training.is_done:
            for command in data:
                run_program(command, output, started=started)
            training.run(output, poll=show, started=started)
            job.files.named("result.json").unlink(missing_ok=True)
        run_program(evaluation, output, started=started)
    except UserError as error:
        write_json(failed, {"error": str(error)})
        raise


def _check_recipe(job: Job, started: dict | None, recipe: dict) -> None:
    """Raise a UserError that names the options of a started run that differ."""
    if started in (None, recipe):
        return
    before, now = (
        {**each, **each.get("options", {}), "options": None} for each in (started, recipe)
    )
    different = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    raise UserError(
        f"{job.files.prefix.parent} has a run with other options ({', '.join(different)}): give the same "
        "options, another --folder, or --restart, which deletes that run"
    )
