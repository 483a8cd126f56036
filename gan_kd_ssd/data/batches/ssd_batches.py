"""Batches for training and validation, the same for any number of worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.data.batches.order import SampleOrder, sample_rng
from gan_kd_ssd.data.batches.ssd_augment import train_transform, val_transform
from gan_kd_ssd.data.batches.ssd_targets import SSDTargets
from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:  # worker processes import this module: MXNet only where batches are handed out
    from mxnet.nd import NDArray


class Batch(NamedTuple):
    """One training batch on the CPU."""

    images: NDArray  # (B, 3, S, S), normalised
    class_targets: NDArray  # (B, N): 0 background, 1 + class else
    box_targets: NDArray  # (B, N, 4): encoded, 0 for background
    positives: int  # anchors that are not background, of the whole batch


class TrainBatches:
    """Shuffled, augmented batches with SSD targets.

    Order and augmentation depend on (seed, epoch, index) alone. Every batch is whole: samples left
    over at the end of an epoch come first in the next, with the augmentation of their own epoch
    (GluonCV's last_batch='rollover', but without state: any epoch can be asked for at any time).

    Args:
        dataset: images and labels.
        size: side S of the input in pixels.
        anchors: (N, 4) or (1, N, 4): centre x, centre y, width, height in pixels of the input.
        batch_size: B; UserError if there are fewer images.
        seed: 0 or more.
        num_workers: processes; 0 for the calling process.
        augmentation: see :func:`~gan_kd_ssd.data.batches.ssd_augment.train_transform`.
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
        self._order = SampleOrder(dataset, batch_size, seed)
        make = _MakeTrainBatch(dataset, size, SSDTargets(anchors), seed, augmentation)
        self._workers = Workers(make, num_workers)

    def batches(self, epoch: int) -> int:
        """Number of (whole) batches of an epoch, the first being 0."""
        return self._order.batches(epoch)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch first_batch on (0-based)."""
        from gan_kd_ssd.util.mxnet import mx

        keys = self._order.keys(epoch, first_batch)
        for images, classes, boxes, positives in self._workers.map(keys):
            yield Batch(mx.nd.array(images), mx.nd.array(classes), mx.nd.array(boxes), positives)

    def close(self) -> None:
        """Stop the worker processes; they start again when needed."""
        self._workers.close()


class ValBatches:
    """Batches in the data set's order without augmentation; the last one may be smaller."""

    def __init__(self, dataset: Dataset, size: int, batch_size: int, num_workers: int = 0):
        if batch_size < 1:
            raise UserError(f"--batch-size {batch_size}: must be 1 or more")
        self._count, self._batch_size = len(dataset), batch_size
        self._workers = Workers(_MakeValBatch(dataset, size), num_workers)

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def __iter__(self) -> Iterator[tuple[NDArray, NDArray]]:
        """Images (B, 3, S, S) and labels (B, M, 6) padded with -1; boxes in pixels of the input."""
        from gan_kd_ssd.util.mxnet import mx

        size = self._batch_size
        indices = [
            range(first, min(first + size, self._count)) for first in range(0, self._count, size)
        ]
        for images, labels in self._workers.map(indices):
            yield mx.nd.array(images), mx.nd.array(labels)

    def close(self) -> None:
        """Stop the worker processes; they start again when needed."""
        self._workers.close()


class _MakeTrainBatch:
    def __init__(
        self, dataset: Dataset, size: int, targets: SSDTargets, seed: int, augmentation: str
    ):
        self._dataset, self._size, self._targets = dataset, size, targets
        self._seed, self._augmentation = seed, augmentation

    def __call__(self, keys: Sequence[tuple[int, int]]) -> tuple:
        images = np.empty((len(keys), 3, self._size, self._size), np.float32)
        classes = np.empty((len(keys), len(self._targets)), np.float32)
        boxes = np.empty((len(keys), len(self._targets), 4), np.float32)
        for row, (epoch, index) in enumerate(keys):
            rng = sample_rng(self._seed, epoch, index)
            images[row], label = train_transform(
                self._dataset.image(index),
                self._dataset.label(index),
                self._size,
                rng,
                self._augmentation,
            )
            classes[row], boxes[row] = self._targets(label)
        return images, classes, boxes, int(np.count_nonzero(classes))


class _MakeValBatch:
    def __init__(self, dataset: Dataset, size: int):
        self._dataset, self._size = dataset, size

    def __call__(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        samples = [
            val_transform(self._dataset.image(i), self._dataset.label(i), self._size)
            for i in indices
        ]
        # At least one row: MXNet has no arrays without elements.
        most = max(1, max(len(label) for _, label in samples))
        labels = np.full((len(samples), most, 6), -1, np.float32)
        for row, (_, label) in enumerate(samples):
            labels[row, : len(label)] = label
        return np.stack([image for image, _ in samples]), labels
