"""The options of ``train_faster_rcnn_gkd.py``; see :mod:`gan_kd_ssd.config.option_groups` for what they share.

Options of the eight published Namespace lines keep their name, their default and their meaning; where
those eight differ (devices, batch size, workers, clamp), defaults are the last one's, the published
run's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gan_kd_ssd.config import option_groups as groups
from gan_kd_ssd.config.parser import Parser, not_negative, positive
from gan_kd_ssd.util.errors import UserError

SCRIPT = "train_faster_rcnn_gkd.py"


def train_faster_rcnn_parser() -> Parser:
    """The parser of ``train_faster_rcnn_gkd.py``."""
    parser = Parser(
        prog=SCRIPT,
        description="Train a Faster R-CNN, alone or with GAN-KD from a trained teacher "
        "(arXiv 1906.08467). Defaults are those of the published log, as far as it shows them.",
    )
    groups.add_like(parser)
    _networks(parser)
    _data(parser)
    _schedule(parser)
    _distillation(parser)
    groups.add_training_devices(parser)
    groups.add_output(parser, save_interval=1)
    parser.add_argument(
        "--verbose", action="store_true", help="print the names of the trained parameters"
    )
    return parser


def _networks(parser) -> None:
    group = parser.add_argument_group("networks")
    add = group.add_argument
    groups.add_networks(
        group,
        "resnet50_v1b",
        "resnet101_v1d",
        thin="faster_rcnn_resnet50_v1b is the same), a narrow one of them (resnet50_v1b_w0.25) or a "
        "thin one (resnet10_v1_0.25); published pair",
        network="resnet50_resnet101_v1b_g_d",
        network_help="in the published Namespace, where it names the pair; not used: student and "
        "teacher have options",
    )
    add(
        *("--Teacher-param-path", "--teacher-params"),
        default="",
        metavar="FILE",
        help="the trained teacher; the zoo publishes none for VOC",
    )
    add("--use-fpn", action="store_true", help="levels of strides 4 to 64, not one of 16")
    add("--roi-mode", choices=("align", "pool"), default="align", help="how RoIs are pooled")
    add("--short", type=positive, metavar="PIXELS", help="short side (default: the zoo's, 600)")
    add("--max-size", type=positive, metavar="PIXELS", help="greatest side (the zoo's, 1000)")
    add(
        "--norm-layer",
        choices=("bn",),
        help="bn trains BatchNorm in the backbone; by default it keeps its ImageNet values",
    )
    add("--static-alloc", action="store_true", help="keep the memory of each graph")
    add("--disable-hybridization", action="store_true", help="run layer by layer, uncompiled")


def _data(parser) -> None:
    group = parser.add_argument_group("data")
    add = group.add_argument
    add(
        "--dataset",
        default="voc",
        help="voc (07 trainval, 07 test: the published run's 1252 batches of 4), voc0712 (07+12 "
        "trainval, 07 test), coco (2017 train, val), shapes or shapes_coco (generated), or a folder in "
        "VOC or COCO layout",
    )
    groups.add_folder(group)
    add("--mixup", action="store_true", help="train on mixtures of two images (published: off)")
    add("--no-mixup-epochs", type=not_negative, default=20, help="last epochs without --mixup")


def _schedule(parser) -> None:
    group = parser.add_argument_group("schedule")
    add = group.add_argument
    add("--batch-size", type=positive, help="images in a step (default: one a device)")
    add("--epochs", type=positive, default=38, help="number of epochs, counted from 0")
    add("--start-epoch", type=not_negative, default=0, help="number of the first epoch")
    groups.add_sgd(group, 0.0001, "32,36")
    add(
        "--lr-warmup",
        type=_warmup,
        default=-1,
        metavar="BATCHES",
        help="batches over which --lr rises from a third; -1: none",
    )


def _distillation(parser) -> None:
    group = parser.add_argument_group("distillation")
    add = group.add_argument
    groups.add_distill(group)
    add(
        *("--GAN-epochs", "--gan-epochs"),
        type=not_negative,
        default=26,
        help="last epoch with the GAN; detection losses alone after it",
    )
    add(
        *("--train-D-eopch", "--train-D-epoch"),
        type=not_negative,
        default=2,
        help="first epochs in which the discriminators learn and the student gets no adversarial "
        "gradient (inferred from the cost of the published epochs; spelt as there, and right)",
    )
    add(
        "--lr-decay-GAN-epoch",
        default="5,20",
        help="epochs at which --lrD and --lrG are halved (published: at 5; nothing seen at 20)",
    )
    groups.add_adversarial(group, clamp="all")


def _warmup(text: str) -> int:
    """-1, or a whole number from 0, for argparse."""
    return -1 if text == "-1" else not_negative(text)


def data_set(name: str) -> str:
    """What :func:`~gan_kd_ssd.data.formats.catalog.open_dataset` calls a data set of ``--dataset``.

    VOC is VOC 2007 alone for Faster R-CNN: the published run has 1252 batches of 4 an epoch, which is
    its 5,011 images.
    """
    return {"voc": "voc07", "voc0712": "voc"}.get(name, name)


def parse_train_faster_rcnn(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read and check the options of ``train_faster_rcnn_gkd.py``.

    Raises:
        UserError: an unknown option, or values that cannot be right, alone or together.
    """
    words = sys.argv[1:] if argv is None else argv
    options = groups.parse_like(train_faster_rcnn_parser(), SCRIPT, words)
    groups.check_common(options)
    if options.epochs <= options.start_epoch:
        raise UserError(
            f"--epochs {options.epochs}: counted from 0, none is left from --start-epoch "
            f"{options.start_epoch}"
        )
    if options.short and options.max_size and options.max_size < options.short:
        raise UserError(
            f"--max-size {options.max_size} is below --short {options.short}: give the larger side"
        )
    if (
        options.distill != "none"
        and options.GAN_epochs < options.start_epoch
        and not options.resume
    ):
        raise UserError(
            f"--GAN-epochs {options.GAN_epochs}: ends before --start-epoch {options.start_epoch}; "
            "give a later epoch, or --distill none"
        )
    return options
