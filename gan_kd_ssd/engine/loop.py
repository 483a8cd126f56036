"""The training loop: phases, epochs, steps, validations.

The loop depends neither on the method nor on files: a step takes a batch and returns its figures, and
everything else is a hook (:mod:`gan_kd_ssd.engine.hooks`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.engine.progress import Progress
from gan_kd_ssd.engine.schedule import Phase
from gan_kd_ssd.util.mxnet import mx


@dataclass
class Training:
    """Trains a student through its phases.

    Attributes:
        phases: the schedule.
        steps: step of each phase by its name; takes a batch, returns a vector of figures for each device.
        batches: training batches, ``epoch(number, first_batch)`` and ``batches(number)``.
        batch_size: number of images in a batch, over all devices.
        evaluate: measures the student; takes a callback for each validated batch.
        hooks: called in this order.
        progress: where to start.
    """

    phases: Sequence[Phase]
    steps: Mapping[str, Callable]
    batches: object
    batch_size: int
    evaluate: Callable
    hooks: Sequence[Hook]
    progress: Progress

    def __post_init__(self):
        self.phase = self.phases[0]

    def run(self) -> None:
        """Train to the end of the last phase.

        Raises:
            Interrupted: a signal was received.
            UserError: a hook stopped the training.
        """
        try:
            self.call("before_training")
            for phase in self.phases:
                self.phase = phase
                for epoch in phase.epochs(self.progress.epoch):
                    self.train()
                    self.call("after_epoch")
                    mean_ap = self.validate() if epoch in phase.validated else math.nan
                    self.progress.next_epoch()
                    self.call("save", epoch, mean_ap)
        finally:
            for hook in self.hooks:
                hook.close()
        self.call("after_training")

    def train(self) -> None:
        """Train on the remaining batches of the current epoch."""
        step, progress = self.steps[self.phase.name], self.progress
        self.call("before_epoch")
        started = time.perf_counter() - progress.seconds
        try:
            for batch in self.batches.epoch(progress.epoch, progress.batch):
                self.call("before_step")
                vectors = step(batch)
                progress.batch += 1
                progress.images += self.batch_size
                self.call("after_step", vectors)
            mx.nd.waitall()
        finally:
            progress.seconds = time.perf_counter() - started

    def validate(self) -> float:
        """Measure the student; returns its mAP."""
        evaluation = self.evaluate(lambda _images: self.call("after_validation_batch"))
        self.call("after_validation", evaluation)
        self.progress.best_map = max(self.progress.best_map, evaluation.mean_ap)
        return evaluation.mean_ap

    def call(self, event: str, *args) -> None:
        """Call the method ``event`` of each hook."""
        for hook in self.hooks:
            getattr(hook, event)(self, *args)
