"""Options of ``gan-kd export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gan_kd_ssd.config.parser import Parser, class_names, with_dashes
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import add_options, count, option

_RUN = "default: from the run that wrote FILE"


@dataclass(frozen=True)
class ExportConfig:
    """The network to export, and the files to write; the fields are the options."""

    network: str = option(
        None,
        "name of the network, such as mobilenet1.0, ssd_512_mobilenet1.0_voc or resnet10_v1_0.25; a "
        "Faster R-CNN is named faster_rcnn_…",
        group="detector",
        required=True,
    )
    params: Path = option(None, "weights of the network", type=Path, required=True, metavar="FILE")
    data_shape: int | None = count(
        None,
        f"side of an SSD's square input ({_RUN}, or the network's name, or 512)",
        metavar="PIXELS",
    )
    classes: list[str] | None = option(
        None,
        f"class names in their order ({_RUN}, or those of VOC or COCO if the network's name ends with "
        "_voc or _coco)",
        metavar="A,B,…",
    )
    use_fpn: bool | None = option(
        None, f"Faster R-CNN with FPN ({_RUN}, or the network's name)", action="store_true"
    )
    roi_mode: str | None = option(
        None, f"RoI features: RoIAlign or RoIPool ({_RUN}, or align)", choices=("align", "pool")
    )
    norm_layer: str | None = option(
        None, f"trained BatchNorm of a Faster R-CNN ({_RUN}, or none)", choices=("bn",)
    )
    short: int | None = count(
        None, f"short side of a Faster R-CNN's input ({_RUN}, or GluonCV)", metavar="PIXELS"
    )
    max_size: int | None = count(
        None, f"maximum long side of the input ({_RUN}, or GluonCV)", metavar="PIXELS"
    )
    format: str = option("symbol", "file format", choices=("symbol", "onnx"), group="file")
    out: Path = option(
        None, "prefix of the written files", type=Path, required=True, metavar="PREFIX"
    )
    raw: bool = option(False, "export all class scores and boxes, without non-maximum suppression")
    batch_size: int | None = count(
        None, "number of images in a batch of an ONNX file (default: any number)", metavar="N"
    )
    image: Path | None = option(
        None,
        "image for the comparison, in addition to noise (default: Matplotlib's sample photograph)",
        type=Path,
        metavar="FILE",
    )


def parse(words: Sequence[str]) -> ExportConfig:
    """Parse a command line; raise a UserError for an unknown option or an invalid value."""
    parser = Parser(
        prog="gan-kd export",
        description="Export a trained detector as MXNet's symbol and parameters, or as ONNX. The exported "
        "file is compared with the network; if they differ, nothing is written (exit code 1).",
    )
    add_options(parser, ExportConfig)
    config = ExportConfig(**vars(parser.parse_args(with_dashes(words))))
    if config.out.name in ("", ".", "..") or config.out.is_dir():
        raise UserError(f"--out {config.out} is a folder; give a prefix such as {config.out}/ssd")
    if config.batch_size and config.format == "symbol":
        raise UserError(
            "--batch-size: applies only to --format onnx; a symbol accepts any batch size"
        )
    return replace(config, classes=class_names(config.classes))
