"""Rows run one after the other: teachers first, what is done passed over, what failed told at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.paper import results
from gan_kd_ssd.paper.job import Job, with_teachers
from gan_kd_ssd.paper.rows import rows
from gan_kd_ssd.paper.state import locked
from gan_kd_ssd.paper.trainings import Progress, progress, read_json, run_script, write_json
from gan_kd_ssd.util.errors import UserError


def run(chosen: Sequence[Job], restart: bool = False) -> int:
    """Train and measure rows; returns 0, or 1 where one failed.

    Args:
        chosen: jobs of one scale and folder. restart: train anew what was trained with other options.

    Raises:
        UserError: options that a script does not take, or a folder that cannot be written; nothing
            has been run then.
        KeyboardInterrupt, SystemExit: stopped by a signal, states being kept.
    """
    jobs = with_teachers(chosen)
    for job in jobs:
        job.options  # noqa: B018  says now what the script would say in an hour
    folder = _make_folder(chosen[0])
    everything = [Job(row, chosen[0].scale, chosen[0].folder) for row in rows()]
    failed: dict[str, str] = {}
    bar = tqdm(
        total=len(jobs),
        bar_format="{desc:<42} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left",
        dynamic_ncols=True,
        smoothing=0.1,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
    with bar:
        for number, job in enumerate(jobs):
            bar.set_description_str(job.name)
            try:
                if job.teacher and job.teacher.name in failed:
                    raise UserError(f"its teacher {job.teacher.name} failed")
                said = _run(job, restart, partial(_show, bar, job, number))
                bar.write(f"{job.name}: {said}")
            except (UserError, OSError) as error:
                failed[job.name] = str(error)
                bar.write(f"{job.name}: failed: {error}")
            _move(bar, number + 1)
            results.save(everything, folder)
    for name, why in failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} done; results: {folder / 'results.md'}")
    return 1 if failed else 0


def _make_folder(job: Job) -> Path:
    """The folder of all rows of a scale."""
    folder = job.folder / job.scale.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--folder {job.folder}: {folder} cannot be made ({error.strerror}); choose another"
        ) from error
    return folder


def _show(bar: tqdm, job: Job, number: int, how_far: Progress | None) -> None:
    """Show how far the row is that comes after ``number`` others."""
    epochs = f" {how_far.epoch}/{how_far.epochs}" if how_far else ""
    bar.set_description_str(job.name + epochs, refresh=False)
    _move(bar, number + (how_far.fraction if how_far else 0.0))


def _move(bar: tqdm, value: float) -> None:
    bar.update(value - bar.n)
    if sys.stderr.isatty():
        bar.refresh()


def _run(job: Job, restart: bool, show) -> str:
    """Train and measure a row unless that is done; returns what to say of it."""
    with locked(job) as lock:
        recipe = job.recipe()
        training = job.training(recipe)
        _check_recipe(job, recipe, restart)
        result, failed = job.file("result.json"), job.file("failed.json")
        if training.is_done() and result.exists():
            return f"done before, {_measured(job)}"
        failed.unlink(missing_ok=True)
        try:
            job.scale.make_data(job.row, job.folder)
            if not training.is_done():
                _train(job, training, show, lock)
                result.unlink(missing_ok=True)
            run_script(job.eval_command(), job.file("output.txt"), keep_open=(lock,))
        except UserError as error:
            write_json(failed, {"error": str(error)})
            raise
    return _measured(job)


def _check_recipe(job: Job, recipe: dict, restart: bool) -> None:
    """A run of other options is not gone on with, nor thrown away unasked.

    Raises:
        UserError: names an option.
    """
    begun = job.training().begun()
    if begun in (None, recipe) or restart:
        return
    mine = {**recipe, **recipe["options"]}
    theirs = {**begun, **begun.get("options", {})}

    def told(options: dict, name: str) -> str:
        return repr(options[name]) if name in options else "the default"

    different = [
        f"{name} {told(theirs, name)}, now {told(mine, name)}"
        for name in {**theirs, **mine}
        if name != "options" and theirs.get(name) != mine.get(name)
    ]
    raise UserError(
        f"{job.prefix.parent} has a run with {'; '.join(different[:3])}: give the same options, another "
        "--folder, or --restart, which throws that run away"
    )


def _train(job: Job, training, show, lock: int) -> None:
    before = progress(job.metrics) if training.begun() == training.recipe else None
    session = {"began": time.time(), "fraction": before.fraction if before else 0.0}
    written = False

    def poll() -> None:
        nonlocal written
        if not written:  # once the folder is made or emptied
            write_json(job.file("session.json"), session)
            written = True
        show(progress(job.metrics))

    training.run(job.file("output.txt"), poll, keep_open=(lock,))


def _measured(job: Job) -> str:
    result = read_json(job.file("result.json")) or {}
    done = read_json(job.file("done.json")) or {}
    value = result.get("mAP")
    said = "no mAP" if value is None else f"mAP {100 * value:.2f} %"
    if done.get("seconds") is not None:
        said += f", trained in {done['seconds']:.0f} s"
    return said
