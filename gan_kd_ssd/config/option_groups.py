"""Options that both training scripts have, and evaluation in part; defaults that differ are arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gan_kd_ssd.config import distill_config
from gan_kd_ssd.config.parser import (
    Parser,
    class_names,
    not_negative,
    positive,
    rate,
    with_dashes,
)


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
    """Add ``--distill``, which chooses the distillation terms."""
    distill_config.add_distill(group)


def add_adversarial(group, clamp: str) -> None:
    """Add the options of the distillation terms.

    Args:
        clamp: default of ``--clamp``, which differs between the detectors.
    """
    distill_config.add_distill_options(group, clamp=clamp)


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
    distill_config.DistillConfig.from_options(options)
