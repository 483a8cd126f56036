"""Pictures of detections and of attention maps, drawn with matplotlib and without a display."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from gan_kd_ssd.evaluation.metrics import detect_image
from gan_kd_ssd.util.errors import UserError

# Colours that colour-blind people can distinguish: those of Okabe and Ito ("Color Universal Design",
# 2008), then those of Paul Tol's "muted" scheme that differ from them.
CLASS_COLOURS = (
    *("#E69F00", "#56B4E9", "#D55E00", "#009E73", "#F0E442", "#0072B2", "#CC79A7"),
    *("#332288", "#DDCC77", "#882255", "#44AA99", "#999933"),
)
DPI = 130

DETECTION_LEGEND = (
    "solid, coloured: detections with class and score; dashed, white: ground truth with class "
    "(dotted: difficult)"
)
ATTENTION_CAPTION = (
    "Where each level of the feature pyramid is active: the sum of squares over its channels, scaled "
    "to a root mean square of 1. The more alike the maps of teacher and student are, the smaller "
    "their cosine attention loss."
)


class Panel(NamedTuple):
    """One image with its detections and ground truth. Boxes are in pixels of the image."""

    title: str
    image: np.ndarray  # uint8 (H, W, 3), RGB
    ids: np.ndarray  # (N,); below 0 for padding
    scores: np.ndarray  # (N,)
    boxes: np.ndarray  # (N, 4)
    labels: np.ndarray  # (M, 6): box, class (below 0 for padding), difficult

    def shown(self, threshold: float) -> list[int]:
        """Indices of the detections with at least this score, lowest score first."""
        order = np.argsort(self.scores)
        return [i for i in order if self.ids[i] >= 0 and self.scores[i] >= threshold]


def class_colour(index: int) -> str:
    """The colour of a class. Colours repeat after the last one."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def draw_panel(axes, panel: Panel, classes: Sequence[str], threshold: float = 0.5) -> None:
    """Draw an image with its ground truth and the detections of at least a score on axes."""
    axes.imshow(panel.image)
    axes.set_axis_off()
    axes.set_title(panel.title, fontsize=9)
    for i in panel.shown(threshold):  # the highest score on top
        name = classes[int(panel.ids[i])]
        text = f"{name} {100 * panel.scores[i]:.0f}%"
        _box(axes, panel.boxes[i], class_colour(int(panel.ids[i])), text, "-", at_top=True)
    for row in panel.labels:  # on top: detections are visible in the gaps of the dashes
        if row[4] >= 0:
            style = ":" if row[5] > 0 else "--"
            _box(axes, row[:4], "white", classes[int(row[4])], style, at_top=False)


def _box(axes, box, colour: str, text: str, style: str, at_top: bool) -> None:
    """Draw a box inside the image and its text: above the box (at_top), else below it."""
    right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    x0, y0, x1, y1 = np.clip(box, (0, 0, 0, 0), (right, bottom, right, bottom))
    rim = [withStroke(linewidth=3.2, foreground="0.15")]  # visible on any background
    line = {"linestyle": style, "linewidth": 1.8, "path_effects": rim}
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, **line))
    # Text that would leave the image goes to the inner side of its edge.
    outside = y0 > 0.08 * bottom if at_top else y1 < 0.92 * bottom
    to_left = x0 > 0.75 * right
    axes.text(
        x1 if to_left else x0,
        y0 if at_top else y1,
        text,
        fontsize=7,
        color="black" if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.43 else "white",
        ha="right" if to_left else "left",
        va="bottom" if at_top == outside else "top",
        bbox={"facecolor": colour, "alpha": 0.85, "edgecolor": "none", "pad": 1},
        clip_on=True,
    )


def detection_picture(
    panels: Sequence[Panel],
    classes: Sequence[str],
    out: Path,
    threshold: float = 0.5,
    columns: int | None = None,
) -> None:
    """Draw panels in a grid below a legend; by default with about as many columns as rows."""
    columns = min(columns or min(6, math.ceil(math.sqrt(len(panels)))), len(panels))
    rows = math.ceil(len(panels) / columns)
    width = 3.6 if columns > 1 else float(np.clip(panels[0].image.shape[1] / DPI, 5, 16))
    height = width * max(panel.image.shape[0] / panel.image.shape[1] for panel in panels)
    legend = textwrap.fill(DETECTION_LEGEND, int(14 * width * columns))
    figure = _figure(width * columns, (min(height, 2 * width) + 0.3) * rows + 0.4)
    figure.suptitle(legend, fontsize=9)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, panel in zip(grid, panels):
        draw_panel(axes, panel, classes, threshold)
    _save(figure, out)


def _panel(title: str, detector, image: np.ndarray, labels: np.ndarray, device=None) -> Panel:
    found = detect_image(detector, image, device or _device(detector))
    return Panel(title, image, *found, labels)


def draw_dataset(detector, dataset, device, folder: Path, count: int, threshold: float) -> tuple:
    """Draw the detections on some images of a data set, evenly spaced, and all of them in grid.png.

    Args:
        folder: The folder of the pictures, {index}_{image id}.png.
        count: The greatest number of images.
        threshold: Least score of a detection that is drawn.

    Returns:
        The number of images and the number of detections that are drawn.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    panels = []
    for index in map(int, np.unique(chosen)):
        name = dataset.image_id(index).replace(os.sep, "_")
        panel = _panel(name, detector, dataset.image(index), dataset.label(index), device)
        out = folder / f"{index:05d}_{name}.png"
        detection_picture([panel], dataset.classes, out, threshold)
        panels.append(panel)
    detection_picture(panels, dataset.classes, folder / "grid.png", threshold)
    return len(panels), sum(len(panel.shown(threshold)) for panel in panels)


def detections_figure(
    detectors: Mapping[str, object],
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    out: Path,
    threshold: float = 0.5,
) -> None:
    """Draw the detections of several detectors: one row per image, one column per detector.

    Args:
        detectors: The detectors by title. Each runs on the first device that holds its parameters.
        images: uint8 (H, W, 3), RGB.
        labels: Ground truth (M, 6) of each image, in its pixels.
    """
    panels = [
        _panel(title, detector, image, label)
        for image, label in zip(images, labels)
        for title, detector in detectors.items()
    ]
    classes = next(iter(detectors.values())).classes
    detection_picture(panels, classes, out, threshold, columns=len(detectors))


def attention_map(level: np.ndarray) -> np.ndarray:
    """Spatial attention (H, W) of a level (C, H, W): sum of squares over channels, L2 norm 1.

    arXiv 1906.08467 names the cosine loss of these maps; the sum is that of arXiv 1612.03928 (inferred).
    """
    attention = np.square(level.astype(np.float64)).sum(axis=0)
    norm = np.linalg.norm(attention)
    return attention / norm if norm > 0 else attention


def attention_figure(
    detectors: Mapping[str, object], images: Sequence[np.ndarray], out: Path, levels: int = 2
) -> None:
    """Draw where the finest levels of each detector are active: one row per image, the input first.

    Arguments are as for :func:`detections_figure`.
    """
    columns = []  # of each detector and level: heading, and one map per image
    for title, detector in detectors.items():
        pyramids = [_pyramid(detector, image) for image in images]
        for level in range(min(levels, len(pyramids[0]))):
            maps = [attention_map(pyramid[level]) for pyramid in pyramids]
            # A root mean square of 1 makes levels of different sizes comparable.
            maps = [one * math.sqrt(one.size) for one in maps]
            height, width = maps[0].shape
            heading = f"{title}\nstride {detector.strides[level]} ({width}x{height})"
            columns.append((heading, maps))
    highest = max(1.0, float(np.percentile(np.concatenate([np.ravel(m) for _, m in columns]), 98)))
    ratio = np.mean([image.shape[0] / image.shape[1] for image in images])
    figure = _figure(1.9 * (len(columns) + 1) + 0.9, 1.9 * ratio * len(images) + 1.2)
    figure.suptitle(textwrap.fill(ATTENTION_CAPTION, 28 * (len(columns) + 1)), fontsize=9)
    grid = figure.subplots(len(images), len(columns) + 1, squeeze=False)
    for row, image in enumerate(images):
        grid[row, 0].imshow(image)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        for axes, (_, maps) in zip(grid[row, 1:], columns):
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
            smooth = cv2.resize(maps[row], image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            heat = axes.imshow(smooth, cmap="inferno", vmin=0, vmax=highest, alpha=0.65)
    for axes, heading in zip(grid[0], ["input", *(heading for heading, _ in columns)]):
        axes.set_title(heading, fontsize=9)
    for axes in grid.flat:
        axes.set_axis_off()
    bar = figure.colorbar(heat, ax=grid, fraction=0.025, pad=0.01, extend="max")
    bar.set_label("attention / its root mean square", fontsize=9)
    _save(figure, out)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")  # pyplot would need a display


def _save(figure, out: Path) -> None:
    try:
        figure.savefig(out, dpi=DPI)
    except OSError as error:
        raise UserError(f"{out}: the picture cannot be written ({error.strerror})") from error


def _device(detector):
    return next(iter(detector.net.collect_params().values())).list_ctx()[0]


def _pyramid(detector, image: np.ndarray) -> list[np.ndarray]:
    """Levels (C, H, W) of one image, finest first."""
    from gan_kd_ssd.util.mxnet import mx

    x = detector.prepare(image)
    levels = detector.pyramid(mx.nd.array(x[None], ctx=_device(detector)))
    return [level.asnumpy()[0] for level in levels]
