"""Faster R-CNN's batches: one part a device, each of its own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.data.batches.faster_rcnn_transform import (
    RPNTargets,
    mixture,
    train_transform,
    val_transform,
)
from gan_kd_ssd.data.batches.order import SampleOrder, sample_rng
from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:  # worker processes import this module: MXNet only where batches are handed out
    from mxnet.nd import NDArray


class DevicePart(NamedTuple):
    """What one device gets of a batch, on the CPU; images are padded with 0 to the largest."""

    images: NDArray  # (B, 3, H, W), normalised
    boxes: NDArray  # (B, M, 4): corners in pixels of the input; -1 pads
    labels: NDArray  # (B, M, 1): class; -1 pads
    rpn_classes: NDArray  # (B, A): 1 object, 0 background, -1 ignored
    rpn_boxes: NDArray  # (B, A, 4): encoded, 0 but for objects
    weights: NDArray  # (B,): of the losses; 1/2 for a mixture of two images, else 1


class TrainBatches:
    """Shuffled, flipped batches with the targets of the proposals; a list of one part a device.

    Order, flips and sampled anchors depend on (seed, epoch, index) alone, see
    :class:`~gan_kd_ssd.data.batches.order.SampleOrder`.

    Args:
        dataset: images and labels. short, max_size: of the input, pixels.
        targets: of the proposals. batch_size: on all devices. devices: how many.
        seed: 0 or more. num_workers: processes; 0 for the calling process.
        mixup_before: samples of epochs before this one are mixtures of two images.

    Raises:
        UserError: the batch does not divide by the devices, or is larger than the data set; a single
            image to mix.
    """

    def __init__(
        self,
        dataset: Dataset,
        short: int,
        max_size: int,
        targets: RPNTargets,
        batch_size: int,
        devices: int,
        seed: int,
        num_workers: int = 0,
        mixup_before: int = 0,
    ):
        if mixup_before and len(dataset) < 2:
            raise UserError("--mixup: needs two images or more")
        if batch_size % devices:
            raise UserError(
                f"--batch-size {batch_size}: give a multiple of the number of devices, {devices}"
            )
        self._order = SampleOrder(dataset, batch_size, seed)
        make = _MakeTrainBatch(dataset, short, max_size, targets, devices, seed, mixup_before)
        self._workers = Workers(make, num_workers)

    def batches(self, epoch: int) -> int:
        """Number of (whole) batches of an epoch, the first being 0."""
        return self._order.batches(epoch)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[list[DevicePart]]:
        """The batches of an epoch, from batch first_batch on (0-based)."""
        from gan_kd_ssd.util.mxnet import mx

        for parts in self._workers.map(self._order.keys(epoch, first_batch)):
            yield [DevicePart(*[mx.nd.array(array) for array in part]) for part in parts]

    def close(self) -> None:
        """Stop the worker processes; they start again when needed."""
        self._workers.close()


class ValBatches:
    """Single images in the data set's order, as many in a batch as there are devices."""

    def __init__(
        self,
        dataset: Dataset,
        short: int,
        max_size: int,
        devices: int = 1,
        num_workers: int = 0,
    ):
        self._count, self._devices = len(dataset), devices
        self._workers = Workers(_MakeValBatch(dataset, short, max_size), num_workers)

    def __len__(self) -> int:
        return -(-self._count // self._devices)

    def __iter__(self) -> Iterator[list[tuple[NDArray, NDArray, float]]]:
        """Lists of: image (1, 3, H, W), label (1, M, 6) in pixels of the input, and the scale from
        them to those of the image file; -1 pads a label without objects."""
        from gan_kd_ssd.util.mxnet import mx

        batch = []
        for number, (image, label, scale) in enumerate(self._workers.map(range(self._count)), 1):
            batch.append((mx.nd.array(image), mx.nd.array(label), scale))
            if len(batch) == self._devices or number == self._count:
                yield batch
                batch = []

    def close(self) -> None:
        """Stop the worker processes; they start again when needed."""
        self._workers.close()


class _MakeTrainBatch:
    def __init__(self, dataset, short, max_size, targets, devices, seed, mixup_before):
        self._dataset, self._short, self._max_size = dataset, short, max_size
        self._targets, self._devices, self._seed = targets, devices, seed
        self._mixup_before = mixup_before

    def __call__(self, keys: Sequence[tuple[int, int]]) -> list[tuple]:
        each = len(keys) // self._devices
        return [self._part(keys[first : first + each]) for first in range(0, len(keys), each)]

    def _part(self, keys) -> tuple:
        rngs = [sample_rng(self._seed, *key) for key in keys]
        samples = [
            train_transform(*self._read(epoch, index, rng), self._short, self._max_size, rng)
            for (epoch, index), rng in zip(keys, rngs)
        ]
        padded = tuple(max(image.shape[axis] for image, _ in samples) for axis in (1, 2))
        most = max(1, max(len(label) for _, label in samples))  # MXNet has no empty arrays
        images = np.zeros((len(keys), 3, *padded), np.float32)
        boxes = np.full((len(keys), most, 4), -1, np.float32)
        labels = np.full((len(keys), most, 1), -1, np.float32)
        targets = []
        for row, ((image, label), rng) in enumerate(zip(samples, rngs)):
            size = image.shape[1:]
            images[row, :, : size[0], : size[1]] = image
            boxes[row, : len(label)], labels[row, : len(label)] = label[:, :4], label[:, 4:5]
            targets.append(self._targets(label[:, :4], size, padded, rng))
        weights = [0.5 if epoch < self._mixup_before else 1.0 for epoch, _ in keys]
        classes, encoded = (np.stack(arrays) for arrays in zip(*targets))
        return images, boxes, labels, classes, encoded, np.array(weights, np.float32)

    def _read(self, epoch: int, index: int, rng) -> tuple[np.ndarray, np.ndarray]:
        """Image and label of a sample, mixed with another while the epoch asks for it."""
        indices = [index]
        if epoch < self._mixup_before:
            other = int(rng.integers(len(self._dataset) - 1))
            indices.append(other + (other >= index))
        images = [self._dataset.image(i) for i in indices]
        labels = [self._dataset.label(i) for i in indices]
        return mixture(images, labels) if len(indices) > 1 else (images[0], labels[0])


class _MakeValBatch:
    def __init__(self, dataset, short, max_size):
        self._dataset, self._short, self._max_size = dataset, short, max_size

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray, float]:
        image, label, scale = val_transform(
            self._dataset.image(index), self._dataset.label(index), self._short, self._max_size
        )
        if not len(label):
            label = np.full((1, 6), -1, np.float32)
        return image[None], label[None], scale
