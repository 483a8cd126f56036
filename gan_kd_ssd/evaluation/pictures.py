"""Pictures of detectors and runs, drawn with matplotlib and without a display."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from gan_kd_ssd.evaluation.metrics import detect_image
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Unknown, Validation
from gan_kd_ssd.logs.resume import with_resumed
from gan_kd_ssd.logs.write import json_fields
from gan_kd_ssd.util.errors import UserError

# Colours that colour-blind people can distinguish: those of Okabe and Ito ("Color Universal Design",
# 2008), then those of Paul Tol's "muted" scheme that differ from them.
CLASS_COLOURS = (
    *("#E69F00", "#56B4E9", "#D55E00", "#009E73", "#F0E442", "#0072B2", "#CC79A7"),
    *("#332288", "#DDCC77", "#882255", "#44AA99", "#999933"),
)
# Runs differ in colour, line style and marker, so that curves can be distinguished in grey.
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")
STYLES, MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P")
DPI = 130

LOSS_PANELS = (  # title, and the figures with the names of their curves
    ("classification loss (cross-entropy)", {"CrossEntropy": ""}),
    ("box loss (smooth L1)", {"SmoothL1": ""}),
    ("discriminators (real down, fake up)", {"Loss_D_real": "teacher", "Loss_D_fake": "student"}),
    ("cosine distance of the attention maps", {"cosine": ""}),
)
DETECTION_LEGEND = (
    "solid, coloured: detections with class and score; dashed, white: ground truth with class "
    "(dotted: difficult)"
)
ATTENTION_CAPTION = (
    "Where each level of the feature pyramid is active: the sum of squares over its channels, scaled "
    "to a root mean square of 1. The more alike the maps of teacher and student are, the smaller is "
    "their cosine attention loss."
)


class Panel(NamedTuple):
    """One image with its detections and ground truth.

    ``image`` is uint8 (H, W, 3), RGB. ``ids`` (N,) below 0 and ``labels`` with a class below 0 are
    padding. ``boxes`` (N, 4) and ``labels`` (M, 6: box, class, difficult) are in pixels of the image.
    """

    title: str
    image: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray

    def shown(self, threshold: float) -> list[int]:
        """Indices of the detections with at least this score, lowest score first."""
        order = np.argsort(self.scores)
        return [i for i in order if self.ids[i] >= 0 and self.scores[i] >= threshold]


def class_colour(index: int) -> str:
    """The colour of a class. Colours repeat after the last one."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def draw_panel(axes, panel: Panel, classes: Sequence[str], threshold: float = 0.5) -> None:
    """Draw an image with its detections and ground truth on matplotlib axes.

    Args:
        axes: The axes.
        panel: What to draw.
        classes: Class names in the order of their ids.
        threshold: Least score of a detection that is drawn.
    """
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
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

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
    """Draw panels in a grid below a legend.

    Args:
        panels: The panels, row by row.
        classes: Class names in the order of their ids.
        out: The picture file.
        threshold: Least score of a detection that is drawn.
        columns: Panels in a row (default: about as many as rows, at most 6).
    """
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
        detector: The detector.
        dataset: The data set, of the detector's classes.
        device: The MXNet context to detect on.
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
        out: The picture file.
        threshold: Least score of a detection that is drawn.
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

    The cosine attention loss compares these maps of teacher and student. arXiv 1906.08467 names the
    loss; the sum of squares is that of arXiv 1612.03928 (inferred).
    """
    attention = np.square(level.astype(np.float64)).sum(axis=0)
    norm = np.linalg.norm(attention)
    return attention / norm if norm > 0 else attention


def attention_figure(
    detectors: Mapping[str, object], images: Sequence[np.ndarray], out: Path, levels: int = 2
) -> None:
    """Draw where the finest levels of each detector are active: one row per image, the input first.

    Args:
        detectors: The detectors by title. Each runs on the first device that holds its parameters.
        images: uint8 (H, W, 3), RGB.
        out: The picture file.
        levels: Number of the finest levels that are drawn.
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


def read_metrics(path: Path) -> dict[str, list[dict]]:
    """Read the lines of a metrics file by kind, of its last run and the runs that it resumes.

    Each line gets ``position``: the number of epochs since the start of the run, even if the
    detection phase counts from 1 again, as in the published log.

    Raises:
        UserError: The file is missing, or a line is not one of a metrics file. A line that was cut
            by a kill, or because the run is still writing, is skipped.
    """
    log = read(path)
    for entry, after in zip(log.entries, [*log.entries[1:], None]):
        if not isinstance(entry.record, Unknown):
            continue
        ends = after is None or isinstance(after.record, RunStart)
        if not (ends and entry.record.text.startswith("{")):
            raise UserError(f"{path}: line {entry.line} is not one of a metrics file")
    kinds: dict[str, list[dict]] = {"step": [], "epoch": [], "validation": []}
    run, before = log.last_trained, 0
    for segment in with_resumed(log, run).segments if run else ():
        for entry in segment.of(Step, EpochEnd, Validation):
            line = json_fields(entry.record)
            kinds[line["kind"]].append({**line, "position": before + line["epoch"]})
        before += segment.epochs[1] if segment.epochs else 0
    return kinds


def loss_curves(runs: Mapping[str, Path], out: Path) -> None:
    """Draw detection losses, discriminator scores and cosine loss of runs over the images seen.

    Args:
        runs: Metrics files by the names of the runs in the legend.
        out: The picture file.
    """
    curves = {}
    for name, path in runs.items():
        kinds = read_metrics(path)
        # Means of whole epochs; in the first epochs of a run, the running means at its steps.
        curves[name] = (
            kinds["epoch"] if len(kinds["epoch"]) > 1 else kinds["step"] or kinds["epoch"]
        )
    in_images = all(record.get("images") for records in curves.values() for record in records)
    place = "images" if in_images else "position"
    shown = [
        (title, keys)
        for title, keys in LOSS_PANELS
        if any(_points(records, key, place) for records in curves.values() for key in keys)
    ]
    if not shown:
        raise UserError(f"{', '.join(map(str, runs.values()))}: no losses to draw yet")
    rows = math.ceil(len(shown) / 2)
    figure = _figure(11, 3.4 * rows + 0.6)
    for number, (title, keys) in enumerate(shown, 1):
        axes = figure.add_subplot(rows, 2, number, sharex=figure.axes[0] if number > 1 else None)
        _curves(axes, curves, keys, place)
        axes.set_title(title, fontsize=11)
    _legend(figure, list(curves))
    _save(figure, out)


def map_curves(runs: Mapping[str, Path], out: Path) -> None:
    """Draw the mAP on the validation split after each epoch; arguments as for :func:`loss_curves`."""
    curves = {name: read_metrics(path)["validation"] for name, path in runs.items()}
    values = {
        name: [y for _, y in _points(records, "mAP", "position")]
        for name, records in curves.items()
    }
    if not any(values.values()):
        raise UserError(f"{', '.join(map(str, runs.values()))}: no validation to draw yet")
    figure = _figure(8, 4.8)
    axes = figure.add_subplot()
    _curves(axes, curves, {"mAP": ""}, "position", mark_at="bottom")
    axes.set_ylabel("mAP@0.5, validation split")
    axes.set_ylim(bottom=0)
    names = [f"{name} (best {max(v):.3f})" if v else name for name, v in values.items()]
    _legend(figure, names)
    _save(figure, out)


def _points(records: Sequence[Mapping], key: str, place: str) -> list[tuple[float, float]]:
    """The finite values of a figure: inactive ones are None, diverged ones 'nan' or 'inf'."""
    pairs = [(record[place], record.get(key)) for record in records]
    return [(x, y) for x, y in pairs if isinstance(y, (int, float)) and math.isfinite(y)]


def _curves(
    axes, runs: Mapping[str, Sequence], keys: Mapping[str, str], place: str, mark_at: str = "top"
) -> None:
    """Draw some figures of runs, and a line where a GAN phase ends, with its name at one end."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    ends = set()
    for number, records in enumerate(runs.values()):
        for key, role in keys.items():
            points = _points(records, key, place)
            if not points:
                continue
            face = {"markerfacecolor": "white"} if role == "student" else {}
            every = max(1, len(points) // 15)
            axes.plot(*zip(*points), markevery=every, **_look(number), **face)
            offset = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(role, points[-1], fontsize=9, annotation_clip=False, **offset)
        for before, after in zip(records, records[1:]):
            if (before.get("phase"), after.get("phase")) == ("gan", "detection"):
                ends.add(before[place])
    for x in ends:
        axes.axvline(x, color="0.3", linewidth=0.8, linestyle=(0, (1, 2)))
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        align = {"rotation": 90, "ha": "right", "va": mark_at, "fontsize": 8, "color": "0.3"}
        y, offset = {"top": (1, -4), "bottom": (0, 4)}[mark_at]
        axes.annotate("GAN ends", (x, y), (-3, offset), **where, **align)
    axes.set_xlabel("images seen" if place == "images" else "epoch")
    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if place == "images":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _look(number: int) -> dict:
    """Colour, line style and marker of a run."""
    look = {"color": RUN_COLOURS, "linestyle": STYLES, "marker": MARKERS}
    return {
        **{name: values[number % len(values)] for name, values in look.items()},
        **{"markersize": 4, "linewidth": 1.6},
    }


def _legend(figure, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=name, **_look(number)) for number, name in enumerate(names)]
    entry = 0.08 * max(map(len, names)) + 0.9  # width of the widest entry in inches
    columns = int(np.clip(figure.get_figwidth() // entry, 1, len(names)))
    place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(handles=handles, frameon=False, handlelength=3.5, **place)


def _figure(width: float, height: float):
    """A figure of a size in inches. pyplot is not used because it needs a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


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
