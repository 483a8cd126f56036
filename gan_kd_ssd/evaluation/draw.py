"""Detections and ground truth drawn on images, and panels laid out in a grid, with OpenCV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from gan_kd_ssd.util.errors import UserError

# Colours that people with colour-blindness tell apart: Okabe and Ito's ("Color Universal Design",
# 2008; without black and with orange first), then those of Paul Tol's "muted" scheme that differ
# from them. RGB.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (204, 121, 167),
    (51, 34, 136),
    (221, 204, 119),
    (136, 34, 85),
    (68, 170, 153),
    (153, 153, 51),
)
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (90, 90, 90)
SMALLEST_SIDE = (
    480  # of the longer side, in pixels: smaller images are enlarged for the text's sake
)


def draw_detections(
    image: np.ndarray,
    ids: np.ndarray,
    scores: np.ndarray,
    boxes: np.ndarray,
    classes: Sequence[str],
    threshold: float = 0.5,
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """Image with detections (class colour, name and score) and ground truth (dashed white).

    Args:
        image: uint8 (H, W, 3), RGB; it is not changed.
        ids: (N,) or (N, 1) class indices; below 0 is padding. scores: the same shape, 0 to 1.
        boxes: (N, 4) x0, y0, x1, y1 in pixels of the image, 0-based corners.
        classes: name of each class index.
        threshold: lowest score that is drawn.
        labels: ground truth (M, 6): box, class, difficult (drawn dotted); rows of -1 are padding.

    Returns:
        uint8 (H', W', 3), RGB: the size of the image, or a multiple of it when it is small.
    """
    canvas, scale = _enlarged(image)
    thickness = max(2, round(max(canvas.shape) / 400))
    ids, scores = np.ravel(ids).astype(int), np.ravel(scores)
    shown = [i for i in np.argsort(-scores) if ids[i] >= 0 and scores[i] >= threshold]
    for index in reversed(shown):  # the surest on top
        corner, opposite = _corners(boxes[index], scale, canvas)
        cv2.rectangle(canvas, corner, opposite, BLACK, thickness + 2, cv2.LINE_AA)
        cv2.rectangle(canvas, corner, opposite, colour(ids[index]), thickness, cv2.LINE_AA)
    for row in [] if labels is None else labels:
        if row[4] >= 0:
            dash = 4 if row[5] > 0 else 9
            _dashed_rectangle(canvas, *_corners(row, scale, canvas), dash, thickness)
    taken: list[tuple[int, int, int, int]] = []
    for index in shown:
        text = f"{_ascii(classes[ids[index]])} {100 * scores[index]:.0f}%"
        corners = _corners(boxes[index], scale, canvas)
        _label(canvas, text, corners, colour(ids[index]), taken)
    return canvas


def colour(index: int) -> tuple[int, int, int]:
    """RGB colour of a class index; beyond the palette's length colours repeat."""
    return PALETTE[index % len(PALETTE)]


def grid(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    columns: int | None = None,
    legend: str = "colours: detections and their scores; dashed white: ground truth",
) -> np.ndarray:
    """Panels with titles above them on one white canvas, row by row.

    Args:
        images: uint8 (H, W, 3), RGB, of any sizes; each is fitted into a cell, in proportion.
        titles: one for each image; too long ones end in '..'.
        columns: panels in a row (default: about as many as rows, at most 6).
        legend: one line below all; '' for none.
    """
    if not images:
        raise ValueError("a grid needs at least one image")
    columns = columns or min(6, math.ceil(math.sqrt(len(images))))
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    margin, title_height = 12, 30
    width = int(np.clip(max(image.shape[1] for image in images), 160, 480))
    ratio = max(image.shape[0] / image.shape[1] for image in images)
    height = int(np.clip(round(width * ratio), 80, 2 * width))
    cell_width, cell_height = width + margin, height + title_height + margin
    bottom = title_height if legend else 0
    canvas = np.full(
        (rows * cell_height + margin + bottom, columns * cell_width + margin, 3), 255, np.uint8
    )
    for index, (image, title) in enumerate(zip(images, titles)):
        left = margin + index % columns * cell_width
        top = margin + index // columns * cell_height
        _text(canvas, _shortened(title, width, 0.6), (left, top + title_height - 9), 0.6)
        factor = min(width / image.shape[1], height / image.shape[0])
        size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
        panel = cv2.resize(image, size, interpolation=_interpolation(factor))
        x, y = left + (width - size[0]) // 2, top + title_height
        canvas[y : y + size[1], x : x + size[0]] = panel
    if legend:
        text = _shortened(legend, columns * cell_width - margin, 0.55)
        _text(canvas, text, (margin, canvas.shape[0] - margin), 0.55)
    return canvas


def save(path: Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG.

    Raises:
        UserError: the file cannot be written.
    """
    _, encoded = cv2.imencode(".png", image[..., ::-1])
    try:
        Path(path).write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(f"{path}: the picture cannot be written ({error.strerror})") from error


def _enlarged(image: np.ndarray) -> tuple[np.ndarray, float]:
    """A copy, enlarged by a whole factor where it is small, and that factor."""
    factor = max(1, math.ceil(SMALLEST_SIDE / max(image.shape[:2])))
    if factor == 1:
        return np.ascontiguousarray(image).copy(), 1.0
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return cv2.resize(image, size, interpolation=_interpolation(factor)), float(factor)


def _interpolation(factor: float) -> int:
    return cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC


def _corners(box, scale, canvas) -> tuple[tuple[int, int], tuple[int, int]]:
    """Corners of a box on the canvas, inside it, as whole pixels."""
    height, width = canvas.shape[:2]
    limits = np.array([width - 1, height - 1] * 2)
    x0, y0, x1, y1 = np.clip(np.round(np.asarray(box[:4]) * scale), 0, limits).astype(int).tolist()
    return (x0, y0), (x1, y1)


def _dashed_rectangle(canvas, corner, opposite, dash, thickness):
    (x0, y0), (x1, y1) = corner, opposite
    for start, end in (
        ((x0, y0), (x1, y0)),
        ((x1, y0), (x1, y1)),
        ((x1, y1), (x0, y1)),
        ((x0, y1), (x0, y0)),
    ):
        length = math.dist(start, end)
        steps = max(1, round(length / (2 * dash)))
        a, b = np.array(start, float), np.array(end, float)
        for step in range(steps):
            first = a + (b - a) * step / steps
            last = a + (b - a) * (step + 0.5) / steps
            ends = [tuple(np.round(point).astype(int).tolist()) for point in (first, last)]
            # White on a dark rim is seen on any background; gaps let the detection shine through.
            cv2.line(canvas, *ends, GREY, thickness + 2)
            cv2.line(canvas, *ends, WHITE, thickness)


def _label(canvas, text, corners, background, taken):
    """Name and score on the class colour, where it hides other labels least."""
    height, width = canvas.shape[:2]
    size = float(np.clip(max(canvas.shape) / 1200, 0.45, 1.0))
    (text_width, text_height), below = cv2.getTextSize(text, FONT, size, 1)
    box_width, box_height = text_width + 6, text_height + below + 4
    (x0, y0), (x1, y1) = corners
    places = [
        (x0, y0 - box_height),  # above the box
        (x0, y1),  # below it
        (x0, y0),  # inside, at the top
        (x0, y1 - box_height),  # inside, at the bottom
        (x1 - box_width, y0 - box_height),
        (x1 - box_width, y1),
        (x1, y0),
        (x0 - box_width, y0),
    ]
    inside = [
        (
            int(np.clip(x, 0, max(0, width - box_width))),
            int(np.clip(y, 0, max(0, height - box_height))),
        )
        for x, y in places
    ]
    overlaps = [
        sum(_overlap((x, y, box_width, box_height), other) for other in taken) for x, y in inside
    ]
    x, y = inside[int(np.argmin(overlaps))]
    taken.append((x, y, box_width, box_height))
    cv2.rectangle(canvas, (x, y), (x + box_width - 1, y + box_height - 1), background, -1)
    ink = BLACK if np.dot(background, (0.299, 0.587, 0.114)) > 110 else WHITE
    origin = (x + 3, y + text_height + 2)
    cv2.putText(canvas, text, origin, FONT, size, ink, 1, cv2.LINE_AA)


def _overlap(a, b) -> int:
    """Area that two rectangles (x, y, width, height) share."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0, across) * max(0, down)


def _text(canvas, text, origin, size):
    cv2.putText(canvas, text, origin, FONT, size, GREY, 1, cv2.LINE_AA)


def _shortened(text: str, width: int, size: float) -> str:
    text = _ascii(text)
    if cv2.getTextSize(text, FONT, size, 1)[0][0] <= width:
        return text
    while text and cv2.getTextSize(text + "..", FONT, size, 1)[0][0] > width:
        text = text[:-1]
    return text + ".."


def _ascii(text: str) -> str:
    """OpenCV's fonts have ASCII alone."""
    return text.encode("ascii", "replace").decode()
