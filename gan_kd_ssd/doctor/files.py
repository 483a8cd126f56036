"""Data sets and weights that the published runs need, where GluonCV keeps them."""

from __future__ import annotations

import re
from pathlib import Path

from gan_kd_ssd.doctor.check import OK, WARN, Check
from gan_kd_ssd.util.files import digests, mxnet_home

PREPARE = "gan-kd data prepare {} (or train on images of your own)"
#: Splits of VOC that the paper uses.
VOC = {"VOC2007": ("trainval", "test"), "VOC2012": ("trainval",)}
COCO = ("train2017", "val2017")
#: What the published SSD run takes from GluonCV's zoo, and what for.
WEIGHTS = {
    "teacher weights": ("ssd_512_resnet50_v1_voc", "the teacher of the published SSD run"),
    "backbone weights": ("mobilenet1.0", "what its student starts from"),
}


def checks() -> list[Check]:
    """A row for each data set and each file of weights."""
    home = mxnet_home()
    rows = [_voc(home / "datasets" / "voc", year, splits) for year, splits in VOC.items()]
    rows.append(_coco(home / "datasets" / "coco"))
    return rows + [_weights(home / "models", *item) for item in WEIGHTS.items()]


def _voc(root: Path, year: str, splits) -> Check:
    folder, remedy = root / year, PREPARE.format("voc")
    if not folder.is_dir():
        return Check(year, WARN, f"not there: {folder}", remedy)
    counts, missing = [], 0
    for split in splits:
        file = folder / "ImageSets" / "Main" / f"{split}.txt"
        try:
            names = [
                line.split()[0] for line in file.read_text("utf-8").splitlines() if line.strip()
            ]
        except (OSError, ValueError) as error:
            return Check(year, WARN, f"{file} cannot be read ({error})", remedy)
        counts.append(f"{split} {len(names)}")
        missing += len(set(names) - _stems(folder / "JPEGImages", ".jpg"))
        missing += len(set(names) - _stems(folder / "Annotations", ".xml"))
    found = f"{folder}: {', '.join(counts)} images"
    if missing:
        return Check(year, WARN, f"{found}, {missing} files of them missing", remedy)
    return Check(year, OK, found)


def _stems(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*{suffix}")} if folder.is_dir() else set()


def _coco(root: Path) -> Check:
    remedy = PREPARE.format("coco")
    if not root.is_dir():
        return Check("COCO 2017", WARN, f"not there: {root}", remedy)
    counts = []
    for split in COCO:
        if not (root / "annotations" / f"instances_{split}.json").is_file():
            return Check("COCO 2017", WARN, f"{root}: no annotations of {split}", remedy)
        counts.append((split, len(_stems(root / split, ".jpg"))))
    found = f"{root}: " + ", ".join(f"{split} {count}" for split, count in counts) + " images"
    complete = all(count for _, count in counts)
    return Check("COCO 2017", OK if complete else WARN, found, "" if complete else remedy)


def _weights(folder: Path, title: str, network: tuple[str, str]) -> Check:
    """GluonCV's file of a network: the sha1 in its name must be that of its bytes."""
    name, use = network
    pattern = re.compile(re.escape(name) + r"-([0-9a-f]{8})\.params")
    matches = [pattern.fullmatch(path.name) for path in sorted(folder.glob(f"{name}-*.params"))]
    for match in filter(None, matches):
        file = folder / match[0]
        try:
            (digest,) = digests(file, ["sha1"])
        except OSError as error:
            return Check(
                title, WARN, f"{file} cannot be read ({error.strerror})", "check its owner"
            )
        if digest.startswith(match[1]):
            return Check(title, OK, f"{file}, {use}")
        return Check(title, WARN, f"{file} is damaged: sha1 {digest[:8]}", "delete it")
    remedy = "it is downloaded when first needed; without a network put the file there"
    return Check(title, WARN, f"{name} is not in {folder}: {use}", remedy)
