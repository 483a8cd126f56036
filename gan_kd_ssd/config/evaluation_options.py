"""The options of ``eval_voc.py``: those of GluonCV's evaluation script, and more."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.config.option_groups import add_devices
from gan_kd_ssd.config.parser import Parser, class_names, not_negative, positive, with_dashes
from gan_kd_ssd.detectors.names import NetworkName, read_name
from gan_kd_ssd.util.errors import UserError

PUBLISHED_DATA_SHAPE = 512  # from the Namespace line of the published SSD log


@dataclass(frozen=True)
class EvaluationData:
    """Data to measure on: name or folder, data root, split and classes; None takes the default."""

    dataset: str
    root: Path | None
    val_split: str | None
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class EvaluationRun:
    """Devices as given, images in a batch, and the number of processes that read images."""

    gpus: str | None
    cpu_devices: int
    batch_size: int
    num_workers: int


@dataclass(frozen=True)
class EvaluationResults:
    """What is measured and written.

    Attributes:
        metric: 'voc07', 'voc12', 'both' or 'coco'; None takes the usual one of the data.
        json: file of the results. plot: folder of the pictures. Both may be None.
        plot_images: number of images to draw.
        score_threshold: lowest score that is drawn.
    """

    metric: str | None
    json: Path | None
    plot: Path | None
    plot_images: int
    score_threshold: float


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, as options name it.

    Settings that are None or False are taken from the run that wrote ``params``.

    Attributes:
        network: name of the network.
        params: parameter file; None takes the published weights.
        data_shape: side of an SSD's input in pixels.
        use_fpn, roi_mode, short, max_size, norm_layer: settings of a Faster R-CNN.
    """

    network: str
    params: Path | None
    data_shape: int | None
    use_fpn: bool
    roi_mode: str | None
    short: int | None
    max_size: int | None
    norm_layer: str | None


@dataclass(frozen=True)
class EvaluationConfig(TrainedNetwork):
    """What ``eval_voc.py`` was asked to do: the network, the data, how it runs, and the results."""

    data: EvaluationData
    run: EvaluationRun
    results: EvaluationResults


def parse(words: Sequence[str]) -> EvaluationConfig:
    """Parse and check the options of ``eval_voc.py``.

    Raises:
        UserError: an unknown option, or a value that cannot be right.
    """
    options = _parser().parse_args(with_dashes(words))
    network = read_name(options.network)
    _check_sizes(options, network)
    params = options.params
    if params is None and options.pretrained.lower() not in ("true", "false", ""):
        params = Path(options.pretrained)
    elif params is None and options.pretrained.lower() != "true":
        raise UserError("no weights to evaluate: give --params FILE.params or --pretrained True")
    data_shape = options.data_shape or network.data_shape
    if data_shape is None and options.params is None:
        data_shape = PUBLISHED_DATA_SHAPE
    classes = class_names(options.classes)
    json = options.json
    if json is None and options.save_prefix:
        json = Path(f"{options.save_prefix}_eval.json")
    names = ("network", "use_fpn", "roi_mode", "short", "max_size", "norm_layer")
    return EvaluationConfig(
        **{name: getattr(options, name) for name in names},
        params=params,
        data_shape=data_shape,
        data=EvaluationData(
            options.dataset,
            options.data_root,
            options.val_split,
            None if classes is None else tuple(classes),
        ),
        run=EvaluationRun(
            options.gpus, options.cpu_devices, options.batch_size, options.num_workers
        ),
        results=EvaluationResults(
            options.metric, json, options.plot, options.plot_images, options.score_threshold
        ),
    )


def _parser() -> Parser:
    parser = Parser(
        prog="eval_voc.py",
        description="Measure the mAP of a detector at IoU 0.5 (VOC) or COCO's twelve figures, class by "
        "class, and its speed in images/s.",
    )
    _add_detector(parser)
    _add_data(parser)
    run = add_devices(parser)
    run.add_argument(
        "--batch-size",
        type=positive,
        default=16,
        help="images in a batch; Faster R-CNN always takes one per device",
    )
    run.add_argument(
        "--num-workers", type=not_negative, default=0, help="number of processes that read images"
    )
    _add_results(parser)
    return parser


def _add_detector(parser: Parser) -> None:
    model = parser.add_argument_group("detector")
    model.add_argument(
        "--network",
        default="vgg16_atrous",
        help="backbone of an SSD in GluonCV's model zoo (mobilenet1.0, resnet50_v1, …), "
        "a full name (ssd_512_mobilenet1.0_voc, faster_rcnn_resnet50_v1b_voc), "
        "or a name that `gan-kd zoo list` prints",
    )
    model.add_argument(
        "--data-shape",
        type=positive,
        metavar="PIXELS",
        help="side of an SSD's square input (default: the one in the network's name, else that of the "
        "run that wrote --params, else 512)",
    )
    model.add_argument(
        "--params",
        type=Path,
        metavar="FILE",
        help="parameter file, as train_ssd_gkd.py or GluonCV saves it",
    )
    model.add_argument(
        "--pretrained",
        default="True",
        metavar="FILE|True",
        help="GluonCV's name for --params; True uses the weights that the model zoo publishes",
    )
    group = parser.add_argument_group(
        "Faster R-CNN", "default: the values of the run that wrote --params, else GluonCV's"
    )
    add = group.add_argument
    add("--use-fpn", action="store_true", help="use the five FPN levels of strides 4 to 64")
    add("--roi-mode", choices=("align", "pool"), help="RoI pooling")
    add("--short", type=positive, metavar="PIXELS", help="short side of the input")
    add("--max-size", type=positive, metavar="PIXELS", help="maximum long side of the input")
    add("--norm-layer", choices=("bn",), help="the network was trained with --norm-layer bn")


def _add_data(parser: Parser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        default="voc",
        help="voc or voc07 (both: VOC2007 test), coco (2017 val), shapes, shapes_coco, or the path of "
        "a folder in VOC or COCO layout",
    )
    data.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="folder of the named data sets "
        "(default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
    )
    data.add_argument(
        "--val-split",
        metavar="NAME",
        help="split of a folder to measure on: ImageSets/Main/NAME.txt or "
        "annotations/instances_NAME.json (default: test, else val)",
    )
    data.add_argument(
        "--classes",
        metavar="A,B,…",
        help="class names that the detector was trained on, in order "
        "(default: those of its run, else of the data set)",
    )


def _add_results(parser: Parser) -> None:
    out = parser.add_argument_group("results")
    out.add_argument(
        "--metric",
        choices=("voc07", "voc12", "both", "coco"),
        help="voc07: 11-point AP, as published; voc12: area under the curve; both: these two; coco: "
        "COCO's twelve figures (default: voc07; coco for data in COCO layout)",
    )
    out.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE as JSON")
    out.add_argument(
        "--save-prefix",
        default="",
        metavar="PREFIX",
        help="write the results to PREFIX_eval.json unless --json is given",
    )
    out.add_argument(
        "--plot", type=Path, metavar="DIR", help="draw detections and ground truth into DIR"
    )
    out.add_argument("--plot-images", type=positive, default=16, help="number of images to draw")
    out.add_argument(
        "--score-threshold", type=_fraction, default=0.5, help="lowest score that is drawn"
    )


def _check_sizes(options: argparse.Namespace, network: NetworkName) -> None:
    """Refuse the input size of the other kind of detector."""
    if network.kind == "faster_rcnn" and options.data_shape is not None:
        raise UserError(f"--data-shape: {options.network} takes --short and --max-size")
    given = [name for name in ("short", "max_size") if getattr(options, name) is not None]
    if given and network.kind != "faster_rcnn":
        raise UserError(
            f"--{given[0].replace('_', '-')}: {options.network} is an SSD and takes --data-shape; "
            f"a Faster R-CNN on the same backbone is named faster_rcnn_{network.backbone}"
        )


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
