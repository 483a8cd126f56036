"""The frozen configuration of a training, for both training scripts.

A configuration is a function of the script's options only: the same options give the same
configuration, whether they come from a command line (:func:`from_words`) or from a mapping, such as a
row of the paper's matrix or the ``Namespace`` line of an earlier log (:func:`from_options`). Nobody
writes to it afterwards. Defaults that depend on the machine, the data or the network are filled in by
:meth:`TrainConfig.resolved`, which returns another configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType

from gan_kd_ssd.config import faster_rcnn_options, ssd_options
from gan_kd_ssd.config.command import Command
from gan_kd_ssd.config.parser import class_names, epoch_list
from gan_kd_ssd.detectors.names import NetworkName, read_name
from gan_kd_ssd.distill.options import SGD, DistillConfig

#: Options that a resumed run must share with the run that wrote its state. Learning rates may change
#: (a run can be continued after it diverged), and so may options without an effect on the figures.
_FIXED = {
    "ssd": ("data_shape", "augmentation"),
    "faster_rcnn": ("short", "max_size", "use_fpn", "roi_mode", "norm_layer", "mixup"),
}
#: Options whose changes between a run and its resumed continuation are reported.
_REPORTED = {
    "ssd": ("gan_epochs", "epochs"),
    "faster_rcnn": (
        *("GAN_epochs", "train_D_eopch", "lr_decay_GAN_epoch", "lr_warmup", "epochs"),
        *("no_mixup_epochs", "static_alloc", "disable_hybridization"),
    ),
}


@dataclass(frozen=True)
class SSDConfig:
    """SSD: ``data_shape`` is the side of the square input in pixels."""

    data_shape: int
    family = "ssd"
    hybridize = True


@dataclass(frozen=True)
class FasterRCNNConfig:
    """Faster R-CNN.

    Attributes:
        use_fpn: levels of strides 4 to 64 instead of one level of stride 16.
        roi_mode: RoI pooling, 'align' or 'pool'.
        short, max_size: sides of the input in pixels; None until the network is known.
        norm_layer: 'bn' trains the BatchNorm layers of the backbone; None freezes them.
        static_alloc: keep the memory of each compiled graph.
        hybridize: compile the networks.
    """

    use_fpn: bool
    roi_mode: str
    short: int | None
    max_size: int | None
    norm_layer: str | None
    static_alloc: bool
    hybridize: bool
    family = "faster_rcnn"


@dataclass(frozen=True)
class NetworkConfig:
    """Student and teacher.

    Attributes:
        detector: settings of the kind of detector.
        student, teacher: names of the networks, as given.
        teacher_file: parameter file of the teacher; '' takes the weights that GluonCV publishes.
        pretrained_base: the student's backbone starts from ImageNet weights.
    """

    detector: SSDConfig | FasterRCNNConfig
    student: str
    teacher: str
    teacher_file: str
    pretrained_base: bool


@dataclass(frozen=True)
class BatchConfig:
    """Training batches.

    Attributes:
        size: images in a batch, on all devices together; None until the devices are known.
        seed: seed of the initial weights, the order of the images and their augmentation.
        num_workers: number of processes that prepare images.
        augmentation: SSD: 'ssd' or 'flip'; Faster R-CNN: 'mixup' or 'flip'.
        mixup_epochs: number of epochs, counted from the first, that mix images.
    """

    size: int | None
    seed: int
    num_workers: int
    augmentation: str
    mixup_epochs: int = 0


@dataclass(frozen=True)
class DataConfig:
    """Data set and metric.

    Attributes:
        dataset: name or folder, as given.
        source: name or folder, as the catalogue of data sets names it.
        root: folder of the named data sets; None is GluonCV's default.
        classes: names in order; None takes those of the data set.
        train_split, val_split: names of the splits; None takes the usual ones.
        metric: 'voc07', 'voc12' or 'coco'; None until the data is known.
        batches: training batches.
    """

    dataset: str
    source: str
    root: str | None
    classes: tuple[str, ...] | None
    train_split: str | None
    val_split: str | None
    metric: str | None
    batches: BatchConfig


@dataclass(frozen=True)
class RateConfig:
    """Changes of the learning rates.

    Attributes:
        decay: factor of the student's learning rate at each epoch of ``decay_at``.
        warmup: batches of epoch 0 over which the student's rate rises from a third; below 1: none.
        gan_halved_at: epochs at which the rates of all other trainers are halved.
    """

    decay: float
    decay_at: tuple[int, ...]
    warmup: int = -1
    gan_halved_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class ScheduleConfig:
    """Epochs of the run; the numbers of the first and the last epoch are both inclusive.

    Attributes:
        counted_from: number of a run's first epoch: 1 for SSD, 0 for Faster R-CNN, as published.
        start_epoch, last_epoch: epochs of this run.
        gan_epochs: last epoch of the GAN stage.
        discriminator_epochs: epochs below this number train the student on its detection losses only.
        val_interval, gan_val_interval: epochs between validations, after and in the GAN stage.
        rates: learning rates.
    """

    counted_from: int
    start_epoch: int
    last_epoch: int
    gan_epochs: int
    discriminator_epochs: int
    val_interval: int
    gan_val_interval: int
    rates: RateConfig


@dataclass(frozen=True)
class DeviceConfig:
    """Devices: GPUs as given (None: chosen), number of CPU contexts, MXNet's key-value store."""

    gpus: str | None
    cpu_devices: int
    kv_store: str


@dataclass(frozen=True)
class OutputConfig:
    """Files and messages of the run; intervals are in epochs (save) and batches (log)."""

    save_prefix: str
    overwrite: bool
    save_interval: int
    log_interval: int
    resume: str
    quiet: bool
    verbose: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training script was asked to do.

    ``namespace`` holds the options as the log prints them.
    """

    networks: NetworkConfig
    data: DataConfig
    schedule: ScheduleConfig
    sgd: SGD
    distillation: DistillConfig
    devices: DeviceConfig
    output: OutputConfig
    namespace: Mapping[str, object]

    @property
    def family(self) -> str:
        """'ssd' or 'faster_rcnn'."""
        return self.networks.detector.family

    @property
    def distills(self) -> bool:
        """Whether the student learns from a teacher."""
        return bool(self.distillation.terms)

    def network(self, role: str) -> NetworkName:
        """The name of the network in the role 'student' or 'teacher'."""
        name = read_name(getattr(self.networks, role), self.family)
        use_fpn = getattr(self.networks.detector, "use_fpn", False)
        return replace(name, fpn=name.fpn or use_fpn)

    @property
    def prefix(self) -> str:
        """Prefix of the run's files: ``--save-prefix``, or a name made from networks and data set."""
        prefix = self.output.save_prefix
        if prefix and not prefix.endswith("/"):
            return prefix
        detector = self.networks.detector
        parts = [f"ssd_{detector.data_shape}" if self.family == "ssd" else self.family]
        parts.append(str(self.network("student")))
        if self.distills:
            parts.append(str(self.network("teacher")))
        parts.append(Path(self.data.dataset).name.lower())
        return prefix + "_".join(parts) + ("_gkd" if self.distills else "")

    def resolved(self, **values) -> TrainConfig:
        """The configuration with the options of ``values`` set, by their names in the namespace."""
        unknown = values.keys() - self.namespace.keys()
        if unknown:
            raise KeyError(f"not options of this script: {sorted(unknown)}")
        return _BUILD[self.family]({**self.namespace, **values})

    def fixed(self) -> dict:
        """Options that a resumed run must share with the run that wrote its state."""
        names = ("seed", "batch_size", "start_epoch", "metric")
        values = {name: self.namespace[name] for name in names}
        values.update(self.distillation.fixed())
        values.update({name: self.namespace[name] for name in _FIXED[self.family]})
        return values

    def reported(self) -> dict:
        """Options that may change when a run is resumed, and whose changes are reported."""
        names = ("lr", "momentum", "wd", "lr_decay", "lr_decay_epoch")
        values = {name: self.namespace[name] for name in names}
        values.update(self.distillation.free())
        names = ("gpus", "cpu_devices", "kv_store", *_REPORTED[self.family])
        return {**values, **{name: self.namespace[name] for name in names}}


def from_words(script: str, words: Sequence[str]) -> TrainConfig:
    """The configuration of a command line of ``train_ssd_gkd.py`` or ``train_faster_rcnn_gkd.py``.

    Raises:
        UserError: an unknown option, or values that cannot be right, alone or together.
    """
    if script == faster_rcnn_options.SCRIPT:
        return _faster_rcnn(vars(faster_rcnn_options.parse_train_faster_rcnn(words)))
    return _ssd(vars(ssd_options.parse_train_ssd(words)))


def from_options(script: str, options: Mapping[str, object]) -> TrainConfig:
    """The configuration of options by name (with underscores); the others have their defaults.

    Raises:
        UserError: as :func:`from_words`.
    """
    return from_words(script, Command(script, dict(options)).words())


def _pick(record: type, options: Mapping, **others):
    """A record whose fields are the options of the same names, except for ``others``."""
    names = {field.name for field in fields(record)} - others.keys()
    return record(**{name: options[name] for name in names}, **others)


def _ssd(options: Mapping) -> TrainConfig:
    gan_val = options["gan_val_interval"]
    schedule = _pick(
        ScheduleConfig,
        options,
        counted_from=1,
        last_epoch=options["epochs"],
        discriminator_epochs=0,
        gan_val_interval=options["val_interval"] if gan_val is None else gan_val,
        rates=RateConfig(options["lr_decay"], epoch_list(options["lr_decay_epoch"])),
    )
    return _common(
        options,
        detector=SSDConfig(options["data_shape"]),
        teacher_file=options["teacher_params"],
        source=options["dataset"],
        batches=_batches(options, options["augmentation"]),
        schedule=schedule,
    )


def _faster_rcnn(options: Mapping) -> TrainConfig:
    mixed = max(0, options["epochs"] - options["no_mixup_epochs"]) if options["mixup"] else 0
    schedule = _pick(
        ScheduleConfig,
        options,
        counted_from=0,
        last_epoch=options["epochs"] - 1,
        gan_epochs=options["GAN_epochs"],
        discriminator_epochs=options["train_D_eopch"],
        gan_val_interval=options["val_interval"],
        rates=RateConfig(
            options["lr_decay"],
            epoch_list(options["lr_decay_epoch"]),
            options["lr_warmup"],
            epoch_list(options["lr_decay_GAN_epoch"], "--lr-decay-GAN-epoch"),
        ),
    )
    return _common(
        options,
        detector=_pick(FasterRCNNConfig, options, hybridize=not options["disable_hybridization"]),
        teacher_file=options["Teacher_param_path"],
        source=faster_rcnn_options.data_set(options["dataset"]),
        batches=_batches(options, "mixup" if options["mixup"] else "flip", mixed),
        schedule=schedule,
    )


_BUILD = {"ssd": _ssd, "faster_rcnn": _faster_rcnn}


def _batches(options: Mapping, augmentation: str, mixup_epochs: int = 0) -> BatchConfig:
    size, more = options["batch_size"], {"augmentation": augmentation, "mixup_epochs": mixup_epochs}
    return _pick(BatchConfig, options, size=size, **more)


def _common(
    options: Mapping, *, detector, teacher_file: str, source: str, batches, schedule
) -> TrainConfig:
    """The configuration from the records that differ between the scripts."""
    classes = class_names(options["classes"])
    return TrainConfig(
        networks=_pick(NetworkConfig, options, detector=detector, teacher_file=teacher_file),
        data=_pick(
            DataConfig,
            options,
            source=source,
            root=options["data_root"],
            classes=None if classes is None else tuple(classes),
            batches=batches,
        ),
        schedule=schedule,
        sgd=_pick(SGD, options),
        distillation=DistillConfig.from_options(options),
        devices=_pick(DeviceConfig, options),
        output=_pick(OutputConfig, options, verbose=options.get("verbose", False)),
        namespace=MappingProxyType(dict(options)),
    )
