"""Data sets by name: the published ones, the generated one, and folders in either layout."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.data.formats import coco, voc
from gan_kd_ssd.data.formats.dataset import Dataset, some
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import mxnet_home

#: Data sets that are found by name in the data root.
NAMED = ("voc", "voc07", "coco", "shapes", "shapes_coco")

# The published splits (paper, section 4; log 2): 07+12 trainval -> 07 test, 07 trainval -> 07 test,
# COCO 2017 train -> val.
_VOC_TEST = (("VOC2007", "test"),)
_VOC07, _VOC12 = ("VOC2007", "trainval"), ("VOC2012", "trainval")
VOC_SPLITS = {
    "voc": {"train": (_VOC07, _VOC12), "val": _VOC_TEST, "test": _VOC_TEST},
    "voc07": {"train": (_VOC07,), "val": _VOC_TEST, "test": _VOC_TEST},
}
COCO_SPLITS = {"train": "train2017", "val": "val2017", "test": "val2017"}
# The default split of a folder for each role: the first that exists.
_USUAL_SPLITS = {"train": ("train", "trainval"), "val": ("val", "test"), "test": ("test", "val")}
_SPLIT_OPTION = {"train": "--train-split", "val": "--val-split", "test": "--val-split"}


def open_dataset(
    dataset: str,
    split: str,
    *,
    data_root: str | os.PathLike | None = None,
    classes: Sequence[str] | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
) -> Dataset:
    """Open a named data set or a folder in VOC or COCO layout in the role 'train', 'val' or 'test'.

    Args:
        dataset: One of NAMED, or a folder.
        split: The role.
        data_root: The folder of the named sets (default: $MXNET_HOME/datasets, else
            ~/.mxnet/datasets). VOC is read from {data_root}/voc/VOC2007 and VOC2012, COCO from
            {data_root}/coco, as GluonCV lays them out; the generated sets are made on first use.
        classes: Class names in the order of their ids. The default is the classes of a named set,
            or the classes in the annotations of a folder.
        train_split: The split of a folder or generated set for the role 'train' (default: train,
            else trainval): ImageSets/Main/<split>.txt or annotations/instances_<split>.json. In
            COCO layout a year may follow (train2017).
        val_split: The split for the role 'val' (default: val, else test). The role 'test' has no
            option: it is test, else val.

    Raises:
        UserError: The name is neither a data set nor a folder, or the data set cannot be read (see
            VOCFolder and COCOFolder).
    """
    if split not in _USUAL_SPLITS:
        raise ValueError(f"split {split!r}: expected one of {sorted(_USUAL_SPLITS)}")
    root = default_root(data_root)
    if dataset in VOC_SPLITS or dataset == "coco":
        _refuse_split_options(dataset, train_split, val_split)
    if dataset in VOC_SPLITS:
        pairs = [(root / "voc" / year, name) for year, name in VOC_SPLITS[dataset][split]]
        for folder, _ in pairs:
            check_unpacked(dataset, "voc", "Pascal VOC", folder)
        return voc.VOCFolder(pairs, voc.VOC_CLASSES if classes is None else classes)
    folder, own_classes = folder_of(dataset, root)
    classes = own_classes if classes is None else classes
    if dataset == "coco":
        name, kind = COCO_SPLITS[split], "coco"
    else:
        kind = layout(folder, "--dataset ")
        name = {"train": train_split, "val": val_split, "test": None}[split]
        name = name or _usual_split(folder, split)
    if kind == "coco":
        return coco.COCOFolder(folder, name, classes, skip_empty=split == "train")
    return voc.VOCFolder([(folder, name)], classes)


def _refuse_split_options(dataset: str, train_split: str | None, val_split: str | None) -> None:
    for option, value in (("--train-split", train_split), ("--val-split", val_split)):
        if value:
            raise UserError(
                f"{option} {value}: {dataset} has published splits; leave {option} out, or "
                f"give the folder as --dataset"
            )


def folder_of(dataset: str, root: Path) -> tuple[Path, Sequence[str] | None]:
    """The folder of any data set but VOC, which has two, and the classes of a named set.

    Generates the built-in sets on first use. Raises a UserError if COCO is missing.
    """
    if dataset == "coco":
        check_unpacked(dataset, "coco", "COCO 2017", root / "coco" / "annotations")
        return root / "coco", coco.COCO_CLASSES
    if dataset in ("shapes", "shapes_coco"):
        from gan_kd_ssd.data.synthetic import shapes

        ensure = shapes.ensure if dataset == "shapes" else shapes.ensure_coco
        return ensure(root), shapes.CLASSES
    return Path(dataset).expanduser(), None


def has_split(dataset: str, role: str) -> bool:
    """Whether a folder has a split for a role: 'train', 'val' or 'test'."""
    folder = Path(dataset).expanduser()
    return folder.is_dir() and bool(_candidates(folder, role))


def default_root(data_root: str | os.PathLike | None = None) -> Path:
    """The folder of the named sets: ``data_root``, else $MXNET_HOME/datasets or ~/.mxnet/datasets."""
    if data_root is not None:
        return Path(data_root).expanduser()
    return mxnet_home() / "datasets"


def layout(folder: Path, option: str = "") -> str:
    """The layout of a folder: 'voc' or 'coco'.

    Args:
        folder: The folder.
        option: Text that goes before the folder in messages.

    Raises:
        UserError: The folder is missing or in neither layout. If a folder below is in one of them,
            the message names it.
    """
    if not folder.is_dir():
        raise UserError(
            f"{option}{folder}: no such data set or folder; give {', '.join(NAMED)}, or a folder "
            f"with {', '.join(voc.PARTS)}, or with annotations/instances_*.json"
        )
    if coco.list_splits(folder):
        return "coco"
    missing = _missing_part(folder)
    if missing is None:
        return "voc"
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_dataset(path)]
    if below:
        raise UserError(
            f"{option}{folder}: has no {missing}, but {some([path.name for path in below])} below it "
            f"has; give {below[0]}"
        )
    raise UserError(
        f"{option}{folder}: has no {missing}; a folder in VOC layout holds {', '.join(voc.PARTS)}; "
        f"one in COCO layout annotations/instances_*.json"
    )


def _missing_part(folder: Path) -> str | None:
    return next((part for part in voc.PARTS if not (folder / part).is_dir()), None)


def _is_dataset(folder: Path) -> bool:
    return bool(coco.list_splits(folder)) or _missing_part(folder) is None


def check_unpacked(dataset: str, name: str, title: str, folder: Path) -> None:
    """Raise a UserError that says how to fetch a published data set if its folder is missing."""
    if not folder.is_dir():
        raise UserError(
            f"{dataset}: {folder} does not exist; fetch {title} with `gan-kd data prepare {name}`, or "
            f"name the folder that holds {name} with --data-root"
        )


def _candidates(folder: Path, role: str) -> list[str]:
    """The splits of a folder for a role. There are several only if they differ in their years."""
    splits = coco.list_splits(folder)
    if not splits:
        lists = folder / "ImageSets" / "Main"
        return [name for name in _USUAL_SPLITS[role] if (lists / f"{name}.txt").is_file()][:1]
    for name in _USUAL_SPLITS[role]:
        if name in splits:
            return [name]
        with_year = [split for split in splits if re.fullmatch(rf"{name}[-_]?\d{{4}}", split)]
        if with_year:
            return with_year
    return []


def _usual_split(folder: Path, role: str) -> str:
    found = _candidates(folder, role)
    if len(found) == 1:
        return found[0]
    there = some(coco.list_splits(folder) or voc.list_splits(folder))
    what = (
        f"more than one {role} split" if found else f"no split {' or '.join(_USUAL_SPLITS[role])}"
    )
    raise UserError(f"{folder}: has {what}; name one with {_SPLIT_OPTION[role]} (it has: {there})")
