"""Hooks of the training loop, called around its steps, epochs and validations.

A hook overrides the methods that it needs. For each event the loop calls all hooks, in their order. The
argument ``training`` is the :class:`~gan_kd_ssd.engine.loop.Training` with the current ``phase`` and
``progress``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gan_kd_ssd.util.mxnet import mx


class Hook:
    """Base class of all hooks; every method does nothing."""

    def before_training(self, training) -> None:
        """Called before the first step of the training or of the resumed training."""

    def before_epoch(self, training) -> None:
        """Called before an epoch, or before the rest of an epoch after a resume."""

    def before_step(self, training) -> None:
        """Called before the step on batch number ``training.progress.batch`` of the epoch."""

    def after_step(self, training, vectors) -> None:
        """Called after a step was queued; ``vectors`` are its figures, one vector for each device."""

    def after_figures(self, training, figures: dict[str, float], speed: float) -> None:
        """Called after a log interval, with the figures so far by name and the images per second."""

    def after_epoch(self, training) -> None:
        """Called after the last step of an epoch."""

    def after_validation_batch(self, training) -> None:
        """Called after each batch of a validation."""

    def after_validation(self, training, evaluation) -> None:
        """Called after a validation; ``training.progress.best_map`` is still the previous best mAP."""

    def save(self, training, epoch: int, mean_ap: float) -> None:
        """Called after epoch number ``epoch``; ``mean_ap`` is nan without a validation."""

    def after_save(self, training, epoch: int, path: Path) -> None:
        """Called after the student's parameters were written to ``path``."""

    def after_training(self, training) -> None:
        """Called after the last epoch."""

    def close(self) -> None:
        """Release resources; called at the end and after an error."""


class SeedBatches(Hook):
    """Seeds MXNet's generator before each batch, so that a resumed run draws the same numbers.

    The networks use the generator to sample RoIs and for dropout. The state holds no random numbers: the
    seed is computed from the run's seed, the epoch and the batch.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def before_step(self, training) -> None:
        progress = training.progress
        key = (self._seed, progress.epoch, progress.batch)
        seeds = np.random.SeedSequence(key, spawn_key=(2,))
        mx.random.seed(int(seeds.generate_state(1)[0] >> 1))


class SharedStatistics(Hook):
    """Replaces the BatchNorm statistics of all devices by their mean after each epoch.

    Each device normalises its own part of a batch, so the running statistics drift apart.
    Parameters are saved with the mean; validation, files and a resumed run agree only if the devices
    hold the mean too.
    """

    def __init__(self, net):
        self._net = net

    def after_epoch(self, training) -> None:
        for parameter in self._net.collect_params().values():
            copies = parameter.list_data()
            statistics = parameter.name.endswith(("_mean", "_var"))
            if parameter.grad_req == "null" and len(copies) > 1 and statistics:
                parameter.set_data(parameter._reduce())


class ProgressBar(Hook):
    """A progress bar over the batches of training and validation, with the sum of the losses."""

    def __init__(self, loss_names, batches_per_validation: int, disable: bool = False):
        self._loss_names, self._disable = loss_names, disable
        self._batches_per_validation = batches_per_validation
        self._bar = tqdm(disable=True)

    def before_training(self, training) -> None:
        total, done = 0, training.progress
        for phase in training.phases:
            for epoch in phase.epochs(done.epoch):
                total += training.batches.batches(epoch)
                total += self._batches_per_validation * (epoch in phase.validated)
        self._bar = tqdm(
            total=total - done.batch,
            unit="batch",
            disable=self._disable,
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 10,
            smoothing=0.05,
        )

    def before_epoch(self, training) -> None:
        last = training.phases[-1].last
        self._bar.set_description(f"epoch {training.progress.epoch}/{last} {training.phase.name}")

    def after_step(self, training, vectors) -> None:
        self._bar.update()

    def after_validation_batch(self, training) -> None:
        self._bar.update()

    def after_figures(self, training, figures, speed) -> None:
        loss = sum(figures[name] for name in self._loss_names)
        self._bar.set_postfix(loss=f"{loss:.3f}")

    def close(self) -> None:
        # A terminal echoes Ctrl-C behind the bar and wraps the line: an unfinished bar that was drawn
        # again on closing would appear twice.
        self._bar.leave = self._bar.total is None or self._bar.n >= self._bar.total
        self._bar.close()
