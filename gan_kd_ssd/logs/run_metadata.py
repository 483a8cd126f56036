"""Metadata of a training run: the first line of ``PREFIX_metrics.jsonl``, or ``NAME.json`` of the zoo.

This module is the only writer and the only reader of the metadata. It imports no MXNet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gan_kd_ssd.logs.jsonl import run_starts
from gan_kd_ssd.util.errors import UserError


@dataclass(frozen=True)
class TeacherMetadata:
    """The teacher's parameter file, its sha256, and the teacher's mAP on the validation data."""

    file: str
    sha256: str
    mean_ap: float

    def to_json(self) -> dict:
        return {"file": self.file, "sha256": self.sha256, "mAP": self.mean_ap}


@dataclass(frozen=True)
class DistillationMetadata:
    """What a distilled run records: the strides in pixels of the distilled levels, and the teacher.

    ``inherited_head`` names the parts of the student's head that were copied from the teacher's. It is
    None if nothing was to be copied.
    """

    strides: list[int]
    inherited_head: list[str] | None
    teacher: TeacherMetadata | None


@dataclass(frozen=True)
class RunMetadata:
    """What a run records when it starts. Fields that older runs lack are None or empty.

    Attributes:
        namespace: The options of the script.
        versions: Versions of this package, its git revision, Python, MXNet, GluonCV and numpy.
        parameters: The number of trained parameters.
        data: For 'train' and 'val': name, numbers of images and objects, dropped boxes.
        distillation: None without a teacher.
    """

    namespace: Mapping[str, object] = field(default_factory=dict)
    detector: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[str] = field(default_factory=list)
    parameters: int | None = None
    classes: Sequence[str] | None = None
    data: Mapping[str, Mapping] = field(default_factory=dict)
    distillation: DistillationMetadata | None = None

    def info(self) -> dict:
        """The fields of the JSON line besides the namespace, in their order."""
        info = {name: v for name, v in vars(self).items() if name in _TYPES and name != "namespace"}
        if self.distillation:
            info["strides"] = self.distillation.strides
            if self.distillation.inherited_head is not None:
                info["inherited_head"] = self.distillation.inherited_head
            if self.distillation.teacher:
                info["teacher"] = self.distillation.teacher.to_json()
        return info


#: Types of the fields of the JSON line that are attributes of :class:`RunMetadata`.
_TYPES = {
    **{"namespace": Mapping, "detector": str, "versions": Mapping, "devices": list},
    **{"parameters": int, "classes": list, "data": Mapping},
}


def metadata_from_json(fields: Mapping) -> RunMetadata:
    """The metadata in the object of a JSON line; fields of an unexpected type count as missing.

    Raises:
        ValueError: ``fields`` is not a JSON object.
    """
    if not isinstance(fields, Mapping):
        raise ValueError(f"not the metadata of a run: {fields!r}")

    def of_type(types: Mapping[str, type]) -> dict:
        return {n: fields[n] for n, kind in types.items() if isinstance(fields.get(n), kind)}

    distilled = of_type({"strides": list, "teacher": Mapping, "inherited_head": list})
    distillation = None
    if "strides" in distilled or "teacher" in distilled:
        teacher, head = distilled.get("teacher"), distilled.get("inherited_head")
        if teacher is not None:
            file, sha256 = (str(teacher.get(name, "")) for name in ("file", "sha256"))
            teacher = TeacherMetadata(file, sha256, teacher.get("mAP"))
        distillation = DistillationMetadata(distilled.get("strides", []), head, teacher)
    return RunMetadata(**of_type(_TYPES), distillation=distillation)


def prefix_of(params: str | Path) -> str:
    """The ``--save-prefix`` of the run that wrote a ``.params`` file, by the name of the file."""
    return re.sub(r"_(best|\d{4,}_(\d\.\d+|nan))\.params$", "", str(params))


def metadata_beside(params: str | Path) -> RunMetadata | None:
    """Metadata of the run that wrote a ``.params`` file, read from its sidecar file.

    A run leaves ``PREFIX_metrics.jsonl``, in which the last of several runs counts; the model zoo has
    ``NAME-12345678.json``. Returns None if there is neither.
    """
    try:
        starts = run_starts(Path(f"{prefix_of(params)}_metrics.jsonl"))
    except OSError:
        starts = []
    try:
        if starts:
            return metadata_from_json({**starts[-1].info, "namespace": starts[-1].namespace})
        text = Path(re.sub(r"\.params$", "", str(params)) + ".json").read_text(encoding="utf-8")
        return metadata_from_json(json.loads(text))
    except (OSError, ValueError):
        return None


def classes_beside(params: str | Path) -> list[str] | None:
    """Class names that a ``.params`` file was trained on, from its sidecar file; None without one."""
    found = metadata_beside(params)
    return found and found.classes


def check_classes(params: str | Path, classes: Sequence[str], option: str) -> None:
    """Check that a ``.params`` file was trained on these classes, in this order, if that is known.

    Raises:
        UserError: It was trained on others; the message names ``option``.
    """
    trained_on = classes_beside(params)
    if trained_on is not None and trained_on != list(classes):
        raise UserError(
            f"{option} {params} was trained on the classes {', '.join(trained_on)}, but the classes "
            f"here are {', '.join(classes)}: give --classes as in training, or another file"
        )
