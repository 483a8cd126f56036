"""``gan-kd data``: the commands and their options. Work is imported when asked for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, class_names, not_negative, run_command, with_dashes
from gan_kd_ssd.util.errors import exit_on_user_error
from gan_kd_ssd.util.tables import put

PROGRAM = "gan-kd data"


def parser() -> Parser:
    """The command line."""
    top = Parser(prog=PROGRAM, description="Fetch and check data sets.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _prepare_options(
        commands.add_parser(
            "prepare",
            help="fetch a data set and lay it out as GluonCV expects it",
            description="Download, check, unpack and lay out a data set; what is there already is "
            "left as it is, what was interrupted goes on.",
        )
    )
    _check_options(
        commands.add_parser(
            "check",
            help="read a whole data set and tell what is wrong with it",
            description="Read a whole data set in VOC or COCO layout and tell what is wrong with it. "
            "Exit code 0: nothing; 1: faults; 2: wrong use.",
        )
    )
    _shapes_options(
        commands.add_parser(
            "shapes",
            help="generate a data set of textured shapes",
            description="Generate a data set of textured shapes.",
        )
    )
    return top


def _shapes_options(added: argparse.ArgumentParser) -> None:
    from gan_kd_ssd.data.synthetic.size import COUNTS, SEED, SIZE

    added.set_defaults(run=_shapes)
    add = added.add_argument
    add("folder", type=Path, metavar="DIR", help="folder to be made")
    for split, count in COUNTS.items():
        add(f"--{split}", type=int, default=count, help=f"number of {split} images")
    add("--size", type=int, default=SIZE, help="side of an image in pixels")
    add("--seed", type=int, default=SEED, help="seed of the pictures")
    add("--layout", choices=("voc", "coco"), default="voc", help="layout of the files")


def _shapes(options) -> int:
    from gan_kd_ssd.data.synthetic.shapes import generate
    from gan_kd_ssd.data.synthetic.size import SPLITS

    counts = {split: getattr(options, split) for split in SPLITS}
    folder = generate(options.folder, counts, options.size, options.seed, layout=options.layout)
    print(f"{folder}: {', '.join(f'{n} {split}' for split, n in counts.items())} images")
    return 0


def _prepare_options(added: argparse.ArgumentParser) -> None:
    added.set_defaults(run=_prepare)
    add = added.add_argument
    add(
        "name",
        choices=("voc", "coco", "shapes", "shapes_coco"),
        help="voc: 2007 and 2012 (2.9 GB); coco: 2017 train and val (20 GB); shapes, shapes_coco: "
        "the built-in set in either layout",
    )
    add(
        "--root",
        type=Path,
        metavar="DIR",
        help="that holds the data sets (default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
    )
    add(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="take the archives from there; they stay there, and nothing is downloaded",
    )
    add(
        "--mirror",
        metavar="URL",
        help="base address of a server with copies of the archives (default: $GAN_KD_SSD_DATA_URL, "
        "else the sets' own servers)",
    )
    add("--keep", action="store_true", help="keep the downloaded archives, in DIR/NAME/downloads")
    add("--quiet", action="store_true", help="no progress bars")


def _check_options(added: argparse.ArgumentParser) -> None:
    added.set_defaults(run=_check)
    add = added.add_argument
    add("dataset", metavar="DIR|NAME", help="a folder, or voc, voc07, coco, shapes, shapes_coco")
    add(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="where the named sets are (default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
    )
    add(
        "--classes",
        metavar="A,B,…",
        help="the classes there should be (default: a named set's own, any in a folder)",
    )
    add("--splits", metavar="A,B,…", help="the splits to check (default: all)")
    add("--examples", type=not_negative, default=5, help="examples shown of each problem")
    add(
        "--images",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read every image, and not the annotations alone",
    )
    add(
        "--num-workers",
        type=not_negative,
        help="processes that read images (default: one a processor)",
    )
    add("--json", action="store_true", help="print JSON")
    add("--quiet", action="store_true", help="no progress bar")


def _check(options) -> int:
    from gan_kd_ssd.data.check.check_set import check, report_text

    report = check(
        options.dataset,
        data_root=options.data_root,
        classes=class_names(options.classes),
        splits=options.splits and [name.strip() for name in options.splits.split(",")],
        examples=options.examples,
        images=options.images,
        num_workers=options.num_workers,
        quiet=options.quiet,
    )
    put(json.dumps(report.to_json(), indent=1) + "\n" if options.json else report_text(report))
    return 1 if report.faults else 0


def _prepare(options) -> int:
    from gan_kd_ssd.data.formats.catalog import default_root

    root = default_root(options.root)
    if options.name.startswith("shapes"):
        from gan_kd_ssd.data.synthetic import shapes

        folder = shapes.ensure(root) if options.name == "shapes" else shapes.ensure_coco(root)
    else:
        from gan_kd_ssd.data.fetch.prepare import prepare

        folder = prepare(
            options.name,
            root,
            source=options.source,
            mirror=options.mirror,
            keep=options.keep,
            quiet=options.quiet,
        )
    print(f"{options.name} is ready in {folder}")
    return 0


def run(words: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    Raises:
        UserError: wrong use, or files that cannot be had or written.
    """
    options = parser().parse_args(with_dashes(sys.argv[1:] if words is None else words))
    try:
        return run_command(options)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; the same command goes on", file=sys.stderr)
        return 130


def main(words: Sequence[str] | None = None) -> int:
    """As :func:`run`; what a user can mend is one line on stderr and exit code 2."""
    return exit_on_user_error(PROGRAM, run, words)
