"""What every data set offers, whatever the layout that it was read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.formats.images import read_image
from gan_kd_ssd.util.errors import UserError

#: Annotated objects as COCO's metric takes them: image (its place in the data set), class, box as
#: x, y, width, height in pixels, area in pixels, whether a crowd, whether to be ignored in training.
OBJECTS = np.dtype(
    [
        *(("image", "i4"), ("class", "i4"), ("box", "f8", 4)),
        *(("area", "f8"), ("crowd", "?"), ("ignore", "?")),
    ]
)


class Dataset:
    """Images and labels in a fixed order; the images are read when they are asked for.

    Args:
        name: of the set and its splits, for messages. layout: 'voc' or 'coco'.
        classes: names in the order of their ids.
        ids: of the images. paths: their files. sizes: width and height in pixels, as annotated.
        labels: of each image, float32 (M, 6): x0, y0, x1, y1 (pixels, 0-based), class, difficult.
        summary: counts of what was kept and left out: images, objects, images_without_objects,
            dropped (reason -> boxes), unknown (class name -> objects).

    Raises:
        UserError: no object is left.
    """

    def __init__(
        self,
        name: str,
        layout: str,
        classes: Sequence[str],
        ids: Sequence,
        paths: Sequence[Path],
        sizes: Sequence[tuple[int, int]],
        labels: Sequence[np.ndarray],
        summary: dict,
    ):
        self.name, self.layout, self.classes, self.summary = name, layout, list(classes), summary
        self._ids, self._image_paths, self._sizes, self._labels = ids, paths, sizes, labels
        if not summary["objects"]:
            left_out = self.summary_line() or f"{self.name}: no objects"
            raise UserError(
                f"{left_out}: none is left of the classes {some(self.classes)}; name the classes "
                f"with --classes or correct the annotations"
            )

    def __len__(self) -> int:
        return len(self._ids)

    def image_id(self, i: int) -> str:
        """The id of image i, as the data set lists it."""
        return str(self._ids[i])

    def image_path(self, i: int) -> Path:
        """The file of image i."""
        return Path(self._image_paths[i])

    def image_size(self, i: int) -> tuple[int, int]:
        """Width and height of image i in pixels, as its annotation says."""
        return self._sizes[i]

    def annotation_path(self, i: int) -> Path:
        """The file that image i is annotated in."""
        raise NotImplementedError

    def label(self, i: int) -> np.ndarray:
        """Objects of image i, float32 (M, 6): x0, y0, x1, y1 (pixels, 0-based), class, difficult."""
        return self._labels[i].copy()

    def objects(self) -> np.ndarray:
        """All objects as COCO's metric takes them, see OBJECTS: boxes to their last pixel, difficult
        ones as crowds, which it does not ask for."""
        count = [len(label) for label in self._labels]
        labels = np.concatenate(self._labels).astype(np.float64)
        objects = np.zeros(len(labels), OBJECTS)
        objects["image"], objects["class"] = np.repeat(np.arange(len(count)), count), labels[:, 4]
        objects["box"][:, :2] = labels[:, :2]
        objects["box"][:, 2:] = labels[:, 2:4] - labels[:, :2] + 1
        objects["area"] = objects["box"][:, 2:].prod(axis=1)
        objects["crowd"] = labels[:, 5] > 0
        return objects

    def image(self, i: int) -> np.ndarray:
        """Image i, uint8 (H, W, 3), RGB.

        Raises UserError where the file is missing, truncated, not an image, or of another size than
        its annotation says (its boxes would be wrong).
        """
        path = self.image_path(i)
        pixels = read_image(path)
        height, width = pixels.shape[:2]
        if (width, height) != tuple(self._sizes[i]):
            said = "{}x{}".format(*self._sizes[i])
            raise UserError(
                f"{path}: is {width}x{height} pixels, but {self.annotation_path(i)} says {said}; "
                f"correct the size there or the image"
            )
        return pixels

    def summary_line(self) -> str | None:
        """What was left out, in one line; None where nothing was."""
        parts = []
        dropped = {reason: n for reason, n in self.summary["dropped"].items() if n}
        if dropped:
            total = sum(dropped.values())
            reasons = ", ".join(f"{n} {reason}" for reason, n in dropped.items())
            parts.append(f"dropped {total} box{'es' if total > 1 else ''} ({reasons})")
        unknown = self.summary["unknown"]
        if unknown:
            names = some([f"{name} {n}" for name, n in unknown.items()])
            parts.append(f"left out {sum(unknown.values())} objects of unknown classes ({names})")
        skipped = self.summary.get("skipped_images")
        if skipped:
            parts.append(f"skipped {skipped} image{'s' if skipped > 1 else ''} without objects")
        return f"{self.name}: {'; '.join(parts)}" if parts else None


def class_ids(classes: Sequence[str]) -> Callable[[str], int | None]:
    """A function from a name to its class: the exact one, else one that differs in case alone."""
    exact = {name: i for i, name in enumerate(classes)}
    folded: dict[str, int] = {}
    for name, i in exact.items():
        folded.setdefault(name.lower(), i)
    return lambda name: exact.get(name, folded.get(name.lower()))


def check_classes(classes: Sequence[str]) -> list[str]:
    """The classes without blanks around them; UserError for empty names or names given twice."""
    classes = [name.strip() for name in classes]
    if not all(classes) or not classes:
        raise UserError("--classes: a class name is empty; give names separated by commas")
    twice = sorted(name for name, n in Counter(classes).items() if n > 1)
    if twice:
        raise UserError(f"--classes: {some(twice)} given twice; name each class once")
    return classes


def some(names: Sequence[str], most: int = 10) -> str:
    """The first few of many names, for messages."""
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"
