"""SSD's augmentation and its validation transform, in numpy and OpenCV.

Steps, probabilities and ranges are those of GluonCV's SSDDefaultTrainTransform (after arXiv
1512.02325, section 2.2). Three facts make the transform fast without changing its result:

- Colour distortion and normalisation are affine maps of the three channels: one 3x4 matrix.
- Resizing is a weighted mean, so it may be done before or after that matrix, whichever is cheaper.
- The canvas of an expanded image has the mean colour, which is 0 after normalisation: only the
  cropped part of the canvas is created, from zeros.
"""

from __future__ import annotations

import cv2
import numpy as np

from gan_kd_ssd.data.batches.normalise import MEAN, STD, normalised_planes, planes, recolour

BRIGHTNESS = 32.0  # added, of 255, either sign
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE = 18.0  # times pi, either sign (GluonCV's value): every angle is equally probable
EXPAND = 4.0  # largest ratio of the canvas to the image
CROP_SCALE = (0.3, 1.0)
CROP_ASPECT = 2.0
CROP_IOUS = (0.1, 0.3, 0.5, 0.7, 0.9)  # least IoU with every object; one crop has no minimum
CROP_TRIALS = 50
INTERPOLATIONS = 5  # nearest, linear, cubic, area, Lanczos: numbers 0..4 of both MXNet and OpenCV

_GREY = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([_GREY, [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])
_FROM_YIQ = np.array([[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.107, 1.705]])


def train_transform(
    image: np.ndarray,
    label: np.ndarray,
    size: int,
    rng: np.random.Generator,
    augmentation: str = "ssd",
) -> tuple[np.ndarray, np.ndarray]:
    """Augment one image for training.

    Args:
        image: uint8 (H, W, 3), RGB.
        label: (M, 6): x0, y0, x1, y1 in pixels, class, difficult.
        size: Side S of the input in pixels.
        rng: The random generator of the sample.
        augmentation: 'ssd' (GluonCV's, published), or 'flip': only colour distortion and flips of
            the whole image, for runs too short to learn objects of every size.

    Returns:
        The normalised image, float32 (3, S, S), and the label, float32, in pixels of the input,
        without the objects whose centre was cropped away.
    """
    height, width = image.shape[:2]
    label = label.astype(np.float64)
    colour = colour_matrix(rng)
    left = top = 0
    if augmentation == "ssd" and rng.random() > 0.5:
        ratio = rng.uniform(1, EXPAND)
        inner_height, inner_width = height, width
        height, width = int(height * ratio), int(width * ratio)
        top = int(rng.integers(0, height - inner_height + 1))
        left = int(rng.integers(0, width - inner_width + 1))
        label[:, 0:4] += (left, top, left, top)
    x = y = 0
    if augmentation == "ssd":
        label, (x, y, width, height) = random_crop(label, (width, height), rng)
    interpolation = int(rng.integers(INTERPOLATIONS))
    pixels = render_crop(image, (x - left, y - top, width, height), size, interpolation, colour)
    label[:, 0:4] *= np.tile((size / width, size / height), 2)
    if rng.random() < 0.5:
        pixels = cv2.flip(pixels, 1)
        label[:, [0, 2]] = size - label[:, [2, 0]]
    return planes(pixels), label.astype(np.float32)


def val_transform(image: np.ndarray, label: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize and normalise like GluonCV's SSDDefaultValTransform. Shapes are those of train_transform."""
    height, width = image.shape[:2]
    interpolation = cv2.INTER_CUBIC if size > max(height, width) else cv2.INTER_LINEAR
    if size < min(height, width):
        interpolation = cv2.INTER_AREA
    pixels = _resize(image, size, interpolation)
    label = label.astype(np.float64)
    label[:, 0:4] *= np.tile((size / width, size / height), 2)
    return normalised_planes(pixels), label.astype(np.float32)


def colour_matrix(rng: np.random.Generator) -> np.ndarray:
    """A random colour distortion of RGB in 0..255 and the normalisation, as one matrix float32 (3, 4).

    Each property changes with probability 1/2; contrast changes before or after saturation and hue.
    """
    matrix = np.eye(3, 4)
    happens = rng.random(5) > 0.5
    strength = rng.random(4)
    if happens[0]:
        matrix[:, 3] += BRIGHTNESS * (2 * strength[0] - 1)
    contrast_first = happens[4]
    if happens[1] and contrast_first:
        matrix *= _between(CONTRAST, strength[1])
    if happens[2]:
        alpha = _between(SATURATION, strength[2])
        matrix = alpha * matrix + (1 - alpha) * (_GREY @ matrix)
    if happens[3]:
        angle = np.pi * HUE * (2 * strength[3] - 1)
        cos, sin = np.cos(angle), np.sin(angle)
        rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        matrix = _FROM_YIQ @ rotation @ _TO_YIQ @ matrix
    if happens[1] and not contrast_first:
        matrix *= _between(CONTRAST, strength[1])
    matrix = matrix / (255 * np.array(STD)[:, None])
    matrix[:, 3] -= np.array(MEAN) / STD
    return matrix.astype(np.float32)


def random_crop(
    label: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """SSD's random crop: for each least IoU the first of 50 trials that satisfies it; then one of them.

    The distribution is that of GluonCV's random_crop_with_constraints; all trials are drawn at once.

    Args:
        label: float64 (M, 6), boxes in pixels of the canvas.
        size: Width and height of the canvas in pixels.
        rng: The random generator of the sample.

    Returns:
        The objects whose centre is inside, clipped and moved, and the crop: x, y, width, height.
    """
    width, height = size
    if not len(label):
        return label, tuple(_draw_crops(1, size, rng)[0].tolist())
    crops = _draw_crops(len(CROP_IOUS) * CROP_TRIALS + 1, size, rng)
    good = _least_iou(label, crops[:-1]).reshape(len(CROP_IOUS), CROP_TRIALS)
    good = good >= np.array(CROP_IOUS)[:, None]
    first = good.argmax(axis=1) + CROP_TRIALS * np.arange(len(CROP_IOUS))
    first = first[good.any(axis=1)]
    candidates = np.concatenate([[[0, 0, width, height]], crops[first], crops[-1:]])
    for i in rng.permutation(len(candidates)):
        kept = _crop_label(label, candidates[i])
        if len(kept):
            return kept, tuple(candidates[i].tolist())
    return label, (0, 0, width, height)


def _draw_crops(n: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """n random crops, int (n, 4): x, y, width, height."""
    width, height = size
    draws = rng.random((4, n))
    scale = _between(CROP_SCALE, draws[0])
    low = np.maximum(1 / CROP_ASPECT, scale * scale)
    high = np.minimum(CROP_ASPECT, 1 / (scale * scale))
    root = np.sqrt(low + draws[1] * (high - low))
    crops = np.empty((n, 4), np.int64)
    crops[:, 2] = np.clip(width * scale * root, 1, width)
    crops[:, 3] = np.clip(height * scale / root, 1, height)
    # As in GluonCV, the last possible place is used only if it is the only one.
    crops[:, :2] = draws[2:].T * np.maximum((width, height) - crops[:, 2:], 1)
    return crops


def _least_iou(label: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Smallest intersection over union of each crop with the boxes: float64 (n,)."""
    x0, y0, x1, y1 = label[:, :4].T[:, :, None]  # (M, 1)
    x, y, width, height = crops.T.astype(np.float64)  # (n,)
    overlap = np.minimum(x1, x + width) - np.maximum(x0, x)
    rows = np.minimum(y1, y + height) - np.maximum(y0, y)
    overlap = np.where((overlap > 0) & (rows > 0), overlap * rows, 0)
    union = (x1 - x0) * (y1 - y0) + width * height - overlap
    return (overlap / union).min(axis=0)


def _crop_label(label: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The objects whose centre lies in the crop, clipped and in the coordinates of the crop."""
    low = crop[:2]
    high = low + crop[2:]
    centre = (label[:, 0:2] + label[:, 2:4]) / 2
    label = label[((low <= centre) & (centre < high)).all(axis=1)]
    label[:, 0:2] = np.maximum(label[:, 0:2], low) - low
    label[:, 2:4] = np.minimum(label[:, 2:4], high) - low
    return label[(label[:, 0:2] < label[:, 2:4]).all(axis=1)]


def render_crop(image, crop, size: int, interpolation: int, colour: np.ndarray) -> np.ndarray:
    """Render a crop (x, y, width, height), which may exceed the image: float32 (size, size, 3)."""
    x, y, width, height = crop
    x0, y0 = max(x, 0), max(y, 0)
    part = image[y0 : max(y + height, 0), x0 : max(x + width, 0)].astype(np.float32)
    rows, columns = part.shape[:2]
    whole = (rows, columns) == (height, width)
    if whole and width * height > size * size:
        return recolour(_resize(part, size, interpolation), colour)
    pixels = recolour(part, colour) if part.size else part
    if not whole:
        canvas = np.zeros((height, width, 3), np.float32)
        canvas[y0 - y : y0 - y + rows, x0 - x : x0 - x + columns] = pixels
        pixels = canvas
    return _resize(pixels, size, interpolation)


def _resize(pixels: np.ndarray, size: int, interpolation: int) -> np.ndarray:
    # Intel's IPP rounds differently from OpenCV's own code, which MXNet uses; it is no faster here.
    cv2.ipp.setUseIPP(False)  # a setting of the calling thread
    return cv2.resize(pixels, (size, size), interpolation=interpolation)


def _between(bounds: tuple[float, float], share):
    return bounds[0] + share * (bounds[1] - bounds[0])
