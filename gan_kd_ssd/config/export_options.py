"""The options of ``gan-kd export``, as a frozen configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, class_names, with_dashes
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import positive


@dataclass(frozen=True)
class ExportConfig:
    """The network to export, and the files to write; the fields are the options.

    Settings of the network that are None or False are those of the run that wrote ``params``.
    """

    network: str
    params: Path
    data_shape: int | None
    use_fpn: bool
    roi_mode: str | None
    short: int | None
    max_size: int | None
    norm_layer: str | None

    classes: list[str] | None  # None takes those of the run that wrote the weights
    format: str  # 'symbol' or 'onnx'
    out: Path  # prefix of the written files
    raw: bool  # whether to omit non-maximum suppression
    batch_size: int | None  # images in a batch of an ONNX file; None for any number
    image: Path | None  # for the comparison; None for Matplotlib's sample photograph


def parse(words: Sequence[str]) -> ExportConfig:
    """Read the options; raise a UserError for an unknown option or a wrong value."""
    options = vars(_parser().parse_args(with_dashes(words)))
    config = ExportConfig(**{**options, "classes": class_names(options["classes"])})
    if config.out.name in ("", ".", "..") or config.out.is_dir():
        raise UserError(f"--out {config.out}: is a folder; give a prefix such as {config.out}/ssd")
    if config.batch_size and config.format == "symbol":
        raise UserError(
            "--batch-size: applies only to --format onnx; a symbol accepts any batch size"
        )
    return config


def _parser() -> Parser:
    parser = Parser(
        prog="gan-kd export",
        description="Export a trained detector as MXNet's symbol and parameters, or as ONNX. The exported "
        "file is compared with the network; if they differ, nothing is written (exit code 1).",
    )
    add = parser.add_argument_group("detector").add_argument
    add(
        "--network",
        required=True,
        help="name of the network, such as mobilenet1.0, ssd_512_mobilenet1.0_voc or resnet10_v1_0.25; "
        "a Faster R-CNN is named faster_rcnn_…",
    )
    add("--params", type=Path, required=True, metavar="FILE", help="weights of the network")
    run = "default: as in the run that wrote FILE"
    add(
        "--data-shape",
        type=positive,
        metavar="PIXELS",
        help=f"side of an SSD's square input ({run}, else as in the network's name, else 512)",
    )
    add(
        "--classes",
        metavar="A,B,…",
        help=f"class names in their order ({run}, else those of VOC or COCO if the network's name ends "
        "with _voc or _coco)",
    )
    help_text = f"Faster R-CNN with FPN ({run}, else as in the network's name)"
    add("--use-fpn", action="store_true", default=None, help=help_text)
    help_text = f"RoI pooling of a Faster R-CNN ({run}, else align)"
    add("--roi-mode", choices=("align", "pool"), help=help_text)
    help_text = f"trained BatchNorm of a Faster R-CNN ({run}, else none)"
    add("--norm-layer", choices=("bn",), help=help_text)
    help_text = f"short side of a Faster R-CNN's input ({run}, else as in GluonCV)"
    add("--short", type=positive, metavar="PIXELS", help=help_text)
    help_text = f"longest side of a Faster R-CNN's input ({run}, else as in GluonCV)"
    add("--max-size", type=positive, metavar="PIXELS", help=help_text)
    add = parser.add_argument_group("file").add_argument
    add("--format", choices=("symbol", "onnx"), default="symbol", help="file format")
    add("--out", type=Path, required=True, metavar="PREFIX", help="prefix of the written files")
    add(
        "--raw",
        action="store_true",
        help="export all class scores and boxes, without non-maximum suppression",
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
        help="image for the comparison, which also uses noise (default: Matplotlib's sample photograph)",
    )
    return parser
