"""Networks and training batches from the configuration, for each kind of detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gan_kd_ssd.config.shared_options import TrainConfig
from gan_kd_ssd.data.batches import faster_rcnn_batches, ssd_batches
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.data.batches.faster_rcnn_transform import short_within
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.detectors import faster_rcnn_networks, ssd_networks
from gan_kd_ssd.detectors.base import Detector, detector_class
from gan_kd_ssd.engine.log_hooks import FasterRCNNLog, SSDLog, TrainingLog
from gan_kd_ssd.logs.run_metadata import check_classes, metadata_beside
from gan_kd_ssd.util.errors import UserError


class DetectorSetup(ABC):
    """Builds the networks and the training batches; there is a subclass for each kind of detector.

    The batch size of ``config`` is resolved.
    """

    #: The dialect of the training log.
    log_hook: type[TrainingLog]
    #: Takes a network name and an option; raises a UserError for an unknown network of this kind.
    check_name: Callable

    def __init__(self, config: TrainConfig, ctx: Sequence):
        self.config, self.ctx = config, list(ctx)
        self.detector = detector_class(config.family)

    def student(self, classes: Sequence[str]) -> Detector:
        """Build the student with its initial values.

        Raises:
            UserError: there is no such network, or not with these options.
        """
        config = self.config
        pretrained = config.networks.pretrained_base and not config.output.resume
        student = self.detector.build(
            config.networks.student,
            classes,
            self.student_settings(),
            pretrained_base=pretrained and config.network("student").has_imagenet,
            option="--student",
        )
        student.initialize(self.ctx)
        if not config.networks.disable_hybridization:
            student.hybridize(config.networks.static_alloc)
        if config.output.verbose:
            for parameter in student.parameters():
                print(parameter.name)
        return student

    def student_settings(self):
        """The settings of the student's network; raises a UserError for conflicting options."""
        return self.detector.settings(self.config.namespace, len(self.ctx))

    def teacher(self, classes: Sequence[str], student: Detector) -> tuple[Detector, Path]:
        """Load the trained teacher; returns it with its parameter file.

        Raises:
            UserError: there is no such network or file, or it was trained on other classes.
        """
        config, name = self.config, self.config.networks.teacher
        option = f"--{config.teacher_option.replace('_', '-')}"
        self.check_name(name, "--teacher")
        options = {**config.namespace, **student.sizes}
        if config.teacher_file:
            file = Path(config.teacher_file)
            check_classes(file, classes, option)
        else:
            settings = self.detector.settings(options)
            file = self.detector.published_weights(name, settings, config.data.dataset, option)
        # The teacher has the normalization that it was trained with.
        metadata = metadata_beside(file)
        options["norm_layer"] = metadata.namespace.get("norm_layer") if metadata else None
        teacher = self.detector.load_trained(
            name,
            classes,
            self.detector.settings(options, len(self.ctx)),
            file,
            self.ctx,
            option=option,
            network_option="--teacher",
            hybridize=not config.networks.disable_hybridization,
        )
        return teacher, file

    @abstractmethod
    def train_batches(self, student: Detector, dataset: Dataset):
        """Training batches for the student's ``parts``."""


class SSDSetup(DetectorSetup):
    """Networks and batches of an SSD."""

    log_hook = SSDLog
    check_name = staticmethod(ssd_networks.check_name)

    def train_batches(self, student, dataset):
        config = self.config
        return ssd_batches.train_batches(
            dataset,
            student.data_shape,
            student.anchors,
            config.schedule.batch_size,
            config.data.seed,
            config.devices.num_workers,
            config.data.augmentation,
        )


class FasterRCNNSetup(DetectorSetup):
    """Networks and batches of a Faster R-CNN."""

    log_hook = FasterRCNNLog
    check_name = staticmethod(faster_rcnn_networks.check_name)

    def student_settings(self):
        """Reject BatchNorm layers that would diverge, or that MXNet cannot share between devices."""
        config, name = self.config, self.config.network("student")
        self.check_name(config.networks.student, "--student")  # the messages below presume it
        norm_layer = config.networks.norm_layer
        starts = config.networks.pretrained_base or config.output.resume or norm_layer
        if name.has_imagenet and not starts:
            raise UserError(
                f"--no-pretrained-base: the BatchNorm layers of {name.backbone} keep their initial "
                "values, and a training from scratch diverges; give --norm-layer bn as well"
            )
        shared = faster_rcnn_networks.shares_statistics(name, norm_layer)
        if shared and len(self.ctx) > 1 and self.ctx[0].device_type == "cpu":
            raise UserError(
                "--cpu-devices: MXNet's synchronised BatchNorm deadlocks on several CPU devices; give 1"
            )
        per_device = config.schedule.batch_size // len(self.ctx)
        return replace(super().student_settings(), per_device=per_device)

    def train_batches(self, student, dataset):
        config = self.config
        _check_shapes(student, dataset)
        most = max(len(dataset.label(index)) for index in range(len(dataset)))
        student.make_room_for(most * (2 if config.data.mixup else 1))
        return faster_rcnn_batches.train_batches(
            dataset,
            faster_rcnn_batches.InputSize(student.short, student.max_size),
            RPNTargets(student.anchor_grids(), student.strides),
            config.schedule.batch_size,
            len(self.ctx),
            config.data.seed,
            config.devices.num_workers,
            config.mixup_epochs,
        )


def _check_shapes(student, dataset) -> None:
    """Raise :class:`UserError` for an image so elongated that GluonCV has too few anchors for it."""
    needed = student.net.rpn._train_post_nms
    for index in range(len(dataset)):
        width, height = dataset.image_size(index)
        size = short_within(height, width, student.short, student.max_size)
        anchors = student.anchor_count(*size)
        if anchors < needed:
            raise UserError(
                f"{dataset.image_path(index)}: {width}x{height} pixels become {size[1]}x{size[0]}, "
                f"which have {anchors} anchors, and {needed} are needed; raise --max-size, or leave "
                "the image out"
            )


SETUPS = {"ssd": SSDSetup, "faster_rcnn": FasterRCNNSetup}
