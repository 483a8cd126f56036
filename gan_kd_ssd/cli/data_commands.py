"""``gan-kd data``: download, check and generate data sets."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, class_names, with_dashes
from gan_kd_ssd.data.synthetic.defaults import COUNTS, SEED, SIZE, SPLITS
from gan_kd_ssd.util.option_fields import not_negative, positive
from gan_kd_ssd.util.tables import put

_ROOT = "(default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)"
_CHECK = """Read every annotation and image of a data set in VOC or COCO layout and report its problems.
The report states the effect of each problem on a training: 'stops' (the training ends with an error),
'left out' (the training continues without the object) or 'kept' (the training uses the data as they are,
which may be intended). The exit code is 0 without faults, 1 with faults, and 2 for wrong
options; notes are not faults."""


def run(words: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    options = parser().parse_args(with_dashes(words))
    return options.run(options)


def parser() -> Parser:
    """The parser of the command line."""
    top = Parser(prog="gan-kd data", description="Download, check and generate data sets.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    text = "Download, verify and unpack a data set into the folders that GluonCV expects. Existing files "
    text += "are kept, and an interrupted download is resumed."
    short = "download a data set into the folders that GluonCV expects"
    _prepare_options(commands.add_parser("prepare", help=short, description=text))
    short = "find problems in a data set"
    _check_options(commands.add_parser("check", help=short, description=_CHECK))
    short = "generate a data set of textured shapes"
    text = "Generate images of textured shapes. The same options give identical files."
    _shapes_options(commands.add_parser("shapes", help=short, description=text))
    return top


def _shapes_options(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_shapes)
    add = command.add_argument
    add("folder", type=Path, metavar="DIR", help="folder to create")
    names = {"train": "training", "val": "validation", "test": "test"}
    for split, count in COUNTS.items():
        add(f"--{split}", type=positive, default=count, help=f"number of {names[split]} images")
    size = "approximate side length of an image in pixels, from 64 to 2048"
    add("--size", type=positive, default=SIZE, help=size)
    add("--seed", type=not_negative, default=SEED, help="seed of the image generator")
    add("--layout", choices=("voc", "coco"), default="voc", help="layout of the data set")


def _shapes(options) -> int:
    from gan_kd_ssd.data.synthetic.shapes import generate

    counts = {split: getattr(options, split) for split in SPLITS}
    folder = generate(options.folder, counts, options.size, options.seed, layout=options.layout)
    print(f"{folder}: {', '.join(f'{n} {split}' for split, n in counts.items())} images")
    return 0


def _prepare_options(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_prepare)
    add = command.add_argument
    text = "voc: VOC 2007 and 2012 (2.9 GB); coco: COCO 2017 train and val (20 GB); shapes and "
    text += "shapes_coco: the generated data set in VOC and COCO layout"
    add("name", choices=("voc", "coco", "shapes", "shapes_coco"), help=text)
    add("--root", type=Path, metavar="DIR", help=f"folder of the data sets {_ROOT}")
    text = "folder with archives that have already been downloaded; nothing is downloaded"
    add("--from", dest="source", type=Path, metavar="DIR", help=text)
    text = (
        "base address of a server with copies of the archives (default: $GAN_KD_SSD_DATA_URL, else "
    )
    add("--mirror", metavar="URL", help=text + "the original servers)")
    add("--keep", action="store_true", help="keep the downloaded archives in ROOT/NAME/downloads")
    add("--quiet", action="store_true", help="show no progress bars")


def _prepare(options) -> int:
    from gan_kd_ssd.data.formats.catalog import default_root, folder_of

    root = default_root(options.root)
    if options.name.startswith("shapes"):
        folder, _ = folder_of(options.name, root)
    else:
        from gan_kd_ssd.data.fetch.prepare import prepare

        try:
            given = {name: getattr(options, name) for name in ("source", "mirror", "keep", "quiet")}
            folder = prepare(options.name, root, **given)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; run the same command again to resume") from None
    print(f"{options.name} is ready in {folder}")
    return 0


def _check_options(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_check)
    add = command.add_argument
    add(
        "dataset", metavar="DIR|NAME", help="folder, or name: voc, voc07, coco, shapes, shapes_coco"
    )
    add("--data-root", type=Path, metavar="DIR", help=f"folder of the named data sets {_ROOT}")
    text = "known classes (default: the classes of a named data set; every class in a folder)"
    add("--classes", metavar="A,B,…", help=text)
    add("--splits", metavar="A,B,…", help="splits to check (default: all)")
    add("--examples", type=not_negative, default=5, help="number of examples of each problem")
    text, either = "check the images as well as the annotations", argparse.BooleanOptionalAction
    add("--images", action=either, default=True, help=text)
    text = "number of processes that read images (default: one per processor)"
    add("--num-workers", type=not_negative, help=text)
    add("--json", action="store_true", help="print the report as JSON")
    add("--quiet", action="store_true", help="show no progress bar")


def _check(options) -> int:
    from gan_kd_ssd.data.check.check_dataset import check
    from gan_kd_ssd.data.check.check_report import report_text

    names = ("data_root", "examples", "images", "num_workers", "quiet")
    report = check(
        options.dataset,
        classes=class_names(options.classes),
        splits=options.splits and [name.strip() for name in options.splits.split(",")],
        **{name: getattr(options, name) for name in names},
    )
    put(json.dumps(report.to_json(), indent=1) + "\n" if options.json else report_text(report))
    return 1 if report.faults else 0
