"""A row at one scale in one folder: its commands and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, Command
from gan_kd_ssd.config.training_config import from_words
from gan_kd_ssd.paper.rows import Row, by_name
from gan_kd_ssd.paper.scale import Scale
from gan_kd_ssd.paper.training_runs import ResumableTraining, RunFiles
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import digests

#: Options that do not change the trained network: a run may be resumed with other values.
_NOT_IN_RECIPE = (
    *("gpus", "cpu_devices", "kv_store", "num_workers", "quiet", "verbose", "log_interval"),
    *("save_interval", "resume", "data_root", "save_prefix", "teacher_params"),
    *("Teacher_param_path", "static_alloc", "disable_hybridization"),
)


@dataclass(frozen=True)
class Job:
    """A row to run. ``folder`` has all runs; ``extra`` are words that override the training command."""

    row: Row
    scale: Scale
    folder: Path
    extra: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.row.name

    @cached_property
    def files(self) -> RunFiles:
        """The files of the training. ``result.json``, ``failed.json`` and ``output.txt`` join them."""
        return RunFiles(Path(self.row.prefix(self.folder, self.scale.name)))

    def file_beside(self, suffix: str) -> Path:
        """A file next to the run's folder, which stays when the folder is emptied."""
        return self.files.prefix.parent.with_name(f"{self.name}.{suffix}")

    @property
    def teacher(self) -> Job | None:
        """The job that trains the teacher, None if none has to be trained."""
        row, name = self.row.trained_teacher, self.row.networks.teacher_row
        if self.scale.width and name:  # weights are published at the paper's scale only
            row = by_name(name)
        return row and Job(row, self.scale, self.folder, self.extra)

    def command(self) -> Command:
        """The training command of the row at this scale, without ``extra``."""
        row, scale = self.row, self.scale
        options = row.command().options | {"save_prefix": str(self.files.prefix)}
        if scale.width:
            options["dataset"] = self.data_command()[2]
            options["student"] = f"{row.student}_w{scale.width}"
            options["teacher"] = row.teacher and f"{row.teacher}_w{scale.width}"
            options |= {**scale.options[row.script], **scale.student_options.get(row.student, {})}
        if self.teacher:
            options[row.teacher_option] = str(self.teacher.files.params)
        return Command(row.script, {**options, "quiet": True})

    def train_command(self) -> list[str]:
        """The command that trains the row."""
        return [*self.command().program_words(), *self.extra]

    def data_command(self) -> list[str]:
        """The command that generates a folder of images (its third word) in place of the row's data."""
        layout = "coco" if self.row.dataset == "coco" else "voc"
        counts = [word for split, n in self.scale.images.items() for word in (f"--{split}", str(n))]
        target = f"{self.folder}/{self.scale.name}/data/shapes_{layout}"
        return ["data", "shapes", target, *counts, "--layout", layout]

    @cached_property
    def options(self) -> Mapping[str, object]:
        """The options of the training by name (underscores); UserError if the command refuses them."""
        try:
            return from_words(self.row.script, self.train_command()[1:]).namespace
        except UserError as error:
            raise UserError(f"{self.name}, {self.row.script}: {error}") from error

    def eval_command(self) -> list[str]:
        """The command that measures the network on VOC 07 test, COCO val or the generated test split."""
        options, row = self.options, self.row
        if row.script == FASTER_RCNN:
            network = [f"faster_rcnn_{options['student']}"]
        else:
            network = [options["student"], "--data-shape", str(options["data_shape"])]
        words = [
            *("eval", "--dataset", options["dataset"] if self.scale.width else row.dataset),
            *("--network", *network, "--params", str(self.files.params)),
            *("--json", str(self.files.named("result.json"))),
        ]
        for name in ("gpus", "data_root"):
            if options[name] is not None:
                words += [f"--{name.replace('_', '-')}", options[name]]
        return words

    def commands(self) -> list[list[str]]:
        """All commands of this row, in order, without those of its teacher."""
        data = [self.data_command()] if self.scale.width else []
        return [*data, self.train_command(), self.eval_command()]

    def training(self) -> ResumableTraining:
        """The training of the row. The teacher must be trained already."""
        defaults = from_words(self.row.script, []).namespace
        options = {  # those at their defaults are left out: a later version may have more options
            name: value
            for name, value in self.options.items()
            if name not in _NOT_IN_RECIPE and value != defaults[name]
        }
        recipe = {"script": self.row.script, "options": options}
        if self.scale.width:
            from gan_kd_ssd.data.synthetic.shapes import VERSION

            options["dataset"] = self.row.dataset  # its folder makes no difference
            recipe["images"] = {"version": VERSION, **self.scale.images}
        if self.teacher:
            recipe["teacher's sha256"] = digests(self.teacher.files.params, ["sha256"])[0]
        return ResumableTraining(self.files, self.train_command(), recipe)


def with_teachers(jobs: Sequence[Job]) -> list[Job]:
    """``jobs`` and the teachers that have to be trained, each before the first row that needs it."""
    ordered: dict[str, Job] = {}
    for job in jobs:
        for each in filter(None, (job.teacher, job)):
            ordered.setdefault(each.name, each)
    return list(ordered.values())
