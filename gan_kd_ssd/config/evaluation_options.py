"""Options of ``gan-kd eval``, among them those of GluonCV's evaluation script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, class_names, with_dashes
from gan_kd_ssd.config.shared_options import DataConfig, DeviceConfig
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import add_options, count, fraction, number, option, redeclared

PUBLISHED_DATA_SHAPE = 512  # from the Namespace line of the published SSD log


@dataclass(frozen=True)
class EvaluationConfig:
    """Configuration of an evaluation; the fields are the options.

    Settings of the network that are None or False are those of the run that wrote ``params``;
    ``params`` is None for the published weights.
    """

    network: str = option(
        "vgg16_atrous",
        "backbone of an SSD in GluonCV's model zoo (mobilenet1.0, resnet50_v1, …), a full name "
        "(ssd_512_mobilenet1.0_voc, faster_rcnn_resnet50_v1b_voc), or a name that `gan-kd zoo list` "
        "prints",
        group="detector",
    )
    data_shape: int | None = count(
        None,
        "side of an SSD's square input (default: from the network's name, or the run that wrote --params, "
        "or 512)",
        metavar="PIXELS",
    )
    params: Path | None = option(
        None, "parameter file of this project or of GluonCV", type=Path, metavar="FILE"
    )
    pretrained: str = option(
        "True",
        "parameter file, as for --params, or True for the published weights of the model zoo (the option "
        "name of GluonCV's script)",
        metavar="FILE|True",
    )
    use_fpn: bool | None = option(
        None, "use five FPN levels of strides 4 to 64", action="store_true", group="Faster R-CNN"
    )
    roi_mode: str | None = option(
        None, "RoI feature extraction: RoIAlign or RoIPool", choices=("align", "pool")
    )
    short: int | None = count(None, "short side of the input", metavar="PIXELS")
    max_size: int | None = count(None, "maximum long side of the input", metavar="PIXELS")
    norm_layer: str | None = option(None, "value of --norm-layer in the training", choices=("bn",))
    dataset: str = option(
        "voc",
        "voc or voc07 (VOC 2007 test in both cases), coco (2017 val), shapes, shapes_coco, or the path of a "
        "folder in VOC or COCO layout",
        group="data",
    )
    data_root: Path | None = redeclared(DataConfig, "data_root", None, type=Path)
    val_split: str | None = option(
        None,
        "split of a folder to measure on: ImageSets/Main/NAME.txt or annotations/instances_NAME.json "
        "(default: test, or val if there is no test split)",
        metavar="NAME",
    )
    classes: str | None = option(
        None,
        "class names that the detector was trained on, in order (default: those of its run, or those of "
        "the data set)",
        metavar="A,B,…",
    )
    gpus: str | None = redeclared(DeviceConfig, "gpus", None, group="devices")
    cpu_devices: int = redeclared(DeviceConfig, "cpu_devices", 1)
    batch_size: int = count(16, "images in a batch; a Faster R-CNN always processes one per device")
    num_workers: int = number(0, "number of worker processes that load images")
    metric: str | None = option(
        None,
        "voc07: 11-point AP, as published; voc12: area under the curve; both: these two; coco: COCO's "
        "twelve figures (default: voc07; coco for data in COCO layout)",
        choices=("voc07", "voc12", "both", "coco"),
        group="results",
    )
    json: Path | None = option(None, "file for the results as JSON", type=Path, metavar="FILE")
    save_prefix: str = option(
        "", "prefix of the results file PREFIX_eval.json (overridden by --json)", metavar="PREFIX"
    )
    plot: Path | None = option(
        None, "folder for pictures of detections and ground truth", type=Path, metavar="DIR"
    )
    plot_images: int = count(16, "number of images to draw")
    score_threshold: float = option(0.5, "minimum score of drawn detections", type=fraction)


def parse(words: Sequence[str], program: str = "eval_voc.py") -> EvaluationConfig:
    """Parse a command line; ``program`` is the name in the usage line.

    Raises:
        UserError: an unknown option, or an invalid value.
    """
    parser = Parser(
        prog=program,
        description="Measure the accuracy of a detector (AP per class and mAP at IoU 0.5, or COCO's twelve "
        "figures) and its speed in images/s.",
    )
    faster_rcnn = (
        "By default, the values come from the run that wrote --params, or else from GluonCV."
    )
    add_options(parser, EvaluationConfig, {"Faster R-CNN": faster_rcnn})
    config = EvaluationConfig(**vars(parser.parse_args(with_dashes(words))))
    _check_sizes(config)
    class_names(config.classes)
    params, data_shape, json = config.params, config.data_shape, config.json
    if params is None and config.pretrained.lower() not in ("true", "false", ""):
        params = Path(config.pretrained)
    elif params is None and config.pretrained.lower() != "true":
        raise UserError("no weights to evaluate: give --params FILE.params or --pretrained True")
    data_shape = data_shape or read_name(config.network).data_shape
    if data_shape is None and config.params is None:
        data_shape = PUBLISHED_DATA_SHAPE
    if json is None and config.save_prefix:
        json = Path(f"{config.save_prefix}_eval.json")
    return replace(config, params=params, data_shape=data_shape, json=json)


def _check_sizes(config: EvaluationConfig) -> None:
    """Reject the input size of the other kind of detector."""
    network = read_name(config.network)
    if network.kind == "faster_rcnn" and config.data_shape is not None:
        raise UserError(f"--data-shape: {config.network} takes --short and --max-size")
    given = [name for name in ("short", "max_size") if getattr(config, name) is not None]
    if given and network.kind != "faster_rcnn":
        raise UserError(
            f"--{given[0].replace('_', '-')}: {config.network} is an SSD and takes --data-shape; "
            f"a Faster R-CNN on the same backbone is named faster_rcnn_{network.backbone}"
        )
