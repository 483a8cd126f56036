"""Names of the zoo: what each stands for, and those that the paper's tables give. Needs no MXNet.

- ``ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos``: an SSD for 512 pixels with a MobileNet 1.0, trained on
  VOC 07+12 with GAN-KD from ResNet50 and with cosine attention.
- ``ssd_512_resnet18_v1_voc``: the same without a teacher. Where GluonCV publishes weights under that
  name, it stands for those, and ours ends in ``_plain``.
- ``faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roipool``: a Faster R-CNN (``faster_rcnn_fpn_``
  with FPN); ``_roialign`` may be left out. ``voc`` is VOC 07 alone here, as in the published run.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.detectors.names import BACKBONE
from gan_kd_ssd.paper.rows import Row, cells, rows
from gan_kd_ssd.util.errors import UserError

LIST = "gan-kd zoo list"
#: Data sets that ``--dataset`` knows by name; another is a folder. Part of a name -> the option's value.
KNOWN_DATA = {name: name for name in ("voc", "voc07", "voc0712", "coco", "shapes")}
KNOWN_DATA["shapescoco"] = "shapes_coco"
#: A data set's part of a name. 'custom' is GluonCV's name for networks without a data set.
DATA = r"(?!(?:custom|lite|plain|gkd|cos)(?:_|$))[a-z][a-z0-9]*"
_NAME = re.compile(
    rf"(?:ssd_(?P<size>[1-9]\d{{0,3}})|faster_rcnn(?P<fpn>_fpn)?)_(?P<student>{BACKBONE})_(?P<data>{DATA})"
    rf"(?:(?P<plain>_plain)|_gkd_(?P<teacher>{BACKBONE})(?P<cosine>_cos)?)?"
    r"(?:_roi(?P<roi>align|pool))?",
    re.ASCII,
)
#: Names of this form whose weights GluonCV 0.10 publishes (its model_store.py): they are GluonCV's.
GLUONCV_PUBLISHES = frozenset(
    [f"ssd_{size}_vgg16_atrous_{data}" for size in (300, 512) for data in ("voc", "coco")]
    + [
        f"ssd_512_{base}_{data}"
        for base in ("resnet50_v1", "mobilenet1.0")
        for data in ("voc", "coco")
    ]
    + ["ssd_300_resnet34_v1b_coco", "ssd_512_resnet101_v2_voc"]
    + [f"faster_rcnn_{base}_coco" for base in ("resnet50_v1b", "resnet101_v1d")]
    + [f"faster_rcnn_fpn_{base}_coco" for base in ("resnet50_v1b", "resnet101_v1d")]
    + ["faster_rcnn_resnet50_v1b_voc"]
)


@dataclass(frozen=True)
class Name:
    """What a name says; ``str()`` of it is the name.

    Attributes:
        detector: 'ssd' or 'faster_rcnn'. student, teacher: backbones, as in GluonCV's names; a teacher
            of None is a network trained without one. data: data set, as ``--dataset`` or the name of
            a folder. size: side of an SSD's input, pixels. cosine: with cosine attention.
        roi_mode: 'align' or 'pool', of Faster R-CNN. fpn: with a pyramid.
        plain: the name says that there was no teacher.
    """

    detector: str
    student: str
    data: str
    size: int | None = None
    teacher: str | None = None
    cosine: bool = False
    roi_mode: str | None = None
    fpn: bool = False
    plain: bool = False

    def __str__(self) -> str:
        name = f"ssd_{self.size}" if self.detector == "ssd" else "faster_rcnn"
        name += "_fpn" if self.fpn else ""
        name += f"_{self.student}_{self.data}"
        name += f"_gkd_{self.teacher}" if self.teacher else ""
        name += "_cos" if self.cosine else ""
        name += "_plain" if self.plain else ""
        return name + (f"_roi{self.roi_mode}" if self.roi_mode else "")

    @property
    def network(self) -> str:
        """The network alone, as the scripts' options take it: backbone, with 'fpn_' before it."""
        return ("fpn_" if self.fpn else "") + self.student

    @property
    def cell(self) -> Row | None:
        """The figure of the paper's tables that the name stands for."""
        return _cells_by_name().get(str(self))

    def teacher_name(self) -> str | None:
        """Name of the trained teacher, GluonCV's where that publishes it."""
        if self.teacher is None:
            return None
        if self.cell and self.cell.trained_teacher:  # one for students of either RoI mode
            return str(of_cell(self.cell.trained_teacher))
        alone = str(replace(self, student=self.teacher, teacher=None, cosine=False))
        short = alone.removesuffix("_roialign")
        return short if short in GLUONCV_PUBLISHES else alone

    def command(self) -> Command:
        """What trains it; options that are not here have the published defaults.

        A data set that is a folder is given as ``path/to/...``. Where the teacher has to be trained, its
        file is where :meth:`teacher_command` leaves it.
        """
        cell = self.cell or _teachers_by_name().get(str(self))
        if cell:
            return cell.command()
        teacher = self.teacher_command()
        options: dict[str, object] = {
            "dataset": KNOWN_DATA.get(self.data, f"path/to/{self.data}"),
            "data_shape": self.size if self.size != 512 else None,
            "student": self.student,
            "teacher": self.teacher,
            "teacher_params": f"{teacher.options['save_prefix']}_best.params" if teacher else None,
            "use_fpn": self.fpn,
            "roi_mode": self.roi_mode,
            "distill": None if self.teacher else "none",
            "cosine_attention": 1.0 if self.cosine else None,
            "save_prefix": str(self),
        }
        return Command(SSD if self.detector == "ssd" else FASTER_RCNN, options)

    def teacher_command(self) -> Command | None:
        """What trains the teacher; None where there is none, or GluonCV publishes it."""
        teacher = self.teacher_name()
        if teacher is None or teacher in GLUONCV_PUBLISHES:
            return None
        return parse(teacher).command()

    def advice(self) -> str:
        """One line: the command that trains it, and its teacher's where that has to be trained."""
        teacher = self.teacher_command()
        if teacher is None:
            return f"`{self.command().line()}` trains it"
        return (
            f"`{teacher.line()}` trains its teacher, whose _best.params is the --teacher-params of "
            f"`{self.command().line()}`, which trains it"
        )


def parse(text: str) -> Name | None:
    """What a name says; None if it is not of the zoo's form (GluonCV's may be all the same)."""
    match = _NAME.fullmatch(text)
    if not match:
        return None
    ssd = match["size"] is not None
    if ssd and match["roi"]:
        return None
    return Name(
        "ssd" if ssd else "faster_rcnn",
        match["student"],
        match["data"],
        size=int(match["size"]) if ssd else None,
        teacher=match["teacher"],
        cosine=bool(match["cosine"]),
        roi_mode=None if ssd else match["roi"] or "align",
        fpn=bool(match["fpn"]),
        plain=bool(match["plain"]),
    )


def ours(text: str) -> Name | None:
    """As :func:`parse`, but None for names that GluonCV publishes."""
    return None if text in GLUONCV_PUBLISHES else parse(text)


def unknown(text: str, known: Iterable[str]) -> UserError:
    """The error for a name that is nobody's, with the names that it may have been meant as."""
    found = close(text[:120], known)
    meant = f"did you mean {' or '.join(found)}?" if found else f"`{LIST}` has the names"
    return UserError(f"no network is called {text[:120]!r}: {meant}")


def close(text: str, known: Iterable[str]) -> list[str]:
    """At most three names that look alike, the most alike first."""
    return difflib.get_close_matches(text, sorted(set(known)), n=3, cutoff=0.6)


def of_cell(cell: Row) -> Name:
    """The name of a figure of the paper's tables."""
    if cell.roi_mode is None:
        return Name("ssd", cell.student, cell.dataset, 512, cell.teacher, cell.cosine)
    return Name(
        "faster_rcnn",
        cell.student,
        "voc" if cell.dataset == "voc07" else cell.dataset,
        teacher=cell.teacher,
        cosine=cell.cosine,
        roi_mode=cell.roi_mode,
    )


@lru_cache(maxsize=1)
def _cells_by_name() -> dict[str, Row]:
    return {str(of_cell(cell)): cell for cell in cells()}


@lru_cache(maxsize=1)
def _teachers_by_name() -> dict[str, Row]:
    """Teachers of the tables that have to be trained."""
    return {str(of_cell(row)): row for row in rows() if not row.place and not row.weights}


def paper_names() -> list[str]:
    """Every network of Tables 1 to 3 that GluonCV does not publish, in the paper's order.

    Students with their teachers, baselines without one, and last the teachers that had to be trained.
    """
    names = [of_cell(cell) for cell in cells()]
    everything = dict.fromkeys([*map(str, names), *_teachers_by_name()])
    return [name for name in everything if name not in GLUONCV_PUBLISHES]
