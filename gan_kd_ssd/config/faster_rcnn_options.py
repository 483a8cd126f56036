"""The options of ``train_faster_rcnn_gkd.py``.

Options of the eight published ``Namespace`` lines keep their name, their default and their meaning.
Where the eight lines differ (devices, batch size, workers, clamp), the defaults are those of the last
line, which belongs to the published run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gan_kd_ssd.config import option_groups as groups
from gan_kd_ssd.config.parser import Parser, not_negative, positive, with_dashes
from gan_kd_ssd.util.errors import UserError

SCRIPT = "train_faster_rcnn_gkd.py"


def train_faster_rcnn_parser() -> Parser:
    """The parser of ``train_faster_rcnn_gkd.py``."""
    parser = Parser(
        prog=SCRIPT,
        description="Train a Faster R-CNN, with GAN knowledge distillation from a trained teacher "
        "(arXiv 1906.08467) or without. Defaults are the published ones where the log shows them.",
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
        examples="resnet50_v1b (or faster_rcnn_resnet50_v1b), …; resnet50_v1b_w0.25 has a quarter of "
        "the channels, resnet10_v1_0.25 is a smaller ResNet of this project",
        network="resnet50_resnet101_v1b_g_d",
        network_help="unused; names student and teacher in the published Namespace (see --student "
        "and --teacher)",
    )
    add(
        *("--Teacher-param-path", "--teacher-params"),
        default="",
        metavar="FILE",
        help="parameter file of the trained teacher; GluonCV publishes none for VOC",
    )
    add(
        "--use-fpn",
        action="store_true",
        help="use the five FPN levels of strides 4 to 64, not one level of stride 16",
    )
    add("--roi-mode", choices=("align", "pool"), default="align", help="RoI pooling")
    add(
        "--short",
        type=positive,
        metavar="PIXELS",
        help="short side of the input (default: GluonCV's, 600)",
    )
    add(
        "--max-size",
        type=positive,
        metavar="PIXELS",
        help="maximum long side of the input (default: GluonCV's, 1000)",
    )
    add(
        "--norm-layer",
        choices=("bn",),
        help="bn trains the BatchNorm layers of the backbone; by default they keep their ImageNet "
        "values",
    )
    add("--static-alloc", action="store_true", help="keep the memory of each compiled graph")
    add("--disable-hybridization", action="store_true", help="run the networks uncompiled")


def _data(parser) -> None:
    group = parser.add_argument_group("data")
    add = group.add_argument
    add(
        "--dataset",
        default="voc",
        help="voc (07 trainval, 07 test: the published run's 1252 batches of 4), voc0712 (07+12 "
        "trainval, 07 test), coco (2017 train, val), shapes or shapes_coco (generated), or the path of "
        "a folder in VOC or COCO layout",
    )
    groups.add_folder(group)
    add("--mixup", action="store_true", help="mix pairs of training images (published: off)")
    add(
        "--no-mixup-epochs",
        type=not_negative,
        default=20,
        help="number of final epochs without --mixup",
    )


def _schedule(parser) -> None:
    group = parser.add_argument_group("schedule")
    add = group.add_argument
    add("--batch-size", type=positive, help="images in a batch (default: one per device)")
    add("--epochs", type=positive, default=38, help="number of epochs, counted from 0")
    add("--start-epoch", type=not_negative, default=0, help="number of the first epoch")
    groups.add_sgd(group, 0.0001, "32,36")
    add(
        "--lr-warmup",
        type=_warmup,
        default=-1,
        metavar="BATCHES",
        help="batches over which the learning rate rises from a third of --lr to --lr; -1: no warm-up",
    )


def _distillation(parser) -> None:
    group = parser.add_argument_group("distillation")
    add = group.add_argument
    groups.add_distill(group)
    add(
        *("--GAN-epochs", "--gan-epochs"),
        type=not_negative,
        default=26,
        help="last epoch of the GAN stage; later epochs use the detection losses only",
    )
    add(
        *("--train-D-eopch", "--train-D-epoch"),
        type=not_negative,
        default=2,
        help="number of first epochs without an adversarial gradient for the student, while the "
        "discriminators learn (inferred from epoch times; the misspelling is the published one)",
    )
    add(
        "--lr-decay-GAN-epoch",
        default="5,20",
        help="epochs at which --lrD and --lrG are halved (the published log shows a change at 5, none "
        "at 20)",
    )
    groups.add_adversarial(group, clamp="all")


def _warmup(text: str) -> int:
    """Argparse type: -1, or a whole number from 0."""
    return -1 if text == "-1" else not_negative(text)


def data_set(name: str) -> str:
    """The name in :mod:`gan_kd_ssd.data.formats.catalog` of a data set given by ``--dataset``.

    For Faster R-CNN, VOC means VOC 2007 only: an epoch of the published run has 1252 batches of 4,
    which are its 5,011 images.
    """
    return {"voc": "voc07", "voc0712": "voc"}.get(name, name)


def parse_train_faster_rcnn(words: Sequence[str]) -> argparse.Namespace:
    """Parse and check the options of ``train_faster_rcnn_gkd.py``.

    Raises:
        UserError: an unknown option, or values that cannot be right, alone or together.
    """
    options = groups.without_like(train_faster_rcnn_parser().parse_args(with_dashes(words)))
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
    ends_early = options.distill != "none" and options.GAN_epochs < options.start_epoch
    if ends_early and not options.resume:
        raise UserError(
            f"--GAN-epochs {options.GAN_epochs}: ends before --start-epoch {options.start_epoch}; "
            "give a later epoch, or --distill none"
        )
    return options
