"""What ``train_ssd_gkd.py`` does: the part of a training that is SSD's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from gan_kd_ssd.config.ssd_options import SCRIPT
from gan_kd_ssd.data.batches.ssd_batches import TrainBatches, ValBatches
from gan_kd_ssd.detectors import ssd
from gan_kd_ssd.detectors import ssd_networks as networks
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.engine import build as engine
from gan_kd_ssd.engine import runlog, schedule
from gan_kd_ssd.engine.loop import Plan


def run(options: argparse.Namespace) -> int:
    """Train as the options of :func:`gan_kd_ssd.config.ssd_options.parse_train_ssd` ask; returns the exit code.

    Raises:
        UserError: options, data, weights or files that cannot be used.
    """
    return engine.run(options, SSDKind, SCRIPT)


class SSDKind(engine.Kind):
    """SSD: square inputs, levels from stride 8 or 16 down to one cell, epochs counted from 1."""

    fixed = ("data_shape", "augmentation")
    free = ("gan_epochs",)

    def plan(self, prefix: str) -> Plan:
        options = self.options
        gan_val = options.gan_val_interval
        return Plan(
            phases=schedule.phases(
                options.start_epoch,
                options.epochs,
                options.gan_epochs,
                options.distill,
                options.val_interval,
                options.val_interval if gan_val is None else gan_val,
            ),
            batch_size=options.batch_size,
            lr=options.lr,
            lr_decay=options.lr_decay,
            lr_decay_at=schedule.decay_epochs(options.lr_decay_epoch),
            log_interval=options.log_interval,
            save_interval=options.save_interval,
            prefix=prefix,
            seed=options.seed,
        )

    def family(self) -> str:
        return f"ssd_{self.options.data_shape}"

    def networks(self) -> dict[str, str]:
        return {
            role: str(read_name(getattr(self.options, role), "ssd"))
            for role in ("student", "teacher")
        }

    def data_set(self) -> str:
        return self.options.dataset

    def student(self, classes):
        options = self.options
        pretrained = options.pretrained_base and not options.resume
        student = ssd.build(
            options.student,
            classes,
            options.data_shape,
            pretrained_base=pretrained,
            option="--student",
        )
        student.initialize(self.ctx)
        student.hybridize()
        return student

    def teacher(self, classes):
        options = self.options
        networks.check_name(options.teacher, "--teacher")
        option, file = "--teacher-params", Path(options.teacher_params)
        if options.teacher_params:
            runlog.check_classes(file, classes, option)
        else:
            settings = ssd.SSDSettings(options.data_shape)
            file = ssd.SSD.published_weights(options.teacher, settings, options.dataset, option)
        teacher = ssd.load(
            options.teacher,
            classes,
            options.data_shape,
            file,
            self.ctx,
            option,
            network_option="--teacher",
        )
        return teacher, file

    def train_batches(self, student, train_set):
        options = self.options
        return TrainBatches(
            train_set,
            options.data_shape,
            student.anchors,
            options.batch_size,
            options.seed,
            options.num_workers,
            options.augmentation,
        )

    def val_batches(self, val_set):
        options = self.options
        return ValBatches(val_set, options.data_shape, options.batch_size, options.num_workers)
