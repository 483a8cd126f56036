"""A row at one scale in one folder: its commands and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN
from gan_kd_ssd.config.training_config import from_words
from gan_kd_ssd.paper.rows import Row
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
    """A row to run.

    Attributes:
        row: The row.
        scale: The scale at which it is run.
        folder: The folder of all runs.
        extra: Further words for the training command, which override those of the row.
    """

    row: Row
    scale: Scale
    folder: Path
    extra: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the row."""
        return self.row.name

    @property
    def files(self) -> RunFiles:
        """The files of the training. ``result.json``, ``failed.json`` and ``output.txt`` join them."""
        return RunFiles(Path(self.row.prefix(self.folder, self.scale.name)))

    def file_beside(self, suffix: str) -> Path:
        """A file beside the run's folder, which stays when the folder is emptied."""
        return self.files.prefix.parent.with_name(f"{self.name}.{suffix}")

    @property
    def teacher(self) -> Job | None:
        """The job that trains the teacher, None if none has to be trained."""
        row = self.scale.teacher_of(self.row)
        return row and Job(row, self.scale, self.folder, self.extra)

    def train_command(self) -> list[str]:
        """The command that trains the row."""
        return [*self.scale.command(self.row, self.folder).program_words(), *self.extra]

    @cached_property
    def options(self) -> Mapping[str, object]:
        """The options of the training as its command reads them, by name (underscores).

        Raises:
            UserError: The command does not accept the row's options, or those of ``extra``.
        """
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
        data = self.scale.data_command(self.row, self.folder)
        return [*([data] if data else []), self.train_command(), self.eval_command()]

    def training(self) -> ResumableTraining:
        """The training of the row. The teacher must be trained already.

        The recipe has the options that differ from their defaults (a later version may have more
        options), the generated images, and the sha256 of the teacher's weights.
        """
        defaults = from_words(self.row.script, []).namespace
        options = {
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
