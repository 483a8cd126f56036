"""Groups of options that the training scripts share; some belong to evaluation as well.

Defaults that differ between the scripts are arguments of the functions.
"""

from __future__ import annotations

import argparse

from gan_kd_ssd.config.parser import class_names, not_negative, positive, rate
from gan_kd_ssd.distill.options import DistillConfig
from gan_kd_ssd.util.errors import UserError


def add_devices(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add ``--gpus`` and ``--cpu-devices``."""
    group = parser.add_argument_group("devices")
    group.add_argument(
        "--gpus",
        help="GPU numbers such as 0,1; '' selects the CPU "
        "(default: up to two GPUs, or the CPU if there is none)",
    )
    group.add_argument(
        "--cpu-devices", type=positive, default=1, help="number of CPU contexts if no GPU is used"
    )
    return group


def add_like(parser: argparse.ArgumentParser) -> None:
    """Add ``--like``, which the command line replaces by the options of a log."""
    parser.add_argument(
        "--like",
        metavar="LOG",
        help="use the options of the last run in LOG, except --save-prefix and --resume; "
        "options given on the command line override them",
    )


def add_training_devices(parser: argparse.ArgumentParser) -> None:
    """Add the devices, the summation of gradients and the number of worker processes."""
    devices = add_devices(parser)
    devices.add_argument(
        "--kv-store",
        default="device",
        choices=("device", "local", "nccl"),
        help="MXNet key-value store that sums the gradients of the devices",
    )
    devices.add_argument(
        "--num-workers",
        type=not_negative,
        default=4,
        help="number of processes that prepare images",
    )


def add_folder(group) -> None:
    """Add the place of the data, its classes and splits, the metric and the seed."""
    group.add_argument(
        "--data-root",
        metavar="DIR",
        help="folder of the named data sets "
        "(default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
    )
    group.add_argument(
        "--classes",
        metavar="A,B,…",
        help="class names of a folder, in order (default: all classes in its annotations)",
    )
    group.add_argument(
        "--train-split",
        metavar="NAME",
        help="training split of a folder: ImageSets/Main/NAME.txt or annotations/instances_NAME.json",
    )
    group.add_argument(
        "--val-split",
        metavar="NAME",
        help="validation split of a folder: ImageSets/Main/NAME.txt or "
        "annotations/instances_NAME.json",
    )
    group.add_argument(
        "--metric",
        choices=("voc07", "voc12", "coco"),
        help="metric of the validations: voc07 is the 11-point AP and voc12 the area under the curve, "
        "both at IoU 0.5; coco reports COCO's twelve figures (default: voc07, as published; coco for "
        "data in COCO layout)",
    )
    group.add_argument(
        "--seed",
        type=not_negative,
        default=233,
        help="seed of the initial weights, the order of the images and the augmentation",
    )


def add_networks(
    group, student: str, teacher: str, *, examples: str, network: str, network_help: str
) -> None:
    """Add the names of student and teacher, and the unused ``--network`` of the published logs."""
    add = group.add_argument
    add(
        "--student",
        default=student,
        help=f"network to train, named after its backbone in GluonCV's model zoo: {examples}",
    )
    add("--teacher", default=teacher, help="trained network to learn from")
    add("--network", default=network, help=network_help)
    add(
        "--pretrained-base",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="initialize the student's backbone with GluonCV's ImageNet weights",
    )


def add_sgd(group, lr: float, lr_decay_epoch: str) -> None:
    """Add the optimizer of the detection losses and the validation interval."""
    add = group.add_argument
    add("--lr", type=rate, default=lr, help="learning rate of the detection losses (SGD)")
    add(
        "--lr-decay",
        type=rate,
        default=0.1,
        help="factor applied to --lr at each epoch of --lr-decay-epoch",
    )
    add(
        "--lr-decay-epoch",
        default=lr_decay_epoch,
        help="epochs at which --lr is multiplied by --lr-decay "
        "(the published log shows no effect of this option)",
    )
    add("--momentum", type=rate, default=0.9, help="SGD momentum")
    add("--wd", type=rate, default=0.0005, help="SGD weight decay")
    add("--val-interval", type=positive, default=1, help="epochs between validations")


def add_output(parser: argparse.ArgumentParser, save_interval: int) -> None:
    """Add the output files, the intervals at which they are written, and ``--resume``."""
    group = parser.add_argument_group("output")
    add = group.add_argument
    add(
        "--save-prefix",
        default="",
        metavar="PREFIX",
        help="prefix of every output file; end the name of a folder with / "
        "(default: the names of the networks and of the data set)",
    )
    add(
        "--overwrite",
        action="store_true",
        help="replace the parameters of an earlier run with this prefix and append to its log",
    )
    add("--save-interval", type=positive, default=save_interval, help="epochs between checkpoints")
    add("--log-interval", type=positive, default=100, help="batches between log lines")
    add(
        "--resume",
        default="",
        metavar="FILE",
        help="PREFIX_state.zip continues a run exactly where it stopped; "
        "a .params file starts a new run from these weights (with --start-epoch)",
    )
    add(
        "--quiet",
        action="store_true",
        help="print no progress bar and no log; the log file is written as usual",
    )


def without_like(options: argparse.Namespace) -> argparse.Namespace:
    """Drop ``--like``: the command line replaces it by the options of the log before parsing."""
    if options.like is not None:
        raise UserError(f"--like {options.like}: give it on the script's own command line")
    del options.like
    return options


def check_common(options: argparse.Namespace) -> None:
    """Check the values that both scripts share; raises :class:`UserError` for a wrong one."""
    class_names(options.classes)
    DistillConfig.from_options(options)  # checks its values
