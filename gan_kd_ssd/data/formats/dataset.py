"""The data set that training and evaluation read, whatever its layout on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_kd_ssd.data.formats.images import read_image
from gan_kd_ssd.util.errors import UserError

#: Why a box cannot be used.
BOX_FAULTS = ("outside", "empty", "reversed")

#: Annotated objects as COCO's metric needs them: index of the image, class, box as x, y, width,
#: height in pixels, area in pixels, whether it is a crowd, whether training ignores it.
OBJECTS = np.dtype(
    [
        *(("image", "i4"), ("class", "i4"), ("box", "f8", 4)),
        *(("area", "f8"), ("crowd", "?"), ("ignore", "?")),
    ]
)


class ImageRecord(NamedTuple):
    """One image of a data set.

    Attributes:
        id: The id of the image in the data set.
        path: The file of the image.
        size: Annotated width and height in pixels.
        annotation: The annotation file.
    """

    id: str | int
    path: str
    size: tuple[int, int]
    annotation: Path


class Dataset:
    """Images and labels in a fixed order. Image files are read on access.

    Args:
        name: Name of the data set and its splits, for messages.
        layout: 'voc' or 'coco'.
        classes: Class names in the order of their ids.
        labels: The objects of each image, see :meth:`label`.
        summary: Counts of what was kept and left out: images, objects, images_without_objects,
            dropped (boxes by reason), unknown (objects by class name).

    Raises:
        UserError: No object is left.
    """

    def __init__(
        self,
        name: str,
        layout: str,
        classes: Sequence[str],
        images: Sequence[ImageRecord],
        labels: Sequence[np.ndarray],
        summary: dict,
    ):
        self.name, self.layout, self.classes, self.summary = name, layout, list(classes), summary
        self._images, self._labels = images, labels
        if not summary["objects"]:
            left_out = self.summary_line() or f"{self.name}: no objects"
            raise UserError(
                f"{left_out}: no object of the classes {some(self.classes)} is left; name the classes "
                f"with --classes or correct the annotations"
            )

    def __len__(self) -> int:
        return len(self._images)

    def image_id(self, i: int) -> str:
        """The id of image i in the data set."""
        return str(self._images[i].id)

    def image_path(self, i: int) -> Path:
        """The file of image i."""
        return Path(self._images[i].path)

    def image_size(self, i: int) -> tuple[int, int]:
        """Annotated width and height of image i in pixels."""
        return self._images[i].size

    def label(self, i: int) -> np.ndarray:
        """Objects of image i, float32 (M, 6): x0, y0, x1, y1 (pixels, 0-based), class, difficult."""
        return self._labels[i].copy()

    def objects(self) -> np.ndarray:
        """All objects as an array of OBJECTS, for COCO's metric.

        Difficult objects are marked as crowds: the metric requires neither to be found.
        """
        count = [len(label) for label in self._labels]
        labels = np.concatenate(self._labels).astype(np.float64)
        objects = np.zeros(len(labels), OBJECTS)
        objects["image"], objects["class"] = np.repeat(np.arange(len(count)), count), labels[:, 4]
        objects["box"][:, :2] = labels[:, :2]
        objects["box"][:, 2:] = labels[:, 2:4] - labels[:, :2] + 1  # the last pixel is included
        objects["area"] = objects["box"][:, 2:].prod(axis=1)
        objects["crowd"] = labels[:, 5] > 0
        return objects

    def image(self, i: int) -> np.ndarray:
        """Read image i as uint8 (H, W, 3), RGB.

        Raises:
            UserError: The file is missing or damaged, or its size differs from the annotation.
        """
        _, path, size, annotation = self._images[i]
        pixels = read_image(Path(path))
        found = pixels.shape[1::-1]
        if found != size:
            found, said = ("{}x{}".format(*pair) for pair in (found, size))
            raise UserError(
                f"{path} is {found} pixels, but {annotation} says {said}; "
                f"correct the size there or the image"
            )
        return pixels

    def summary_line(self) -> str | None:
        """One line about what was left out, or None if nothing was."""
        parts = []
        dropped, unknown = self.summary["dropped"], self.summary["unknown"]
        total = sum(dropped.values())
        if total:
            reasons = ", ".join(f"{n} {reason}" for reason, n in dropped.items() if n)
            parts.append(f"dropped {total} box{'es' if total > 1 else ''} ({reasons})")
        if unknown:
            names = some([f"{name} {n}" for name, n in unknown.items()])
            parts.append(f"left out {sum(unknown.values())} objects of unknown classes ({names})")
        if skipped := self.summary.get("skipped_images"):
            parts.append(f"skipped {skipped} image{'s' if skipped > 1 else ''} without objects")
        return f"{self.name}: {'; '.join(parts)}" if parts else None


def class_ids(classes: Sequence[str]) -> Callable[[str], int | None]:
    """A function from a name to a class id: exact matches first, then matches in another case."""
    exact = {name: i for i, name in enumerate(classes)}
    folded: dict[str, int] = {}
    for name, i in exact.items():
        folded.setdefault(name.lower(), i)
    return lambda name: exact.get(name, folded.get(name.lower()))


def check_classes(classes: Sequence[str]) -> list[str]:
    """Strip the class names; raise a UserError for empty or repeated names."""
    classes = [name.strip() for name in classes]
    if not all(classes) or not classes:
        raise UserError("--classes: a class name is empty; give names separated by commas")
    if twice := repeated(classes):
        raise UserError(f"--classes: {some(sorted(twice))} given twice; name each class once")
    return classes


def repeated(values: Iterable) -> list[str]:
    """The values that occur more than once, as texts."""
    return [str(value) for value, count in Counter(values).items() if count > 1]


def no_such_split(path: Path, splits: Sequence[str]) -> UserError:
    """The error for a missing list or annotation file of a split; ``splits`` are there."""
    return UserError(f"{path}: no such split; it has: {some(splits)} (--train-split, --val-split)")


def some(names: Sequence[str], most: int = 10) -> str:
    """The first names of a long list, for messages."""
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"
