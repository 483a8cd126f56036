"""The command line of eval_voc.py: GluonCV's evaluation options, and ours beside them.

Imports nothing but the standard library, so that ``--help`` is answered at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.option_groups import add_devices
from gan_kd_ssd.config.parser import (
    Parser,
    class_names,
    not_negative,
    positive,
    with_dashes,
)
from gan_kd_ssd.detectors.names import NetworkName, read_name
from gan_kd_ssd.util.errors import UserError

PUBLISHED_DATA_SHAPE = 512  # of the published SSD log's Namespace line


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options of eval_voc.py; names with dashes or underscores.

    Args:
        argv: what stands after the program's name; None takes it from ``sys.argv``.

    Raises:
        UserError: an option that does not exist or whose value cannot be right.
    """
    argv = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(with_dashes(argv))
    network = read_name(options.network)
    _check_sizes(options, network)
    if options.data_shape is None:
        options.data_shape = network.data_shape
    if options.data_shape is None and options.params is None:
        options.data_shape = PUBLISHED_DATA_SHAPE
    options.classes = class_names(options.classes)
    if options.params is None and options.pretrained.lower() not in ("true", "false", ""):
        options.params, options.pretrained = Path(options.pretrained), "False"
    if options.params is None and options.pretrained.lower() != "true":
        raise UserError("no weights to evaluate: give --params FILE.params or --pretrained True")
    if options.json is None and options.save_prefix:
        options.json = Path(f"{options.save_prefix}_eval.json")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="eval_voc.py",
        description="Measure a detector by VOC's mAP at IoU 0.5 or COCO's twelve figures: a table by "
        "class, mAP, images/s.",
    )
    model = parser.add_argument_group("detector")
    model.add_argument(
        "--network",
        default="vgg16_atrous",
        help="base network of an SSD, as in GluonCV's zoo (mobilenet1.0, resnet50_v1, …), "
        "or the whole name (ssd_512_mobilenet1.0_voc, faster_rcnn_resnet50_v1b_voc), "
        "or a name of `gan-kd zoo list`",
    )
    model.add_argument(
        "--data-shape",
        type=positive,
        metavar="PIXELS",
        help="SSD: side of the square input (default: that in the network's name, else as the run was "
        "trained that wrote --params, else 512)",
    )
    model.add_argument(
        "--params", type=Path, metavar="FILE", help="weights, as train_ssd_gkd.py or GluonCV saves"
    )
    model.add_argument(
        "--pretrained",
        default="True",
        metavar="FILE|True",
        help="GluonCV's name for --params; True takes the weights the zoo published",
    )
    add_faster_rcnn(
        parser.add_argument_group(
            "Faster R-CNN", "default: as the run was trained that wrote --params, else the zoo's"
        )
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        default="voc",
        help="voc, voc07 (both: VOC2007 test), coco (2017 val), shapes, shapes_coco, or a folder in "
        "VOC or COCO layout",
    )
    data.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="where the named sets are (default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
    )
    data.add_argument(
        "--val-split",
        metavar="NAME",
        help="a folder's ImageSets/Main/NAME.txt or annotations/instances_NAME.json to measure on "
        "(default: test, else val)",
    )
    data.add_argument(
        "--classes",
        metavar="A,B,…",
        help="the classes the detector was trained on, in that order "
        "(default: those of the data set)",
    )
    run = add_devices(parser)
    run.add_argument(
        "--batch-size",
        type=positive,
        default=16,
        help="images in one batch; Faster R-CNN takes one on each device",
    )
    run.add_argument(
        "--num-workers", type=not_negative, default=0, help="processes that read images"
    )
    out = parser.add_argument_group("results")
    out.add_argument(
        "--metric",
        choices=("voc07", "voc12", "both", "coco"),
        help="VOC07's 11-point AP (the published one), VOC12's area under the curve, both, or COCO's "
        "twelve figures (default: voc07; coco for data in COCO layout)",
    )
    out.add_argument("--json", type=Path, metavar="FILE", help="write the results there as JSON")
    out.add_argument(
        "--save-prefix",
        default="",
        metavar="PREFIX",
        help="prefix of the saved results: PREFIX_eval.json where --json is not given",
    )
    out.add_argument("--plot", type=Path, metavar="DIR", help="draw detections and ground truth")
    out.add_argument("--plot-images", type=positive, default=16, help="images to draw")
    out.add_argument(
        "--score-threshold", type=_fraction, default=0.5, help="lowest score that is drawn"
    )
    return parser


def add_faster_rcnn(group) -> None:
    """What a Faster R-CNN is beside its name; nothing is the default."""
    group.add_argument("--use-fpn", action="store_true", help="levels of strides 4 to 64")
    group.add_argument("--roi-mode", choices=("align", "pool"), help="how RoIs are pooled")
    group.add_argument("--short", type=positive, metavar="PIXELS", help="short side of the input")
    group.add_argument("--max-size", type=positive, metavar="PIXELS", help="its greatest side")
    group.add_argument("--norm-layer", choices=("bn",), help="trained with --norm-layer bn")


def _check_sizes(options, network: NetworkName) -> None:
    """A size of the other kind of detector is a mistake."""
    if network.kind == "faster_rcnn" and options.data_shape is not None:
        raise UserError(f"--data-shape: {options.network} takes --short and --max-size")
    given = [name for name in ("short", "max_size") if getattr(options, name) is not None]
    if given and network.kind == "ssd":
        raise UserError(
            f"--{given[0].replace('_', '-')}: {options.network} is an SSD and takes --data-shape; "
            "a Faster R-CNN on the same backbone is named faster_rcnn_{network.backbone}"
        )


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
