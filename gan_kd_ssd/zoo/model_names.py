"""Names of trained networks in the model zoo. Imports no MXNet.

- ``ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos`` is an SSD with 512 x 512 input and a MobileNet 1.0
  backbone. It is trained on VOC 07+12 by GAN-KD from a ResNet50 teacher with cosine attention.
- ``ssd_512_resnet18_v1_voc`` is an SSD trained without a teacher. If GluonCV publishes weights under
  such a name, the name means those weights, and a network trained here has the suffix ``_plain``.
- ``faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roipool`` is a Faster R-CNN
  (``faster_rcnn_fpn_`` with FPN). The suffix ``_roialign`` is optional. In a Faster R-CNN's name
  ``voc`` is VOC 07, as in the published run.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.detectors.names import BACKBONE, NetworkName
from gan_kd_ssd.paper.rows import Row, rows
from gan_kd_ssd.util.errors import UserError

#: Data sets that ``--dataset`` accepts by name: their part of a zoo name -> the value of the option.
NAMED_DATA = {name: name for name in ("voc", "voc07", "voc0712", "coco", "shapes")}
NAMED_DATA["shapescoco"] = "shapes_coco"
#: The data set's part of a name. GluonCV's names for networks without data set have 'custom' here.
DATA = r"(?!(?:custom|lite|plain|gkd|cos)(?:_|$))[a-z][a-z0-9]*"
_NAME = re.compile(
    rf"(?:ssd_(?P<size>[1-9]\d{{0,3}})|faster_rcnn(?P<fpn>_fpn)?)_(?P<student>{BACKBONE})_(?P<data>{DATA})"
    rf"(?:(?P<plain>_plain)|_gkd_(?P<teacher>{BACKBONE})(?P<cosine>_cos)?)?"
    r"(?:_roi(?P<roi>align|pool))?",
    re.ASCII,
)
#: Names of this zoo's form under which GluonCV 0.10 publishes weights (its model_store.py).
GLUONCV_PUBLISHES = frozenset(
    json.loads(Path(__file__).with_name("sources.json").read_text("utf-8"))["gluoncv"]["detectors"]
)


@dataclass(frozen=True)
class ModelName:
    """The parts of a name; ``str()`` gives the name."""

    network: NetworkName
    data: str  # the data set, as ``--dataset`` or as the name of a folder
    teacher: str | None = None  # its backbone; None for a network trained without a teacher
    cosine: bool = False  # whether cosine attention was used
    roi_mode: str | None = None  # 'align' or 'pool' for a Faster R-CNN, else None
    plain: bool = False  # whether the name says that there was no teacher

    def __str__(self) -> str:
        name = f"ssd_{self.size}" if self.is_ssd else "faster_rcnn"
        name += f"_{self.network}_{self.data}"
        name += f"_gkd_{self.teacher}" if self.teacher else ""
        name += "_cos" if self.cosine else ""
        name += "_plain" if self.plain else ""
        return name + (f"_roi{self.roi_mode}" if self.roi_mode else "")

    @property
    def is_ssd(self) -> bool:
        return self.network.kind == "ssd"

    @property
    def student(self) -> str:
        """Backbone of the trained network."""
        return self.network.backbone

    @property
    def size(self) -> int | None:
        """Side of an SSD's input in pixels; None for a Faster R-CNN."""
        return self.network.data_shape

    @property
    def row(self) -> Row | None:
        """The row of ``gan-kd experiments list`` that trains the network."""
        return _rows_by_name().get(str(self))

    @property
    def cell(self) -> Row | None:
        """The result in the paper's tables that the name stands for."""
        return self.row if self.row and self.row.figure.place else None

    def teacher_name(self) -> str | None:
        """Name of the trained teacher: GluonCV's if GluonCV publishes it."""
        if self.teacher is None:
            return None
        if self.cell and self.cell.trained_teacher:  # shared by students of both RoI modes
            return str(of_row(self.cell.trained_teacher))
        network = replace(self.network, backbone=self.teacher)
        name = str(replace(self, network=network, teacher=None, cosine=False))
        short = name.removesuffix("_roialign")
        return short if short in GLUONCV_PUBLISHES else name

    def command(self) -> Command:
        """The command that trains the network; omitted options have the published defaults.

        A data set that is a folder appears as ``path/to/...``. A teacher that has to be trained is
        expected where :meth:`teacher_command` saves it.
        """
        if self.row:
            return self.row.command()
        teacher = self.teacher_command()
        options: dict[str, object] = {
            "dataset": NAMED_DATA.get(self.data, f"path/to/{self.data}"),
            "data_shape": self.size if self.size != 512 else None,
            "student": self.student,
            "teacher": self.teacher,
            "teacher_params": f"{teacher.options['save_prefix']}_best.params" if teacher else None,
            "use_fpn": self.network.fpn,
            "roi_mode": self.roi_mode,
            "distill": None if self.teacher else "none",
            "cosine_attention": 1.0 if self.cosine else None,
            "save_prefix": str(self),
        }
        return Command(SSD if self.is_ssd else FASTER_RCNN, options)

    def teacher_command(self) -> Command | None:
        """The command that trains the teacher; None without one, or if GluonCV publishes it."""
        teacher = self.teacher_name()
        if teacher is None or teacher in GLUONCV_PUBLISHES:
            return None
        return parse(teacher).command()

    def advice(self) -> str:
        """The commands that train the network and, if necessary, its teacher, on one line."""
        teacher, command = self.teacher_command(), f"`{self.command().line()}`"
        if teacher is None:
            return f"train it with {command}"
        return (
            f"train its teacher with `{teacher.line()}`, give the teacher's _best.params as "
            f"--teacher-params, and train the network with {command}"
        )


def parse(text: str) -> ModelName | None:
    """Parse a name of this zoo's form, which GluonCV may publish as well; None for another form."""
    match = _NAME.fullmatch(text)
    if not match or (match["size"] and match["roi"]):
        return None
    size = match["size"]
    if size:
        network = NetworkName("ssd", match["student"], data_shape=int(size))
    else:
        network = NetworkName("faster_rcnn", match["student"], fpn=bool(match["fpn"]))
    return ModelName(
        network,
        match["data"],
        teacher=match["teacher"],
        cosine=bool(match["cosine"]),
        roi_mode=None if size else match["roi"] or "align",
        plain=bool(match["plain"]),
    )


def ours(text: str) -> ModelName | None:
    """As :func:`parse`, but None for names that GluonCV publishes."""
    return None if text in GLUONCV_PUBLISHES else parse(text)


def full_name(text: str) -> str:
    """The zoo name of a row of ``gan-kd experiments list``; any other name in lower case."""
    text = text.lower()
    named = {row.name: row.networks.weights or str(of_row(row)) for row in rows()}
    return named.get(text, text)


def unknown(text: str, more: Iterable[str] = ()) -> UserError:
    """The error for an unknown name; it suggests similar names of the paper's networks or of ``more``."""
    found = similar(text[:120], more)
    hint = f"did you mean {' or '.join(found)}?" if found else "see `gan-kd zoo list`"
    return UserError(f"no network is called {text[:120]!r}: {hint}")


def similar(text: str, more: Iterable[str] = ()) -> list[str]:
    """At most three similar names of the paper's networks or of ``more``, the most similar first."""
    known = sorted({*_rows_by_name(), *more} - {text})
    return difflib.get_close_matches(text, known, n=3, cutoff=0.6)


def of_row(row: Row) -> ModelName:
    """The name of a row of the paper's matrix."""
    if row.roi_mode is None:
        network, data = NetworkName("ssd", row.student, data_shape=512), row.dataset
    else:
        network = NetworkName("faster_rcnn", row.student)
        data = "voc" if row.dataset == "voc07" else row.dataset
    return ModelName(network, data, row.teacher, row.cosine, row.roi_mode)


@cache
def _rows_by_name() -> dict[str, Row]:
    """The rows of the tables, then those of teachers that have to be trained."""
    trained = (row for row in rows() if row.figure.place or not row.networks.weights)
    return {str(of_row(row)): row for row in trained}


def paper_names() -> list[str]:
    """Names of the networks of Tables 1 to 3 that GluonCV does not publish, in the paper's order.

    Students come first, then baselines without a teacher, then teachers that have to be trained.
    """
    return [name for name in _rows_by_name() if name not in GLUONCV_PUBLISHES]
