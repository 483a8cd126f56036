"""Scales at which rows are trained: as in the paper, or small enough for a machine without a GPU.

A small scale is a JSON file such as ``matrix/tiny.json``. A row keeps its script, its kinds of networks and
its own options. The file sets the width of the networks, the number of generated images, and options such
as the number of epochs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.paper.rows import MATRIX, SCALE, Row, by_name
from gan_kd_ssd.util.errors import UserError

_SPLITS = {"train", "val", "test"}


@dataclass(frozen=True)
class Scale:
    """A scale.

    Attributes:
        name: Name of the scale and of its folder.
        width: Share of the networks' channels that is kept. None is the paper's scale, which changes
            nothing. Other scales train on generated images.
        images: Number of generated images by split.
        options: Options by script: script -> name (underscores) -> value.
        student_options: Options by the network that a row trains, which override ``options``.
    """

    name: str
    width: float | None = None
    images: dict[str, int] = field(default_factory=dict)
    options: dict[str, dict[str, object]] = field(default_factory=dict)
    student_options: dict[str, dict[str, object]] = field(default_factory=dict)

    def data_folder(self, row: Row, folder: str | Path) -> str:
        """The folder of the images that are generated in place of the row's data."""
        return f"{folder}/{self.name}/data/shapes_{_layout(row)}"

    def data_command(self, row: Row, folder: str | Path) -> list[str] | None:
        """The command that generates the images of a row; None at the paper's scale."""
        if self.width is None:
            return None
        counts = [word for split, n in self.images.items() for word in (f"--{split}", str(n))]
        target = self.data_folder(row, folder)
        return ["data", "shapes", target, *counts, "--layout", _layout(row)]

    def teacher_of(self, row: Row) -> Row | None:
        """The row to train first. Networks of a small scale have no published weights."""
        if self.width is None:
            return row.trained_teacher
        return by_name(row.networks.teacher_row) if row.networks.teacher_row else None

    def command(self, row: Row, folder: str | Path) -> Command:
        """The training command of a row."""
        command = row.command(folder)
        options = command.options
        options["save_prefix"] = row.prefix(folder, self.name)
        if self.width is not None:
            options["dataset"] = self.data_folder(row, folder)
            options["student"] = f"{row.student}_w{self.width}"
            options["teacher"] = row.teacher and f"{row.teacher}_w{self.width}"
            options.update(self.options[row.script])
            options.update(self.student_options.get(row.student, {}))
        teacher = self.teacher_of(row)
        if teacher:
            options[row.teacher_option] = f"{teacher.prefix(folder, self.name)}_best.params"
        options["quiet"] = True
        return command


def _layout(row: Row) -> str:
    return "coco" if row.dataset == "coco" else "voc"


def load(name: str) -> Scale:
    """Load a scale.

    Args:
        name: ``paper``, ``tiny``, or the path of a JSON file.

    Raises:
        UserError: There is no such file, or it is not a valid scale.
    """
    if name == SCALE:
        return Scale(SCALE)
    file = MATRIX / "tiny.json" if name == "tiny" else Path(name)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        content.pop("about", None)
        scale = Scale(file.stem, **content)
        complete = set(scale.images) == _SPLITS and {SSD, FASTER_RCNN} <= set(scale.options)
        if scale.name == SCALE or scale.width is None or not complete:
            raise ValueError(f"it needs width, images and options, and a name other than {SCALE}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"--scale {name}: give paper, tiny, or a file such as {MATRIX / 'tiny.json'} ({error})"
        ) from error
    return scale
