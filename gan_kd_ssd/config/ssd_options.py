"""Options of ``gan-kd train-ssd``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_kd_ssd.config import shared_options as shared
from gan_kd_ssd.config.command import SSD
from gan_kd_ssd.util.option_fields import FIXED, FREE, count, number, option


@dataclass(frozen=True)
class SSDNetworks(shared.NetworkConfig):
    """The options of the networks."""

    student: str = option(
        "mobilenet1.0",
        "network to train, named after its backbone in GluonCV's model zoo: mobilenet1.0 (or "
        "ssd_512_mobilenet1.0), resnet18_v1, …; mobilenet1.0_w0.25 has a quarter of the channels, "
        "resnet10_v1_0.25 is a smaller ResNet of this project",
    )
    teacher: str = option("resnet50_v1", "trained network to distil from")
    network: str = option(
        "vgg16_atrous", "accepted but not used; the published log has it (see --student, --teacher)"
    )
    teacher_params: str = option(
        "",
        "parameter file of the trained teacher (default: the weights that GluonCV publishes)",
        metavar="FILE",
    )
    data_shape: int = count(512, "side of the square input in pixels", resume=FIXED)


@dataclass(frozen=True)
class SSDData(shared.DataConfig):
    """The options of the data."""

    dataset: str = option(
        "voc",
        "voc (07+12 trainval, 07 test), voc07, coco (2017 train, val), shapes or shapes_coco "
        "(generated), or the path of a folder in VOC or COCO layout",
    )
    augmentation: str = option(
        "ssd",
        "ssd: GluonCV's SSD augmentation, as published; flip: colour changes and horizontal flips only, "
        "for short trainings",
        choices=("ssd", "flip"),
        resume=FIXED,
    )


@dataclass(frozen=True)
class SSDSchedule(shared.ScheduleConfig):
    """The options of the schedule."""

    batch_size: int = count(64, "number of images in a batch, over all devices", resume=FIXED)
    epochs: int = number(340, "number of the last epoch", resume=FREE)
    start_epoch: int = number(1, "number of the first epoch", resume=FIXED)
    gan_val_interval: int | None = number(
        None,
        "epochs between validations in the GAN stage (default: --val-interval); 0 validates only at its "
        "last epoch, as in the published run",
        metavar="N",
    )


@dataclass(frozen=True)
class SSDStage(shared.StageConfig):
    """The options of the distillation terms and of their stage."""

    gan_epochs: int = number(
        221,
        "last epoch of the GAN stage; later epochs use the detection losses only",
        resume=FREE,
    )


@dataclass(frozen=True)
class SSDConfig(shared.TrainConfig):
    """Configuration of an SSD training."""

    script, family, description = SSD, "ssd", "an SSD"
    clamp, counted_from = "conv", 1
    gan_option, teacher_option = "gan_epochs", "teacher_params"
    groups: ClassVar = {
        "networks": SSDNetworks,
        "data": SSDData,
        "schedule": SSDSchedule,
        "distillation": SSDStage,
        "devices": shared.DeviceConfig,
        "output": shared.OutputConfig,
    }
