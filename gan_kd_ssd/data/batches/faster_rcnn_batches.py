"""Faster R-CNN's batches: a list with one part per device, each part of its own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.data.batches.faster_rcnn_transform import mixture, train_transform, val_transform
from gan_kd_ssd.data.batches.sampler import BatchSampler, sample_rng
from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:  # worker processes import this module and must not import MXNet
    from mxnet.nd import NDArray


class InputSize(NamedTuple):
    """Size of the input in pixels: its short side, unless the long side would exceed the maximum."""

    short: int
    max_size: int


class DevicePart(NamedTuple):
    """The part of a training batch for one device, on the CPU. 0 pads images to the largest one."""

    images: NDArray  # (B, 3, H, W), normalised
    boxes: NDArray  # (B, M, 4): corners in pixels of the input; -1 pads
    labels: NDArray  # (B, M, 1): class; -1 pads
    rpn_classes: NDArray  # (B, A): 1 object, 0 background, -1 ignored
    rpn_boxes: NDArray  # (B, A, 4): encoded, 0 except for objects
    weights: NDArray  # (B,): weight of the losses; 1/2 for a mixture of two images, otherwise 1


class ValPart(NamedTuple):
    """The part of a validation batch for one device, on the CPU: one image."""

    images: NDArray  # (1, 3, H, W), normalised
    labels: NDArray  # (1, M, 6): x0, y0, x1, y1 in pixels of the input, class, difficult; -1 pads
    scale: float  # from pixels of the input to pixels of the image


class TrainBatches:
    """Shuffled, flipped batches with the targets of the region proposal network.

    Order, flips and sampled anchors depend only on (seed, epoch, index), see BatchSampler.

    Args:
        dataset: Images and labels.
        size: Size of the input.
        targets: Targets of the region proposal network.
        batch_size: Images on all devices.
        devices: Number of devices.
        seed: 0 or more.
        num_workers: Number of processes; 0 for the calling process.
        mixup_before: Samples of epochs before this one are mixtures of two images.

    Raises:
        UserError: The batch size is not divisible by the number of devices or exceeds the number of
            images, or there is only one image to mix.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: InputSize,
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
        self._sampler = BatchSampler(dataset, batch_size, seed)
        make = _MakeTrainBatch(dataset, size, targets, devices, seed, mixup_before)
        self._workers = Workers(make, num_workers)

    def batches(self, epoch: int) -> int:
        """Number of (whole) batches of an epoch (0-based)."""
        return self._sampler.batches(epoch)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[list[DevicePart]]:
        """The batches of an epoch, starting at batch first_batch (0-based)."""
        from gan_kd_ssd.util.mxnet import mx

        for parts in self._workers.map(self._sampler.keys(epoch, first_batch)):
            yield [DevicePart(*map(mx.nd.array, part)) for part in parts]

    def close(self) -> None:
        """Stop the worker processes. They start again when needed."""
        self._workers.close()


class ValBatches:
    """Batches of one image per device in the order of the data set; lists of :class:`ValPart`."""

    def __init__(self, dataset: Dataset, size: InputSize, devices: int = 1, num_workers: int = 0):
        self._count, self._devices = len(dataset), devices
        self._workers = Workers(_MakeValPart(dataset, size), num_workers)

    def __len__(self) -> int:
        return -(-self._count // self._devices)

    def __iter__(self) -> Iterator[list[ValPart]]:
        from gan_kd_ssd.util.mxnet import mx

        batch = []
        for number, part in enumerate(self._workers.map(range(self._count)), 1):
            batch.append(ValPart(*map(mx.nd.array, part[:2]), part.scale))
            if len(batch) == self._devices or number == self._count:
                yield batch
                batch = []

    def close(self) -> None:
        """Stop the worker processes. They start again when needed."""
        self._workers.close()


class _MakeTrainBatch:
    """Makes the parts of a training batch, of numpy arrays, from its keys."""

    def __init__(self, dataset, size: InputSize, targets, devices, seed, mixup_before):
        self._dataset, self._size, self._targets = dataset, size, targets
        self._devices, self._seed, self._mixup_before = devices, seed, mixup_before

    def __call__(self, keys: Sequence[tuple[int, int]]) -> list[DevicePart]:
        each = len(keys) // self._devices
        return [self._part(keys[first : first + each]) for first in range(0, len(keys), each)]

    def _part(self, keys) -> DevicePart:
        rngs = [sample_rng(self._seed, *key) for key in keys]
        samples = [
            train_transform(*self._read(epoch, index, rng), *self._size, rng)
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
        return DevicePart(images, boxes, labels, classes, encoded, np.array(weights, np.float32))

    def _read(self, epoch: int, index: int, rng) -> tuple[np.ndarray, np.ndarray]:
        """Image and label of a sample, mixed with another one in the epochs before mixup_before."""
        indices = [index]
        if epoch < self._mixup_before:
            other = int(rng.integers(len(self._dataset) - 1))
            indices.append(other + (other >= index))
        images = [self._dataset.image(i) for i in indices]
        labels = [self._dataset.label(i) for i in indices]
        return mixture(images, labels) if len(indices) > 1 else (images[0], labels[0])


class _MakeValPart:
    """Makes a ValPart of numpy arrays from the index of its image."""

    def __init__(self, dataset, size: InputSize):
        self._dataset, self._size = dataset, size

    def __call__(self, index: int) -> ValPart:
        image, label, scale = val_transform(
            self._dataset.image(index), self._dataset.label(index), *self._size
        )
        if not len(label):
            label = np.full((1, 6), -1, np.float32)
        return ValPart(image[None], label[None], scale)
