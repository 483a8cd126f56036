"""SSD's batches, the same bits for any number of worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.data.batches.sampler import BatchSampler, sample_rng
from gan_kd_ssd.data.batches.ssd_targets import SSDTargets
from gan_kd_ssd.data.batches.ssd_transform import train_transform, val_transform
from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:  # worker processes import this module and must not import MXNet
    from mxnet.nd import NDArray


class TrainBatch(NamedTuple):
    """One training batch on the CPU."""

    images: NDArray  # (B, 3, S, S), normalised
    class_targets: NDArray  # (B, N): 0 for background, otherwise 1 + class
    box_targets: NDArray  # (B, N, 4): encoded, 0 for background
    positives: int  # anchors of the whole batch that are not background


class ValBatch(NamedTuple):
    """One validation batch on the CPU."""

    images: NDArray  # (B, 3, S, S), normalised
    labels: NDArray  # (B, M, 6): x0, y0, x1, y1 in pixels of the input, class, difficult; -1 pads


class TrainBatches:
    """Shuffled, augmented batches with SSD targets. All batches are whole, see BatchSampler.

    Order and augmentation depend only on (seed, epoch, index).

    Args:
        dataset: Images and labels.
        size: Side S of the input in pixels.
        anchors: (N, 4) or (1, N, 4): centre x, centre y, width, height in pixels of the input.
        batch_size: B, at most the number of images.
        seed: 0 or more.
        num_workers: Number of processes; 0 for the calling process.
        augmentation: See :func:`~gan_kd_ssd.data.batches.ssd_transform.train_transform`.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: int,
        anchors: np.ndarray,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        augmentation: str = "ssd",
    ):
        self._sampler = BatchSampler(dataset, batch_size, seed)
        make = _MakeTrainBatch(dataset, size, SSDTargets(anchors), seed, augmentation)
        self._workers = Workers(make, num_workers)

    def batches(self, epoch: int) -> int:
        """Number of (whole) batches of an epoch (0-based)."""
        return self._sampler.batches(epoch)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[TrainBatch]:
        """The batches of an epoch, starting at batch first_batch (0-based)."""
        from gan_kd_ssd.util.mxnet import mx

        for batch in self._workers.map(self._sampler.keys(epoch, first_batch)):
            yield TrainBatch(*map(mx.nd.array, batch[:3]), batch.positives)

    def close(self) -> None:
        """Stop the worker processes. They start again when needed."""
        self._workers.close()


class ValBatches:
    """Batches in the order of the data set, without augmentation. The last one may be smaller."""

    def __init__(self, dataset: Dataset, size: int, batch_size: int, num_workers: int = 0):
        if batch_size < 1:
            raise UserError(f"--batch-size {batch_size}: must be 1 or more")
        self._count, self._batch_size = len(dataset), batch_size
        self._workers = Workers(_MakeValBatch(dataset, size), num_workers)

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def __iter__(self) -> Iterator[ValBatch]:
        from gan_kd_ssd.util.mxnet import mx

        size = self._batch_size
        indices = [
            range(first, min(first + size, self._count)) for first in range(0, self._count, size)
        ]
        for batch in self._workers.map(indices):
            yield ValBatch(*map(mx.nd.array, batch))

    def close(self) -> None:
        """Stop the worker processes. They start again when needed."""
        self._workers.close()


class _MakeTrainBatch:
    """Makes a TrainBatch of numpy arrays from its keys."""

    def __init__(
        self, dataset: Dataset, size: int, targets: SSDTargets, seed: int, augmentation: str
    ):
        self._dataset, self._size, self._targets = dataset, size, targets
        self._seed, self._augmentation = seed, augmentation

    def __call__(self, keys: Sequence[tuple[int, int]]) -> TrainBatch:
        images = np.empty((len(keys), 3, self._size, self._size), np.float32)
        classes = np.empty((len(keys), len(self._targets)), np.float32)
        boxes = np.empty((len(keys), len(self._targets), 4), np.float32)
        for row, (epoch, index) in enumerate(keys):
            images[row], label = train_transform(
                self._dataset.image(index),
                self._dataset.label(index),
                self._size,
                sample_rng(self._seed, epoch, index),
                self._augmentation,
            )
            classes[row], boxes[row] = self._targets(label)
        return TrainBatch(images, classes, boxes, int(np.count_nonzero(classes)))


class _MakeValBatch:
    """Makes a ValBatch of numpy arrays from the indices of its images."""

    def __init__(self, dataset: Dataset, size: int):
        self._dataset, self._size = dataset, size

    def __call__(self, indices: Sequence[int]) -> ValBatch:
        samples = [
            val_transform(self._dataset.image(i), self._dataset.label(i), self._size)
            for i in indices
        ]
        # At least one row: MXNet has no arrays without elements.
        most = max(1, max(len(label) for _, label in samples))
        labels = np.full((len(samples), most, 6), -1, np.float32)
        for row, (_, label) in enumerate(samples):
            labels[row, : len(label)] = label
        return ValBatch(np.stack([image for image, _ in samples]), labels)
