"""The options of ``train_ssd_gkd.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gan_kd_ssd.config import option_groups as groups
from gan_kd_ssd.config.parser import Parser, not_negative, positive, with_dashes
from gan_kd_ssd.util.errors import UserError

SCRIPT = "train_ssd_gkd.py"


def train_ssd_parser() -> Parser:
    """The parser of ``train_ssd_gkd.py``."""
    parser = Parser(
        prog=SCRIPT,
        description="Train an SSD, with GAN knowledge distillation from a trained teacher "
        "(arXiv 1906.08467) or without. Defaults are the published ones where the log shows them.",
    )
    groups.add_like(parser)
    _networks(parser)
    _data(parser)
    _schedule(parser)
    _distillation(parser)
    groups.add_training_devices(parser)
    groups.add_output(parser, save_interval=10)
    return parser


def _networks(parser) -> None:
    group = parser.add_argument_group("networks")
    groups.add_networks(
        group,
        "mobilenet1.0",
        "resnet50_v1",
        examples="mobilenet1.0 (or ssd_512_mobilenet1.0), resnet18_v1, …; mobilenet1.0_w0.25 has a "
        "quarter of the channels, resnet10_v1_0.25 is a smaller ResNet of this project",
        network="vgg16_atrous",
        network_help="unused; part of the published Namespace (see --student and --teacher)",
    )
    group.add_argument(
        "--teacher-params",
        default="",
        metavar="FILE",
        help="parameter file of the trained teacher (default: the weights that GluonCV publishes)",
    )
    group.add_argument(
        "--data-shape", type=positive, default=512, help="side of the square input in pixels"
    )


def _data(parser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        default="voc",
        help="voc (07+12 trainval, 07 test), voc07, coco (2017 train, val), shapes or shapes_coco "
        "(generated), or the path of a folder in VOC or COCO layout",
    )
    groups.add_folder(group)
    group.add_argument(
        "--augmentation",
        choices=("ssd", "flip"),
        default="ssd",
        help="ssd: GluonCV's SSD augmentation, as published; flip: colour changes and horizontal "
        "flips only, for short trainings",
    )


def _schedule(parser) -> None:
    group = parser.add_argument_group("schedule")
    add = group.add_argument
    add(
        "--batch-size",
        type=positive,
        default=64,
        help="images in a batch, over all devices together",
    )
    add("--epochs", type=not_negative, default=340, help="number of the last epoch")
    add("--start-epoch", type=not_negative, default=1, help="number of the first epoch")
    groups.add_sgd(group, 0.001, "80,100")
    add(
        "--gan-val-interval",
        type=not_negative,
        metavar="N",
        help="epochs between validations in the GAN stage (default: --val-interval); 0 validates only "
        "at its last epoch, as in the published run",
    )


def _distillation(parser) -> None:
    group = parser.add_argument_group("distillation")
    add = group.add_argument
    groups.add_distill(group)
    add(
        "--gan-epochs",
        type=not_negative,
        default=221,
        help="last epoch of the GAN stage; later epochs use the detection losses only "
        "(published: 221)",
    )
    groups.add_adversarial(group, clamp="conv")


def parse_train_ssd(words: Sequence[str]) -> argparse.Namespace:
    """Parse and check the options of ``train_ssd_gkd.py``.

    Raises:
        UserError: an unknown option, or values that cannot be right, alone or together.
    """
    options = groups.without_like(train_ssd_parser().parse_args(with_dashes(words)))
    groups.check_common(options)
    if options.epochs < options.start_epoch:
        raise UserError(
            f"--epochs {options.epochs}: the last epoch comes before --start-epoch "
            f"{options.start_epoch}"
        )
    ends_early = options.distill != "none" and options.gan_epochs < options.start_epoch
    if ends_early and not options.resume:
        raise UserError(
            f"--gan-epochs {options.gan_epochs}: ends before --start-epoch {options.start_epoch}; "
            "give a later epoch, or --distill none"
        )
    return options
