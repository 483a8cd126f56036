"""``gan-kd data check``: which splits of which folders, and the report as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.data.check.check_coco import read_coco
from gan_kd_ssd.data.check.check_voc import read_voc
from gan_kd_ssd.data.check.faults import FAULTS, NOTES, Report, check_images, check_listing
from gan_kd_ssd.data.formats import catalog as sets
from gan_kd_ssd.data.formats import coco, voc
from gan_kd_ssd.data.formats.dataset import some
from gan_kd_ssd.util.errors import UserError

_MOST_COLUMNS = 8  # classes that have columns of their own
_MANY = 256  # images that are worth the start of processes


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
) -> Report:
    """Read a named set or a folder to its end.

    Args:
        dataset, data_root: see :func:`~gan_kd_ssd.data.formats.catalog.open_dataset`. classes: those that are
            known; the default is a named set's own, and any of a folder.
        splits: the default is a named set's published ones, and all of a folder.
        examples: of each kind of problem. images: read them, and not the annotations alone.
        num_workers: processes that read them (default: one a processor, for many images).
        quiet: no progress bar.

    Raises:
        UserError: no such data set, or no such split.
    """
    root = sets.default_root(data_root)
    if dataset in sets.VOC_SPLITS:
        report = Report(str(root / "voc"), "voc", classes or voc.VOC_CLASSES, examples)
        _read_published(report, dataset, root, splits)
    else:
        folder, own = sets.folder_of(dataset, root)
        layout = sets.layout(folder)
        report = Report(str(folder), layout, classes or own, examples)
        there = (coco if layout == "coco" else voc).list_splits(folder)
        if dataset == "coco":
            there = [split for split in ("train2017", "val2017") if split in there]
        chosen = _chosen(folder, splits, there)
        (read_coco if layout == "coco" else read_voc)(report, folder, chosen)
    check_listing(report)
    if images:
        _look(report, num_workers, quiet)
    return report


def _read_published(report: Report, dataset: str, root: Path, splits) -> None:
    """The years of VOC, with the splits that are trained and measured on."""
    pairs = {pair: None for role in ("train", "val") for pair in sets.VOC_SPLITS[dataset][role]}
    for year in dict.fromkeys(year for year, _ in pairs):
        folder = root / "voc" / year
        sets.check_unpacked(dataset, "voc", "Pascal VOC", folder)
        mine = [split for one, split in pairs if one == year]
        if splits:
            mine = [split for split in mine if split in splits]
        read_voc(report, folder, mine, f"{year} ")
    if not report.splits:
        known = some([f"{split}" for _, split in pairs])
        raise UserError(f"--splits {','.join(splits)}: {dataset} has {known}")


def _chosen(folder: Path, splits, there: list[str]) -> list[str]:
    if not there:
        raise UserError(f"{folder}: has no splits; list images in ImageSets/Main/NAME.txt")
    lost = [split for split in splits or () if split not in there]
    if lost:
        raise UserError(f"--splits {','.join(lost)}: {folder} has {some(there)}")
    return list(splits or there)


def _look(report: Report, num_workers: int, quiet: bool) -> None:
    from tqdm import tqdm

    total = len(report.images)
    if num_workers is None:
        num_workers = _processors() if total >= _MANY else 0
    with tqdm(
        total=total,
        unit="image",
        desc="reading images",
        disable=quiet,
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 10,
    ) as bar:
        check_images(report, num_workers, bar.update)


def _processors() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return count if count and count > 1 else 0


def report_text(report: Report) -> str:
    """The report for a terminal: a table of the splits, then one of what is wrong."""
    read = f", {report.images_read:,} images read" if report.images_read else ""
    lines = [f"{report.title}: {report.layout.upper()} layout{read}", "", *_split_table(report), ""]
    for kind, title in {**FAULTS, **NOTES}.items():
        found = report.findings.get(kind)
        if found is None:
            continue
        mark = "fault" if kind in FAULTS else "note"
        lines.append(f"{mark:<5}  {found.count:>7,}  {title}")
        for example in found.examples:
            told = [part for part in example if part]
            lines.append(f"{'':16}{': '.join(told)}")
        if found.count > len(found.examples):
            lines.append(f"{'':16}… and {found.count - len(found.examples):,} more")
    count = report.faults
    lines.append(f"{count:,} fault{'' if count == 1 else 's'}" if count else "no faults")
    return "\n".join(lines) + "\n"


def _split_table(report: Report) -> list[str]:
    names = sorted({name for split in report.splits.values() for name in split.classes})
    if len(names) > _MOST_COLUMNS:
        head, shown = ["split", "images", "without objects", "objects", "classes"], []
    else:
        head, shown = ["split", "images", "without objects", "objects", *names], names
    rows = []
    for name, split in report.splits.items():
        counts = [split.images, split.without_objects, sum(split.classes.values())]
        rest = [split.classes[one] for one in shown] if shown else [len(split.classes)]
        rows.append([name, *(f"{count:,}" for count in [*counts, *rest])])
    return aligned([head, *rows])


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines: the first column to the left, numbers to the right, a rule below the head."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
