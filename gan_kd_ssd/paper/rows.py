"""The paper's matrix: one file a row in ``matrix/rows``.

A row is one figure of Tables 1 to 3, or a teacher that such rows need. Everything that is known of the
paper's tables stands in these files and in ``matrix/tables.json``, and nowhere else.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.util.errors import UserError

#: Where runs go unless told otherwise; a row has a folder of its own in one of its scale.
FOLDER = "runs"
#: The matrix as data: ``rows/*.json``, ``tables.json`` and ``tiny.json``.
MATRIX = Path(__file__).parent / "matrix"
SCALE = "paper"


@dataclass(frozen=True)
class Row:
    """One row; mAP in percent.

    Attributes:
        name: of its file. place: (table, row, column) in the paper; () of a teacher. cell: the same
        in words. script: of ours. student: network that is trained. teacher: None trains it alone.
        teacher_row: the row that trains the teacher. dataset: 'voc' (07+12), 'voc07' or 'coco'.
        weights: GluonCV's name of published weights of a teacher. published_log: the log of the
        authors that is of this row, as ``compare --reference`` takes it. options: of the script, where
        they differ from its defaults, name (underscores) -> value. origin: of each choice, whether it
        is published or inferred.
    """

    name: str
    cell: str
    published: float | None
    script: str
    student: str
    dataset: str
    place: tuple[int, ...] = ()
    teacher: str | None = None
    teacher_row: str | None = None
    weights: str | None = None
    published_log: str | None = None
    options: dict[str, object] = field(default_factory=dict, compare=False)
    origin: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def table(self) -> int | None:
        return self.place[0] if self.place else None

    @property
    def cosine(self) -> bool:
        return bool(self.options.get("cosine_attention"))

    @property
    def roi_mode(self) -> str | None:
        """'align' or 'pool', of Faster R-CNN alone."""
        return self.options.get("roi_mode", "align") if self.script == FASTER_RCNN else None

    @property
    def label(self) -> str:
        """``mobilenet1.0 from resnet50_v1 with cosine attention``."""
        label = self.student + (f" from {self.teacher}" if self.teacher else " alone")
        label += " with cosine attention" if self.cosine else ""
        return f"{label}, RoI {self.roi_mode}" if self.roi_mode else label

    @property
    def trained_teacher(self) -> Row | None:
        """The row that has to be trained first; None where there are published weights, or no teacher."""
        row = by_name(self.teacher_row) if self.teacher_row else None
        return row if row and not row.weights else None

    def prefix(self, folder: str | Path = FOLDER, scale: str = SCALE) -> str:
        """``--save-prefix`` of the run: files of its own in a folder of its own."""
        return f"{folder}/{scale}/{self.name}/{self.name}"

    def command(self, folder: str | Path = FOLDER) -> Command:
        """What trains the row; options that are not here have the script's defaults."""
        options: dict[str, object] = {
            # the script of the published Faster R-CNN log calls VOC 07 alone "voc"
            "dataset": "voc"
            if self.script == FASTER_RCNN and self.dataset == "voc07"
            else self.dataset,
            "student": self.student,
            "teacher": self.teacher,
            **self.options,
            "save_prefix": self.prefix(folder),
        }
        if self.trained_teacher:
            option = "Teacher_param_path" if self.script == FASTER_RCNN else "teacher_params"
            options[option] = f"{self.trained_teacher.prefix(folder)}_best.params"
        return Command(self.script, options)


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """Every row: the figures of the tables in the paper's order, then the teachers by name.

    Raises:
        UserError: a file that is no row, which it names.
    """
    files = sorted((MATRIX / "rows").glob("*.json"))
    read = [_read(file) for file in files]
    return tuple(sorted(read, key=lambda row: (not row.place, row.place, row.name)))


def _read(file: Path) -> Row:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        row = Row(name=file.stem, **{**fields, "place": tuple(fields.get("place", ()))})
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{file}: is no row of the matrix ({error}); see experiments/README.md"
        ) from error
    if row.script not in (SSD, FASTER_RCNN):
        raise UserError(f"{file}: script {row.script!r} is not {SSD} or {FASTER_RCNN}")
    return row


def cells() -> list[Row]:
    """Every figure of the three tables, in the paper's order."""
    return [row for row in rows() if row.place]


def by_name(name: str) -> Row:
    """The row of that name.

    Raises:
        UserError: there is none.
    """
    found = [row for row in rows() if row.name == name]
    if not found:
        close = difflib.get_close_matches(name, [row.name for row in rows()], n=2)
        meant = f"did you mean {' or '.join(close)}?" if close else "see"
        raise UserError(f"no row is called {name!r}: {meant} `gan-kd experiments list`")
    return found[0]


def titles() -> tuple[dict[str, str], dict[str, str]]:
    """Titles of the three tables, and what is to be said of each, by its number."""
    tables = json.loads((MATRIX / "tables.json").read_text(encoding="utf-8"))
    return tables["titles"], tables["notes"]
