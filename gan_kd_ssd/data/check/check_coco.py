"""The COCO layout, read for :mod:`gan_kd_ssd.data.check.faults`: nothing that is wrong stops the reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.check.faults import Image, Report, Split, report_unlisted
from gan_kd_ssd.data.formats import coco, coco_file
from gan_kd_ssd.util.errors import UserError

#: Pixels that a box may reach over its image: COCO's own boxes are rounded.
_ROUNDING = 1.0


def read_coco(report: Report, folder: Path, splits: Sequence[str]) -> None:
    """Read some splits of a folder into a report."""
    by_path: dict[str, Image] = {}
    for split in splits:
        report.splits[split] = Split()
        path = coco.annotation_file(folder, split)
        try:
            data = coco_file.load(path)
        except UserError as error:
            report.add("damaged_annotation", split, path, str(error).removeprefix(f"{path}: "))
            continue
        reader = _Reader(report, folder, split, path)
        reader.read_images(data["images"], by_path)
        reader.read_objects(data["annotations"], data["categories"])
    report.images += by_path.values()
    if set(splits) == set(coco.list_splits(folder)):
        folders = sorted({Path(path).parent for path in by_path})
        report_unlisted(report, folders, set(by_path), "")


class _Reader:
    """One annotation file."""

    def __init__(self, report: Report, folder: Path, split: str, path: Path):
        self.report, self.folder, self.split, self.path = report, folder, split, path
        self.entries: dict = {}  # images by id

    def read_images(self, entries, by_path: dict[str, Image]) -> None:
        report, split = self.report, self.split
        if not entries:
            report.add("empty_split", split, self.path)
        for image in self._parsed(entries, coco_file.parse_image):
            if image.id in self.entries:
                report.add("listed_twice", split, self.path, f"image {image.id}")
                continue
            self.entries[image.id] = image
            report.splits[split].images += 1
            path = coco.find_image(self.folder, split, image)
            if path is None:
                place = coco.places(self.folder, split, image)[0]
                report.add("missing_image", split, place, f"image {image.id}")
                continue
            size, known = (image.width, image.height), by_path.get(path)
            if known is None:
                by_path[path] = Image(path, str(self.path), [split], size)
            elif split in known.splits:
                detail = f"{path}, as image {image.id} as well"
                report.add("listed_twice", split, self.path, detail)
            else:
                known.splits.append(split)

    def read_objects(self, entries, categories) -> None:
        report, split = self.report, self.split
        names = dict(self._parsed(categories, coco_file.parse_category))
        if len(names) < len(categories) or len(set(names.values())) < len(names):
            report.add("damaged_annotation", split, self.path, "categories that are not unique")
        classes = {image_id: Counter() for image_id in self.entries}
        found, seen = [], set()
        for entry in self._parsed(entries, coco_file.parse_object):
            if entry.id in seen:
                detail = f"annotation {entry.id} stands twice"
                report.add("damaged_annotation", split, self.path, detail)
            seen.add(entry.id)
            if entry.image_id not in classes:
                detail = f"annotation {entry.id} of image {entry.image_id}"
                report.add("object_without_image", split, self.path, detail)
            elif entry.category_id not in names:
                detail = (
                    f"annotation {entry.id} has category {entry.category_id}, which is not listed"
                )
                report.add("damaged_annotation", split, self.path, detail)
            else:
                classes[entry.image_id][names[entry.category_id]] += 1
                found.append(entry)
        for image_id, counts in classes.items():
            report.add_objects([split], f"{self.path}: image {image_id}", counts)
        self._check_boxes(found, names)

    def _check_boxes(self, found: list[coco_file.ObjectEntry], names: dict) -> None:
        if not found:
            return
        boxes, area = np.array([e.box for e in found]), np.array([e.area for e in found])
        images = [self.entries[entry.image_id] for entry in found]
        size = np.array([(image.width, image.height) for image in images])
        good = coco.usable(coco.corners(boxes, *size.T), area)
        over = (boxes[:, :2] < -_ROUNDING) | (boxes[:, :2] + boxes[:, 2:] > size + _ROUNDING)
        for i in np.flatnonzero(~good | over.any(axis=1)):
            entry, kind = found[i], "outside" if good[i] else coco.fault(boxes[i], area[i])
            box = " ".join(f"{value:g}" for value in entry.box)
            detail = (
                f"annotation {entry.id}, {names[entry.category_id]}: {box} in "
                f"{images[i].width}x{images[i].height} (image {entry.image_id})"
            )
            self.report.add(f"box_{kind}", self.split, self.path, detail)

    def _parsed(self, entries, parse: Callable) -> list:
        """What can be read of a list; the rest is reported."""
        found = []
        for entry in entries:
            try:
                found.append(parse(entry, self.path))
            except UserError as error:
                detail = str(error).removeprefix(f"{self.path}: ")
                self.report.add("damaged_annotation", self.split, self.path, detail)
        return found
