"""What ``train_faster_rcnn_gkd.py`` does: the part of a training that is Faster R-CNN's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from gan_kd_ssd.config.faster_rcnn_options import SCRIPT, data_set
from gan_kd_ssd.data.batches.faster_rcnn_batches import InputSize, TrainBatches, ValBatches
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.data.batches.faster_rcnn_transform import short_within
from gan_kd_ssd.detectors import faster_rcnn
from gan_kd_ssd.detectors import faster_rcnn_networks as rcnn_networks
from gan_kd_ssd.detectors import ssd_networks as networks
from gan_kd_ssd.engine import build as engine
from gan_kd_ssd.engine import runlog, schedule
from gan_kd_ssd.engine.loop import Plan
from gan_kd_ssd.util.errors import UserError


def run(options: argparse.Namespace) -> int:
    """Train as :func:`gan_kd_ssd.config.faster_rcnn_options.parse_train_faster_rcnn` says; returns the exit code.

    Raises:
        UserError: options, data, weights or files that cannot be used.
    """
    return engine.run(options, FasterRCNNKind, SCRIPT)


class FasterRCNNKind(engine.Kind):
    """Faster R-CNN: images of any size, one level or five, epochs counted from 0."""

    fixed = ("short", "max_size", "use_fpn", "roi_mode", "norm_layer", "mixup")
    free = (
        *("GAN_epochs", "train_D_eopch", "lr_decay_GAN_epoch", "lr_warmup", "epochs"),
        *("no_mixup_epochs", "static_alloc", "disable_hybridization"),
    )

    def plan(self, prefix: str) -> Plan:
        options = self.options
        gan_lr = {}
        if options.distill != "none":
            gan_lr["discriminators"] = options.lrD
            if options.update == "separate":
                gan_lr["adversarial"] = options.lrG
        return Plan(
            phases=schedule.phases(
                options.start_epoch,
                options.epochs - 1,
                options.GAN_epochs,
                options.distill,
                options.val_interval,
                options.val_interval,
                options.train_D_eopch,
                counted_from=0,
            ),
            batch_size=options.batch_size,
            lr=options.lr,
            lr_decay=options.lr_decay,
            lr_decay_at=schedule.decay_epochs(options.lr_decay_epoch),
            log_interval=options.log_interval,
            save_interval=options.save_interval,
            prefix=prefix,
            seed=options.seed,
            style="faster_rcnn",
            first_epoch=0,
            lr_warmup=options.lr_warmup,
            gan_lr=gan_lr,
            gan_lr_halved_at=schedule.decay_epochs(
                options.lr_decay_GAN_epoch, "--lr-decay-GAN-epoch"
            ),
        )

    def family(self) -> str:
        return "faster_rcnn"

    def networks(self) -> dict[str, str]:
        names = {}
        for role in ("student", "teacher"):
            name, fpn = rcnn_networks.base_name(getattr(self.options, role))
            names[role] = f"fpn_{name}" if fpn or self.options.use_fpn else name
        return names

    def data_set(self) -> str:
        return data_set(self.options.dataset)

    def _settings(self) -> dict:
        """What student and teacher have in common."""
        options = self.options
        return {
            "fpn": options.use_fpn,
            "roi_mode": options.roi_mode,
            "short": options.short,
            "max_size": options.max_size,
            "norm_layer": options.norm_layer,
            "devices": len(self.ctx),
        }

    def student(self, classes):
        options = self.options
        name, _ = rcnn_networks.check_name(options.student, "--student")
        imagenet = networks.has_imagenet(name)
        if imagenet and not (options.pretrained_base or options.resume or options.norm_layer):
            raise UserError(
                f"--no-pretrained-base: BatchNorm of {name} keeps the values it starts with, and from "
                "scratch the training diverges; give --norm-layer bn as well"
            )
        fpn = self.networks()["student"].startswith("fpn_")
        shared = rcnn_networks.shares_statistics(name, fpn, options.norm_layer)
        if shared and len(self.ctx) > 1 and self.ctx[0].device_type == "cpu":
            raise UserError(
                "--cpu-devices: MXNet's BatchNorm over several devices waits for ever on CPUs; give 1"
            )
        student = faster_rcnn.build(
            options.student,
            classes,
            pretrained_base=options.pretrained_base and not options.resume and imagenet,
            per_device=options.batch_size // len(self.ctx),
            option="--student",
            **self._settings(),
        )
        student.initialize(self.ctx)
        if not options.disable_hybridization:
            student.hybridize(options.static_alloc)
        options.short, options.max_size = student.short, student.max_size
        if options.verbose:
            for parameter in student.parameters():
                print(parameter.name)
        return student

    def teacher(self, classes):
        options = self.options
        rcnn_networks.check_name(options.teacher, "--teacher")
        option, file = "--Teacher-param-path", Path(options.Teacher_param_path)
        if options.Teacher_param_path:
            runlog.check_classes(file, classes, option)
        else:
            file = faster_rcnn.published_weights(
                options.teacher, options.use_fpn, options.dataset, option
            )
        trained = runlog.run_beside(file).get("namespace", {})
        teacher = faster_rcnn.load(
            options.teacher,
            classes,
            file,
            self.ctx,
            option,
            network_option="--teacher",
            hybridize=not options.disable_hybridization,
            **{**self._settings(), "norm_layer": trained.get("norm_layer")},
        )
        return teacher, file

    def train_batches(self, student, train_set):
        options = self.options
        _check_shapes(student, train_set)
        most = max(len(train_set.label(index)) for index in range(len(train_set)))
        student.make_room_for(most * (2 if options.mixup else 1))
        return TrainBatches(
            train_set,
            InputSize(student.short, student.max_size),
            RPNTargets(student.anchor_grids(), student.strides),
            options.batch_size,
            len(self.ctx),
            options.seed,
            options.num_workers,
            max(0, options.epochs - options.no_mixup_epochs) if options.mixup else 0,
        )

    def val_batches(self, val_set):
        options = self.options
        size = InputSize(options.short, options.max_size)
        return ValBatches(val_set, size, len(self.ctx), options.num_workers)


def _check_shapes(student, dataset) -> None:
    """UserError for an image that is so elongated that it has fewer anchors than GluonCV takes."""
    needed = student.net.rpn._train_post_nms
    for index in range(len(dataset)):
        width, height = dataset.image_size(index)
        size = short_within(height, width, student.short, student.max_size)
        anchors = student.anchor_count(*size)
        if anchors < needed:
            raise UserError(
                f"{dataset.image_path(index)}: {width}x{height} pixels become {size[1]}x{size[0]}, which "
                f"has {anchors} anchors where {needed} are needed; raise --max-size, or leave it out"
            )
