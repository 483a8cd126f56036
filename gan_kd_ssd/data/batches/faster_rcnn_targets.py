"""Training targets of Faster R-CNN's region proposal network, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

POSITIVE_IOU = 0.7  # from which an anchor is an object; the best ones of an object are at any IoU
NEGATIVE_IOU = 0.3  # below which an anchor is background


class RPNTargets:
    """Targets of the region proposal network for each anchor, as in GluonCV's RPNTargetGenerator.

    One difference: an object that overlaps no anchor within the image makes no anchor positive; in
    GluonCV it makes every anchor positive.

    Args:
        grids: Anchors of each level, (allocated H, allocated W, A, 4), corners in pixels.
        strides: Stride of each level in pixels.
        samples: Anchors to sample from an image, at most half of them objects.
    """

    def __init__(self, grids: Sequence[np.ndarray], strides: Sequence[int], samples: int = 256):
        self._grids, self._strides, self._samples = list(grids), list(strides), samples

    def anchors(self, height: int, width: int) -> np.ndarray:
        """Anchors of an input of this size, (A, 4), level by level in the order of the predictions."""
        parts = [
            grid[: -(-height // stride), : -(-width // stride)].reshape(-1, 4)
            for grid, stride in zip(self._grids, self._strides)
        ]
        return np.concatenate(parts)

    def __call__(
        self,
        boxes: np.ndarray,
        size: tuple[int, int],
        padded: tuple[int, int],
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the targets of one image.

        Args:
            boxes: (M, 4), corners in pixels.
            size: (H, W) of the image; anchors outside of it are ignored.
            padded: (H, W) of the padded input that holds the image.
            rng: Draws the sampled anchors.

        Returns:
            The rows of ``rpn_classes`` and ``rpn_boxes`` of a DevicePart.
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
        """Sampled classes (A,), and the index of the box (A,) that each anchor overlaps most."""
        if len(boxes):
            overlap = _iou(anchors, boxes)
            match, most = overlap.argmax(axis=1), overlap.max(axis=1)
            best = overlap.max(axis=0)
            is_best = ((overlap + np.spacing(np.float32(1)) > best) & (best > 0)).any(axis=1)
        else:
            match = np.zeros(len(anchors), np.int64)
            most, is_best = np.zeros(len(anchors)), np.zeros(len(anchors), bool)
        classes = np.where(is_best | (most >= POSITIVE_IOU), 1, -1)
        classes[most < NEGATIVE_IOU] = 0  # including the best anchor of an object, as in GluonCV
        positives, half = np.flatnonzero(classes == 1), round(self._samples * 0.5)
        _ignore(classes, positives, half, rng)
        room = self._samples - min(len(positives), half)
        _ignore(classes, np.flatnonzero(classes == 0), room, rng)
        return classes, match


def _ignore(classes, candidates, room: int, rng) -> None:
    """Keep ``room`` of the candidates, drawn at random, and ignore the others."""
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
    """Offsets of boxes from anchors (arXiv 1506.01497, equation 2), both (N, 4) corners."""
    size, box_size = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + box_size / 2 - anchors[:, :2] - size / 2) / size
    return np.concatenate([shift, np.log(box_size / size)], axis=1)
