"""SSD's training targets: the object that each anchor should find, in numpy."""

from __future__ import annotations

import numpy as np

STDS = (0.1, 0.1, 0.2, 0.2)  # standard deviations of the encoded box (GluonCV's SSD)
IOU_THRESHOLD = 0.5
_EPS = np.float32(1e-12)


class SSDTargets:
    """Class and box targets of an image, as in GluonCV's SSDTargetGenerator without negative mining.

    An anchor is positive if (a) greedy one-to-one matching in descending order of IoU assigns it to
    an object, or (b) it is as good for its best object as that object's best anchor, or (c) its IoU
    with its best object is at least 0.5. All other anchors are background. Anchors (N, 4) are centre
    x, centre y, width and height in pixels of the input.
    """

    def __init__(self, anchors: np.ndarray):
        centres = np.ascontiguousarray(np.asarray(anchors, np.float32).reshape(-1, 4))
        half = centres[:, 2:] * np.float32(0.5)
        corners = np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)
        self._corners = np.ascontiguousarray(corners.T)  # (4, N)
        size = corners[:, 2:] - corners[:, :2]
        # Centre and size computed from the corners, as in GluonCV: they differ in the last bit.
        self._centre, self._size = corners[:, :2] + size * np.float32(0.5), size
        self._area = np.maximum(size[:, 0], 0) * np.maximum(size[:, 1], 0)
        self._stds = np.array(STDS, np.float32)

    def __len__(self) -> int:
        return len(self._area)

    def __call__(self, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the class and box targets of an image, see TrainBatch, from its label (M, 6)."""
        classes = np.zeros(len(self), np.float32)
        boxes = np.zeros((len(self), 4), np.float32)
        if not len(label):
            return classes, boxes
        label = np.asarray(label, np.float32)
        match = match_anchors(self._ious(label[:, :4]))
        positive = np.flatnonzero(match >= 0)
        objects = label[match[positive]]
        classes[positive] = objects[:, 4] + 1
        size = objects[:, 2:4] - objects[:, :2]
        centre = objects[:, :2] + size * np.float32(0.5)
        boxes[positive, :2] = (centre - self._centre[positive]) / self._size[positive]
        boxes[positive, 2:] = np.log(size / self._size[positive])
        boxes[positive] /= self._stds
        return classes, boxes

    def _ious(self, boxes: np.ndarray) -> np.ndarray:
        """Intersection over union of boxes (M, 4) and the anchors: (M, N), float32."""
        # One object at a time, so that temporaries stay in the processor's cache.
        x0, y0, x1, y1 = self._corners
        ious = np.empty((len(boxes), len(self)), np.float32)
        width, height = np.empty((2, len(self)), np.float32)
        low = np.empty(len(self), np.float32)
        for iou, (bx0, by0, bx1, by1) in zip(ious, boxes):
            np.minimum(x1, bx1, out=width)
            width -= np.maximum(x0, bx0, out=low)
            np.maximum(width, 0, out=width)
            np.minimum(y1, by1, out=height)
            height -= np.maximum(y0, by0, out=low)
            np.maximum(height, 0, out=height)
            width *= height
            union = np.add(self._area, (bx1 - bx0) * (by1 - by0), out=low)
            union -= width
            np.divide(width, union, out=iou)
        return ious


def match_anchors(ious: np.ndarray) -> np.ndarray:
    """The object that each anchor should find, -1 for none: int (N,), from IoUs (M, N).

    Ties are resolved as in GluonCV: by the lower index of the anchor, then of the object.
    """
    match = _one_to_one(ious)
    best_object = np.zeros(ious.shape[1], np.intp)
    best_iou = ious[0].copy()
    for i in range(1, len(ious)):
        best_object[ious[i] > best_iou] = i
        np.maximum(best_iou, ious[i], out=best_iou)
    as_good = best_iou + _EPS >= ious.max(axis=1)[best_object]
    shared = (match < 0) & (as_good | (best_iou >= np.float32(IOU_THRESHOLD)))
    match[shared] = best_object[shared]
    return match


def _one_to_one(ious: np.ndarray) -> np.ndarray:
    """Greedy one-to-one matching of objects and anchors in descending order of IoU: int (N,)."""
    match = np.full(ious.shape[1], -1, np.intp)
    anchor_of = ious.argmax(axis=1)
    best = ious[np.arange(len(ious)), anchor_of]
    waiting = set(range(len(ious)))
    while waiting:
        chosen = min(waiting, key=lambda i: (-best[i], anchor_of[i], i))
        if not best[chosen] > _EPS:
            break
        waiting.remove(chosen)
        anchor = anchor_of[chosen]
        match[anchor] = chosen
        rivals = [i for i in waiting if anchor_of[i] == anchor]
        if rivals:
            taken = np.flatnonzero(match >= 0)
            for i in rivals:
                free = ious[i].copy()
                free[taken] = -1
                anchor_of[i] = free.argmax()
                best[i] = free[anchor_of[i]]
    return match
