"""The VOC layout, read for :mod:`gan_kd_ssd.data.check.faults`: nothing that is wrong stops the reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.data.check.faults import Image, Report, Split, report_unlisted
from gan_kd_ssd.data.formats import voc
from gan_kd_ssd.data.formats.annotation import read_annotation
from gan_kd_ssd.util.errors import UserError


def read_voc(report: Report, folder: Path, splits: Sequence[str], prefix: str = "") -> None:
    """Read some splits of a folder into a report; ``prefix`` goes before their names there."""
    splits_of: dict[str, list[str]] = {}
    for split in splits:
        name = f"{prefix}{split}"
        report.splits[name] = Split()
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
        _read_image(report, folder, image_id, names)
    _unlisted(report, folder, prefix)


def _read_image(report: Report, folder: Path, image_id: str, names: list[str]) -> None:
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
        report.images.append(Image(str(image), str(path), names, size))
    if annotation:
        report.add_objects(names, path, Counter(found.name for found in annotation.objects))
        for found in annotation.objects:
            if found.fault:
                box = " ".join(f"{value + 1:g}" for value in found.box)  # as in the file, from 1
                detail = f"{found.name}: {box} in {annotation.width}x{annotation.height}"
                report.add(f"box_{found.fault}", splits, path, detail)


def _unlisted(report: Report, folder: Path, prefix: str) -> None:
    """Note what no list of the folder names, whichever splits are checked."""
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
    report_unlisted(report, folders, listed, prefix.strip())
