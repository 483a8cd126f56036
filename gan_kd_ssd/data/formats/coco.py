"""Data sets in COCO layout: annotations/instances_<split>.json and a folder of images a split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.formats import coco_file
from gan_kd_ssd.data.formats.annotation import REASONS
from gan_kd_ssd.data.formats.dataset import OBJECTS, Dataset, check_classes, class_ids, some
from gan_kd_ssd.util.errors import UserError

COCO_CLASSES = (  # in the order of their ids, as in GluonCV's COCODetection
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog"),
    *("horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella"),
    *("handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite"),
    *("baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle"),
    *("wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich"),
    *("orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote"),
    *("keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book"),
    *("clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)
_PREFIX, _SUFFIX = "instances_", ".json"


class COCOFolder(Dataset):
    """One split in COCO layout; images in the order of their ids, as in GluonCV's COCODetection.

    Args:
        folder: holds annotations/instances_<split>.json. split: see there.
        classes: names in the order of their ids; None: the categories of the file, in its order.
        skip_empty: leave out images without objects, as GluonCV does for training.

    Labels are GluonCV's: corners (x, y, x + width - 1, y + height - 1), clipped to the image; objects
    whose area or clipped box is empty are dropped and counted, as are those marked "ignore"; crowds
    are kept. They are marked difficult here, so that VOC's metrics do not ask for them either.

    Raises UserError for what a user can mend: a missing or damaged file, entries without what they
    need, images that are not there, or no object of a known class.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        classes: Sequence[str] | None = None,
        skip_empty: bool = False,
    ):
        folder = Path(folder)
        self._path = annotation_file(folder, split)
        if not self._path.is_file():
            raise UserError(
                f"{self._path}: no such split; it has: {some(list_splits(folder))} "
                f"(--train-split, --val-split)"
            )
        data = coco_file.load(self._path)
        images = self._images(data["images"])
        names = self._categories(data["categories"])
        classes = list(names.values()) if classes is None else check_classes(classes)
        objects, summary = self._read(data["annotations"], images, names, classes)
        del data  # of the large sets, a gigabyte
        labels = _labels(objects, [(image.width, image.height) for image in images], summary)
        filled = np.array([len(label) > 0 for label in labels])
        summary["images_without_objects"] = int((~filled).sum())
        if skip_empty:
            summary["skipped_images"] = summary["images_without_objects"]
            images = [image for image, keep in zip(images, filled) if keep]
            labels = [label for label in labels if len(label)]
            objects = objects[filled[objects["image"]]]
            objects["image"] = (np.cumsum(filled) - 1)[objects["image"]]
        summary["images"] = len(images)
        self._objects = objects
        paths = _find_images(folder, split, images)
        sizes = [(image.width, image.height) for image in images]
        ids = [image.id for image in images]
        name = f"{folder.name} {split}"
        super().__init__(name, "coco", classes, ids, paths, sizes, labels, summary)

    def __getstate__(self):
        """Worker processes make batches: they need no ground truth for the metric."""
        return {**self.__dict__, "_objects": None}

    def annotation_path(self, i: int) -> Path:
        """The JSON file."""
        return self._path

    def objects(self) -> np.ndarray:
        """All objects of the known classes as they stand in the file, see OBJECTS."""
        return self._objects

    def _images(self, entries) -> list[coco_file.ImageEntry]:
        images = [coco_file.parse_image(entry, self._path) for entry in entries]
        if not images:
            raise UserError(f"{self._path}: lists no images; choose another split")
        twice = [str(image_id) for image_id, n in Counter(i.id for i in images).items() if n > 1]
        if twice:
            raise UserError(f"{self._path}: image {some(twice)} stands twice; keep one of them")
        try:
            return sorted(images, key=lambda image: image.id)
        except TypeError:
            raise UserError(
                f"{self._path}: ids of images are numbers and texts; choose one"
            ) from None

    def _categories(self, entries) -> dict:
        """Names by id; each name and each id once."""
        pairs = [coco_file.parse_category(entry, self._path) for entry in entries]
        for part in zip(*pairs):
            twice = [str(value) for value, n in Counter(part).items() if n > 1]
            if twice:
                raise UserError(f"{self._path}: category {some(twice)} stands twice; rename one")
        return dict(pairs)

    def _read(self, entries, images, names, classes) -> tuple[np.ndarray, dict]:
        """Objects of the known classes, image by image, and the counts of what was left out."""
        place = {image.id: i for i, image in enumerate(images)}
        class_id_of = class_ids(classes)
        known = {category: class_id_of(name) for category, name in names.items()}
        dropped = dict.fromkeys((*REASONS, "ignored", "of an image that is not listed"), 0)
        unknown: Counter = Counter()
        rows = []
        for entry in entries:
            found = coco_file.parse_object(entry, self._path)
            if found.category_id not in known:
                raise UserError(
                    f"{self._path}: annotation {found.id} has category {found.category_id}, which "
                    f"is not among the categories; add it there or remove the annotation"
                )
            class_id = known[found.category_id]
            if found.image_id not in place:
                dropped["of an image that is not listed"] += 1
            elif class_id is None:
                unknown[names[found.category_id]] += 1
            else:
                image = place[found.image_id]
                rows.append((image, class_id, found.box, found.area, found.crowd, found.ignore))
        objects = np.array(rows, OBJECTS)
        objects = objects[np.argsort(objects["image"], kind="stable")]
        return objects, {"dropped": dropped, "unknown": dict(sorted(unknown.items()))}


def annotation_file(folder: Path, split: str) -> Path:
    """The annotations of a split; it may be named with "instances_" or without."""
    return folder / "annotations" / f"{_PREFIX}{split.removeprefix(_PREFIX)}{_SUFFIX}"


def list_splits(folder: Path) -> list[str]:
    """The splits of a folder in COCO layout; none where it has another."""
    found = (Path(folder) / "annotations").glob(f"{_PREFIX}*{_SUFFIX}")
    return sorted(path.name[len(_PREFIX) : -len(_SUFFIX)] for path in found)


def corners(box: np.ndarray, width, height) -> np.ndarray:
    """Boxes x, y, width, height (N, 4) as corners (N, 4), inside images of ``width`` and ``height``.

    GluonCV's convention: a box ends at its last pixel, and the last pixel of an image is width - 1.
    """
    low = box[:, :2]
    high = low + np.maximum(box[:, 2:] - 1, 0)
    most = np.stack(np.broadcast_arrays(width, height), axis=-1).reshape(-1, 2) - 1
    return np.concatenate([np.minimum(most, np.maximum(end, 0)) for end in (low, high)], axis=1)


def usable(found: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Which objects GluonCV trains on: those with an area, whose :func:`corners` are not empty."""
    return (area > 0) & (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])


def fault(box, area: float) -> str:
    """Why a box x, y, width, height is not :func:`usable`, one of annotation.REASONS."""
    if min(box[2:]) < 0:
        return "reversed"
    return "empty" if min(box[2:]) <= 1 or area <= 0 else "outside"


def _labels(objects: np.ndarray, sizes, summary: dict) -> list[np.ndarray]:
    """Labels float32 (M, 6) of all images; counts in ``summary`` what is in none."""
    width, height = np.array(sizes).T[:, objects["image"]]
    found = corners(objects["box"], width, height)
    good = usable(found, objects["area"])
    summary["dropped"]["ignored"] += int(objects["ignore"].sum())
    for entry in objects[~good & ~objects["ignore"]]:
        summary["dropped"][fault(entry["box"], entry["area"])] += 1
    good &= ~objects["ignore"]
    rows = np.column_stack([found, objects["class"], objects["crowd"]])[good].astype(np.float32)
    summary["objects"] = len(rows)
    ends = np.cumsum(np.bincount(objects["image"][good], minlength=len(sizes)))
    return np.split(rows, ends[:-1])


def find_image(folder: Path, split: str, image: coco_file.ImageEntry) -> str | None:
    """The file of an image, or None; looked for where GluonCV does, then where others put it."""
    for path in places(folder, split, image):
        if os.path.exists(path):
            return path
    return None


def places(folder: Path, split: str, image: coco_file.ImageEntry) -> list[str]:
    """Where the file of an image may be, the likeliest first."""
    split, name = split.removeprefix(_PREFIX), image.file_name
    found = []
    if image.url.count("/") > 1:  # http://images.cocodataset.org/train2017/000000000009.jpg
        found.append(os.path.join(folder, *image.url.split("/")[-2:]))
    found += [os.path.join(folder, split, name), os.path.join(folder, "images", split, name)]
    return [*found, os.path.join(folder, "images", name), os.path.join(folder, name)]


def _find_images(folder: Path, split: str, images) -> list[str]:
    paths = []
    for image in images:
        path = find_image(folder, split, image)
        if path is None:
            raise UserError(
                f"{places(folder, split, image)[0]}: no such image; put it there, or take image "
                f"{image.id} out of {annotation_file(folder, split)}"
            )
        paths.append(path)
    return paths
