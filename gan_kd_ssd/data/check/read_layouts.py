"""Readers of both layouts that report problems instead of raising errors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.check.check_report import CheckReport, ListedImage, SplitCounts
from gan_kd_ssd.data.formats import coco, voc
from gan_kd_ssd.data.formats.coco_annotation import ObjectEntry
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
            report.add("empty_split", [name], folder, error)
            continue
        counts = Counter(ids)
        report.splits[name].images = len(counts)
        for image_id, count in counts.items():
            splits_of.setdefault(image_id, []).append(name)
            if count > 1:
                report.add("listed_twice", [name], image_id, f"{count} times")
    for image_id, names in splits_of.items():
        _read_voc_image(report, folder, image_id, names)
    _report_unlisted_of_voc(report, folder, prefix)


def _read_voc_image(report: CheckReport, folder: Path, image_id: str, names: list[str]) -> None:
    path, annotation = voc.annotation_path(folder, image_id), None
    try:
        annotation = read_annotation(path)
    except UserError as error:
        kind = "damaged_annotation" if path.is_file() else "missing_annotation"
        report.add(kind, names, path, error)
    try:
        image = voc.find_image(folder, image_id, annotation.filename if annotation else "")
    except UserError as error:
        report.add("missing_image", names, folder / "JPEGImages" / f"{image_id}.jpg", error)
    else:
        size = annotation.size if annotation else None
        report.images.append(ListedImage(image, str(path), names, size))
    if annotation:
        report.add_objects(names, path, Counter(found.name for found in annotation.objects))
        for found in annotation.objects:
            if found.fault:
                box = " ".join(f"{value + 1:g}" for value in found.box)  # 1-based, as in the file
                detail = "{}: {} in {}x{}".format(found.name, box, *annotation.size)
                report.add(f"box_{found.fault}", names, path, detail)


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
    _report_unlisted(report, folders, listed, prefix.split())


def _report_unlisted(
    report: CheckReport, folders: Iterable[Path], listed: set[str], splits: Sequence[str]
) -> None:
    for folder in folders:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_file() and entry.name[0] != "." and entry.path not in listed:
                report.add("unlisted_file", splits, entry.path)


def read_coco(report: CheckReport, folder: Path, splits: Sequence[str]) -> None:
    """Read splits of a folder in COCO layout."""
    by_path: dict[str, ListedImage] = {}
    for split in splits:
        _read_coco_split(report, folder, split, by_path)
    report.images += by_path.values()
    if set(splits) == set(coco.list_splits(folder)):
        folders = sorted({Path(path).parent for path in by_path})
        _report_unlisted(report, folders, set(by_path), ())


def _read_coco_split(report: CheckReport, folder: Path, split: str, by_path: dict) -> None:
    path = coco.annotation_file(folder, split)
    counts = report.splits[split] = SplitCounts()

    def add(kind: str, detail: object = "", where: object = path) -> None:
        report.add(kind, [split], where, detail)

    try:
        entries = coco.read_entries(path, partial(add, "damaged_annotation"))
    except UserError as error:
        add("damaged_annotation", error)
        return
    if not entries.images:
        add("empty_split")
    counts.images = len(entries.images)
    for image in entries.images.values():
        try:
            file = coco.find_image(folder, split, image)
        except UserError:
            place = coco.image_places(folder, split, image)[0]
            add("missing_image", f"image {image.id}", place)
            continue
        known = by_path.setdefault(file, ListedImage(file, str(path), [], image.size))
        if split in known.splits:
            add("listed_twice", f"{file}, as image {image.id} as well")
        else:
            known.splits.append(split)
    classes = {image_id: Counter() for image_id in entries.images}
    found, seen = [], set()
    for entry in entries.objects:
        if entry.id in seen:
            add("object_twice", f"annotation {entry.id} is listed twice")
        seen.add(entry.id)
        if entry.image_id in classes:
            classes[entry.image_id][entries.names[entry.category_id]] += 1
            found.append(entry)
        else:
            add("object_without_image", f"annotation {entry.id} of image {entry.image_id}")
    for image_id, names in classes.items():
        report.add_objects([split], f"{path}: image {image_id}", names)
    if found:
        _check_coco_boxes(found, entries, add)


def _check_coco_boxes(found: list[ObjectEntry], entries: coco.Entries, add: Callable) -> None:
    boxes, area = np.array([e.box for e in found]), np.array([e.area for e in found])
    size = np.array([entries.images[entry.image_id].size for entry in found])
    good = coco.usable(coco.corners(boxes, *size.T), area)
    over = (boxes[:, :2] < -_ROUNDING) | (boxes[:, :2] + boxes[:, 2:] > size + _ROUNDING)
    for i in np.flatnonzero(~good | over.any(axis=1)):
        entry, kind = found[i], "clipped" if good[i] else coco.fault(boxes[i], area[i])
        box, name = " ".join(f"{value:g}" for value in entry.box), entries.names[entry.category_id]
        place = "{}x{} (image {})".format(*size[i], entry.image_id)
        add(f"box_{kind}", f"annotation {entry.id}, {name}: {box} in {place}")
