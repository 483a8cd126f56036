"""Options and configuration of both kinds of trainings.

Each group of options is a frozen record whose fields declare the options. A configuration is a function
of the options only: a command line, a row of the paper's matrix and the ``Namespace`` line of an earlier
log give the same configuration. Defaults that depend on the machine, the data or the network are filled
in by :meth:`TrainConfig.resolved`, which returns another configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from gan_kd_ssd.config.parser import Parser, class_names, epoch_list, with_dashes
from gan_kd_ssd.detectors.names import NetworkName, read_name
from gan_kd_ssd.distill.options import SGD, DistillConfig, distill_names, option_records
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import (
    FIXED,
    FREE,
    add_options,
    count,
    decimal,
    number,
    option,
    options_in,
    pick,
)


@dataclass(frozen=True)
class NetworkConfig:
    """The options of student and teacher; ``network`` is unused, as in the published logs."""

    student: str
    teacher: str
    network: str
    pretrained_base: bool = option(
        True, "initialize the student's backbone with GluonCV's ImageNet weights"
    )
    use_fpn, disable_hybridization, static_alloc = False, False, True  # options of Faster R-CNN


@dataclass(frozen=True)
class DataConfig:
    """The options of the data set, of the metric and of the seed."""

    dataset: str
    data_root: str | None = option(
        None,
        "folder of the named data sets (default: $MXNET_HOME/datasets, else ~/.mxnet/datasets)",
        metavar="DIR",
    )
    classes: str | None = option(
        None,
        "class names for a folder, in the order of their ids (default: all classes in its annotations)",
        metavar="A,B,…",
    )
    train_split: str | None = option(
        None,
        "training split of a folder: ImageSets/Main/NAME.txt or annotations/instances_NAME.json",
        metavar="NAME",
    )
    val_split: str | None = option(
        None,
        "validation split of a folder: ImageSets/Main/NAME.txt or annotations/instances_NAME.json",
        metavar="NAME",
    )
    metric: str | None = option(
        None,
        "validation metric: voc07 is the 11-point AP and voc12 the area under the curve, both at "
        "IoU 0.5; coco reports COCO's twelve figures (default: voc07, as published; coco for data in "
        "COCO layout)",
        choices=("voc07", "voc12", "coco"),
        resume=FIXED,
    )
    seed: int = number(
        233,
        "seed of the initial weights, of the order of the images and of the augmentation",
        resume=FIXED,
    )

    @property
    def source(self) -> str:
        """The data set as :mod:`gan_kd_ssd.data.formats.catalog` names it."""
        return self.dataset


@dataclass(frozen=True)
class ScheduleConfig:
    """The options of the epochs, of the optimizer of the detection losses and of the validations."""

    batch_size: int | None
    epochs: int
    start_epoch: int
    lr: float = decimal(0.001, "learning rate of the detection losses (SGD)", resume=FREE)
    lr_decay: float = decimal(
        0.1, "factor applied to --lr at each epoch of --lr-decay-epoch", resume=FREE
    )
    lr_decay_epoch: str = option(
        "80,100",
        "epochs at which --lr is multiplied by --lr-decay (the published log shows no effect of this "
        "option)",
        resume=FREE,
    )
    momentum: float = decimal(0.9, "SGD momentum", resume=FREE)
    wd: float = decimal(0.0005, "SGD weight decay", resume=FREE)
    val_interval: int = count(1, "epochs between validations")
    gan_val_interval = None  # only SSD has this option
    lr_warmup = -1  # only Faster R-CNN has this option

    @property
    def sgd(self) -> SGD:
        """Settings of the optimizer."""
        return SGD(self.lr, self.momentum, self.wd)

    @property
    def decay_at(self) -> tuple[int, ...]:
        """Epochs at which the student's learning rate is reduced."""
        return epoch_list(self.lr_decay_epoch)


def _canonical(text: str) -> str:
    """The value of ``--distill`` with its terms in their order."""
    return ",".join(distill_names(text)) or "none"


_TERMS = " ".join(f"{name}, {term.summary};" for name, term in TERMS.items())


@dataclass(frozen=True)
class StageConfig:
    """Options that choose the distillation terms and the epochs in which they run."""

    distill: str = option(
        "gan",
        f"distillation terms, separated by commas: {_TERMS} none, training without a teacher (a baseline or "
        "a teacher)",
        type=_canonical,
        metavar="TERMS",
    )
    train_D_eopch, lr_decay_GAN_epoch = 0, ""  # only Faster R-CNN has these options

    @property
    def halved_at(self) -> tuple[int, ...]:
        """Epochs at which the learning rates of the distillation trainers are halved."""
        return epoch_list(self.lr_decay_GAN_epoch, "--lr-decay-GAN-epoch")


@dataclass(frozen=True)
class DeviceConfig:
    """The options of the devices and of the worker processes."""

    gpus: str | None = option(
        None,
        "GPU numbers such as 0,1; '' selects the CPU (default: up to two GPUs, or the CPU if there is "
        "none)",
        resume=FREE,
    )
    cpu_devices: int = count(1, "number of CPU contexts if no GPU is used", resume=FREE)
    kv_store: str = option(
        "device",
        "MXNet key-value store that sums the gradients of the devices",
        choices=("device", "local", "nccl"),
        resume=FREE,
    )
    num_workers: int = number(4, "number of worker processes that load and augment images")


@dataclass(frozen=True)
class OutputConfig:
    """The options of the files and messages of a run."""

    save_prefix: str = option(
        "",
        "prefix of all output files, such as out/student; a prefix that ends with / is a folder (default: "
        "made from the names of the networks and the data set)",
        metavar="PREFIX",
    )
    overwrite: bool = option(
        False, "replace the parameters of an earlier run with this prefix and append to its log"
    )
    save_interval: int = count(10, "epochs between checkpoints")
    log_interval: int = count(100, "batches between log lines")
    resume: str = option(
        "",
        "file to resume from: PREFIX_state.zip continues a run exactly where it stopped; a .params file "
        "starts a new run from its weights, at --start-epoch",
        metavar="FILE",
    )
    quiet: bool = option(
        False, "print no progress bar and no log; the log file is written as usual"
    )
    verbose = False  # only Faster R-CNN has this option


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a training; there is a subclass for each kind of detector.

    ``method`` has the settings of the distillation terms, ``namespace`` all options as the log prints
    them. Epochs are numbered from ``counted_from``; their first and last numbers are both inclusive.
    """

    networks: NetworkConfig
    data: DataConfig
    schedule: ScheduleConfig
    distillation: StageConfig
    devices: DeviceConfig
    output: OutputConfig
    method: DistillConfig
    namespace: Mapping[str, object]

    script: ClassVar[str]
    family: ClassVar[str]  # 'ssd' or 'faster_rcnn'
    description: ClassVar[str]
    groups: ClassVar[dict[str, type]]  # the records above by the title of their group in --help
    clamp: ClassVar[str]  # default of --clamp
    gan_option: ClassVar[str]  # name of the option for the last epoch of the GAN stage
    teacher_option: ClassVar[str]  # name of the option for the teacher's parameter file
    counted_from: ClassVar[int]  # number of a run's first epoch, as published

    @classmethod
    def parser(cls, program: str | None = None) -> Parser:
        """The parser of the script's options; ``program`` is the name in its usage line."""
        parser = Parser(
            prog=program or cls.script,
            description=f"Train {cls.description} with or without GAN knowledge distillation from a trained "
            "teacher (arXiv 1906.08467). The defaults are those of the published log, if it has the option.",
        )
        parser.add_argument(
            "--like",
            metavar="LOG",
            help="use the options of the last run in LOG, except --save-prefix and --resume; options "
            "given on the command line override them",
        )
        for title, record in cls.groups.items():
            group = parser.add_argument_group(title)
            add_options(group, record)
            if record is cls.groups["distillation"]:
                for options in option_records().values():
                    add_options(group, options)
        parser.set_defaults(clamp=cls.clamp)
        return parser

    @classmethod
    def from_words(cls, words: Sequence[str], program: str | None = None) -> TrainConfig:
        """The configuration of a command line.

        Raises:
            UserError: an unknown option, or invalid or contradictory values.
        """
        options = vars(cls.parser(program).parse_args(with_dashes(words)))
        like = options.pop("like")  # the command line replaces it by the options of the log
        if like is not None:
            raise UserError(f"--like {like}: give it on the script's own command line")
        config = cls._of(options)
        config.check()
        return config

    @classmethod
    def _of(cls, options: Mapping[str, object]) -> TrainConfig:
        return cls(
            **{title: pick(record, options) for title, record in cls.groups.items()},
            method=DistillConfig.from_options(options),
            namespace=MappingProxyType(dict(options)),
        )

    def check(self) -> None:
        """Raise :class:`UserError` for values that cannot be read or contradict each other."""
        class_names(self.data.classes)
        epochs, start = self.schedule.epochs, self.schedule.start_epoch
        if self.last_epoch < start:
            raise UserError(
                f"--epochs {epochs}: counted from {self.counted_from}, no epoch is left from "
                f"--start-epoch {start}; give more epochs"
            )
        if self.distills and self.gan_epochs < start and not self.output.resume:
            raise UserError(
                f"--{self.gan_option.replace('_', '-')} {self.gan_epochs}: ends before --start-epoch "
                f"{start}; give a later epoch, or --distill none"
            )
        _ = self.schedule.decay_at, self.distillation.halved_at

    @property
    def last_epoch(self) -> int:
        """Number of the last epoch."""
        return self.counted_from + self.schedule.epochs - 1

    @property
    def gan_epochs(self) -> int:
        """Last epoch of the GAN stage."""
        return self.namespace[self.gan_option]

    @property
    def teacher_file(self) -> str:
        """Parameter file of the teacher; '' takes the weights that GluonCV publishes."""
        return self.namespace[self.teacher_option]

    @property
    def distills(self) -> bool:
        """Whether the student learns from a teacher."""
        return bool(self.method.terms)

    def network(self, role: str) -> NetworkName:
        """The name of the network in the role 'student' or 'teacher'."""
        name = read_name(getattr(self.networks, role), self.family)
        return replace(name, fpn=name.fpn or self.networks.use_fpn)

    @property
    def prefix(self) -> str:
        """Prefix of the run's files: ``--save-prefix``, or a name made from networks and data set."""
        prefix = self.output.save_prefix
        if prefix and not prefix.endswith("/"):
            return prefix
        size = f"_{self.networks.data_shape}" if self.family == "ssd" else ""
        parts = [self.family + size, str(self.network("student"))]
        if self.distills:
            parts.append(str(self.network("teacher")))
        parts.append(Path(self.data.dataset).name.lower())
        return prefix + "_".join(parts) + ("_gkd" if self.distills else "")

    def resolved(self, **values) -> TrainConfig:
        """The configuration with the options of ``values`` set, by their names in the namespace."""
        unknown = values.keys() - self.namespace.keys()
        if unknown:
            raise KeyError(f"not options of this script: {sorted(unknown)}")
        return self._of({**self.namespace, **values})

    def fixed(self) -> dict:
        """Options that a resumed run must share with the run that wrote its state."""
        return {**self._of_resume(FIXED), **self.method.fixed()}

    def reported(self) -> dict:
        """Options that a resumed run may change; it reports the change."""
        return {**self._of_resume(FREE), **self.method.free()}

    def _of_resume(self, resume: str) -> dict:
        declared = (f for record in self.groups.values() for f in options_in(record))
        return {f.name: self.namespace[f.name] for f in declared if f.metadata["resume"] == resume}
