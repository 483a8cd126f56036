"""What is trained when, and at which learning rate: plain data, the same after a resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.util.errors import UserError


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs that update the same networks.

    Attributes:
        name: 'discriminator' (they learn, the student has its detection losses alone), 'gan' (student
        and discriminators) or 'detection' (student alone).
        first, last: epochs, both inclusive. val_interval: validate each so many epochs, and at the
        last one; 0 validates at the last one alone. counted_from: number of a run's first epoch.
    """

    name: str
    first: int
    last: int
    val_interval: int
    counted_from: int = 1

    def validates(self, epoch: int) -> bool:
        done = epoch + 1 - self.counted_from
        return epoch == self.last or bool(self.val_interval and done % self.val_interval == 0)


def phases(
    start: int,
    last: int,
    gan_epochs: int,
    distill: str,
    val_interval: int,
    gan_val_interval: int,
    discriminator_epochs: int = 0,
    counted_from: int = 1,
) -> list[Phase]:
    """The phases of a run: the GAN stage up to epoch ``gan_epochs``, then detection losses alone.

    In epochs before number ``discriminator_epochs`` of that stage, the discriminators learn alone: the
    published Faster R-CNN run has 2 of those, 0 and 1, by their cost (inferred).

    The published SSD run had 221 epochs of the first, validated at its end alone, then epochs that
    count from 1 again; here they go on counting.
    """
    end_of_gan = min(gan_epochs, last) if distill != "none" else start - 1
    end_of_discriminator = min(discriminator_epochs - 1, end_of_gan)
    all_phases = [
        Phase("discriminator", start, end_of_discriminator, gan_val_interval, counted_from),
        Phase(
            "gan", max(start, end_of_discriminator + 1), end_of_gan, gan_val_interval, counted_from
        ),
        Phase("detection", max(start, end_of_gan + 1), last, val_interval, counted_from),
    ]
    return [phase for phase in all_phases if phase.first <= phase.last]


def decay_epochs(text: str, option: str = "--lr-decay-epoch") -> list[int]:
    """Epochs of an option, '80,100' -> [80, 100]; '' -> []."""
    try:
        return sorted(int(part) for part in text.replace(" ", "").split(",") if part)
    except ValueError:
        raise UserError(f"{option} {text!r}: give epochs such as 80,100") from None


def learning_rate(base: float, decay: float, decay_at: Sequence[int], epoch: int) -> float:
    """Learning rate of an epoch: ``base`` times ``decay`` for each decay epoch reached."""
    rate = base
    for reached in decay_at:
        if epoch >= reached:
            rate *= decay
    return rate
