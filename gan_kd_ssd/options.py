"""The command lines: shared pieces, and the options of ``train_ssd_gkd.py``.

Imports the standard library alone, so that ``--help`` is answered at once. Names may be written with
dashes or underscores. Options of the published log's Namespace lines keep their name, their default and
their meaning; help texts say of every other choice whether it is published or inferred.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence

from gan_kd_ssd.errors import UserError

_NEGATIVE = re.compile(r"-[\d.][\d.e+-]*", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """An argument parser that reports mistakes as :class:`UserError` and knows no abbreviations."""

    def __init__(self, **settings):
        settings.setdefault("epilog", "Option names may be written with dashes or underscores.")
        super().__init__(allow_abbrev=False, formatter_class=Defaults, **settings)

    def error(self, message):
        raise UserError(f"{message} (see --help)")


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one to show."""

    def _get_help_string(self, action):
        if action.default in (None, "") or "%(default)" in action.help:
            return action.help
        return super()._get_help_string(action)


def with_dashes(words: Sequence[str]) -> list[str]:
    """``--data_shape=3`` as ``--data-shape=3``; values stay as they are."""
    names: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            names.append(name.replace("_", "-") + equals + value)
        elif _NEGATIVE.fullmatch(word) and names and names[-1].startswith("--"):
            names[-1] += f"={word}"  # argparse takes -3e-2 for an option of its own
        else:
            names.append(word)
    return names


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def not_negative(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def rate(text: str) -> float:
    """A finite number from 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return value


def finite(text: str) -> float:
    """A finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def class_names(text: str | None) -> list[str] | None:
    """``--classes``: 'a,b' -> ['a', 'b']; None stays None."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"--classes {text!r}: give names apart by commas, each of them once")
    return names


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


def train_ssd_parser() -> Parser:
    """The parser of ``train_ssd_gkd.py``."""
    parser = Parser(
        prog="train_ssd_gkd.py",
        description="Train an SSD, alone or with GAN-KD from a trained teacher (arXiv 1906.08467). "
        "Defaults are those of the published log, as far as it shows them.",
    )
    parser.add_argument(
        "--like",
        metavar="LOG",
        help="take the options of a log's last run, "
        "but for --save-prefix and --resume; others override them",
    )
    _networks(parser)
    _data(parser)
    _schedule(parser)
    _distillation(parser)
    add_training_devices(parser)
    add_output(parser, save_interval=10)
    return parser


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


def _networks(parser) -> None:
    group = parser.add_argument_group("networks")
    group.add_argument(
        "--student",
        default="mobilenet1.0",
        help="network to train, by its backbone in GluonCV's zoo (mobilenet1.0, resnet18_v1, …; "
        "ssd_512_mobilenet1.0 is the same), a narrow one of them (mobilenet1.0_w0.25: a quarter of the "
        "channels) or a thin one (resnet10_v1_0.25); published pair",
    )
    group.add_argument("--teacher", default="resnet50_v1", help="network to learn from")
    group.add_argument(
        "--teacher-params",
        default="",
        metavar="FILE",
        help="the trained teacher (default: the weights that GluonCV's zoo publishes)",
    )
    group.add_argument(
        "--network",
        default="vgg16_atrous",
        help="in the published Namespace, and not used there: student and teacher have options",
    )
    group.add_argument(
        "--pretrained-base",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start the student's backbone from the zoo's ImageNet weights, as GluonCV's script",
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
    add_folder(group)
    group.add_argument(
        "--augmentation",
        choices=("ssd", "flip"),
        default="ssd",
        help="ssd: GluonCV's, as published; flip: colours and flips alone, for short trainings",
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


def _schedule(parser) -> None:
    group = parser.add_argument_group("schedule")
    add = group.add_argument
    add("--batch-size", type=positive, default=64, help="images in a step, on all devices together")
    add("--epochs", type=not_negative, default=340, help="number of the last epoch")
    add("--start-epoch", type=not_negative, default=1, help="number of the first epoch")
    add("--lr", type=rate, default=0.001, help="learning rate of the detection losses (SGD)")
    add(
        "--lr-decay",
        type=rate,
        default=0.1,
        help="factor at each of --lr-decay-epoch; of --lr alone",
    )
    add(
        "--lr-decay-epoch",
        default="80,100",
        help="epochs at which --lr is decayed; it had no visible effect in the published run",
    )
    add("--momentum", type=rate, default=0.9, help="of SGD")
    add("--wd", type=rate, default=0.0005, help="weight decay of SGD")
    add("--val-interval", type=positive, default=1, help="epochs between validations")
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
    add(
        "--distill",
        choices=("gan", "none"),
        default="gan",
        help="none trains the student alone: the plain baseline, or a teacher",
    )
    add(
        "--gan-epochs",
        type=not_negative,
        default=221,
        help="last epoch of the GAN stage; detection losses alone after it (published: 221)",
    )
    add_adversarial(group, clamp="conv")


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
        from gan_kd_ssd.logs.arguments import command_like

        command = command_like(log, script)
        for name in ("save_prefix", "resume"):  # a new run, in files of its own
            command.options.pop(name, None)
        for remark in command.remarks:
            print(f"--like: {remark}", file=sys.stderr)
        words = [*command.words(), *words]
    options = parser.parse_args(words)
    del options.like  # what it stands for is in the others
    return options


def parse_train_ssd(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read and check the options of ``train_ssd_gkd.py``.

    Raises:
        UserError: an unknown option, or values that cannot be right, alone or together.
    """
    words = sys.argv[1:] if argv is None else argv
    options = parse_like(train_ssd_parser(), "train_ssd_gkd.py", words)
    check_common(options)
    if options.epochs < options.start_epoch:
        raise UserError(
            f"--epochs {options.epochs}: the last epoch comes before --start-epoch "
            f"{options.start_epoch}"
        )
    if options.distill == "gan" and options.gan_epochs < options.start_epoch and not options.resume:
        raise UserError(
            f"--gan-epochs {options.gan_epochs}: ends before --start-epoch {options.start_epoch}; "
            "give a later epoch, or --distill none"
        )
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
