"""Drawing of one picture: textured shapes on a cluttered background.

The constants below set how difficult the pictures are.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

# Lengths are in pixels, for pictures with sides of about 160 pixels.
OBJECTS = (1, 5)  # fewest, most
SIDE = (28.0, 80.0)  # longer side of an object
TURN = 0.35  # greatest rotation from upright, in radians
STRETCH = 1.3  # greatest ratio between the stretches of the two axes of an object
SIZE_JITTER = 0.15  # greatest relative change of the sides of the picture
CONTRAST = 90.0  # least distance between the colours of an object and of the background, in RGB
TEXTURE_CONTRAST = (0.1, 0.4)  # share of the way from a texture's first colour to a random one
OVERLAP = 0.45  # greatest share of an object that a later one may cover
LINES = (0, 3)
BLOBS = (0, 3)
FRAGMENTS = (0, 1)  # pieces of outlines, which look like parts of objects
OCCLUDED = 0.2  # probability that a bar or blob is drawn over an object
DIFFICULT = 0.3  # visible share below which an object is marked difficult
INVISIBLE = 0.1  # visible share below which it is not annotated
BLUR = (0.0, 0.8)  # standard deviation
NOISE = (2.0, 9.0)  # standard deviation, in values of 0 to 255
DIM = (0.65, 1.1)  # factor of all values

CLASSES = ("cross", "disc", "ring", "square", "star", "triangle")

_SHIFT = 4  # fractional bits of the coordinates passed to OpenCV


class DrawnObject(NamedTuple):
    """One object: class name, box in pixels (0-based, end excluded), whether it is difficult."""

    name: str
    box: tuple[int, int, int, int]
    difficult: int


def draw_picture(size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[DrawnObject]]:
    """Draw a picture with at least one object. All lengths scale with size / 160.

    Args:
        size: Approximate side of the picture in pixels.
        rng: The random generator of the picture.

    Returns:
        The picture, uint8 (H, W, 3), RGB, and its objects.
    """
    unit = size / 160
    while True:
        height, width = (int(size * rng.uniform(1 - SIZE_JITTER, 1 + SIZE_JITTER)) for _ in "hw")
        canvas, ground = _background(height, width, unit, rng)
        owner = np.full((height, width), -1, np.int8)
        shapes = []
        for _ in range(rng.integers(OBJECTS[0], OBJECTS[1] + 1)):
            shape = _place(owner, unit, rng)
            if shape is None:
                continue
            name, polygons = shape
            mask = fill_mask(owner.shape, polygons)
            _blend(canvas, mask, _Textured(_colour(ground, rng), unit, rng))
            owner[mask > 127] = len(shapes)
            shapes.append((name, polygons))
        for i in range(len(shapes)):
            if rng.random() < OCCLUDED:
                _occlude(canvas, owner, shapes[i][1], unit, rng)
        drawn = [d for i, s in enumerate(shapes) if (d := describe(i, s, owner)) is not None]
        if drawn:  # otherwise draw another picture
            return _degrade(canvas, unit, rng), drawn


def outline(name: str) -> list[np.ndarray]:
    """The polygons (n, 2) of a shape of radius 1 around the origin; the second one is a hole."""
    if name == "star":
        return [_regular(10) * np.tile([[1], [0.42]], (5, 1))]
    if name == "cross":
        corner = np.array([[1, -0.3], [1, 0.3], [0.3, 0.3]])
        turn = np.array([[0, 1], [-1, 0]])
        return [np.concatenate([corner @ np.linalg.matrix_power(turn, k) for k in range(4)])]
    corners = {"disc": 40, "ring": 40, "square": 4, "triangle": 3}[name]
    return [_regular(corners), *([0.55 * _regular(40)] if name == "ring" else [])]


def _regular(n: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _place(owner: np.ndarray, unit: float, rng) -> tuple[str, list[np.ndarray]] | None:
    """Place a shape of a random class so that it covers little of earlier ones."""
    height, width = owner.shape
    name = CLASSES[rng.integers(len(CLASSES))]
    polygons = outline(name)
    angle = rng.uniform(-TURN, TURN)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    stretch = STRETCH ** rng.uniform(-0.5, 0.5, 2)
    polygons = [(p * stretch) @ turn for p in polygons]
    extent = np.ptp(polygons[0], axis=0).max()
    scale = unit * np.exp(rng.uniform(*np.log(SIDE))) / extent
    for _ in range(20):
        centre = rng.uniform((0.05 * width, 0.05 * height), (0.95 * width, 0.95 * height))
        placed = [p * scale + centre for p in polygons]
        covered = owner[fill_mask(owner.shape, placed) > 127]
        covered = np.bincount(covered[covered >= 0], minlength=1)
        areas = np.bincount(owner[owner >= 0], minlength=len(covered))[: len(covered)]
        if (covered <= OVERLAP * np.maximum(areas, 1)).all():
            return name, placed
    return None


def describe(i: int, shape, owner: np.ndarray) -> DrawnObject | None:
    name, polygons = shape
    height, width = owner.shape
    x, y = polygons[0].T
    # The visible share relates to the whole shape, including the part outside the picture.
    area = sum(s * _area(p) for s, p in zip((1, -1), polygons))
    visible = np.count_nonzero(owner == i) / area
    # Whole coordinates are the centres of pixels, as OpenCV draws.
    x0, y0 = max(round(x.min()), 0), max(round(y.min()), 0)
    x1, y1 = min(round(x.max()) + 1, width), min(round(y.max()) + 1, height)
    if visible < INVISIBLE or x1 - x0 < 4 or y1 - y0 < 4:
        return None
    return DrawnObject(name, (x0, y0, x1, y1), int(visible < DIFFICULT))


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return 0.5 * abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))


def _background(height: int, width: int, unit: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw a textured, cluttered background, float32 (H, W, 3); also return its base colour."""
    ground = rng.uniform(30, 225, 3)
    canvas = _texture(height, width, ground, unit, rng, contrast=0.35)
    for _ in range(rng.integers(BLOBS[0], BLOBS[1] + 1)):
        axes = rng.uniform(3, 16, 2) * unit
        blob = _regular(24) * axes * rng.uniform(0.7, 1.3, (24, 1))
        centre = rng.uniform((0, 0), (width, height))
        _blend(canvas, fill_mask((height, width), [blob + centre]), rng.uniform(0, 255, 3), 0.6)
    for _ in range(rng.integers(LINES[0], LINES[1] + 1)):
        ends = rng.uniform((0, 0), (width, height), (2, 2))
        _stroke(canvas, ends, rng.uniform(0, 255, 3), rng.uniform(1, 3.5) * unit)
    for _ in range(rng.integers(FRAGMENTS[0], FRAGMENTS[1] + 1)):
        path = outline(CLASSES[rng.integers(len(CLASSES))])[0]
        path = np.roll(path, rng.integers(len(path)), axis=0)[: max(3, len(path) // 2)]
        path = path * rng.uniform(8, 22) * unit + rng.uniform((0, 0), (width, height))
        _stroke(canvas, path, rng.uniform(0, 255, 3), rng.uniform(1, 4) * unit)
    return canvas, ground


def _texture(height, width, colour, unit: float, rng, contrast: float | None = None) -> np.ndarray:
    """Draw stripes, checks, smooth noise or a gradient of two colours, float32 (H, W, 3)."""
    contrast = rng.uniform(*TEXTURE_CONTRAST) if contrast is None else contrast
    second = colour + contrast * (rng.uniform(0, 255, 3) - colour)
    y, x = np.ogrid[0:height, 0:width]
    angle = rng.uniform(0, np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    wave = 2 * np.pi / (rng.uniform(4, 12) * unit)
    kind = rng.integers(4)
    if kind == 0:
        share = 0.5 + 0.5 * np.sin(along * wave)
    elif kind == 1:
        across = (y * np.cos(angle) - x * np.sin(angle)).astype(np.float32)
        share = ((np.sin(along * wave) > 0) ^ (np.sin(across * wave) > 0)).astype(np.float32)
    elif kind == 2:
        cells = rng.random((height // 8 + 2, width // 8 + 2), np.float32)
        share = np.clip(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    else:
        share = (along - along.min()) / max(float(np.ptp(along)), 1.0)
    colour, second = np.asarray(colour, np.float32), np.asarray(second, np.float32)
    return colour + share[:, :, None] * (second - colour)


def _colour(ground: np.ndarray, rng) -> np.ndarray:
    """A random colour that differs from the colour of the background."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.linalg.norm(colour - ground) >= CONTRAST:
            return colour


def _occlude(canvas, owner, polygons, unit: float, rng) -> None:
    """Draw a bar or a blob over part of an object."""
    low, high = polygons[0].min(axis=0), polygons[0].max(axis=0)
    centre = rng.uniform(low, high)
    extent = float((high - low).max())
    if rng.random() < 0.5:
        blob = _regular(24) * extent * rng.uniform(0.2, 0.45) * rng.uniform(0.8, 1.2, (24, 1))
    else:
        angle = rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * extent
        across = np.array([-along[1], along[0]]) * rng.uniform(0.06, 0.18)
        blob = np.array([along + across, along - across, -along - across, -along + across])
    mask = fill_mask(owner.shape, [blob + centre])
    _blend(canvas, mask, _Textured(rng.uniform(20, 235, 3), unit, rng))
    owner[mask > 127] = -1


def _degrade(canvas: np.ndarray, unit: float, rng) -> np.ndarray:
    """Blur, dim and add noise, like a poor camera."""
    blur = rng.uniform(*BLUR) * unit
    if blur > 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), blur)
    noise = rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(*NOISE))
    canvas = canvas * np.float32(rng.uniform(*DIM)) + noise
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def fill_mask(shape, polygons: list[np.ndarray]) -> np.ndarray:
    """Anti-aliased mask, uint8 (H, W), of polygons; the overlap of two polygons is a hole."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [_fixed(p) for p in polygons], 255, cv2.LINE_AA, _SHIFT)
    return mask


def _stroke(canvas: np.ndarray, points: np.ndarray, colour: np.ndarray, thickness: float) -> None:
    mask = np.zeros(canvas.shape[:2], np.uint8)
    width = max(1, round(thickness))
    cv2.polylines(mask, [_fixed(points)], False, 255, width, cv2.LINE_AA, _SHIFT)
    _blend(canvas, mask, colour)


class _Textured(NamedTuple):
    """Paint for _blend: a random texture with the given first colour."""

    colour: np.ndarray
    unit: float
    rng: np.random.Generator


def _blend(canvas: np.ndarray, mask: np.ndarray, paint, opacity: float = 1.0) -> None:
    """Blend a colour (3,) or a texture into the canvas under the mask."""
    x, y, width, height = cv2.boundingRect(mask)
    if isinstance(paint, _Textured):
        paint = _texture(max(height, 1), max(width, 1), *paint)
    window = (slice(y, y + height), slice(x, x + width))
    share = mask[window][:, :, None] * np.float32(opacity / 255)
    canvas[window] += share * (np.asarray(paint, np.float32) - canvas[window])
