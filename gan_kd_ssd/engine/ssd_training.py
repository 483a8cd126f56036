"""The part of a training that only SSD has."""

from __future__ import annotations

from gan_kd_ssd.data.batches.ssd_batches import TrainBatches
from gan_kd_ssd.detectors import ssd_networks
from gan_kd_ssd.engine.log_hooks import SSDLog
from gan_kd_ssd.engine.setup import DetectorSetup


class SSDSetup(DetectorSetup):
    """Networks and batches of an SSD."""

    log_hook = SSDLog
    check_name = staticmethod(ssd_networks.check_name)

    def train_batches(self, student, dataset):
        data, size = self.config.data, self.config.schedule.batch_size
        return TrainBatches(
            dataset,
            student.data_shape,
            student.anchors,
            size,
            data.seed,
            self.config.devices.num_workers,
            data.augmentation,
        )
