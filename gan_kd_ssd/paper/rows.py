"""The rows of the paper's Tables 1 to 3, one JSON file each in ``matrix/rows``.

A row is one figure of the tables, or a teacher that such rows need.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.util.errors import UserError

FOLDER = "runs"
#: The matrix as data: ``rows/*.json``, ``tables.json`` and ``tiny.json``.
MATRIX = Path(__file__).parent / "matrix"
#: The scale at which a row is trained as in the paper.
SCALE = "paper"
#: Values of ``--dataset`` by data set, where they differ. The first is used in commands; the Faster R-CNN
#: script means VOC 07 by "voc", as the published log does.
_DATASET_OPTIONS = {
    (FASTER_RCNN, "voc07"): ("voc", "voc07"),
    (FASTER_RCNN, "voc"): ("voc0712",),
}


#: Fields of a row file that are text.
_TEXTS = (
    *("script", "student", "dataset", "teacher", "teacher_row", "weights"),
    *("cell", "published_log"),
)


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper; the defaults are those of a row that is in no table."""

    place: tuple[int, ...] = ()  # table, row and column, counted from 1
    cell: str = ""  # the place in words
    published: float | None = None  # mAP in percent
    published_log: str | None = None  # as `gan-kd logs compare --reference` takes it


@dataclass(frozen=True)
class RowNetworks:
    """The networks of a row."""

    student: str
    teacher: str | None = None
    teacher_row: str | None = None  # the row that trains the teacher
    weights: str | None = None  # weights of GluonCV that replace the training of the student


@dataclass(frozen=True)
class Row:
    """One training of the matrix.

    Attributes:
        name: Name of the row's file, without the suffix.
        script: The training script.
        dataset: 'voc' (VOC 07+12), 'voc07' or 'coco'.
        options: Options of the script that differ from its defaults: name (underscores) -> value.
        origin: For each choice, whether it is published or inferred.
    """

    name: str
    script: str
    dataset: str
    networks: RowNetworks
    figure: PaperFigure = PaperFigure()
    options: dict[str, object] = field(default_factory=dict, compare=False)
    origin: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def student(self) -> str:
        return self.networks.student

    @property
    def teacher(self) -> str | None:
        return self.networks.teacher

    @property
    def published(self) -> float | None:
        return self.figure.published

    @property
    def table(self) -> int | None:
        """Number of the paper's table, None for a row that is in none."""
        return self.figure.place[0] if self.figure.place else None

    @property
    def cosine(self) -> bool:
        return bool(self.options.get("cosine_attention"))

    @property
    def roi_mode(self) -> str | None:
        """'align' or 'pool' for Faster R-CNN, None for SSD."""
        return self.options.get("roi_mode", "align") if self.script == FASTER_RCNN else None

    @property
    def label(self) -> str:
        """``mobilenet1.0 from resnet50_v1 with cosine attention``."""
        label = f"{self.student} {f'from {self.teacher}' if self.teacher else 'without a teacher'}"
        label += " with cosine attention" if self.cosine else ""
        return f"{label}, RoI {self.roi_mode}" if self.roi_mode else label

    @property
    def teacher_option(self) -> str:
        """The script's option for the file of the teacher's weights."""
        return "Teacher_param_path" if self.script == FASTER_RCNN else "teacher_params"

    @property
    def dataset_options(self) -> tuple[str, ...]:
        """Values of the script's ``--dataset`` that name the row's data set."""
        return _DATASET_OPTIONS.get((self.script, self.dataset), (self.dataset,))

    @property
    def trained_teacher(self) -> Row | None:
        """The row to train first; None if there is no teacher or its weights are published."""
        row = by_name(self.networks.teacher_row) if self.networks.teacher_row else None
        return row if row and not row.networks.weights else None

    def prefix(self, folder: str | Path = FOLDER, scale: str = SCALE) -> str:
        """The ``--save-prefix`` of the run: each row has its own folder."""
        return f"{folder}/{scale}/{self.name}/{self.name}"

    def command(self) -> Command:
        """The training command of the row. Options that it does not set have the script's defaults."""
        options = {"dataset": self.dataset_options[0], "student": self.student}
        options |= {"teacher": self.teacher, **self.options, "save_prefix": self.prefix()}
        if self.trained_teacher:
            options[self.teacher_option] = f"{self.trained_teacher.prefix()}_best.params"
        return Command(self.script, options)


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """All rows: the figures in the order of the paper's tables, then the teachers by name."""
    read = [read_row(file) for file in (MATRIX / "rows").glob("*.json")]
    return tuple(sorted(read, key=lambda row: (not row.figure.place, row.figure.place, row.name)))


def read_row(file: Path) -> Row:
    """Read a row file, in which only ``script``, ``student`` and ``dataset`` are required."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        given = {"place": (), "options": {}, "origin": {}, **content}
        for name, kind in (("place", tuple), ("options", dict), ("origin", dict)):
            given[name] = kind(given[name])
    except (OSError, ValueError, TypeError, RecursionError) as error:
        problem = f"{file} does not describe a row ({error})"
        raise UserError(f"{problem}; see experiments/README.md") from error
    known = [{f.name for f in fields(kind)} for kind in (RowNetworks, PaperFigure, Row)]
    known[2] -= {"name", "networks", "figure"}
    problem = _problem(given, set(given).difference(*known))
    if problem:
        raise UserError(f"{file}: {problem}; see experiments/README.md for the fields of a row")
    if given["script"] not in (SSD, FASTER_RCNN):
        raise UserError(f"{file}: script {given['script']!r} is not {SSD} or {FASTER_RCNN}")
    networks, figure, rest = ({n: v for n, v in given.items() if n in part} for part in known)
    parts = {"networks": RowNetworks(**networks), "figure": PaperFigure(**figure)}
    return Row(name=file.stem, **parts, **rest)


def _problem(given: dict, unknown: set[str]) -> str | None:
    """What is wrong with the fields of a row file, None if nothing is."""
    missing = [name for name in ("script", "student", "dataset") if given.get(name) is None]
    if missing:
        return f"{missing[0]!r} is missing"
    if unknown:
        return f"unknown field {min(unknown)!r}"
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), (str, type(None))):
            return f"{name!r} is not a text"
    if type(given.get("published")) not in (int, float, type(None)):
        return "'published' is not a number"
    place = given["place"]
    if place and not (set(map(type, place)) == {int} and len(place) == 3 and place[0] in (1, 2, 3)):
        return "'place' is not the table (1, 2 or 3), row and column"
    return None


def cells() -> list[Row]:
    """The rows that are a figure of the three tables, in the paper's order."""
    return [row for row in rows() if row.figure.place]


def by_name(name: str) -> Row:
    """Find a row by its name, or read it from a file whose name ends in ``.json``; else a UserError."""
    if name.endswith(".json"):
        return read_row(Path(name))
    known = {row.name: row for row in rows()}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=2)
        advice = f"did you mean {' or '.join(close)}? See" if close else "see"
        raise UserError(f"no row is called {name!r}: {advice} `gan-kd experiments list`")
    return known[name]


@cache
def table_texts() -> dict[str, dict[str, str]]:
    """``titles`` and ``notes`` of the three tables, by number."""
    return json.loads((MATRIX / "tables.json").read_text(encoding="utf-8"))
