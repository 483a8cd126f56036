"""Data sets in COCO layout: annotations/instances_SPLIT.json and one image folder per split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_kd_ssd.data.formats import coco_annotation
from gan_kd_ssd.data.formats.coco_annotation import ImageEntry, ObjectEntry
from gan_kd_ssd.data.formats.dataset import (
    BOX_FAULTS,
    OBJECTS,
    Dataset,
    ImageRecord,
    check_classes,
    class_ids,
    no_such_split,
)
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
    """One split in COCO layout. Images are in the order of their ids, as in GluonCV's COCODetection.

    Labels follow GluonCV: corners (x, y, x + width - 1, y + height - 1), clipped to the image.
    Objects that are not :func:`usable` or marked "ignore" are dropped and counted. Crowds are
    difficult: no metric requires them to be found.

    Args:
        folder: The folder that holds annotations/instances_SPLIT.json.
        split: Name of the split.
        classes: Class names in the order of their ids; None takes the categories of the file.
        skip_empty: Leave out images without objects, as GluonCV does for training.

    Raises:
        UserError: A file or an image is missing, the file or one of its entries is damaged, or
            there is no object of a known class.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        classes: Sequence[str] | None = None,
        skip_empty: bool = False,
    ):
        folder = Path(folder)
        path = annotation_file(folder, split)
        if not path.is_file():
            raise no_such_split(path, list_splits(folder))
        entries = read_entries(path)
        classes = list(entries.names.values()) if classes is None else check_classes(classes)
        images = _sorted_images(entries, path)
        objects, summary = _read_objects(entries, images, classes)
        labels = _labels(objects, [image.size for image in images], summary)
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
        records = [
            ImageRecord(image.id, find_image(folder, split, image), image.size, path)
            for image in images
        ]
        super().__init__(f"{folder.name} {split}", "coco", classes, records, labels, summary)

    def __getstate__(self):
        # Worker processes only make batches: they do not need the ground truth of the metric.
        return {**self.__dict__, "_objects": None}

    def objects(self) -> np.ndarray:
        """All objects of the known classes with their values in the file, as an array of OBJECTS."""
        return self._objects


class Entries(NamedTuple):
    """The entries of a file: images by id, names by category, objects in one of the categories."""

    images: dict[int | str, ImageEntry]
    names: dict[int | str, str]
    objects: Iterator[ObjectEntry]


def _raise(error: UserError) -> None:
    raise error


def read_entries(path: Path, refuse: Callable[[UserError], object] = _raise) -> Entries:
    """Read an annotation file. Entries that ``refuse`` is called with are left out.

    Raises:
        UserError: The file is missing, is not JSON, or lacks one of the lists.
    """
    data = coco_annotation.load(path)  # a gigabyte for the large sets

    def parsed(name: str, parse: Callable) -> Iterator:
        for entry in data.pop(name):
            try:
                yield parse(entry, path)
            except UserError as error:
                refuse(error)

    images: dict = {}
    for image in parsed("images", coco_annotation.parse_image):
        if images.setdefault(image.id, image) is not image:
            refuse(UserError(f"{path}: image {image.id} is listed twice; keep one of them"))
    names: dict = {}
    for category, name in parsed("categories", coco_annotation.parse_category):
        if category in names or name in names.values():
            twice = category if category in names else name
            refuse(UserError(f"{path}: category {twice} occurs twice; rename one"))
        names.setdefault(category, name)

    def objects() -> Iterator[ObjectEntry]:
        for entry in parsed("annotations", coco_annotation.parse_object):
            if entry.category_id in names:
                yield entry
                continue
            text = f"annotation {entry.id} has category {entry.category_id}, which is not among the"
            remedy = "add it there or remove the annotation"
            refuse(UserError(f"{path}: {text} categories; {remedy}"))

    return Entries(images, names, objects())


def _sorted_images(entries: Entries, path: Path) -> list[ImageEntry]:
    if not entries.images:
        raise UserError(f"{path} lists no images; choose another split")
    try:
        return [entries.images[key] for key in sorted(entries.images)]
    except TypeError:
        raise UserError(
            f"{path}: some image ids are numbers, others are strings; use one type"
        ) from None


def _read_objects(entries: Entries, images: Sequence[ImageEntry], classes) -> tuple:
    """Read the objects of known classes, ordered by image, and the counts of what was left out."""
    index_of = {image.id: i for i, image in enumerate(images)}
    class_id_of = class_ids(classes)
    known = {category: class_id_of(name) for category, name in entries.names.items()}
    dropped = dict.fromkeys((*BOX_FAULTS, "ignored", "of an image that is not listed"), 0)
    unknown: Counter = Counter()
    rows = []
    for found in entries.objects:
        class_id, image = known[found.category_id], index_of.get(found.image_id)
        if image is None:
            dropped["of an image that is not listed"] += 1
        elif class_id is None:
            unknown[entries.names[found.category_id]] += 1
        else:
            rows.append((image, class_id, found.box, found.area, found.crowd, found.ignore))
    objects = np.array(rows, OBJECTS)
    objects = objects[np.argsort(objects["image"], kind="stable")]
    return objects, {"dropped": dropped, "unknown": dict(sorted(unknown.items()))}


def annotation_file(folder: Path, split: str) -> Path:
    """The annotation file of a split, whose name may start with "instances_" or not."""
    return folder / "annotations" / f"{_PREFIX}{split.removeprefix(_PREFIX)}{_SUFFIX}"


def list_splits(folder: Path) -> list[str]:
    """The splits of a folder in COCO layout; none for a folder in another layout."""
    found = (Path(folder) / "annotations").glob(f"{_PREFIX}*{_SUFFIX}")
    return sorted(path.name[len(_PREFIX) : -len(_SUFFIX)] for path in found)


def corners(box: np.ndarray, width, height) -> np.ndarray:
    """Convert boxes x, y, width, height (N, 4) to corners (N, 4) of their last pixels, clipped."""
    low = box[:, :2]
    high = low + np.maximum(box[:, 2:] - 1, 0)
    most = np.stack(np.broadcast_arrays(width, height), axis=-1).reshape(-1, 2) - 1
    return np.concatenate([np.minimum(most, np.maximum(end, 0)) for end in (low, high)], axis=1)


def usable(found: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Which objects GluonCV trains on: a positive area, and :func:`corners` that are not empty."""
    return (area > 0) & (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])


def fault(box, area: float) -> str:
    """Return why a box x, y, width, height is not :func:`usable`: one of BOX_FAULTS."""
    if min(box[2:]) < 0:
        return "reversed"
    return "empty" if min(box[2:]) <= 1 or area <= 0 else "outside"


def image_places(folder: Path, split: str, image: ImageEntry) -> list[str]:
    """Paths where the file of an image may be: first GluonCV's, then other usual ones."""
    split, name = split.removeprefix(_PREFIX), image.file_name
    found = []
    if image.url.count("/") > 1:  # http://images.cocodataset.org/train2017/000000000009.jpg
        found.append(os.path.join(folder, *image.url.split("/")[-2:]))
    found += [os.path.join(folder, split, name), os.path.join(folder, "images", split, name)]
    return [*found, os.path.join(folder, "images", name), os.path.join(folder, name)]


def find_image(folder: Path, split: str, image: ImageEntry) -> str:
    """The first of :func:`image_places` that exists; raise a UserError if there is none."""
    places = image_places(folder, split, image)
    for path in filter(os.path.exists, places):
        return path
    raise UserError(
        f"{places[0]}: no such image; put it there, or remove image {image.id} from "
        f"{annotation_file(folder, split)}"
    )


def _labels(objects: np.ndarray, sizes, summary: dict) -> list[np.ndarray]:
    """Labels (M, 6) of all images; ``summary`` counts the objects left out."""
    width, height = np.array(sizes).T[:, objects["image"]]
    found = corners(objects["box"], width, height)
    good = usable(found, objects["area"])
    summary["dropped"]["ignored"] += int(objects["ignore"].sum())
    for entry in objects[~(good | objects["ignore"])]:
        summary["dropped"][fault(entry["box"], entry["area"])] += 1
    good &= ~objects["ignore"]
    rows = np.column_stack([found, objects["class"], objects["crowd"]])[good].astype(np.float32)
    summary["objects"] = len(rows)
    ends = np.cumsum(np.bincount(objects["image"][good], minlength=len(sizes)))
    return np.split(rows, ends[:-1])
