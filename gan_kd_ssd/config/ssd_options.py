"""The options of ``train_ssd_gkd.py``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gan_kd_ssd.config import option_groups as groups
from gan_kd_ssd.config.parser import Parser, not_negative, positive
from gan_kd_ssd.util.errors import UserError

SCRIPT = "train_ssd_gkd.py"


def train_ssd_parser() -> Parser:
    """The parser of ``train_ssd_gkd.py``."""
    parser = Parser(
        prog=SCRIPT,
        description="Train an SSD, alone or with GAN-KD from a trained teacher (arXiv 1906.08467). "
        "Defaults are those of the published log, as far as it shows them.",
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
        thin="mobilenet1.0, resnet18_v1, …; ssd_512_mobilenet1.0 is the same), a narrow one of them "
        "(mobilenet1.0_w0.25: a quarter of the channels) or a thin one (resnet10_v1_0.25); published "
        "pair",
        network="vgg16_atrous",
        network_help="in the published Namespace, and not used there: student and teacher have options",
    )
    group.add_argument(
        "--teacher-params",
        default="",
        metavar="FILE",
        help="the trained teacher (default: the weights that GluonCV's zoo publishes)",
    )
    group.add_argument("--data-shape", type=positive, default=512, help="side of the input, pixels")


def _data(parser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        default="voc",
        help="voc (07+12 trainval, 07 test), voc07, coco (2017 train, val), shapes or shapes_coco "
        "(generated), or a folder in VOC or COCO layout",
    )
    groups.add_folder(group)
    group.add_argument(
        "--augmentation",
        choices=("ssd", "flip"),
        default="ssd",
        help="ssd: GluonCV's, as published; flip: colours and flips alone, for short trainings",
    )


def _schedule(parser) -> None:
    group = parser.add_argument_group("schedule")
    add = group.add_argument
    add("--batch-size", type=positive, default=64, help="images in a step, on all devices together")
    add("--epochs", type=not_negative, default=340, help="number of the last epoch")
    add("--start-epoch", type=not_negative, default=1, help="number of the first epoch")
    groups.add_sgd(group, 0.001, "80,100")
    add(
        "--gan-val-interval",
        type=not_negative,
        metavar="N",
        help="the same in the GAN stage (default: --val-interval); 0, as in the published run, "
        "validates at its last epoch alone",
    )


def _distillation(parser) -> None:
    group = parser.add_argument_group("distillation")
    add = group.add_argument
    groups.add_distill(group)
    add(
        "--gan-epochs",
        type=not_negative,
        default=221,
        help="last epoch of the GAN stage; detection losses alone after it (published: 221)",
    )
    groups.add_adversarial(group, clamp="conv")


def parse_train_ssd(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read and check the options of ``train_ssd_gkd.py``.

    Raises:
        UserError: an unknown option, or values that cannot be right, alone or together.
    """
    words = sys.argv[1:] if argv is None else argv
    options = groups.parse_like(train_ssd_parser(), SCRIPT, words)
    groups.check_common(options)
    if options.epochs < options.start_epoch:
        raise UserError(
            f"--epochs {options.epochs}: the last epoch comes before --start-epoch "
            f"{options.start_epoch}"
        )
    if (
        options.distill != "none"
        and options.gan_epochs < options.start_epoch
        and not options.resume
    ):
        raise UserError(
            f"--gan-epochs {options.gan_epochs}: ends before --start-epoch {options.start_epoch}; "
            "give a later epoch, or --distill none"
        )
    return options
