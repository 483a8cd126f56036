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
        dataset: Name of a data set (voc, voc07, coco, shapes, shapes_coco), or a folder.
        split: Role of the data: 'train', 'val' or 'test'.
        data_root: See :func:`default_root`. Published sets are laid out in it as by GluonCV:
            voc/VOC2007, voc/VOC2012, coco. The generated sets are made on first use.
        classes: Class names in the order of their ids (default: those of a named set or those in the
            annotations of a folder).
        train_split: The split of a folder or generated set for the role 'train' (default: train,
            else trainval). In COCO layout a year may follow (train2017).
        val_split: The split for the role 'val' (default: val, else test). The role 'test' has no
            option: it is test, else val.

    Raises:
        UserError: The name is neither a data set nor a folder, or the data set cannot be read.
    """
    if split not in _USUAL_SPLITS:
        raise ValueError(f"split {split!r}: expected one of {sorted(_USUAL_SPLITS)}")
    root = default_root(data_root)
    if dataset in VOC_SPLITS or dataset == "coco":
        for option, value in (("--train-split", train_split), ("--val-split", val_split)):
            if value:
                raise UserError(
                    f"{option} {value}: {dataset} has published splits; leave {option} out, or "
                    f"give the folder as --dataset"
                )
    if dataset in VOC_SPLITS:
        pairs = [(voc_year(dataset, root, year), name) for year, name in VOC_SPLITS[dataset][split]]
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


def default_root(data_root: str | os.PathLike | None = None) -> Path:
    """The folder of the named sets: ``data_root``, else $MXNET_HOME/datasets or ~/.mxnet/datasets."""
    return mxnet_home() / "datasets" if data_root is None else Path(data_root).expanduser()


def voc_year(dataset: str, root: Path, year: str) -> Path:
    """The folder of a year of VOC; raise a UserError if it is missing."""
    return _unpacked(dataset, "voc", "Pascal VOC", root / "voc" / year)


def folder_of(dataset: str, root: Path) -> tuple[Path, Sequence[str] | None]:
    """The folder of any data set except VOC, which has two, and the classes of a named set."""
    if dataset == "coco":
        _unpacked(dataset, "coco", "COCO 2017", root / "coco" / "annotations")
        return root / "coco", coco.COCO_CLASSES
    if dataset in ("shapes", "shapes_coco"):
        from gan_kd_ssd.data.synthetic import shapes

        return shapes.ensure(root, "coco" if dataset == "shapes_coco" else "voc"), shapes.CLASSES
    return Path(dataset).expanduser(), None


def _unpacked(dataset: str, name: str, title: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(
            f"{dataset}: {folder} does not exist; fetch {title} with `gan-kd data prepare {name}`, or "
            f"name the folder that holds {name} with --data-root"
        )
    return folder


def layout(folder: Path, option: str = "") -> str:
    """The layout of a folder: 'voc' or 'coco'.

    Raises:
        UserError: The folder is missing or in neither layout; ``option`` precedes it in the message.
            If a folder below is in one of the layouts, the message names it.
    """
    if not folder.is_dir():
        raise UserError(
            f"{option}{folder}: no such data set or folder; give {', '.join(NAMED)}, or a folder "
            f"with {', '.join(voc.PARTS)}, or with annotations/instances_*.json"
        )
    found = _layout(folder)
    if found:
        return found
    missing = next(part for part in voc.PARTS if not (folder / part).is_dir())
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _layout(path)]
    if below:
        raise UserError(
            f"{option}{folder} has no {missing}, but {some([path.name for path in below])} below it "
            f"has; give {below[0]}"
        )
    raise UserError(
        f"{option}{folder} has no {missing}; a folder in VOC layout holds {', '.join(voc.PARTS)}; "
        f"one in COCO layout annotations/instances_*.json"
    )


def _layout(folder: Path) -> str | None:
    if coco.list_splits(folder):
        return "coco"
    return "voc" if all((folder / part).is_dir() for part in voc.PARTS) else None


def list_splits(folder: Path) -> list[str]:
    """The splits of a folder in either layout."""
    return coco.list_splits(folder) or voc.list_splits(folder)


def has_split(dataset: str, role: str) -> bool:
    """Whether a folder has a split for a role: 'train', 'val' or 'test'."""
    folder = Path(dataset).expanduser()
    return folder.is_dir() and bool(_candidates(folder, role))


def _candidates(folder: Path, role: str) -> list[str]:
    """The splits of a folder for a role. There are several only if they differ in their years."""
    year = r"([-_]?\d{4})?" if coco.list_splits(folder) else ""
    for name in _USUAL_SPLITS[role]:
        found = [split for split in list_splits(folder) if re.fullmatch(name + year, split)]
        if found:
            return [name] if name in found else found
    return []


def _usual_split(folder: Path, role: str) -> str:
    found = _candidates(folder, role)
    if len(found) == 1:
        return found[0]
    usual = " or ".join(_USUAL_SPLITS[role])
    what = f"more than one {role} split" if found else f"no split {usual}"
    raise UserError(
        f"{folder} has {what}; select one with {_SPLIT_OPTION[role]} "
        f"(it has: {some(list_splits(folder))})"
    )
