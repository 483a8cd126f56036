"""Options of ``gan-kd train-faster-rcnn``.

The options of the eight published ``Namespace`` lines have the published names, defaults and meanings.
If the eight lines differ (devices, batch size, workers, clamp), the defaults are those of the last
line, which belongs to the published run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_kd_ssd.config import shared_options as shared
from gan_kd_ssd.config.command import FASTER_RCNN
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import (
    FIXED,
    FREE,
    count,
    not_negative,
    number,
    option,
    redeclared,
)


@dataclass(frozen=True)
class FasterRCNNNetworks(shared.NetworkConfig):
    """The options of the networks; ``short`` and ``max_size`` are None until the network is known."""

    student: str = option(
        "resnet50_v1b",
        "network to train, named after its backbone in GluonCV's model zoo: resnet50_v1b (or "
        "faster_rcnn_resnet50_v1b), …; resnet50_v1b_w0.25 has a quarter of the channels, "
        "resnet10_v1_0.25 is a smaller ResNet of this project",
    )
    teacher: str = option("resnet101_v1d", "trained network to distil from")
    network: str = option(
        "resnet50_resnet101_v1b_g_d",
        "accepted but not used; the published Namespace has this option (see --student and --teacher)",
    )
    Teacher_param_path: str = option(
        "",
        "parameter file of the trained teacher; GluonCV publishes none for VOC",
        also="--teacher-params",
        metavar="FILE",
    )
    use_fpn: bool = option(
        False,
        "use a feature pyramid of five levels with strides 4 to 64 instead of one level of stride 16",
        resume=FIXED,
    )
    roi_mode: str = option(
        "align", "RoI features: RoIAlign or RoIPool", choices=("align", "pool"), resume=FIXED
    )
    short: int | None = count(
        None, "short side of the input (default: GluonCV's, 600)", metavar="PIXELS", resume=FIXED
    )
    max_size: int | None = count(
        None,
        "maximum long side of the input (default: GluonCV's, 1000)",
        metavar="PIXELS",
        resume=FIXED,
    )
    norm_layer: str | None = option(
        None,
        "bn trains the BatchNorm layers of the backbone; by default they keep their ImageNet values",
        choices=("bn",),
        resume=FIXED,
    )
    static_alloc: bool = option(False, "allocate the memory of compiled graphs once", resume=FREE)
    disable_hybridization: bool = option(False, "do not compile the networks", resume=FREE)


@dataclass(frozen=True)
class FasterRCNNData(shared.DataConfig):
    """The options of the data."""

    dataset: str = option(
        "voc",
        "voc (07 trainval, 07 test, as in the published run), voc0712 (07+12 trainval, 07 test), coco "
        "(2017 train, val), shapes or shapes_coco (generated), or the path of a folder in VOC or COCO layout",
    )
    mixup: bool = option(False, "mix pairs of training images (published: off)", resume=FIXED)
    no_mixup_epochs: int = number(20, "number of final epochs without --mixup", resume=FREE)

    @property
    def source(self) -> str:
        """As in the base class. VOC means VOC 2007 only.

        An epoch of the published run has 1252 batches of 4, which are the 5,011 images of VOC 2007.
        """
        return {"voc": "voc07", "voc0712": "voc"}.get(self.dataset, self.dataset)


def _warmup(text: str) -> int:
    """Argparse type: -1, or a whole number from 0."""
    return -1 if text == "-1" else not_negative(text)


@dataclass(frozen=True)
class FasterRCNNSchedule(shared.ScheduleConfig):
    """The options of the schedule; ``batch_size`` is None until the devices are known."""

    batch_size: int | None = count(
        None, "number of images in a batch (default: one per device)", resume=FIXED
    )
    epochs: int = count(38, "number of epochs; epochs are counted from 0", resume=FREE)
    start_epoch: int = number(0, "number of the first epoch", resume=FIXED)
    lr: float = redeclared(shared.ScheduleConfig, "lr", 0.0001)
    lr_decay_epoch: str = redeclared(shared.ScheduleConfig, "lr_decay_epoch", "32,36")
    lr_warmup: int = option(
        -1,
        "batches over which the learning rate rises from a third of --lr to --lr; -1 disables the warm-up",
        type=_warmup,
        metavar="BATCHES",
        resume=FREE,
    )


@dataclass(frozen=True)
class FasterRCNNStage(shared.StageConfig):
    """The options of the distillation terms and of their stage."""

    GAN_epochs: int = number(
        26,
        "last epoch of the GAN stage; later epochs use the detection losses only",
        also="--gan-epochs",
        resume=FREE,
    )
    train_D_eopch: int = number(
        2,
        "number of epochs at the start in which only the discriminators use the distillation losses "
        "(inferred from the epoch times; the misspelling is that of the published log)",
        also="--train-D-epoch",
        resume=FREE,
    )
    lr_decay_GAN_epoch: str = option(
        "5,20",
        "epochs at which --lrD and --lrG are halved (the published log shows a change at 5, but none at 20)",
        resume=FREE,
    )


@dataclass(frozen=True)
class FasterRCNNOutput(shared.OutputConfig):
    """The options of the files and messages."""

    save_interval: int = redeclared(shared.OutputConfig, "save_interval", 1)
    verbose: bool = option(False, "print the names of the trained parameters")


@dataclass(frozen=True)
class FasterRCNNConfig(shared.TrainConfig):
    """Configuration of a Faster R-CNN training."""

    script, family, description = FASTER_RCNN, "faster_rcnn", "a Faster R-CNN"
    clamp, counted_from = "all", 0
    gan_option, teacher_option = "GAN_epochs", "Teacher_param_path"
    groups: ClassVar = {
        "networks": FasterRCNNNetworks,
        "data": FasterRCNNData,
        "schedule": FasterRCNNSchedule,
        "distillation": FasterRCNNStage,
        "devices": shared.DeviceConfig,
        "output": FasterRCNNOutput,
    }

    def check(self) -> None:
        short, max_size = self.networks.short, self.networks.max_size
        if short and max_size and max_size < short:
            raise UserError(f"--max-size {max_size} is below --short {short}: give the larger side")
        super().check()

    @property
    def mixup_epochs(self) -> int:
        """Number of epochs, counted from the first, that mix images."""
        return max(0, self.schedule.epochs - self.data.no_mixup_epochs) if self.data.mixup else 0
