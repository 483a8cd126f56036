"""Data sets in VOC layout: Annotations/*.xml, JPEGImages/*, ImageSets/Main/SPLIT.txt."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.formats.dataset import (
    BOX_FAULTS,
    Dataset,
    ImageRecord,
    check_classes,
    class_ids,
    no_such_split,
)
from gan_kd_ssd.data.formats.voc_annotation import Annotation, read_annotation
from gan_kd_ssd.util.errors import UserError

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
PARTS = ("Annotations", "JPEGImages", "ImageSets/Main")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")


class VOCFolder(Dataset):
    """One or more splits in VOC layout. All annotations are read at construction.

    Objects of unknown classes and boxes that
    :func:`~gan_kd_ssd.data.formats.voc_annotation.box_fault` refuses are counted and left out. An
    image without objects is kept: it is background in training, and in evaluation it can only have
    false positives.

    Args:
        folders: Pairs of folder and split; a split is a file ImageSets/Main/SPLIT.txt.
        classes: Class names in the order of their ids; None takes the names found, sorted.

    Raises:
        UserError: A folder, list, annotation or image is missing, an XML file is malformed, a split
            is empty, or there is no object of a known class.
    """

    def __init__(self, folders: Sequence[tuple[Path, str]], classes: Sequence[str] | None = None):
        folders = [(Path(folder), split) for folder, split in folders]
        images, annotations = [], []
        for folder, split in folders:
            for image_id in read_split(folder, split):
                path = annotation_path(folder, image_id)
                annotation = read_annotation(path)
                file = find_image(folder, image_id, annotation.filename)
                images.append(ImageRecord(image_id, file, annotation.size, path))
                annotations.append(annotation)
        if classes is None:
            found = (o for annotation in annotations for o in annotation.objects)
            classes = sorted({o.name for o in found if o.fault is None})
        else:
            classes = check_classes(classes)
        labels, summary = _labels(annotations, classes)
        name = " + ".join(f"{folder.name} {split}" for folder, split in folders)
        super().__init__(name, "voc", classes, images, labels, summary)


def annotation_path(folder: Path, image_id: str) -> Path:
    return folder / "Annotations" / f"{image_id}.xml"


def list_splits(folder: Path) -> list[str]:
    """The splits of a folder, without VOC's lists of single classes (CLASS_SPLIT)."""
    names = sorted(path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt"))
    return [name for name in names if name.rpartition("_")[2] not in names or "_" not in name]


def read_split(folder: Path, split: str) -> list[str]:
    """Read the image ids of a split; raise a UserError if the list is missing or empty."""
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        raise no_such_split(path, list_splits(folder)) from None
    ids = [words[0] for words in map(str.split, lines) if words]
    if not ids:
        raise UserError(
            f"{path}: the split is empty; list image ids in it or choose another "
            f"(--train-split, --val-split)"
        )
    return ids


def find_image(folder: Path, image_id: str, filename: str) -> str:
    """Find the file of an image, or raise a UserError. The annotation names it ``filename``."""
    images = folder / "JPEGImages"
    names = [image_id + suffix for suffix in IMAGE_SUFFIXES]
    for name in (*names, os.path.basename(filename)):
        path = f"{images}/{name}"
        if os.path.isfile(path):
            return path
    raise UserError(
        f"{images / image_id}.jpg: no such image (nor .jpeg, .png); put it there, or remove "
        f"{image_id} from the list of the split"
    )


def _labels(annotations: list[Annotation], classes) -> tuple[list[np.ndarray], dict]:
    """Labels float32 (M, 6) of all images, and the counts of what was kept and left out."""
    class_id_of = class_ids(classes)
    dropped = dict.fromkeys(BOX_FAULTS, 0)
    unknown: Counter = Counter()
    labels = []
    for annotation in annotations:
        rows = []
        for name, box, difficult, fault in annotation.objects:
            class_id = class_id_of(name)
            if fault is not None:
                dropped[fault] += 1
            elif class_id is None:
                unknown[name] += 1
            else:
                rows.append((*box, class_id, difficult))
        labels.append(np.array(rows, np.float32).reshape(-1, 6))
    summary = {
        "images": len(labels),
        "objects": sum(map(len, labels)),
        "images_without_objects": sum(not len(label) for label in labels),
        "dropped": dropped,
        "unknown": dict(sorted(unknown.items())),
    }
    return labels, summary
