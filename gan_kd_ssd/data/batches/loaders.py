"""The ordered batches of an epoch, for any detector. The order is a function of a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.util.errors import UserError


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random generator of one sample, the same in every process."""
    return np.random.default_rng(np.random.SeedSequence((seed, epoch, index)))


class TrainBatches:
    """Shuffled samples in whole batches, which depend only on (seed, epoch, index).

    Samples left over at the end of an epoch come first in the next one and are augmented as in their
    own epoch (GluonCV's last_batch='rollover'). There is no state: the batches of any epoch can be
    computed at any time.

    Args:
        dataset: The data set; its length and name are used.
        batch_size: Images in a batch.
        seed: 0 or more.
        make: Makes a batch of numpy arrays from the keys (epoch, index) of its samples; picklable.
        num_workers: Number of processes; 0 for the calling process.

    Raises:
        UserError: The data set has fewer images than a batch, or a number is negative.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, seed: int, make: Callable, num_workers: int = 0
    ):
        if not 1 <= batch_size <= len(dataset):
            raise UserError(
                f"--batch-size {batch_size}: {dataset.name} has {len(dataset)} images; "
                f"give a batch size from 1 to {len(dataset)}"
            )
        if seed < 0:
            raise UserError(f"--seed {seed}: must be 0 or more")
        self._count, self._batch_size, self._seed = len(dataset), batch_size, seed
        self._workers = Workers(make, num_workers)
        self.close = self._workers.close

    def batches(self, epoch: int) -> int:
        """Number of whole batches in epoch ``epoch`` (counted from 0)."""
        return (self._left_over(epoch) + self._count) // self._batch_size

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator:
        """The batches of an epoch, starting at batch ``first_batch`` (counted from 0)."""
        return map(_to_mxnet, self._workers.map(self.keys(epoch)[first_batch:]))

    def keys(self, epoch: int) -> list[list[tuple[int, int]]]:
        """Pairs (epoch, index) of the samples of each batch of an epoch."""
        keys = [(epoch, int(i)) for i in self._permutation(epoch)]
        left_over = self._left_over(epoch)
        if left_over:
            late = self._permutation(epoch - 1)[self._count - left_over :]
            keys = [(epoch - 1, int(i)) for i in late] + keys
        size = self._batch_size
        return [keys[b * size : (b + 1) * size] for b in range(self.batches(epoch))]

    def _left_over(self, epoch: int) -> int:
        return epoch * self._count % self._batch_size

    def _permutation(self, epoch: int) -> np.ndarray:
        # The spawn key keeps this stream apart from that of sample (seed, epoch, 0).
        seeds = np.random.SeedSequence((self._seed, epoch), spawn_key=(1,))
        return np.random.default_rng(seeds).permutation(self._count)


class ValBatches:
    """Batches in the order of the data set; the last one may be smaller.

    ``make`` makes a batch of numpy arrays from the indices of its images.
    """

    def __init__(self, dataset: Dataset, batch_size: int, make: Callable, num_workers: int = 0):
        if batch_size < 1:
            raise UserError(f"--batch-size {batch_size}: must be 1 or more")
        indices = range(len(dataset))
        starts = range(0, len(indices), batch_size)
        self._indices = [indices[first : first + batch_size] for first in starts]
        self._workers = Workers(make, num_workers)
        self.close = self._workers.close

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator:
        return map(_to_mxnet, self._workers.map(self._indices))


def _to_mxnet(batch):
    """Copy the arrays of a batch, a named tuple or a list of them, to MXNet's arrays on the CPU."""
    from gan_kd_ssd.util.mxnet import mx  # not at the top: worker processes import this module

    if isinstance(batch, np.ndarray):
        return mx.nd.array(batch)
    if isinstance(batch, list):
        return [_to_mxnet(part) for part in batch]
    return type(batch)(*map(_to_mxnet, batch)) if isinstance(batch, tuple) else batch


def pad_labels(labels: list[np.ndarray]) -> np.ndarray:
    """Stack labels (M, 6) to (B, most M, 6), padded by -1. MXNet has no empty arrays: M is 1 or more."""
    most = max(1, *map(len, labels))
    padded = np.full((len(labels), most, 6), -1, np.float32)
    for row, label in zip(padded, labels):
        row[: len(label)] = label
    return padded
