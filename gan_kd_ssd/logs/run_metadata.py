"""Metadata of a training run: the first line of ``PREFIX_metrics.jsonl``, or ``NAME.json`` of the zoo.

This module is the only writer and the only reader of the metadata. It imports no MXNet.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
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
    """What a distilled run records.

    Attributes:
        strides: strides in pixels of the levels that are distilled.
        inherited_head: parts of the student's head that were copied from the teacher's; None if
            nothing was to be copied.
        teacher: the teacher.
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
    devices: Sequence[str] = ()
    parameters: int | None = None
    classes: Sequence[str] | None = None
    data: Mapping[str, Mapping] = field(default_factory=dict)
    distillation: DistillationMetadata | None = None

    def info(self) -> dict:
        """The fields of the JSON line besides the namespace, in their order."""
        info = {
            "detector": self.detector,
            "versions": dict(self.versions),
            "devices": list(self.devices),
            "parameters": self.parameters,
            "classes": self.classes,
            "data": dict(self.data),
        }
        if self.distillation:
            info["strides"] = self.distillation.strides
            if self.distillation.inherited_head is not None:
                info["inherited_head"] = self.distillation.inherited_head
            if self.distillation.teacher:
                info["teacher"] = self.distillation.teacher.to_json()
        return info


def metadata_from_json(fields: Mapping) -> RunMetadata:
    """The metadata in the object of a JSON line; fields of an unexpected type count as missing.

    Raises:
        ValueError: ``fields`` is not a JSON object.
    """
    if not isinstance(fields, Mapping):
        raise ValueError(f"not the metadata of a run: {fields!r}")

    def of_type(name: str, kind: type, default=None):
        value = fields.get(name)
        return value if isinstance(value, kind) else default

    teacher = of_type("teacher", Mapping)
    strides = of_type("strides", list)
    distillation = None
    if teacher is not None or strides is not None:
        known = teacher and TeacherMetadata(
            str(teacher.get("file", "")), str(teacher.get("sha256", "")), teacher.get("mAP")
        )
        distillation = DistillationMetadata(strides or [], of_type("inherited_head", list), known)
    return RunMetadata(
        namespace=of_type("namespace", Mapping, {}),
        detector=of_type("detector", str),
        versions=of_type("versions", Mapping, {}),
        devices=of_type("devices", list, []),
        parameters=of_type("parameters", int),
        classes=of_type("classes", list),
        data=of_type("data", Mapping, {}),
        distillation=distillation,
    )


def runs_in(metrics: Path | str) -> Iterator[RunMetadata]:
    """Metadata of each run in a ``*_metrics.jsonl``, oldest first.

    Raises:
        OSError: the file cannot be read.
    """
    with open(metrics, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith('{"kind": "run"'):
                try:
                    yield metadata_from_json(json.loads(line))
                except ValueError:  # a line that was cut off
                    continue


def last_run(metrics: Path | str) -> RunMetadata | None:
    """Metadata of the last run in a ``*_metrics.jsonl``; None without a readable one."""
    try:
        return deque(runs_in(metrics), maxlen=1).pop()
    except (OSError, IndexError):
        return None


def prefix_of(params: str | Path) -> str:
    """The ``--save-prefix`` of the run that wrote a ``.params`` file, by the name of the file."""
    return re.sub(r"_(best|\d{4,}_(\d\.\d+|nan))\.params$", "", str(params))


def metadata_beside(params: str | Path) -> RunMetadata | None:
    """Metadata of the run that wrote a ``.params`` file, read from its sidecar file.

    A run leaves ``PREFIX_metrics.jsonl``, in which the last of several runs counts; the model zoo has
    ``NAME-12345678.json``. Returns None if there is neither.
    """
    found = last_run(f"{prefix_of(params)}_metrics.jsonl")
    if found is not None:
        return found
    try:
        text = Path(re.sub(r"\.params$", "", str(params)) + ".json").read_text(encoding="utf-8")
        return metadata_from_json(json.loads(text))
    except (OSError, ValueError):
        return None


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
