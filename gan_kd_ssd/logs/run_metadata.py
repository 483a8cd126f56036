"""Metadata of a training run: the first line of ``PREFIX_metrics.jsonl``, or ``NAME.json`` of the zoo.

This module is the only writer and the only reader of the metadata. It imports no MXNet.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    """Strides in pixels of the distilled levels, and copied parts of the student's head.

    ``inherited_head`` is None if nothing was to be copied from the teacher's head.
    """

    strides: list[int]
    inherited_head: list[str] | None
    teacher: TeacherMetadata | None


@dataclass(frozen=True)
class RunMetadata:
    """What a run records when it starts. Fields that older runs lack are None or empty.

    Attributes:
        namespace: the options of the script.
        detector: 'ssd' or 'faster_rcnn'.
        versions: versions of this package, its git revision, Python, MXNet, GluonCV and numpy.
        devices: names of the devices.
        parameters: number of trained parameters.
        classes: class names in order.
        data: for 'train' and 'val': name, numbers of images and objects, dropped boxes.
        distillation: None without a teacher.
    """

    namespace: Mapping[str, object]
    detector: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[str] = field(default_factory=list)
    parameters: int | None = None
    classes: Sequence[str] | None = None
    data: Mapping[str, Mapping] = field(default_factory=dict)
    distillation: DistillationMetadata | None = None

    def info(self) -> dict:
        """The fields of the JSON line besides the namespace, in their order."""
        info = {name: value for name, value in vars(self).items() if name in _TYPES}
        del info["namespace"]
        if self.distillation:
            info["strides"] = self.distillation.strides
            if self.distillation.inherited_head is not None:
                info["inherited_head"] = self.distillation.inherited_head
            if self.distillation.teacher:
                info["teacher"] = self.distillation.teacher.to_json()
        return info


#: JSON types of the fields that are written as they are.
_TYPES = {
    **{"namespace": dict, "detector": str, "versions": dict, "devices": list},
    **{"parameters": int, "classes": list, "data": dict},
}


def metadata_from_json(fields: Mapping) -> RunMetadata:
    """The metadata in the object of a JSON line; fields of an unexpected type count as missing.

    Raises:
        ValueError: ``fields`` is not a JSON object.
    """
    if not isinstance(fields, Mapping):
        raise ValueError(f"not the metadata of a run: {fields!r}")

    def typed(**types: type) -> dict:
        found = ((name, fields.get(name)) for name in types)
        return {name: value for name, value in found if isinstance(value, types[name])}

    more = typed(teacher=dict, strides=list, inherited_head=list)
    distillation = None
    if "teacher" in more or "strides" in more:
        teacher = more.get("teacher")
        if teacher is not None:
            file, sha256 = (str(teacher.get(name, "")) for name in ("file", "sha256"))
            teacher = TeacherMetadata(file, sha256, teacher.get("mAP"))
        head = more.get("inherited_head")
        distillation = DistillationMetadata(more.get("strides", []), head, teacher)
    return RunMetadata(**{"namespace": {}, **typed(**_TYPES)}, distillation=distillation)


def last_run(metrics: Path | str) -> RunMetadata | None:
    """Metadata of the last run in a ``*_metrics.jsonl``; None without a readable one."""
    found = None
    with contextlib.suppress(OSError), open(metrics, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith('{"kind": "run"'):
                with contextlib.suppress(ValueError):  # a line that was cut off
                    found = metadata_from_json(json.loads(line))
    return found


def prefix_of(params: str | Path) -> str:
    """The ``--save-prefix`` of the run that wrote a ``.params`` file, by the name of the file."""
    return re.sub(r"_(best|\d{4,}_(\d\.\d+|nan))\.params$", "", str(params))


def metadata_beside(params: str | Path) -> RunMetadata | None:
    """Metadata of the run that wrote a ``.params`` file, read from its sidecar file.

    A run leaves ``PREFIX_metrics.jsonl``, in which the last of several runs counts; the model zoo has
    ``NAME-12345678.json``. Returns None if there is neither.
    """
    found = last_run(f"{prefix_of(params)}_metrics.jsonl")
    with contextlib.suppress(OSError, ValueError):
        text = Path(re.sub(r"\.params$", "", str(params)) + ".json").read_text(encoding="utf-8")
        found = found or metadata_from_json(json.loads(text))
    return found


def classes_beside(params: str | Path) -> list[str] | None:
    """Class names that a ``.params`` file was trained on, from its sidecar file; None without one.

    The parameter file itself stores the number of classes, not their names.
    """
    found = metadata_beside(params)
    return None if found is None or found.classes is None else list(found.classes)


def check_classes(params: str | Path, classes: Sequence[str], option: str) -> None:
    """Check that a ``.params`` file was trained on these classes, in this order, if that is known.

    Raises:
        UserError: it was trained on others; the message names ``option``.
    """
    trained_on = classes_beside(params)
    if trained_on is not None and trained_on != list(classes):
        raise UserError(
            f"{option} {params}: was trained on the classes {', '.join(trained_on)}, but the classes "
            f"here are {', '.join(classes)}: give --classes as in training, or another file"
        )
