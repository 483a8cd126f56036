"""The phases of a training and its learning rates: plain data, the same after a resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gan_kd_ssd.config.training_config import ScheduleConfig
from gan_kd_ssd.logs.records import DETECTION, DISCRIMINATORS, DISTILLATION

#: The losses that train each network in each phase.
UPDATES = {
    DISCRIMINATORS: {"discriminators": ("adversarial",), "student": ("detection",)},
    DISTILLATION: {"discriminators": ("adversarial",), "student": ("detection", "distillation")},
    DETECTION: {"student": ("detection",)},
}


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs that train the same networks on the same losses.

    Attributes:
        name: a key of :data:`UPDATES`.
        first, last: numbers of the first and the last epoch, both inclusive.
        validated: epochs that end with a validation.
    """

    name: str
    first: int
    last: int
    validated: frozenset[int] = field(repr=False)

    @property
    def updates(self) -> dict[str, tuple[str, ...]]:
        """Losses by the name of the network that they train."""
        return UPDATES[self.name]

    def epochs(self, start: int) -> range:
        """The phase's epochs from number ``start`` on."""
        return range(max(self.first, start), self.last + 1)


def phases(schedule: ScheduleConfig, distills: bool) -> list[Phase]:
    """The phases of a run: the GAN stage up to its last epoch, then detection losses only.

    In epochs below ``discriminator_epochs`` the discriminators are trained while the student receives
    only its detection losses. The published Faster R-CNN run had two such epochs, 0 and 1 (inferred
    from epoch times). The published SSD run had 221 epochs of GAN stage, validated only at its end,
    then epochs counted from 1 again; here the count continues.
    """
    start, last = schedule.start_epoch, schedule.last_epoch
    end_of_gan = min(schedule.gan_epochs, last) if distills else start - 1
    end_of_discriminator = min(schedule.discriminator_epochs - 1, end_of_gan)
    bounds = (
        (DISCRIMINATORS, start, end_of_discriminator),
        (DISTILLATION, max(start, end_of_discriminator + 1), end_of_gan),
        (DETECTION, max(start, end_of_gan + 1), last),
    )
    return [
        Phase(name, first, last, _validated(schedule, name, first, last))
        for name, first, last in bounds
        if first <= last
    ]


def _validated(schedule: ScheduleConfig, name: str, first: int, last: int) -> frozenset[int]:
    """Epochs of a phase that are validated: each ``interval``-th of the run, and the phase's last.

    An interval of 0 validates the last epoch only.
    """
    interval = schedule.val_interval if name == DETECTION else schedule.gan_val_interval
    due = {
        epoch
        for epoch in range(first, last + 1)
        if interval and (epoch + 1 - schedule.counted_from) % interval == 0
    }
    return frozenset(due | {last})


def learning_rate(base: float, decay: float, decay_at: Sequence[int], epoch: int) -> float:
    """Learning rate of an epoch: ``base`` times ``decay`` for each decay epoch reached."""
    rate = base
    for reached in decay_at:
        if epoch >= reached:
            rate *= decay
    return rate
