"""Faster R-CNN's transforms and the targets of its proposals, in numpy and OpenCV.

Equal to GluonCV's FasterRCNNDefaultTrainTransform and its validation counterpart; every draw comes from
the Generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gan_kd_ssd.data.batches.ssd_augment import normalised_planes


def short_within(height: int, width: int, short: int, max_size: int) -> tuple[int, int]:
    """Size (H, W) at which the short side is ``short``, unless the long one would exceed ``max_size``."""
    scale = short / min(height, width)
    if np.round(scale * max(height, width)) > max_size:
        scale = max_size / max(height, width)
    return int(np.round(height * scale)), int(np.round(width * scale))


def resize(image: np.ndarray, label: np.ndarray, short: int, max_size: int):
    """Image uint8 (H, W, 3) and label (M, 6), in pixels, brought to the size of the input."""
    old_height, old_width = image.shape[:2]
    height, width = short_within(old_height, old_width, short, max_size)
    cv2.ipp.setUseIPP(False)  # rounds otherwise than OpenCV's own code, which MXNet uses
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    label = label.astype(np.float64)
    label[:, 0:4] *= np.tile((width / old_width, height / old_height), 2)
    return image, label


def train_transform(
    image: np.ndarray, label: np.ndarray, short: int, max_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Resize, and flip with probability 1/2.

    Args:
        image: uint8 (H, W, 3), RGB. label: (M, 6): x0, y0, x1, y1 in pixels, class, difficult.
        short, max_size: of the input, in pixels.

    Returns:
        float32 (3, H', W'), normalised; label float32 (M, 6) in pixels of the input.
    """
    image, label = resize(image, label, short, max_size)
    if rng.random() < 0.5:
        image = cv2.flip(image, 1)
        label[:, [0, 2]] = image.shape[1] - label[:, [2, 0]]
    return normalised_planes(image), label.astype(np.float32)


def mixture(images: Sequence[np.ndarray], labels: Sequence[np.ndarray]):
    """Two images, uint8 (H, W, 3), one half each on a canvas that holds both, and all their objects.

    As GluonCV's MixupDetection with a ratio of 0.5, the one that its Faster R-CNN script uses
    (arXiv 1902.04103). Labels are (M, 6), in pixels.
    """
    canvas = np.zeros(
        (*(max(image.shape[axis] for image in images) for axis in (0, 1)), 3), np.uint16
    )
    for image in images:
        canvas[: image.shape[0], : image.shape[1]] += image
    return (canvas >> 1).astype(np.uint8), np.concatenate(labels)


def val_transform(
    image: np.ndarray, label: np.ndarray, short: int, max_size: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Resize alone; the third value is the scale from the input's pixels to the image's."""
    height = image.shape[0]
    image, label = resize(image, label, short, max_size)
    return normalised_planes(image), label.astype(np.float32), height / image.shape[0]


class RPNTargets:
    """What the region proposal network should say of each anchor, as GluonCV's RPNTargetGenerator.

    One difference: an object that no anchor within the image overlaps makes no anchor positive (there,
    every anchor).

    Args:
        grids: anchors of each level, (allocated H, allocated W, A, 4), corners in pixels.
        strides: of each level. samples: anchors to sample from an image. positive, negative: overlap
        (IoU) from which an anchor is an object, below which it is background; the best anchors of an
        object are objects at any overlap. share: greatest share of positives among the samples.
    """

    def __init__(
        self,
        grids: Sequence[np.ndarray],
        strides: Sequence[int],
        samples: int = 256,
        positive: float = 0.7,
        negative: float = 0.3,
        share: float = 0.5,
    ):
        self._grids, self._strides = list(grids), list(strides)
        self._samples, self._most = samples, round(samples * share)
        self._positive, self._negative = positive, negative

    def anchors(self, height: int, width: int) -> np.ndarray:
        """Anchors of an input of this size, (A, 4), level by level, in the predictions' order."""
        parts = []
        for grid, stride in zip(self._grids, self._strides):
            part = grid[: -(-height // stride), : -(-width // stride)]
            parts.append(part.reshape(-1, 4))
        return np.concatenate(parts)

    def __call__(
        self,
        boxes: np.ndarray,
        size: tuple[int, int],
        padded: tuple[int, int],
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Targets of one image.

        Args:
            boxes: (M, 4), corners in pixels. size: (H, W) of the image, outside of which anchors are
            ignored. padded: (H, W) of the input that it stands in. rng: draws the sampled anchors.

        Returns:
            classes (A,): 1 object, 0 background, -1 ignored; boxes (A, 4): encoded, 0 but for objects.
        """
        anchors = self.anchors(*padded)
        inside = np.flatnonzero(
            (anchors[:, :2] >= 0).all(axis=1) & (anchors[:, 2:] < (size[1], size[0])).all(axis=1)
        )
        classes = np.full(len(anchors), -1, np.float32)
        targets = np.zeros((len(anchors), 4), np.float32)
        if not len(inside):
            return classes, targets
        sampled, match = self._match(anchors[inside], boxes, rng)
        classes[inside] = sampled
        objects = inside[sampled == 1]
        if len(objects):
            targets[objects] = _encode(anchors[objects], boxes[match[sampled == 1]])
        return classes, targets

    def _match(self, anchors, boxes, rng):
        """Sampled classes (A,) as above, and the box (A,) that each anchor overlaps most."""
        if len(boxes):
            overlap = _iou(anchors, boxes)
            match, most = overlap.argmax(axis=1), overlap.max(axis=1)
            best = overlap.max(axis=0)
            is_best = ((overlap + np.spacing(np.float32(1)) > best) & (best > 0)).any(axis=1)
        else:
            match = np.zeros(len(anchors), np.int64)
            most, is_best = np.zeros(len(anchors)), np.zeros(len(anchors), bool)
        classes = np.where(is_best | (most >= self._positive), 1, -1)
        classes[most < self._negative] = 0  # also the best of an object, as GluonCV
        positives = np.flatnonzero(classes == 1)
        _ignore(classes, positives, self._most, rng)
        room = self._samples - min(len(positives), self._most)
        _ignore(classes, np.flatnonzero(classes == 0), room, rng)
        return classes, match


def _ignore(classes, candidates, room: int, rng) -> None:
    """Leave ``room`` of the candidates, drawn at random; ignore the others."""
    if len(candidates) > room:
        classes[rng.choice(candidates, len(candidates) - room, replace=False)] = -1


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (A, 4) and (M, 4), corners: float32 (A, M)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - common
    return (common / np.maximum(union, 1e-12)).astype(np.float32)


def _encode(anchors: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Offsets of boxes from anchors (arXiv 1506.01497, equation 2), both (N, 4) in corners."""
    size, box_size = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + box_size / 2 - anchors[:, :2] - size / 2) / size
    return np.concatenate([shift, np.log(box_size / size)], axis=1)
