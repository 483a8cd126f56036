"""Readers of both layouts that report problems instead of raising errors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.check.check_report import CheckReport, ListedImage, SplitCounts
from gan_kd_ssd.data.formats import coco, coco_annotation, voc
from gan_kd_ssd.data.formats.voc_annotation import read_annotation
from gan_kd_ssd.util.errors import UserError

#: Pixels by which a box may exceed its image: COCO's own boxes are rounded.
_ROUNDING = 1.0


def read_voc(report: CheckReport, folder: Path, splits: Sequence[str], prefix: str = "") -> None:
    """Read splits of a folder in VOC layout; ``prefix`` precedes their names in the report."""
    splits_of: dict[str, list[str]] = {}
    for split in splits:
        name = f"{prefix}{split}"
        report.splits[name] = SplitCounts()
        try:
            ids = voc.read_split(folder, split)
        except UserError as error:
            report.add("empty_split", name, folder, str(error))
            continue
        counts = Counter(ids)
        report.splits[name].images = len(counts)
        for image_id, count in counts.items():
            splits_of.setdefault(image_id, []).append(name)
            if count > 1:
                report.add("listed_twice", name, image_id, f"{count} times")
    for image_id, names in splits_of.items():
        _read_voc_image(report, folder, image_id, names)
    _report_unlisted_of_voc(report, folder, prefix)


def _read_voc_image(report: CheckReport, folder: Path, image_id: str, names: list[str]) -> None:
    path, splits = voc.annotation_path(folder, image_id), ", ".join(names)
    annotation = None
    if not path.is_file():
        report.add("missing_annotation", splits, path)
    else:
        try:
            annotation = read_annotation(path)
        except UserError as error:
            report.add("damaged_annotation", splits, path, str(error).removeprefix(f"{path}: "))
    try:
        image = voc.find_image(folder, image_id, annotation.filename if annotation else "")
    except UserError:
        report.add("missing_image", splits, folder / "JPEGImages" / f"{image_id}.jpg")
    else:
        size = (annotation.width, annotation.height) if annotation else None
        report.images.append(ListedImage(image, str(path), names, size))
    if annotation:
        report.add_objects(names, path, Counter(found.name for found in annotation.objects))
        for found in annotation.objects:
            if found.fault:
                box = " ".join(f"{value + 1:g}" for value in found.box)  # 1-based, as in the file
                detail = f"{found.name}: {box} in {annotation.width}x{annotation.height}"
                report.add(f"box_{found.fault}", splits, path, detail)


def _report_unlisted_of_voc(report: CheckReport, folder: Path, prefix: str) -> None:
    """Report files that no list of the folder names, including the lists that are not checked."""
    listed = {image.path for image in report.images}
    stems = set()
    for split in voc.list_splits(folder):
        try:
            stems.update(voc.read_split(folder, split))
        except UserError:
            continue
    for part, suffixes in (("JPEGImages", voc.IMAGE_SUFFIXES), ("Annotations", (".xml",))):
        for stem in stems:
            listed.update(str(folder / part / f"{stem}{suffix}") for suffix in suffixes)
    folders = [folder / part for part in ("JPEGImages", "Annotations") if (folder / part).is_dir()]
    _report_unlisted(report, folders, listed, prefix.strip())


def _report_unlisted(
    report: CheckReport, folders: Iterable[Path], listed: set[str], split: str
) -> None:
    for folder in folders:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_file() and entry.name[0] != "." and entry.path not in listed:
                report.add("unlisted_file", split, entry.path)


def read_coco(report: CheckReport, folder: Path, splits: Sequence[str]) -> None:
    """Read splits of a folder in COCO layout."""
    by_path: dict[str, ListedImage] = {}
    for split in splits:
        report.splits[split] = SplitCounts()
        path = coco.annotation_file(folder, split)
        try:
            data = coco_annotation.load(path)
        except UserError as error:
            report.add("damaged_annotation", split, path, str(error).removeprefix(f"{path}: "))
            continue
        reader = _COCOReader(report, folder, split, path)
        reader.read_images(data["images"], by_path)
        reader.read_objects(data["annotations"], data["categories"])
    report.images += by_path.values()
    if set(splits) == set(coco.list_splits(folder)):
        folders = sorted({Path(path).parent for path in by_path})
        _report_unlisted(report, folders, set(by_path), "")


class _COCOReader:
    """Reads one annotation file."""

    def __init__(self, report: CheckReport, folder: Path, split: str, path: Path):
        self.report, self.folder, self.split, self.path = report, folder, split, path
        self.entries: dict = {}  # images by id

    def add(self, kind: str, detail: str = "") -> None:
        self.report.add(kind, self.split, self.path, detail)

    def read_images(self, entries, by_path: dict[str, ListedImage]) -> None:
        if not entries:
            self.add("empty_split")
        for image in self._parsed(entries, coco_annotation.parse_image):
            if image.id in self.entries:
                self.add("damaged_annotation", f"image {image.id} stands twice")
                continue
            self.entries[image.id] = image
            self.report.splits[self.split].images += 1
            path = coco.find_image(self.folder, self.split, image)
            if path is None:
                place = coco.image_places(self.folder, self.split, image)[0]
                self.report.add("missing_image", self.split, place, f"image {image.id}")
                continue
            size, known = (image.width, image.height), by_path.get(path)
            if known is None:
                by_path[path] = ListedImage(path, str(self.path), [self.split], size)
            elif self.split in known.splits:
                self.add("listed_twice", f"{path}, as image {image.id} as well")
            else:
                known.splits.append(self.split)

    def read_objects(self, entries, categories) -> None:
        names = dict(self._parsed(categories, coco_annotation.parse_category))
        if len(names) < len(categories) or len(set(names.values())) < len(names):
            self.add("damaged_annotation", "categories that are not unique")
        classes = {image_id: Counter() for image_id in self.entries}
        found, seen = [], set()
        for entry in self._parsed(entries, coco_annotation.parse_object):
            if entry.id in seen:
                self.add("object_twice", f"annotation {entry.id} stands twice")
            seen.add(entry.id)
            if entry.image_id not in classes:
                detail = f"annotation {entry.id} of image {entry.image_id}"
                self.add("object_without_image", detail)
            elif entry.category_id not in names:
                what = f"annotation {entry.id} has category {entry.category_id}"
                self.add("damaged_annotation", f"{what}, which is not listed")
            else:
                classes[entry.image_id][names[entry.category_id]] += 1
                found.append(entry)
        for image_id, counts in classes.items():
            self.report.add_objects([self.split], f"{self.path}: image {image_id}", counts)
        if found:
            self._check_boxes(found, names)

    def _check_boxes(self, found: list[coco_annotation.ObjectEntry], names: dict) -> None:
        boxes, area = np.array([e.box for e in found]), np.array([e.area for e in found])
        images = [self.entries[entry.image_id] for entry in found]
        size = np.array([(image.width, image.height) for image in images])
        good = coco.usable(coco.corners(boxes, *size.T), area)
        over = (boxes[:, :2] < -_ROUNDING) | (boxes[:, :2] + boxes[:, 2:] > size + _ROUNDING)
        for i in np.flatnonzero(~good | over.any(axis=1)):
            entry, kind = found[i], "clipped" if good[i] else coco.fault(boxes[i], area[i])
            box = " ".join(f"{value:g}" for value in entry.box)
            detail = (
                f"annotation {entry.id}, {names[entry.category_id]}: {box} in "
                f"{images[i].width}x{images[i].height} (image {entry.image_id})"
            )
            self.add(f"box_{kind}", detail)

    def _parsed(self, entries, parse: Callable) -> list:
        """The entries that can be parsed; the others are reported."""
        found = []
        for entry in entries:
            try:
                found.append(parse(entry, self.path))
            except UserError as error:
                self.add("damaged_annotation", str(error).removeprefix(f"{self.path}: "))
        return found
