"""The samples of each batch and their random generators, as functions of a seed."""

from __future__ import annotations

import numpy as np

from gan_kd_ssd.util.errors import UserError


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random generator of one sample, the same in every process."""
    return np.random.default_rng(np.random.SeedSequence((seed, epoch, index)))


class BatchSampler:
    """Shuffled samples in whole batches.

    Samples left over at the end of an epoch come first in the next one and are augmented as in their
    own epoch (GluonCV's last_batch='rollover'). The sampler has no state: the batches of any epoch
    can be computed at any time.

    Args:
        dataset: The data set; its length and name are used.
        batch_size: Images in a batch.
        seed: 0 or more.

    Raises:
        UserError: The data set has fewer images than a batch, or the seed is negative.
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
        """Number of (whole) batches of an epoch (0-based)."""
        return (self._left_over(epoch) + self._count) // self._batch_size

    def keys(self, epoch: int, first_batch: int = 0) -> list[list[tuple[int, int]]]:
        """Pairs (epoch, index) of the samples of each batch, starting at batch first_batch."""
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
