"""The command line of ``gan-kd export``. Imports the standard library alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, class_names, positive, with_dashes
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.util.errors import UserError

PROGRAM = "gan-kd export"
FORMATS = ("symbol", "onnx")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options; names with dashes or underscores.

    Raises:
        UserError: an option that does not exist or whose value cannot be right.
    """
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(with_dashes(argv))
    options.classes = class_names(options.classes)
    if options.out.name in ("", ".", "..") or options.out.is_dir():
        raise UserError(
            f"--out {options.out}: is a folder; give a prefix, such as {options.out}/ssd"
        )
    if options.batch_size and options.format == "symbol":
        raise UserError("--batch-size: is for --format onnx; a symbol takes any batch")
    if options.data_shape is None:
        options.data_shape = read_name(options.network).data_shape
    return options


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Write a trained detector as MXNet's symbol and parameters, or as ONNX, and "
        "compare what the written file gives with what the network gives. Nothing is written where "
        "they differ (exit code 1).",
    )
    model = parser.add_argument_group("detector")
    add = model.add_argument
    add(
        "--network",
        required=True,
        help="its name: mobilenet1.0, ssd_512_mobilenet1.0_voc, resnet10_v1_0.25, …; "
        "faster_rcnn_… is a Faster R-CNN",
    )
    add("--params", type=Path, required=True, metavar="FILE", help="its weights")
    add(
        "--data-shape",
        type=positive,
        metavar="PIXELS",
        help="side of an SSD's input (default: that in the network's name, else 512)",
    )
    add(
        "--classes",
        metavar="A,B,…",
        help="in their order (default: those of the run that wrote FILE, or of the data set that "
        "the network's name ends with)",
    )
    add("--use-fpn", action="store_true", help="of a Faster R-CNN; so does fpn in its name")
    add("--roi-mode", choices=("align", "pool"), help="of a Faster R-CNN")
    add("--norm-layer", choices=("bn",), help="of a Faster R-CNN trained with --norm-layer bn")
    add("--short", type=positive, metavar="PIXELS", help="short side of a Faster R-CNN's input")
    add("--max-size", type=positive, metavar="PIXELS", help="greatest side of it")
    file = parser.add_argument_group("file")
    add = file.add_argument
    add("--format", choices=FORMATS, default="symbol", help="of the file")
    add("--out", type=Path, required=True, metavar="PREFIX", help="of the files that are written")
    add(
        "--raw",
        action="store_true",
        help="class scores and boxes as they are before non-maximum suppression",
    )
    add(
        "--batch-size",
        type=positive,
        metavar="N",
        help="images in a batch of an ONNX file (default: any number)",
    )
    add(
        "--image",
        type=Path,
        metavar="FILE",
        help="to compare on, beside noise (default: the photograph that Matplotlib brings)",
    )
    return parser
