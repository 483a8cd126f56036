"""Faster R-CNN's batches: a list with one part per device, each with its own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.data.batches.faster_rcnn_transform import mixture, train_transform, val_transform
from gan_kd_ssd.data.batches.loaders import TrainBatches, ValBatches, pad_labels, sample_rng
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


def train_batches(
    dataset: Dataset,
    size: InputSize,
    targets: RPNTargets,
    batch_size: int,
    devices: int,
    seed: int,
    num_workers: int = 0,
    mixup_before: int = 0,
) -> TrainBatches:
    """Shuffled, flipped batches, lists of one :class:`DevicePart` per device.

    Args:
        dataset: Images and labels.
        size: Size of the input.
        targets: Targets of the region proposal network.
        batch_size: Images on all devices.
        devices: Number of devices.
        seed: See :class:`TrainBatches`.
        num_workers: See :class:`TrainBatches`.
        mixup_before: Samples of epochs before this one are mixtures of two images.

    Raises:
        UserError: The batch size is not divisible by the number of devices or exceeds the number of
            images, or there is only one image to mix.
    """
    if mixup_before and len(dataset) < 2:
        raise UserError("--mixup needs two images or more")
    if batch_size % devices:
        raise UserError(f"--batch-size {batch_size}: give a multiple of {devices} (devices)")
    make = _MakeTrainBatch(dataset, size, targets, devices, seed, mixup_before)
    return TrainBatches(dataset, batch_size, seed, make, num_workers)


def val_batches(
    dataset: Dataset, size: InputSize, devices: int = 1, num_workers: int = 0
) -> ValBatches:
    """Batches of one image per device: lists of :class:`ValPart`."""
    return ValBatches(dataset, devices, partial(_val_batch, dataset, size), num_workers)


@dataclass(frozen=True)
class _MakeTrainBatch:
    """Makes the parts of a training batch from its keys."""

    dataset: Dataset
    size: InputSize
    targets: RPNTargets
    devices: int
    seed: int
    mixup_before: int

    def __call__(self, keys: Sequence[tuple[int, int]]) -> list[DevicePart]:
        each = len(keys) // self.devices
        return [self._part(keys[first : first + each]) for first in range(0, len(keys), each)]

    def _part(self, keys) -> DevicePart:
        rngs = [sample_rng(self.seed, *key) for key in keys]
        samples = [
            train_transform(*self._read(epoch, index, rng), *self.size, rng)
            for (epoch, index), rng in zip(keys, rngs)
        ]
        padded = tuple(max(image.shape[axis] for image, _ in samples) for axis in (1, 2))
        images = np.zeros((len(keys), 3, *padded), np.float32)
        targets = []
        for row, (image, label), rng in zip(images, samples, rngs):
            size = image.shape[1:]
            row[:, : size[0], : size[1]] = image
            targets.append(self.targets(label[:, :4], size, padded, rng))
        labels = pad_labels([label for _, label in samples])
        classes, encoded = (np.stack(arrays) for arrays in zip(*targets))
        weights = [0.5 if epoch < self.mixup_before else 1.0 for epoch, _ in keys]
        weights = np.array(weights, np.float32)
        return DevicePart(images, labels[..., :4], labels[..., 4:5], classes, encoded, weights)

    def _read(self, epoch: int, index: int, rng) -> tuple[np.ndarray, np.ndarray]:
        """Image and label of a sample, mixed with another one in the epochs before mixup_before."""
        indices = [index]
        if epoch < self.mixup_before:
            other = int(rng.integers(len(self.dataset) - 1))
            indices.append(other + (other >= index))
        images = [self.dataset.image(i) for i in indices]
        labels = [self.dataset.label(i) for i in indices]
        return mixture(images, labels) if len(indices) > 1 else (images[0], labels[0])


def _val_batch(dataset: Dataset, size: InputSize, indices: Sequence[int]) -> list[ValPart]:
    parts = []
    for index in indices:
        image, label, scale = val_transform(dataset.image(index), dataset.label(index), *size)
        parts.append(ValPart(image[None], pad_labels([label]), scale))
    return parts
