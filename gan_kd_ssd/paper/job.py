"""What one row is at one scale, in one folder: its commands and its files."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN
from gan_kd_ssd.config.faster_rcnn_options import parse_train_faster_rcnn, train_faster_rcnn_parser
from gan_kd_ssd.config.ssd_options import parse_train_ssd, train_ssd_parser
from gan_kd_ssd.paper.rows import Row
from gan_kd_ssd.paper.scale import Scale
from gan_kd_ssd.paper.trainings import Training
from gan_kd_ssd.util.errors import UserError

#: Options that the trained network does not depend on: a run may go on with others.
_PLACE = (
    *("gpus", "cpu_devices", "kv_store", "num_workers", "quiet", "verbose", "log_interval"),
    *("save_interval", "resume", "data_root", "save_prefix", "teacher_params"),
    *("Teacher_param_path", "static_alloc", "disable_hybridization"),
)


@dataclass(frozen=True)
class Job:
    """A row to run. ``extra``: more words for the training script, which override the row's."""

    row: Row
    scale: Scale
    folder: Path
    extra: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def prefix(self) -> Path:
        return Path(self.row.prefix(self.folder, self.scale.name))

    def file(self, name: str) -> Path:
        """A file of the run: ``failed.json``, ``result.json``, ``output.txt``."""
        return self.prefix.parent / name

    @property
    def metrics(self) -> Path:
        return Path(f"{self.prefix}_metrics.jsonl")

    @property
    def log(self) -> Path:
        return Path(f"{self.prefix}_train.log")

    @property
    def lock(self) -> Path:
        """Held as long as somebody trains the row; beside its folder, which may be emptied."""
        return self.prefix.parent.parent / f"{self.name}.lock"

    @property
    def teacher(self) -> Job | None:
        """The job that trains the teacher, where it must be trained."""
        row = self.scale.teacher_of(self.row)
        return row and Job(row, self.scale, self.folder, self.extra)

    def train_command(self) -> list[str]:
        command = self.scale.command(self.row, self.folder)
        return [command.script, *command.words(), *self.extra]

    @cached_property
    def options(self) -> argparse.Namespace:
        """The options as the script reads them.

        Raises:
            UserError: ``extra`` has something that the script does not take.
        """
        parse = parse_train_faster_rcnn if self.row.script == FASTER_RCNN else parse_train_ssd
        try:
            return parse(self.train_command()[1:])
        except UserError as error:
            raise UserError(f"{self.name}, {self.row.script}: {error}") from error

    def eval_command(self) -> list[str]:
        """What measures the trained network: on VOC 07 test, COCO val, or the generated test split."""
        options, row = self.options, self.row
        network = options.student
        size = ["--data-shape", str(getattr(options, "data_shape", None))]
        if row.script == FASTER_RCNN:
            network, size = f"faster_rcnn_{network}", []
        dataset = row.dataset if self.scale.width is None else options.dataset
        words = ["eval_voc.py", "--dataset", dataset, "--network", network, *size]
        words += ["--params", f"{self.prefix}_best.params", "--json", str(self.file("result.json"))]
        for name in ("gpus", "data_root"):
            if getattr(options, name) is not None:
                words += [f"--{name.replace('_', '-')}", getattr(options, name)]
        return words

    def commands(self) -> list[list[str]]:
        """All that is run for this row alone, in order."""
        data = self.scale.data_command(self.row, self.folder)
        return [*([data] if data else []), self.train_command(), self.eval_command()]

    def recipe(self) -> dict:
        """All that the trained network depends on, its teacher's file included.

        Options that have their default are not in it: a later version may have more of them.
        """
        parser = train_faster_rcnn_parser if self.row.script == FASTER_RCNN else train_ssd_parser
        defaults = vars(parser().parse_args([]))
        options = {
            name: value
            for name, value in vars(self.options).items()
            if name not in _PLACE and value != defaults[name]
        }
        recipe = {"script": self.row.script, "options": options}
        if self.scale.width is not None:
            from gan_kd_ssd.data.synthetic.shapes import VERSION

            options["dataset"] = self.row.dataset  # not its folder
            recipe["images"] = {"version": VERSION, **self.scale.images}
        if self.teacher:
            from gan_kd_ssd.engine.runlog import sha256

            recipe["teacher's sha256"] = sha256(self.teacher.training().params)
        return recipe

    def training(self, recipe: dict | None = None) -> Training:
        return Training(self.prefix, self.train_command(), recipe or {})


def line(command: Sequence[str]) -> str:
    """What a person types into a shell."""
    return shlex.join(["python", *command])


def with_teachers(jobs: Sequence[Job]) -> list[Job]:
    """``jobs`` with the teachers that have to be trained, each before the first row that needs it."""
    ordered: dict[str, Job] = {}
    for job in jobs:
        if job.teacher:
            ordered.setdefault(job.teacher.name, job.teacher)
        ordered.setdefault(job.name, job)
    return list(ordered.values())
