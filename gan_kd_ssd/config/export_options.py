"""The options of ``gan-kd export``."""

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
    """Parse and check the options of ``gan-kd export``.

    Raises:
        UserError: an unknown option, or a value that cannot be right.
    """
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(with_dashes(argv))
    options.classes = class_names(options.classes)
    if options.out.name in ("", ".", "..") or options.out.is_dir():
        raise UserError(
            f"--out {options.out}: is a folder; give a prefix such as {options.out}/ssd"
        )
    if options.batch_size and options.format == "symbol":
        raise UserError("--batch-size: is for --format onnx; a symbol takes any batch")
    if options.data_shape is None:
        options.data_shape = read_name(options.network).data_shape
    return options


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Write a trained detector as an MXNet symbol with parameters, or as ONNX. The "
        "outputs of the file are compared with those of the network; if they differ, nothing is "
        "written and the exit code is 1.",
    )
    _add_detector(parser)
    _add_file(parser)
    return parser


def _add_detector(parser: Parser) -> None:
    add = parser.add_argument_group("detector").add_argument
    add(
        "--network",
        required=True,
        help="name of the network: mobilenet1.0, ssd_512_mobilenet1.0_voc, resnet10_v1_0.25, …; "
        "the names of Faster R-CNNs start with faster_rcnn_",
    )
    add("--params", type=Path, required=True, metavar="FILE", help="parameter file")
    add(
        "--data-shape",
        type=positive,
        metavar="PIXELS",
        help="side of an SSD's square input (default: the one in the network's name, else that of the "
        "run that wrote --params, else 512)",
    )
    add(
        "--classes",
        metavar="A,B,…",
        help="class names, in order (default: those of the run that wrote --params, or of the data set "
        "in the network's name)",
    )
    add(
        "--use-fpn",
        action="store_true",
        help="Faster R-CNN: the network has FPN levels (implied by fpn in its name)",
    )
    add("--roi-mode", choices=("align", "pool"), help="Faster R-CNN: RoI pooling")
    add(
        "--norm-layer",
        choices=("bn",),
        help="Faster R-CNN: the network was trained with --norm-layer bn",
    )
    add("--short", type=positive, metavar="PIXELS", help="Faster R-CNN: short side of the input")
    add(
        "--max-size",
        type=positive,
        metavar="PIXELS",
        help="Faster R-CNN: maximum long side of the input",
    )


def _add_file(parser: Parser) -> None:
    add = parser.add_argument_group("file").add_argument
    add("--format", choices=FORMATS, default="symbol", help="format of the file")
    add("--out", type=Path, required=True, metavar="PREFIX", help="prefix of the written files")
    add(
        "--raw",
        action="store_true",
        help="export class scores and boxes before non-maximum suppression",
    )
    add(
        "--batch-size",
        type=positive,
        metavar="N",
        help="fixed number of images in a batch of an ONNX file (default: any number)",
    )
    add(
        "--image",
        type=Path,
        metavar="FILE",
        help="image for the comparison, besides noise (default: Matplotlib's sample photograph)",
    )
