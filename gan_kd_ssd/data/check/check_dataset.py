"""``gan-kd data check``: reads every annotation and image of a data set and reports its problems."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.data.batches.workers import Workers, processors
from gan_kd_ssd.data.check.check_report import CheckReport, ListedImage
from gan_kd_ssd.data.check.read_layouts import read_coco, read_voc
from gan_kd_ssd.data.formats import catalog, voc
from gan_kd_ssd.data.formats.dataset import some
from gan_kd_ssd.data.formats.images import read_image
from gan_kd_ssd.util.errors import UserError

_CHUNK = 16  # images that a worker reads at a time
_MANY = 256  # images from which worker processes are worth their start


def check(
    dataset: str,
    *,
    data_root: Path | None = None,
    classes: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    examples: int = 5,
    images: bool = True,
    num_workers: int | None = None,
    quiet: bool = False,
) -> CheckReport:
    """Check a named data set or a folder.

    Args:
        dataset: See :func:`~gan_kd_ssd.data.formats.catalog.open_dataset`.
        data_root: The folder of the named data sets.
        classes: The known classes (default: those of a named set, any class in a folder).
        splits: The splits to check (default: the published ones of a named set, all of a folder).
        examples: The greatest number of examples of each kind of problem.
        images: Read the images, not only the annotations.
        num_workers: Processes that read images (default: one per processor for many images).
        quiet: Show no progress bar.

    Raises:
        UserError: There is no such data set or split.
    """
    root = catalog.default_root(data_root)
    if dataset in catalog.VOC_SPLITS:
        report = CheckReport(str(root / "voc"), "voc", classes or voc.VOC_CLASSES, examples)
        _read_published_voc(report, dataset, root, splits)
    else:
        folder, own_classes = catalog.folder_of(dataset, root)
        layout = catalog.layout(folder)
        report = CheckReport(str(folder), layout, classes or own_classes, examples)
        there = catalog.list_splits(folder)
        if dataset == "coco":
            there = [split for split in ("train2017", "val2017") if split in there]
        chosen = _chosen(folder, splits, there)
        (read_coco if layout == "coco" else read_voc)(report, folder, chosen)
    for image in report.images:
        clash = _clash(image.splits, image.splits)
        if clash:
            report.add("image_in_two_splits", clash, image.path)
    if images:
        if num_workers is None:
            num_workers = processors() if len(report.images) >= _MANY else 0
        _check_images(report, num_workers, quiet)
    return report


def _read_published_voc(report: CheckReport, dataset: str, root: Path, splits) -> None:
    """Read the years of VOC with the splits used for training and evaluation."""
    pairs = {pair: None for role in ("train", "val") for pair in catalog.VOC_SPLITS[dataset][role]}
    for year in dict.fromkeys(year for year, _ in pairs):
        folder = catalog.voc_year(dataset, root, year)
        mine = [split for one, split in pairs if one == year and (not splits or split in splits)]
        read_voc(report, folder, mine, f"{year} ")
    if not report.splits:
        known = some([split for _, split in pairs])
        raise UserError(f"--splits {','.join(splits)}: {dataset} has {known}")


def _chosen(folder: Path, splits, there: list[str]) -> list[str]:
    if not there:
        raise UserError(f"{folder} has no splits; list images in ImageSets/Main/NAME.txt")
    lost = [split for split in splits or () if split not in there]
    if lost:
        raise UserError(f"--splits {','.join(lost)}: {folder} has {some(there)}")
    return list(splits or there)


def _check_images(report: CheckReport, num_workers: int, quiet: bool) -> None:
    """Read every image and report damage, other sizes and identical pictures."""
    from tqdm import tqdm

    copies: dict[bytes, list[ListedImage]] = defaultdict(list)
    chunks = [report.images[i : i + _CHUNK] for i in range(0, len(report.images), _CHUNK)]
    paths = ([image.path for image in chunk] for chunk in chunks)
    bar = tqdm(
        total=len(report.images),
        unit="image",
        desc="reading images",
        disable=quiet,
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 10,
    )
    with bar, contextlib.closing(Workers(_read_images, num_workers)) as workers:
        for chunk, seen in zip(chunks, workers.map(paths)):
            for image, (size, digest, error) in zip(chunk, seen):
                if error:
                    report.add("damaged_image", image.splits, image.path, error)
                    continue
                copies[digest].append(image)
                if image.size and size != image.size:
                    detail = "{}x{} pixels, {}x{} in {}".format(*size, *image.size, image.where)
                    report.add("size_differs", image.splits, image.path, detail)
            report.images_read += len(chunk)
            bar.update(len(chunk))
    for same in copies.values():
        _report_copies(report, same)


def _read_images(paths: Sequence[str]) -> list[tuple]:
    """(width, height), a digest of the pixels, and an error or None for each image."""
    found = []
    for path in paths:
        try:
            pixels = read_image(Path(path))
        except UserError as error:
            found.append((None, None, str(error)))
            continue
        shape = str(pixels.shape).encode()[:16]
        digest = hashlib.blake2b(pixels.data, digest_size=16, person=shape).digest()
        found.append((pixels.shape[1::-1], digest, None))
    return found


def _report_copies(report: CheckReport, same: list[ListedImage]) -> None:
    """Compare each copy with the first one in a conflicting split, else with the first of all."""
    firsts = {tuple(same[0].splits): same[0]}  # by the splits that list them
    for image in same[1:]:
        clashes = [(other, _clash(other.splits, image.splits)) for other in firsts.values()]
        other, clash = next((pair for pair in clashes if pair[1]), (same[0], ()))
        kind = "copy_in_two_splits" if clash else "copy"
        report.add(kind, clash or image.splits, image.path, f"as {other.path}")
        firsts.setdefault(tuple(image.splits), image)


def _clash(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """The first two splits that must not share a picture, or ().

    trainval contains train and val by its name. Any other shared picture spoils a measurement.
    """
    for pair in itertools.product(one, other):
        small, large = sorted(pair, key=lambda split: "trainval" in split)
        if small not in (large, *(large.replace("trainval", part) for part in ("train", "val"))):
            return pair
    return ()
