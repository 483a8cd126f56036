"""Hooks of the training loop: what happens around its steps, epochs and validations.

A hook overrides the methods that it needs. The loop calls the hooks of an event in their order. Each
method gets the :class:`~gan_kd_ssd.engine.loop.Training`, whose ``phase`` and ``progress`` say where
the training stands.
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
        """The training starts, from its first epoch or after a resume."""

    def before_epoch(self, training) -> None:
        """An epoch starts, or the rest of an epoch after a resume."""

    def before_step(self, training) -> None:
        """Batch number ``training.progress.batch`` of the epoch is ready."""

    def after_step(self, training, vectors) -> None:
        """The step is queued; its figures are ``vectors``, one for each device."""

    def after_figures(self, training, figures: dict[str, float], speed: float) -> None:
        """A log interval has ended: figures so far by name, and images per second."""

    def after_epoch(self, training) -> None:
        """All batches of the epoch are trained."""

    def after_validation_batch(self, training) -> None:
        """A batch of the validation is measured."""

    def after_validation(self, training, evaluation) -> None:
        """The student is measured; ``training.progress.best_map`` is the best mAP before."""

    def save(self, training, epoch: int, mean_ap: float) -> None:
        """Epoch number ``epoch`` is complete; ``mean_ap`` is nan without a validation."""

    def after_save(self, training, epoch: int, path: Path) -> None:
        """The student's parameters were written to ``path``."""

    def after_training(self, training) -> None:
        """The training came to its end."""

    def close(self) -> None:
        """Release resources, also after an error."""


class SeedBatches(Hook):
    """Seeds MXNet's generator before each batch, so that a resumed run draws the same numbers.

    The networks draw with it: sampled RoIs, dropout. Nothing random is part of the state: the seed
    follows from the run's seed, the epoch and the batch.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def before_step(self, training) -> None:
        progress = training.progress
        key = (self._seed, progress.epoch, progress.batch)
        seeds = np.random.SeedSequence(key, spawn_key=(2,))
        mx.random.seed(int(seeds.generate_state(1)[0] >> 1))


class SharedStatistics(Hook):
    """Gives the BatchNorm statistics of all devices their mean at the end of each epoch.

    Each device normalises its part of a batch by itself, so the running statistics drift apart.
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
        # again on closing would stand there twice.
        self._bar.leave = self._bar.total is None or self._bar.n >= self._bar.total
        self._bar.close()
