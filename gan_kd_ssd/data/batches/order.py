"""Which sample is in which batch, and what its augmentation draws from: functions of a seed alone."""

from __future__ import annotations

import numpy as np

from gan_kd_ssd.util.errors import UserError


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one sample's augmentation, the same in any process."""
    return np.random.default_rng(np.random.SeedSequence((seed, epoch, index)))


class SampleOrder:
    """The order of a data set's samples in whole batches, without state.

    Samples left over at the end of an epoch come first in the next, with the augmentation of their own
    epoch (GluonCV's last_batch='rollover'); any epoch can be asked for at any time.

    Args:
        dataset: with a length and a name. batch_size: images in a batch. seed: 0 or more.

    Raises:
        UserError: fewer images than a batch has, or a negative seed.
    """

    def __init__(self, dataset, batch_size: int, seed: int):
        if not 1 <= batch_size <= len(dataset):
            raise UserError(
                f"--batch-size {batch_size}: {dataset.name} has {len(dataset)} images; "
                f"give a batch size from 1 to {len(dataset)}"
            )
        if seed < 0:
            raise UserError(f"--seed {seed}: must be 0 or more")
        self._count, self._batch_size, self._seed = len(dataset), batch_size, seed

    def batches(self, epoch: int) -> int:
        """Number of (whole) batches of an epoch, the first being 0."""
        return (self._left_over(epoch) + self._count) // self._batch_size

    def keys(self, epoch: int, first_batch: int = 0) -> list[list[tuple[int, int]]]:
        """(epoch, index) of the samples of each batch, from batch first_batch on (0-based)."""
        left_over = self._left_over(epoch)
        keys = [(epoch, int(i)) for i in self._permutation(epoch)]
        if left_over:
            late = self._permutation(epoch - 1)[self._count - left_over :]
            keys = [(epoch - 1, int(i)) for i in late] + keys
        size = self._batch_size
        return [keys[b * size : (b + 1) * size] for b in range(first_batch, self.batches(epoch))]

    def _left_over(self, epoch: int) -> int:
        return epoch * self._count % self._batch_size

    def _permutation(self, epoch: int) -> np.ndarray:
        # The spawn key keeps this stream apart from that of sample (seed, epoch, 0).
        seeds = np.random.SeedSequence((self._seed, epoch), spawn_key=(1,))
        return np.random.default_rng(seeds).permutation(self._count)
