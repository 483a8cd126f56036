"""Options that both training scripts have, and evaluation in part; defaults that differ are arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gan_kd_ssd.config.parser import (
    Parser,
    class_names,
    finite,
    not_negative,
    positive,
    rate,
    with_dashes,
)
from gan_kd_ssd.util.errors import UserError


def add_devices(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """--gpus and --cpu-devices."""
    group = parser.add_argument_group("devices")
    group.add_argument(
        "--gpus", help="GPUs such as 0,1; '' is the CPU (default: the first two, one, or the CPU)"
    )
    group.add_argument(
        "--cpu-devices", type=positive, default=1, help="CPU contexts, where no GPU is used"
    )
    return group


def add_like(parser: argparse.ArgumentParser) -> None:
    """The log whose options are taken, see :func:`parse_like`."""
    parser.add_argument(
        "--like",
        metavar="LOG",
        help="take the options of a log's last run, "
        "but for --save-prefix and --resume; others override them",
    )


def add_training_devices(parser: argparse.ArgumentParser) -> None:
    """Devices, how they share gradients, and the processes that feed them."""
    devices = add_devices(parser)
    devices.add_argument(
        "--kv-store",
        default="device",
        choices=("device", "local", "nccl"),
        help="how MXNet sums gradients over devices",
    )
    devices.add_argument(
        "--num-workers", type=not_negative, default=4, help="processes that prepare images"
    )


def add_folder(group) -> None:
    """Where the data is, which classes and splits of it, and the seed."""
    group.add_argument(
        "--data-root",
        metavar="DIR",
        help="where the named sets are (default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
    )
    group.add_argument(
        "--classes", metavar="A,B,…", help="a folder's classes (default: those in its annotations)"
    )
    group.add_argument(
        "--train-split",
        metavar="NAME",
        help="a folder's ImageSets/Main/NAME.txt or annotations/instances_NAME.json",
    )
    group.add_argument("--val-split", metavar="NAME", help="likewise, for validation")
    group.add_argument(
        "--metric",
        choices=("voc07", "voc12", "coco"),
        help="of the validations: VOC07's 11-point AP, VOC12's area under the curve, both at IoU 0.5, "
        "or COCO's twelve figures (default: voc07, as published; coco for data in COCO layout)",
    )
    group.add_argument(
        "--seed", type=not_negative, default=233, help="of weights, order, augmentation"
    )


def add_networks(
    group, student: str, teacher: str, *, thin: str, network: str, network_help: str
) -> None:
    """Student and teacher by name, and what the published Namespaces call network."""
    add = group.add_argument
    add(
        "--student",
        default=student,
        help=f"network to train, by its backbone in GluonCV's zoo ({thin}",
    )
    add("--teacher", default=teacher, help="network to learn from")
    add("--network", default=network, help=network_help)
    add(
        "--pretrained-base",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start the student's backbone from the zoo's ImageNet weights, as GluonCV's script",
    )


def add_sgd(group, lr: float, lr_decay_epoch: str) -> None:
    """How the detection losses are trained, and how often the student is validated."""
    add = group.add_argument
    add("--lr", type=rate, default=lr, help="learning rate of the detection losses (SGD)")
    add(
        "--lr-decay",
        type=rate,
        default=0.1,
        help="factor at each of --lr-decay-epoch; of --lr alone",
    )
    add(
        "--lr-decay-epoch",
        default=lr_decay_epoch,
        help="epochs at which --lr is decayed; it had no visible effect in the published run",
    )
    add("--momentum", type=rate, default=0.9, help="of SGD")
    add("--wd", type=rate, default=0.0005, help="weight decay of SGD")
    add("--val-interval", type=positive, default=1, help="epochs between validations")


def add_distill(group) -> None:
    """With a teacher or without."""
    group.add_argument(
        "--distill",
        choices=("gan", "none"),
        default="gan",
        help="none trains the student alone: the plain baseline, or a teacher",
    )


def add_adversarial(group, clamp: str) -> None:
    """Options of the GAN; ``clamp`` is the default of --clamp, which differs between detectors."""
    add = group.add_argument
    add("--lrD", type=rate, default=0.0005, help="learning rate of the discriminators (Adam)")
    add("--lrG", type=rate, default=0.0005, help="of the adversarial update (Adam)")
    add("--beta1", type=rate, default=0.5, help="of both Adams; that they are Adam is inferred")
    add("--clamp-lower", type=finite, default=-0.03, help="least weight in a discriminator")
    add("--clamp-upper", type=finite, default=0.03, help="greatest weight in a discriminator")
    add(
        "--clamp",
        choices=("conv", "all"),
        default=clamp,
        help="clamp the convolutions, or every parameter with BatchNorm's; "
        "inferred: conv for SSD, all for Faster R-CNN, from the size of the published scores",
    )
    add(
        "--update",
        choices=("separate", "joint"),
        default="separate",
        help="separate: detection losses with SGD (--lr) and adversarial loss with Adam (--lrG), "
        "inferred from the published options; joint: their sum L_G with SGD, as the paper's formula",
    )
    add(
        "--levels",
        choices=("mean", "sum"),
        default="mean",
        help="how the scores of the levels become one; inferred from the size of the published scores",
    )
    add(
        "--adversarial-weight",
        type=rate,
        default=1.0,
        help="factor of the adversarial loss (published: none); Adam undoes its scale, so that with "
        "--update separate it is --lrG that sets the strength",
    )
    add(
        "--cosine-attention",
        type=rate,
        nargs="?",
        const=1.0,
        default=0.0,
        metavar="WEIGHT",
        help="add the cosine distance between attention maps; the log has such a figure, "
        "its definition is ours (1 where no WEIGHT is given)",
    )
    add(
        "--d-norm",
        choices=("batch", "instance", "none"),
        default="batch",
        help="normalisation in the discriminators; inferred from the published scores",
    )
    add("--d-channels", type=positive, default=512, help="width of the discriminators (published)")
    add(
        "--adapter",
        choices=("student", "teacher"),
        default="student",
        help="whose maps a 1x1 convolution brings to the other's channels; "
        "that there is one is published, the side is inferred",
    )
    add(
        "--student-head",
        choices=("teacher", "scratch"),
        default="teacher",
        help="start the student's predictors from the teacher's where shapes agree "
        "(figure 1's caption), or from scratch",
    )


def add_output(parser: argparse.ArgumentParser, save_interval: int) -> None:
    """Where files go, and how often they are written."""
    group = parser.add_argument_group("output")
    add = group.add_argument
    add(
        "--save-prefix",
        default="",
        metavar="PREFIX",
        help="of every file; a folder ends with / (default: named after the networks)",
    )
    add(
        "--overwrite",
        action="store_true",
        help="replace the parameters of an earlier run of this prefix, and continue its log",
    )
    add("--save-interval", type=positive, default=save_interval, help="epochs between saved states")
    add("--log-interval", type=positive, default=100, help="batches between lines of the log")
    add(
        "--resume",
        default="",
        metavar="FILE",
        help="PREFIX_state.zip goes on exactly where it was written; "
        "a .params file starts from these weights (with --start-epoch)",
    )
    add("--quiet", action="store_true", help="no progress bar, and the log in its file alone")


def parse_like(parser: Parser, script: str, words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of a script, those of ``--like LOG`` first: the command line overrides them.

    Raises:
        UserError: the log cannot be read, or has no run of this script.
    """
    words = with_dashes(words)
    finder = Parser(add_help=False)
    finder.add_argument("--like")
    log = finder.parse_known_args(words)[0].like
    if log is not None:
        from gan_kd_ssd.analysis.arguments import command_like

        command = command_like(log, script)
        for name in ("save_prefix", "resume", "overwrite"):  # a new run, in files of its own
            command.options.pop(name, None)
        for remark in command.remarks:
            print(f"--like: {remark}", file=sys.stderr)
        words = [*command.words(), *words]
    options = parser.parse_args(words)
    del options.like  # what it stands for is in the others
    return options


def check_common(options: argparse.Namespace) -> None:
    """Raise :class:`UserError` for values of either script that cannot be right."""
    class_names(options.classes)
    if options.clamp_lower >= options.clamp_upper:
        raise UserError(
            f"--clamp-lower {options.clamp_lower} is not below --clamp-upper {options.clamp_upper}: "
            "give the lower bound first, such as -0.03 and 0.03"
        )
    if options.beta1 >= 1:
        raise UserError(f"--beta1 {options.beta1}: give a number below 1")
