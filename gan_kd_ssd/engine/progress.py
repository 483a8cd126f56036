"""Progress of a training: phase, epoch, batch and running sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Position of a training, and its running sums."""

    epoch: int  # number of the current epoch
    batch: int = 0  # number of trained batches of this epoch
    images: int = 0  # training images seen since the start of the run
    best_map: float = -1.0  # best mAP of the validations; below 0 before the first one
    epoch_logged: bool = False  # whether the log already has the last line of the epoch
    seconds: float = 0.0  # training time of the epoch's batches
    sums: list[float] = field(default_factory=list)  # sums of the figures over the epoch's batches
    run_sums: list[float] = field(default_factory=list)  # sums over all epochs before

    def total_sums(self) -> list[float]:
        """Sums of the figures since the start of the run.

        Vectors of phases with and without distillation differ in length; their common part is summed.
        """
        if not self.run_sums:
            return list(self.sums)
        return [before + now for before, now in zip(self.run_sums, self.sums)]

    def next_epoch(self) -> None:
        """Advance to the first batch of the next epoch."""
        self.run_sums = self.total_sums()
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, []
        self.epoch_logged, self.seconds = False, 0.0

    def to_json(self) -> dict:
        """The fields by their names in a state file of format 1."""
        return {"told" if name == "epoch_logged" else name: v for name, v in vars(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping) -> Progress:
        """The progress in a state file of format 1; a TypeError for unknown fields."""
        return cls(**{"epoch_logged" if name == "told" else name: v for name, v in fields.items()})
