"""A whole data set read, and what is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.dataset import class_ids
from gan_kd_ssd.data.formats.images import read_image
from gan_kd_ssd.util.errors import UserError

#: What spoils a training or its figures, and what it is called in the report.
FAULTS = {
    "empty_split": "split that lists no image",
    "missing_annotation": "annotation is missing",
    "damaged_annotation": "annotation is damaged",
    "missing_image": "image is missing",
    "damaged_image": "image cannot be read",
    "size_differs": "image of another size than annotated",
    "box_reversed": "box that ends before it begins",
    "box_empty": "box without area",
    "box_outside": "box outside its image",
    "unknown_class": "object of an unknown class",
    "object_without_image": "object of an image that is not listed",
    "listed_twice": "image listed twice in a split",
    "image_in_two_splits": "image in two splits",
    "copy_in_two_splits": "same picture in two splits",
}
#: What may well be meant.
NOTES = {
    "copy": "same picture twice in a split",
    "without_objects": "image without objects",
    "unlisted_file": "file that no split lists",
}
_CHUNK = 16  # images that a worker reads at a time


class Example(NamedTuple):
    """Where something is wrong: splits, a file or an entry, and what is said of it."""

    split: str
    where: str
    detail: str


@dataclass
class Finding:
    """One kind of problem: how often, and the first examples."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class Split:
    """What a split holds: images, of which without objects, and objects by class."""

    images: int = 0
    without_objects: int = 0
    classes: Counter = field(default_factory=Counter)


@dataclass
class Image:
    """An image as the data set lists it; ``where`` names its annotation, size is the annotated one."""

    path: str
    where: str
    splits: list[str]
    size: tuple[int, int] | None = None


class Report:
    """Collects what is found. The readers of both layouts fill it, :func:`check_images` the rest.

    Args:
        title: what is checked. layout: 'voc' or 'coco'. classes: those that are known; None: any.
        examples: how many of each kind to keep.
    """

    def __init__(self, title: str, layout: str, classes: Sequence[str] | None, examples: int = 5):
        self.title, self.layout, self._most = title, layout, examples
        self._class_id_of = None if classes is None else class_ids(classes)
        self.splits: dict[str, Split] = {}
        self.images: list[Image] = []
        self.findings: dict[str, Finding] = {}
        self.images_read = 0

    def add(self, kind: str, split: str, where, detail: str = "") -> None:
        """Note one problem, of FAULTS or NOTES."""
        finding = self.findings.setdefault(kind, Finding())
        finding.count += 1
        if len(finding.examples) < self._most:
            finding.examples.append(Example(split, str(where), " ".join(detail.split())))

    def add_objects(self, splits: Sequence[str], where, names: Counter) -> None:
        """Note the classes of one image's objects."""
        for split in splits:
            self.splits[split].classes.update(names)
            self.splits[split].without_objects += not names
        if not names:
            self.add("without_objects", ", ".join(splits), where)
        for name, count in names.items():
            if self._class_id_of and self._class_id_of(name) is None:
                for _ in range(count):
                    self.add("unknown_class", ", ".join(splits), where, name)

    @property
    def faults(self) -> int:
        """How many faults there are; notes are none."""
        return sum(found.count for kind, found in self.findings.items() if kind in FAULTS)

    def to_json(self) -> dict:
        """Plain types for ``json.dumps``."""
        titles = {**FAULTS, **NOTES}
        return {
            "data": self.title,
            "layout": self.layout,
            "images_read": self.images_read,
            "faults": self.faults,
            "splits": {
                name: {
                    "images": split.images,
                    "without_objects": split.without_objects,
                    "objects": sum(split.classes.values()),
                    "classes": dict(sorted(split.classes.items())),
                }
                for name, split in self.splits.items()
            },
            "findings": [
                {
                    "kind": kind,
                    "fault": kind in FAULTS,
                    "title": titles[kind],
                    "count": self.findings[kind].count,
                    "examples": [example._asdict() for example in self.findings[kind].examples],
                }
                for kind in titles
                if kind in self.findings
            ],
        }


def check_listing(report: Report) -> None:
    """Find images that two splits list."""
    for image in report.images:
        clash = _clash(image.splits, image.splits)
        if clash:
            report.add("image_in_two_splits", clash, image.path)


def check_images(report: Report, num_workers: int = 0, progress=None) -> None:
    """Read every image: damage, size, and pictures that are the same.

    Args:
        num_workers: processes. progress: called with the number of images read.
    """
    copies: dict[bytes, list[Image]] = defaultdict(list)
    chunks = [report.images[i : i + _CHUNK] for i in range(0, len(report.images), _CHUNK)]
    workers = Workers(_look, num_workers)
    try:
        paths = ([image.path for image in chunk] for chunk in chunks)
        for chunk, seen in zip(chunks, workers.map(paths)):
            for image, (size, digest, error) in zip(chunk, seen):
                splits = ", ".join(image.splits)
                if error:
                    report.add("damaged_image", splits, image.path, error)
                    continue
                copies[digest].append(image)
                if image.size and size != image.size:
                    detail = "{}x{} pixels, {}x{} in ".format(*size, *image.size) + image.where
                    report.add("size_differs", splits, image.path, detail)
            report.images_read += len(chunk)
            if progress is not None:
                progress(len(chunk))
    finally:
        workers.close()
    for same in copies.values():
        _report_copies(report, same)


def _report_copies(report: Report, same: list[Image]) -> None:
    """Compare each copy with the first one that it clashes with, else with the first of all."""
    firsts = {tuple(same[0].splits): same[0]}  # by the splits that list them
    for image in same[1:]:
        clashes = [(other, _clash(other.splits, image.splits)) for other in firsts.values()]
        other, clash = next((pair for pair in clashes if pair[1]), (same[0], ""))
        kind = "copy_in_two_splits" if clash else "copy"
        report.add(kind, clash or ", ".join(image.splits), image.path, f"as {other.path}")
        firsts.setdefault(tuple(image.splits), image)


def _clash(one: Sequence[str], other: Sequence[str]) -> str:
    """The first two splits of which a picture may not be in both; '' where all may share.

    trainval is train and val by its name; whatever else two splits share spoils a measurement.
    """
    for a in one:
        for b in other:
            if a == b or _part_of(a, b) or _part_of(b, a):
                continue
            return f"{a}, {b}"
    return ""


def _part_of(small: str, large: str) -> bool:
    """'VOC2007 train' of 'VOC2007 trainval', 'val2017' of 'trainval2017'."""
    return any(
        "trainval" in large and large.replace("trainval", part) == small
        for part in ("train", "val")
    )


def _look(paths: Sequence[str]) -> list[tuple]:
    """(width, height), a digest of the pixels, and the error or None, of each image."""
    found = []
    for path in paths:
        try:
            pixels = read_image(Path(path))
        except UserError as error:
            found.append((None, None, str(error).removeprefix(f"{path}: ")))
            continue
        digest = hashlib.blake2b(
            pixels.data, digest_size=16, person=str(pixels.shape).encode()[:16]
        )
        found.append(((pixels.shape[1], pixels.shape[0]), digest.digest(), None))
    return found


def report_unlisted(report: Report, folders: Iterable[Path], listed: set[str], split: str) -> None:
    """Note the files in some folders, not in those below, that are not among the listed paths."""
    for folder in folders:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            hidden = entry.name.startswith(".")
            if entry.is_file() and not hidden and entry.path not in listed:
                report.add("unlisted_file", split, entry.path)
