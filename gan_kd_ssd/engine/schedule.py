"""Phases and learning rates of a training, computed from its configuration only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gan_kd_ssd.config.shared_options import TrainConfig
from gan_kd_ssd.logs.records import DETECTION, DISCRIMINATORS, DISTILLATION


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs that train the same networks on the same losses.

    Attributes:
        name: name of the phase in JSON lines and of its step.
        first: number of the first epoch.
        last: number of the last epoch, inclusive.
        validated: epochs that end with a validation.
    """

    name: str
    first: int
    last: int
    validated: frozenset[int] = field(repr=False)

    def epochs(self, start: int) -> range:
        """The phase's epochs from number ``start`` on."""
        return range(max(self.first, start), self.last + 1)


def phases(config: TrainConfig) -> list[Phase]:
    """The phases of a run: the GAN stage up to its last epoch, then detection losses only.

    In epochs below ``--train-D-eopch`` the discriminators are trained while the student receives only
    its detection losses. The published Faster R-CNN run had two such epochs, 0 and 1 (inferred from
    epoch times). The published SSD run had 221 epochs of GAN stage, validated only at its end, then
    epochs counted from 1 again; here the count continues.
    """
    start, last = config.schedule.start_epoch, config.last_epoch
    end_of_gan = min(config.gan_epochs, last) if config.distills else start - 1
    end_of_discriminator = min(config.distillation.train_D_eopch - 1, end_of_gan)
    bounds = (
        (DISCRIMINATORS, start, end_of_discriminator),
        (DISTILLATION, max(start, end_of_discriminator + 1), end_of_gan),
        (DETECTION, max(start, end_of_gan + 1), last),
    )
    return [
        Phase(name, first, last, _validated(config, name, first, last))
        for name, first, last in bounds
        if first <= last
    ]


def _validated(config: TrainConfig, name: str, first: int, last: int) -> frozenset[int]:
    """Epochs of a phase that are validated: each ``interval``-th of the run, and the last one."""
    interval = config.schedule.val_interval
    if name != DETECTION and config.schedule.gan_val_interval is not None:
        interval = config.schedule.gan_val_interval  # 0: the last epoch only
    due = {
        epoch
        for epoch in range(first, last + 1)
        if interval and (epoch + 1 - config.counted_from) % interval == 0
    }
    return frozenset(due | {last})


def learning_rate(base: float, decay: float, decay_at: Sequence[int], epoch: int) -> float:
    """Learning rate of an epoch: ``base`` times ``decay`` for each decay epoch reached."""
    rate = base
    for reached in decay_at:
        if epoch >= reached:
            rate *= decay
    return rate
