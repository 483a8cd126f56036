"""The part of a training that only Faster R-CNN has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gan_kd_ssd.data.batches.faster_rcnn_batches import InputSize, TrainBatches
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.data.batches.faster_rcnn_transform import short_within
from gan_kd_ssd.detectors import faster_rcnn_networks
from gan_kd_ssd.engine.log_hooks import FasterRCNNLog
from gan_kd_ssd.engine.setup import DetectorSetup
from gan_kd_ssd.logs.run_metadata import metadata_beside
from gan_kd_ssd.util.errors import UserError


class FasterRCNNSetup(DetectorSetup):
    """Networks and batches of a Faster R-CNN."""

    log_hook = FasterRCNNLog
    check_name = staticmethod(faster_rcnn_networks.check_name)

    def check_student(self) -> None:
        """Refuse BatchNorm layers that would diverge, or that MXNet cannot share between devices."""
        config, name = self.config, self.config.network("student")
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
                "--cpu-devices: MXNet's BatchNorm over several devices waits for ever on CPUs; give 1"
            )

    def student_settings(self):
        per_device = self.config.schedule.batch_size // len(self.ctx)
        return replace(super().student_settings(), per_device=per_device)

    def hybridize(self, student) -> None:
        if not self.config.networks.disable_hybridization:
            student.hybridize(self.config.networks.static_alloc)
        if self.config.output.verbose:
            for parameter in student.parameters():
                print(parameter.name)

    def teacher_settings(self, options: dict, file: Path):
        """The settings of the teacher's network, with the normalization that it was trained with."""
        metadata = metadata_beside(file)
        norm_layer = metadata.namespace.get("norm_layer") if metadata else None
        return super().teacher_settings({**options, "norm_layer": norm_layer}, file)

    def train_batches(self, student, dataset):
        config = self.config
        _check_shapes(student, dataset)
        most = max(len(dataset.label(index)) for index in range(len(dataset)))
        student.make_room_for(most * (2 if config.data.mixup else 1))
        return TrainBatches(
            dataset,
            InputSize(student.short, student.max_size),
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
