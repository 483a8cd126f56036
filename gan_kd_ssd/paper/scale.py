"""How large a row is run: as the paper has it, or small enough for a machine without a GPU.

A small scale is a JSON file such as ``matrix/tiny.json``. It takes a row through the same script,
with the same kinds of networks and the row's own options; what it changes is in the file: the width of
the networks, the number of generated images, and options such as the number of epochs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.paper.rows import MATRIX, SCALE, Row, by_name
from gan_kd_ssd.util.errors import UserError

_SPLITS = ("train", "val", "test")


def layout(row: Row) -> str:
    """The layout of the built-in images that stand for a row's data at a small scale."""
    return "coco" if row.dataset == "coco" else "voc"


@dataclass(frozen=True)
class Scale:
    """A scale by its name.

    Attributes:
        width: of the networks, a share of the channels; None is the paper's scale, where nothing is
        changed. images: of each split of the generated data. options: script -> options, name
        (underscores) -> value. student_options: the same for rows that train a network.
    """

    name: str
    width: float | None = None
    images: dict[str, int] = field(default_factory=dict)
    options: dict[str, dict[str, object]] = field(default_factory=dict)
    student_options: dict[str, dict[str, object]] = field(default_factory=dict)

    def network(self, backbone: str) -> str:
        return backbone if self.width is None else f"{backbone}_w{self.width}"

    def data_folder(self, row: Row, folder: str | Path) -> str:
        """Where the generated data of a row is, at a small scale."""
        return f"{folder}/{self.name}/data/shapes_{layout(row)}"

    def data_command(self, row: Row, folder: str | Path) -> list[str] | None:
        """What generates the data of a row; None at the paper's scale."""
        if self.width is None:
            return None
        counts = [word for split, n in self.images.items() for word in (f"--{split}", str(n))]
        words = [self.data_folder(row, folder), *counts, "--layout", layout(row)]
        return ["-m", "gan_kd_ssd", "data", "shapes", *words]

    def make_data(self, row: Row, folder: str | Path) -> None:
        """Do what :meth:`data_command` does, unless the data is there."""
        if self.width is not None:
            from gan_kd_ssd.data.synthetic.shapes import generate

            target = self.data_folder(row, folder)
            generate(target, self.images, layout=layout(row), progress=False)

    def teacher_of(self, row: Row) -> Row | None:
        """The row that has to be trained first; small networks have no published weights."""
        if self.width is None:
            return row.trained_teacher
        return by_name(row.teacher_row) if row.teacher_row else None

    def command(self, row: Row, folder: str | Path) -> Command:
        """What trains a row."""
        command = row.command(folder)
        options = command.options
        options["save_prefix"] = row.prefix(folder, self.name)
        if self.width is not None:
            options["dataset"] = self.data_folder(row, folder)
            options["student"] = self.network(row.student)
            options["teacher"] = row.teacher and self.network(row.teacher)
            options.update(self.options[row.script])
            options.update(self.student_options.get(row.student, {}))
        teacher = self.teacher_of(row)
        if teacher:
            option = "Teacher_param_path" if row.script == FASTER_RCNN else "teacher_params"
            options[option] = f"{teacher.prefix(folder, self.name)}_best.params"
        options["quiet"] = True
        return command


def load(name: str) -> Scale:
    """The scale 'paper', 'tiny', or that of a JSON file.

    Raises:
        UserError: there is none, or the file is damaged.
    """
    if name == SCALE:
        return Scale(SCALE)
    file = MATRIX / "tiny.json" if name == "tiny" else Path(name)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        content.pop("about", None)
        scale = Scale(file.stem, **content)
        complete = set(scale.images) == set(_SPLITS) and {SSD, FASTER_RCNN} <= set(scale.options)
        if scale.name == SCALE or scale.width is None or not complete:
            raise ValueError(f"it needs another name than {SCALE}, width, images, options")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"--scale {name}: give paper, tiny, or a file such as experiments/tiny.json ({error})"
        ) from error
    return scale
