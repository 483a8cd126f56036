"""Data sets in VOC layout: Annotations/*.xml, JPEGImages/*, ImageSets/Main/<split>.txt."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.formats.annotation import REASONS, Annotation, read_annotation
from gan_kd_ssd.data.formats.dataset import Dataset, check_classes, class_ids, some
from gan_kd_ssd.util.errors import UserError

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
PARTS = ("Annotations", "JPEGImages", "ImageSets/Main")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")


class VOCFolder(Dataset):
    """One or more splits in VOC layout, all annotations read at construction.

    Args:
        folders: (folder, split) pairs; a split is a file ImageSets/Main/<split>.txt.
        classes: class names in the order of their ids; None: the names found, sorted.

    A name is matched exactly, else without regard to case (GluonCV lower-cases names); objects of
    other classes are counted in ``summary`` and left out, as are boxes that
    :func:`~gan_kd_ssd.data.formats.annotation.box_fault` refuses. An image without any object left is kept
    with a label of shape (0, 6): for training it is background, for evaluation it can only have
    false positives.

    Raises UserError for what a user can mend: missing folders, lists, annotations or images,
    malformed XML, a split without images, or no object of a known class.
    """

    def __init__(self, folders: Sequence[tuple[Path, str]], classes: Sequence[str] | None = None):
        folders = [(Path(folder), split) for folder, split in folders]
        self._annotation_paths: list[Path] = []
        ids, paths, annotations = [], [], []
        for folder, split in folders:
            for image_id in read_split(folder, split):
                path = annotation_path(folder, image_id)
                annotation = read_annotation(path)
                self._annotation_paths.append(path)
                ids.append(image_id)
                paths.append(find_image(folder, image_id, annotation.filename))
                annotations.append(annotation)
        classes = check_classes(classes) if classes is not None else _found(annotations)
        labels, summary = _labels(annotations, classes)
        sizes = [(annotation.width, annotation.height) for annotation in annotations]
        name = " + ".join(f"{folder.name} {split}" for folder, split in folders)
        super().__init__(name, "voc", classes, ids, paths, sizes, labels, summary)

    def annotation_path(self, i: int) -> Path:
        """The XML file of image i."""
        return self._annotation_paths[i]


def annotation_path(folder: Path, image_id: str) -> Path:
    """Where the annotation of an image stands."""
    return folder / "Annotations" / f"{image_id}.xml"


def list_splits(folder: Path) -> list[str]:
    """The splits of a folder; VOC's lists of one class (<class>_<split>) are left out."""
    names = sorted(path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt"))
    return [name for name in names if name.rpartition("_")[2] not in names or "_" not in name]


def read_split(folder: Path, split: str) -> list[str]:
    """The image ids of a split: the first word of each line that is not blank.

    Raises UserError where there is no such list, or nothing in it.
    """
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        raise UserError(
            f"{path}: no such split; it has: {some(list_splits(folder))} (--train-split, --val-split)"
        ) from None
    ids = [words[0] for words in map(str.split, lines) if words]
    if not ids:
        raise UserError(
            f"{path}: the split is empty; list image ids in it or choose another "
            f"(--train-split, --val-split)"
        )
    return ids


def find_image(folder: Path, image_id: str, filename: str) -> Path:
    """The file of an image; ``filename`` is what its annotation calls it.

    Raises UserError where there is none.
    """
    images = folder / "JPEGImages"
    for suffix in IMAGE_SUFFIXES:
        path = f"{images}/{image_id}{suffix}"
        if os.path.exists(path):
            return Path(path)
    if filename and os.path.isfile(images / os.path.basename(filename)):
        return images / os.path.basename(filename)
    raise UserError(
        f"{images / image_id}.jpg: no such image (nor .jpeg, .png); put it there, or take "
        f"{image_id} out of the split's list"
    )


def _found(annotations: list[Annotation]) -> list[str]:
    return sorted({o.name for a in annotations for o in a.objects if o.fault is None})


def _labels(annotations, classes) -> tuple[list[np.ndarray], dict]:
    """Labels float32 (M, 6) of all images, and the counts of what was kept and left out."""
    class_id_of = class_ids(classes)
    dropped = dict.fromkeys(REASONS, 0)
    unknown: Counter = Counter()
    labels, objects = [], 0
    for annotation in annotations:
        rows = []
        for name, box, difficult, fault in annotation.objects:
            class_id = class_id_of(name)
            if class_id is None:
                if fault is None:
                    unknown[name] += 1
                else:
                    dropped[fault] += 1
            elif fault is not None:
                dropped[fault] += 1
            else:
                rows.append((*box, class_id, difficult))
        labels.append(np.array(rows, np.float32).reshape(-1, 6))
        objects += len(rows)
    summary = {
        "images": len(labels),
        "objects": objects,
        "images_without_objects": sum(not len(label) for label in labels),
        "dropped": dropped,
        "unknown": dict(sorted(unknown.items())),
    }
    return labels, summary
