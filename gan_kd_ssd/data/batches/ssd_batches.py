"""SSD's batches, the same bits for any number of worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.data.batches.loaders import TrainBatches, ValBatches, pad_labels, sample_rng
from gan_kd_ssd.data.batches.ssd_targets import SSDTargets
from gan_kd_ssd.data.batches.ssd_transform import train_transform, val_transform
from gan_kd_ssd.data.formats.dataset import Dataset

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


def train_batches(
    dataset: Dataset,
    size: int,
    anchors: np.ndarray,
    batch_size: int,
    seed: int,
    num_workers: int = 0,
    augmentation: str = "ssd",
) -> TrainBatches:
    """Shuffled, augmented instances of :class:`TrainBatch`.

    Args:
        dataset: Images and labels.
        size: Side S of the input in pixels.
        anchors: (N, 4) or (1, N, 4): centre x, centre y, width, height in pixels of the input.
        batch_size: Images in a batch.
        seed: See :class:`TrainBatches`.
        num_workers: See :class:`TrainBatches`.
        augmentation: See :func:`~gan_kd_ssd.data.batches.ssd_transform.train_transform`.
    """
    make = partial(_train_batch, dataset, size, SSDTargets(anchors), seed, augmentation)
    return TrainBatches(dataset, batch_size, seed, make, num_workers)


def val_batches(dataset: Dataset, size: int, batch_size: int, num_workers: int = 0) -> ValBatches:
    """Instances of :class:`ValBatch` with inputs of ``size`` pixels, without augmentation."""
    return ValBatches(dataset, batch_size, partial(_val_batch, dataset, size), num_workers)


def _train_batch(
    dataset: Dataset,
    size: int,
    targets: SSDTargets,
    seed: int,
    augmentation: str,
    keys: Sequence[tuple[int, int]],
) -> TrainBatch:
    images = np.empty((len(keys), 3, size, size), np.float32)
    classes = np.empty((len(keys), len(targets)), np.float32)
    boxes = np.empty((len(keys), len(targets), 4), np.float32)
    for row, (epoch, index) in enumerate(keys):
        rng = sample_rng(seed, epoch, index)
        sample = dataset.image(index), dataset.label(index)
        images[row], label = train_transform(*sample, size, rng, augmentation)
        classes[row], boxes[row] = targets(label)
    return TrainBatch(images, classes, boxes, int(np.count_nonzero(classes)))


def _val_batch(dataset: Dataset, size: int, indices: Sequence[int]) -> ValBatch:
    samples = [val_transform(dataset.image(i), dataset.label(i), size) for i in indices]
    images, labels = zip(*samples)
    return ValBatch(np.stack(images), pad_labels(labels))
