"""Faster R-CNN's transforms, equal to GluonCV's FasterRCNNDefaultTrainTransform and …ValTransform."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gan_kd_ssd.data.batches.normalise import normalised_planes


def short_within(height: int, width: int, short: int, max_size: int) -> tuple[int, int]:
    """Scale a size to a short side of ``short`` pixels, or less if the long side exceeds ``max_size``."""
    scale = short / min(height, width)
    if np.round(scale * max(height, width)) > max_size:
        scale = max_size / max(height, width)
    return int(np.round(height * scale)), int(np.round(width * scale))


def resize(image: np.ndarray, label: np.ndarray, short: int, max_size: int):
    """Resize an image, uint8 (H, W, 3), and its label (M, 6), in pixels, to the size of the input."""
    old_height, old_width = image.shape[:2]
    height, width = short_within(old_height, old_width, short, max_size)
    cv2.ipp.setUseIPP(False)  # it rounds differently from OpenCV's own code, which MXNet uses
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    label = label.astype(np.float64)
    label[:, 0:4] *= np.tile((width / old_width, height / old_height), 2)
    return image, label


def train_transform(
    image: np.ndarray, label: np.ndarray, short: int, max_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Resize and normalise, and flip with probability 1/2.

    Args and returns are as for SSD's transform, with :func:`short_within` for the size.
    """
    image, label = resize(image, label, short, max_size)
    if rng.random() < 0.5:
        image = cv2.flip(image, 1)
        label[:, [0, 2]] = image.shape[1] - label[:, [2, 0]]
    return normalised_planes(image), label.astype(np.float32)


def mixture(images: Sequence[np.ndarray], labels: Sequence[np.ndarray]):
    """Mix two images, uint8 (H, W, 3), half and half on a canvas that holds both; keep all objects.

    This is GluonCV's MixupDetection (arXiv 1902.04103) with a ratio of 0.5, as in its script.
    """
    canvas = np.zeros(np.max([image.shape for image in images], axis=0), np.uint16)
    for image in images:
        canvas[: image.shape[0], : image.shape[1]] += image
    return (canvas >> 1).astype(np.uint8), np.concatenate(labels)


def val_transform(
    image: np.ndarray, label: np.ndarray, short: int, max_size: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Resize only. The third value is the scale from pixels of the input to pixels of the image."""
    height = image.shape[0]
    image, label = resize(image, label, short, max_size)
    return normalised_planes(image), label.astype(np.float32), height / image.shape[0]
