"""Progress of a training: the part of its state that is no array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where a training stands."""

    epoch: int  # number of the current epoch
    batch: int = 0  # number of its batches that are trained
    images: int = 0  # training images seen since the start of the run
    best_map: float = -1.0  # best mAP of the validations; below 0 before the first one
    epoch_logged: bool = False  # whether the log has the line of the epoch's end already
    seconds: float = 0.0  # training time of the epoch's batches
    sums: list[float] = field(default_factory=list)  # of the figures, over the epoch's batches
    run_sums: list[float] = field(default_factory=list)  # of the figures, over all epochs before

    def total_sums(self) -> list[float]:
        """Sums of the figures since the start of the run.

        Vectors of phases with and without distillation differ in length; their common part is summed.
        """
        if not self.run_sums:
            return list(self.sums)
        return [before + now for before, now in zip(self.run_sums, self.sums)]

    def next_epoch(self) -> None:
        """Move on to the first batch of the next epoch."""
        self.run_sums = self.total_sums()
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, []
        self.epoch_logged, self.seconds = False, 0.0

    def to_json(self) -> dict:
        """The fields under the names that they have in a state file of format 1."""
        return {"told" if name == "epoch_logged" else name: v for name, v in vars(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping) -> Progress:
        """The progress in a state file of format 1; a TypeError for unknown fields."""
        return cls(**{"epoch_logged" if name == "told" else name: v for name, v in fields.items()})
