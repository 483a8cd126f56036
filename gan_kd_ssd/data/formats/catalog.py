"""Data sets by name: the published ones, the built-in one, and folders in either layout."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.data.formats import coco, voc
from gan_kd_ssd.data.formats.dataset import Dataset, some
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import mxnet_home

#: Sets that are found by their name, in the data root.
NAMED = ("voc", "voc07", "coco", "shapes", "shapes_coco")

# The published splits (paper, section 4; log 2): 07+12 trainval -> 07 test, 07 trainval -> 07 test,
# COCO 2017 train -> val.
VOC_SPLITS = {
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
_COCO = {"train": "train2017", "val": "val2017", "test": "val2017"}
# Which list of a folder plays a role where no option names one; the first that exists.
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
    """Open a named set or a folder in VOC or COCO layout, in the role 'train', 'val' or 'test'.

    Args:
        dataset: one of NAMED, or a folder.
        data_root: where the named sets are; default $MXNET_HOME/datasets, else ~/.mxnet/datasets.
            VOC is looked for in {data_root}/voc/VOC2007 and VOC2012, COCO in {data_root}/coco, as
            GluonCV puts them; shapes are generated there on first use.
        classes: names in the order of their ids; the default is a named set's own classes, and those
            in the annotations of a folder.
        train_split, val_split: of a folder or of the shapes, for 'train' and 'val': the list
            ImageSets/Main/<split>.txt, or annotations/instances_<split>.json. Defaults: train, else
            trainval; val, else test; for the role 'test': test, else val. In COCO layout a year may
            follow (train2017).

    Raises UserError (see VOCFolder, COCOFolder), also for a name that is neither a set nor a folder.
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
        pairs = [(root / "voc" / year, name) for year, name in VOC_SPLITS[dataset][split]]
        for folder, _ in pairs:
            check_unpacked(dataset, "voc", "Pascal VOC", folder)
        return voc.VOCFolder(pairs, voc.VOC_CLASSES if classes is None else classes)
    folder, own = folder_of(dataset, root)
    classes = own if classes is None else classes
    if dataset == "coco":
        return coco.COCOFolder(folder, _COCO[split], classes, skip_empty=split == "train")
    kind = layout(folder, "--dataset ")
    named = {"train": train_split, "val": val_split, "test": None}[split]
    named = named or _usual_split(folder, split)
    if kind == "coco":
        return coco.COCOFolder(folder, named, classes, skip_empty=split == "train")
    return voc.VOCFolder([(folder, named)], classes)


def folder_of(dataset: str, root: Path) -> tuple[Path, Sequence[str] | None]:
    """The folder of any set but VOC, which has two, and a named set's own classes.

    Raises UserError where COCO is not there. Shapes are generated on first use.
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
    """Whether a folder has a split for a role, 'train', 'val' or 'test'."""
    folder = Path(dataset).expanduser()
    return folder.is_dir() and bool(_candidates(folder, role))


def default_root(data_root: str | os.PathLike | None = None) -> Path:
    """Where the named sets are: ``data_root``, else $MXNET_HOME/datasets, else ~/.mxnet/datasets."""
    if data_root is not None:
        return Path(data_root).expanduser()
    return mxnet_home() / "datasets"


def layout(folder: Path, option: str = "") -> str:
    """'voc' or 'coco': how a folder is laid out; UserError where it is neither.

    ``option`` goes before the folder in the message.
    """
    if not folder.is_dir():
        raise UserError(
            f"{option}{folder}: no such data set or folder; give {', '.join(NAMED)}, or a folder "
            f"with {', '.join(voc.PARTS)}, or with annotations/instances_*.json"
        )
    if coco.list_splits(folder):
        return "coco"
    missing = [part for part in voc.PARTS if not (folder / part).is_dir()]
    if missing:
        raise UserError(
            f"{option}{folder}: has no {missing[0]}; a folder in VOC layout holds "
            f"{', '.join(voc.PARTS)}; one in COCO layout annotations/instances_*.json"
        )
    return "voc"


def check_unpacked(dataset: str, name: str, title: str, folder: Path) -> None:
    """UserError that says how to get a published set whose folder is not there."""
    if not folder.is_dir():
        raise UserError(
            f"{dataset}: {folder} does not exist; fetch {title} with `python -m "
            f"gan_kd_ssd.data prepare {name}`, or name the folder that holds {name} with --data-root"
        )


def _candidates(folder: Path, role: str) -> list[str]:
    """The splits of a folder that may play a role; more than one only where years tell them apart."""
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
