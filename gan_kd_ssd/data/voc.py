"""Data sets in VOC layout: Annotations/*.xml, JPEGImages/*, ImageSets/Main/<split>.txt."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.annotation import REASONS, Annotation, read_annotation
from gan_kd_ssd.data.images import read_image
from gan_kd_ssd.errors import UserError

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
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp")

# The published splits (paper, section 4; log 2): 07+12 trainval -> 07 test, 07 trainval -> 07 test.
_PUBLISHED = {
    "voc": {
        "train": (("VOC2007", "trainval"), ("VOC2012", "trainval")),
        "val": (("VOC2007", "test"),),
        "test": (("VOC2007", "test"),),
    },
    "voc07": {
        "train": (("VOC2007", "trainval"),),
        "val": (("VOC2007", "test"),),
        "test": (("VOC2007", "test"),),
    },
}
# Which list of a folder plays a role where no option names one; the first that exists.
_USUAL_SPLITS = {"train": ("train", "trainval"), "val": ("val", "test"), "test": ("test", "val")}
_SPLIT_OPTION = {"train": "--train-split", "val": "--val-split", "test": "--val-split"}


class VOCFolder:
    """One or more splits in VOC layout, all annotations read at construction.

    Args:
        folders: (folder, split) pairs; a split is a file ImageSets/Main/<split>.txt.
        classes: class names in the order of their ids; None: the names found, sorted.

    A name is matched exactly, else without regard to case (GluonCV lower-cases names); objects of
    other classes are counted in ``summary`` and left out, as are boxes that
    :func:`~gan_kd_ssd.data.annotation.box_fault` refuses. An image without any object left is kept
    with a label of shape (0, 6): for training it is background, for evaluation it can only have
    false positives.

    Raises UserError for what a user can mend: missing folders, lists, annotations or images,
    malformed XML, a split without images, or no object of a known class.
    """

    def __init__(self, folders: Sequence[tuple[Path, str]], classes: Sequence[str] | None = None):
        folders = [(Path(folder), split) for folder, split in folders]
        self.name = " + ".join(f"{folder.name} {split}" for folder, split in folders)
        self._annotation_paths: list[Path] = []
        self._ids: list[str] = []
        self._image_paths: list[Path] = []
        self._sizes: list[tuple[int, int]] = []
        annotations = []
        for folder, split in folders:
            for image_id in _read_split(folder, split):
                path = folder / "Annotations" / f"{image_id}.xml"
                annotation = read_annotation(path)
                self._ids.append(image_id)
                self._annotation_paths.append(path)
                self._image_paths.append(_find_image(folder, image_id, annotation.filename))
                self._sizes.append((annotation.width, annotation.height))
                annotations.append(annotation)
        self.classes = _check_classes(classes) if classes is not None else _found(annotations)
        self._labels, self.summary = _labels(annotations, self.classes)
        if not self.summary["objects"]:
            left_out = self.summary_line() or f"{self.name}: no objects"
            raise UserError(
                f"{left_out}: none is left of the classes {_some(self.classes)}; name the classes "
                f"with --classes or correct the annotations"
            )

    def __len__(self) -> int:
        return len(self._ids)

    def image_id(self, i: int) -> str:
        """The id of image i, as in the split's list."""
        return self._ids[i]

    def image_path(self, i: int) -> Path:
        """The file of image i."""
        return self._image_paths[i]

    def label(self, i: int) -> np.ndarray:
        """Objects of image i, float32 (M, 6): x0, y0, x1, y1 (pixels, 0-based), class, difficult."""
        return self._labels[i].copy()

    def image(self, i: int) -> np.ndarray:
        """Image i, uint8 (H, W, 3), RGB.

        Raises UserError where the file is missing, truncated, not an image, or of another size than
        its annotation says (its boxes would be wrong).
        """
        pixels = read_image(self._image_paths[i])
        height, width = pixels.shape[:2]
        if (width, height) != self._sizes[i]:
            said = "{}x{}".format(*self._sizes[i])
            raise UserError(
                f"{self._image_paths[i]}: is {width}x{height} pixels, but "
                f"{self._annotation_paths[i]} says {said}; correct its <size> or the image"
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
            names = _some([f"{name} {n}" for name, n in unknown.items()])
            parts.append(f"left out {sum(unknown.values())} objects of unknown classes ({names})")
        return f"{self.name}: {'; '.join(parts)}" if parts else None


def open_dataset(
    dataset: str,
    split: str,
    *,
    data_root: str | os.PathLike | None = None,
    classes: Sequence[str] | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
) -> VOCFolder:
    """Open 'voc', 'voc07', 'shapes' or a folder in VOC layout, in the role 'train', 'val' or 'test'.

    Args:
        data_root: where the named sets are; default $MXNET_HOME/datasets, else ~/.mxnet/datasets.
            VOC is looked for in {data_root}/voc/VOC2007 and VOC2012, as GluonCV puts it; shapes are
            generated there on first use.
        classes: see VOCFolder; for 'voc', 'voc07' and 'shapes' the default is their own classes.
        train_split, val_split: the list ImageSets/Main/<split>.txt of a folder or of 'shapes' for
            'train' and 'val'. Defaults: train, else trainval; val, else test; for the role 'test':
            test, else val.

    Raises UserError (see VOCFolder), also for a name that is neither a set nor a folder.
    """
    if split not in _USUAL_SPLITS:
        raise ValueError(f"split {split!r}: expected one of {sorted(_USUAL_SPLITS)}")
    root = _data_root(data_root)
    if dataset in _PUBLISHED:
        for option, value in (("--train-split", train_split), ("--val-split", val_split)):
            if value:
                raise UserError(
                    f"{option} {value}: {dataset} has published splits; leave {option} out, or "
                    f"give the folder as --dataset"
                )
        pairs = [(root / "voc" / year, name) for year, name in _PUBLISHED[dataset][split]]
        for folder, _ in pairs:
            if not folder.is_dir():
                raise UserError(
                    f"--dataset {dataset}: {folder} does not exist; unpack Pascal VOC there, or "
                    f"name the folder that holds voc/{folder.name} with --data-root"
                )
        return VOCFolder(pairs, VOC_CLASSES if classes is None else classes)
    if dataset == "shapes":
        from gan_kd_ssd.data import shapes

        folder = shapes.ensure(root)
        classes = shapes.CLASSES if classes is None else classes
    else:
        folder = Path(dataset).expanduser()
        _check_folder(folder, dataset)
    named = {"train": train_split, "val": val_split, "test": None}[split]
    return VOCFolder([(folder, named or _usual_split(folder, split))], classes)


def has_split(dataset: str, role: str) -> bool:
    """Whether a folder in VOC layout has a list for a role, 'train', 'val' or 'test'."""
    lists = Path(dataset).expanduser() / "ImageSets" / "Main"
    return any((lists / f"{name}.txt").is_file() for name in _USUAL_SPLITS[role])


def _data_root(data_root) -> Path:
    if data_root is not None:
        return Path(data_root).expanduser()
    home = os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet")
    return Path(home).expanduser() / "datasets"


def _check_folder(folder: Path, dataset: str) -> None:
    if not folder.is_dir():
        raise UserError(
            f"--dataset {dataset}: no such data set or folder; give voc, voc07, shapes or a folder "
            f"with Annotations, JPEGImages and ImageSets/Main"
        )
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        if not (folder / part).is_dir():
            raise UserError(
                f"--dataset {dataset}: has no {part}; a folder in VOC layout holds Annotations, "
                f"JPEGImages and ImageSets/Main"
            )


def _splits(folder: Path) -> list[str]:
    """The splits of a folder; VOC's lists of one class (<class>_<split>) are left out."""
    names = sorted(path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt"))
    return [name for name in names if name.rpartition("_")[2] not in names or "_" not in name]


def _usual_split(folder: Path, role: str) -> str:
    for name in _USUAL_SPLITS[role]:
        if (folder / "ImageSets" / "Main" / f"{name}.txt").is_file():
            return name
    raise UserError(
        f"{folder}: has no split {' or '.join(_USUAL_SPLITS[role])}; name one with "
        f"{_SPLIT_OPTION[role]} (it has: {_some(_splits(folder))})"
    )


def _read_split(folder: Path, split: str) -> list[str]:
    """The image ids of a split: the first word of each line that is not blank."""
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        raise UserError(
            f"{path}: no such split; it has: {_some(_splits(folder))} (--train-split, --val-split)"
        ) from None
    ids = [words[0] for words in map(str.split, lines) if words]
    if not ids:
        raise UserError(
            f"{path}: the split is empty; list image ids in it or choose another "
            f"(--train-split, --val-split)"
        )
    return ids


def _find_image(folder: Path, image_id: str, filename: str) -> Path:
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


def _check_classes(classes: Sequence[str]) -> list[str]:
    classes = [name.strip() for name in classes]
    if not all(classes) or not classes:
        raise UserError("--classes: a class name is empty; give names separated by commas")
    twice = sorted(name for name, n in Counter(classes).items() if n > 1)
    if twice:
        raise UserError(f"--classes: {_some(twice)} given twice; name each class once")
    return classes


def _found(annotations: list[Annotation]) -> list[str]:
    return sorted({o.name for a in annotations for o in a.objects if o.fault is None})


def _labels(annotations, classes) -> tuple[list[np.ndarray], dict]:
    """Labels float32 (M, 6) of all images, and the counts of what was kept and left out."""
    exact = {name: i for i, name in enumerate(classes)}
    folded: dict[str, int] = {}
    for name, i in exact.items():
        folded.setdefault(name.lower(), i)
    dropped = dict.fromkeys(REASONS, 0)
    unknown: Counter = Counter()
    labels, objects = [], 0
    for annotation in annotations:
        rows = []
        for name, box, difficult, fault in annotation.objects:
            class_id = exact.get(name, folded.get(name.lower()))
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


def _some(names: Sequence[str], most: int = 10) -> str:
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"
