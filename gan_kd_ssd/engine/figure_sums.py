"""Sums of the figures of the steps, on the devices during training and on the host for the log."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from gan_kd_ssd.distill.step_figures import Figures
from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.engine.progress import Progress


class FigureSums(Hook):
    """Sums the figures of the steps and announces them after each log interval.

    The vectors are added up on their devices, so that no step waits for them; :meth:`read` moves the
    sums into the progress.

    Args:
        losses: names of the detector's losses.
        log_interval: number of batches between two announcements.
    """

    def __init__(self, figures: Figures, losses: Sequence[str], log_interval: int):
        self._figures, self._losses, self._interval = figures, losses, log_interval
        self._totals: list = []  # one vector for each device
        self._logged_at, self._logged_batch = 0.0, 0

    def before_epoch(self, training) -> None:
        self._logged_at, self._logged_batch = time.perf_counter(), training.progress.batch

    def after_step(self, training, vectors) -> None:
        if self._totals:
            for total, vector in zip(self._totals, vectors):
                total += vector
        else:
            self._totals = [vector.copy() for vector in vectors]
        progress = training.progress
        if progress.batch % self._interval == 0:
            figures, now = self._of_steps(progress), time.perf_counter()
            images = (progress.batch - self._logged_batch) * training.batch_size
            speed = images / (now - self._logged_at)
            self._logged_at, self._logged_batch = now, progress.batch
            training.call("after_figures", figures, speed)

    def read(self, progress: Progress) -> None:
        """Move the sums on the devices into ``progress.sums``; waits for the devices."""
        if self._totals:
            read = np.sum([total.asnumpy().astype(np.float64) for total in self._totals], axis=0)
            before = progress.sums or np.zeros_like(read)
            progress.sums, self._totals = (read + before).tolist(), []

    def of_epoch(self, progress: Progress) -> dict[str, float]:
        """Figures of the epoch so far; waits for the devices."""
        self.read(progress)
        return self._figures.of_epoch(np.array(progress.sums), progress.batch)

    def _of_steps(self, progress: Progress) -> dict[str, float]:
        """Figures of a step's line, in its order.

        Losses are means over the epoch so far. Counted figures are counted since the start of the run:
        in the published Faster R-CNN log they continue from epoch to epoch, as GluonCV's script never
        resets their metrics.
        """
        means = self.of_epoch(progress)
        losses = {name: means.pop(name) for name in self._losses}
        counted = self._figures.counted(np.array(progress.total_sums()))
        return {**losses, **counted, **means}
