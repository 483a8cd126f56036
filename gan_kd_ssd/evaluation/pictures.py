"""Figures of runs and of detectors, with matplotlib and without a display.

Runs are read from the JSON lines that training writes ({save_prefix}_metrics.jsonl). A run has a
colour, a line style and a marker of its own, so that figures can be read in grey.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from gan_kd_ssd.evaluation import draw
from gan_kd_ssd.evaluation import metrics as voc
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Unknown, Validation
from gan_kd_ssd.logs.resume import with_resumed
from gan_kd_ssd.logs.write import json_fields
from gan_kd_ssd.util.errors import UserError

# Okabe and Ito's colours that are dark enough for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")


def read_metrics(path: Path) -> dict[str, list[dict]]:
    """Lines of a metrics file by kind, of its last run with the runs that it resumes.

    Each line gets ``position``: epochs since the run's start, also where the detection-only phase
    counts from 1 again, as the published log does.

    Raises:
        UserError: the file is missing, or a line is not one of a metrics file. A line that was cut,
            by a kill or because the run still writes, is passed over.
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
    """Detection losses, discriminator scores and cosine loss of runs, over the images seen.

    Args:
        runs: metrics file by the name that the legend gives the run.
        out: picture to write; its suffix says the format.
    """
    panels = (
        ("classification loss (cross-entropy)", {"CrossEntropy": ""}),
        ("box loss (smooth L1)", {"SmoothL1": ""}),
        (
            "discriminators (real down, fake up)",
            {"Loss_D_real": "teacher", "Loss_D_fake": "student"},
        ),
        ("cosine distance of the attention maps", {"cosine": ""}),
    )
    curves = {name: _loss_records(read_metrics(path)) for name, path in runs.items()}
    shown = [
        (title, keys)
        for title, keys in panels
        if any(_numbers(records, key).size for records in curves.values() for key in keys)
    ]
    if not shown:
        raise UserError(f"{', '.join(map(str, runs.values()))}: no losses to draw yet")
    rows = math.ceil(len(shown) / 2)
    figure = _figure(11, 3.4 * rows + 0.6)
    in_images = all(r.get("images") for records in curves.values() for r in records)
    axes = None
    for place, (title, keys) in enumerate(shown, 1):
        axes = figure.add_subplot(rows, 2, place, sharex=axes)
        for number, records in enumerate(curves.values()):
            for key, role in keys.items():
                drawn = _curve(axes, records, key, in_images, number, role == "student")
                if drawn and role:
                    _end_label(axes, drawn, role)
        _mark_phases(axes, curves.values(), in_images, at_top=True)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("images seen" if in_images else "epoch")
        _finish(axes, in_images)
    _legend(figure, list(curves))
    _save(figure, out)


def map_curves(runs: Mapping[str, Path], out: Path) -> None:
    """mAP on the validation split after each epoch, with the end of the GAN phase marked."""
    curves = {name: read_metrics(path)["validation"] for name, path in runs.items()}
    if not any(_numbers(records, "mAP").size for records in curves.values()):
        raise UserError(f"{', '.join(map(str, runs.values()))}: no validation to draw yet")
    figure = _figure(8, 4.8)
    axes = figure.add_subplot()
    names = []
    for number, (name, records) in enumerate(curves.items()):
        _curve(axes, records, "mAP", False, number)
        values = _numbers(records, "mAP")
        names.append(f"{name} (best {values.max():.3f})" if values.size else name)
    _mark_phases(axes, curves.values(), False, at_top=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mAP@0.5, validation split")
    axes.set_ylim(bottom=0)
    _finish(axes, False)
    _legend(figure, names)
    _save(figure, out)


def attention_map(level: np.ndarray) -> np.ndarray:
    """Spatial attention (H, W) of a level (C, H, W): sum over channels of squares, of L2 norm 1.

    The map whose cosine distance between teacher and student the cosine attention loss takes
    (arXiv 1906.08467 names it, arXiv 1612.03928 has the sum of squares: inferred).
    """
    attention = np.square(level.astype(np.float64)).sum(axis=0)
    norm = np.linalg.norm(attention)
    return attention / norm if norm > 0 else attention


def attention_figure(
    detectors: Mapping[str, object], images: Sequence[np.ndarray], out: Path, levels: int = 2
) -> None:
    """Where each detector's finest levels are active: one row an image, the input at its left.

    Maps are multiplied by the root of their number of cells, so that levels of any size share one
    colour scale on which 1 is the map's root mean square.

    Args:
        detectors: by title; each runs on the first device that holds its parameters.
        images: uint8 (H, W, 3), RGB.
        levels: how many of the finest levels are drawn.
    """
    columns = []  # of each detector and level: title, one map for each image
    for title, detector in detectors.items():
        pyramids = [_pyramid(detector, image) for image in images]
        for level in range(min(levels, len(pyramids[0]))):
            maps = [attention_map(pyramid[level]) for pyramid in pyramids]
            maps = [one * math.sqrt(one.size) for one in maps]
            height, width = maps[0].shape
            heading = f"{title}\nstride {detector.strides[level]} ({width}x{height})"
            columns.append((heading, maps))
    highest = max(1.0, float(np.percentile(np.concatenate([np.ravel(m) for _, m in columns]), 98)))
    ratio = np.mean([image.shape[0] / image.shape[1] for image in images])
    figure = _figure(1.9 * (len(columns) + 1) + 0.9, 1.9 * ratio * len(images) + 0.7)
    grid = figure.subplots(len(images), len(columns) + 1, squeeze=False)
    for row, image in zip(range(len(images)), images):
        grid[row, 0].imshow(image)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        size = image.shape[1::-1]
        for axes, (_, maps) in zip(grid[row, 1:], columns):
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
            smooth = cv2.resize(maps[row], size, interpolation=cv2.INTER_LINEAR)
            heat = axes.imshow(smooth, cmap="inferno", vmin=0, vmax=highest, alpha=0.65)
    for axes, heading in zip(grid[0], ["input", *(heading for heading, _ in columns)]):
        axes.set_title(heading, fontsize=9)
    for axes in grid.flat:
        axes.set_axis_off()
    bar = figure.colorbar(heat, ax=grid, fraction=0.025, pad=0.01, extend="max")
    bar.set_label("attention (1: root mean square)", fontsize=9)
    _save(figure, out)


def detections_figure(
    detectors: Mapping[str, object],
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    out: Path,
    threshold: float = 0.5,
) -> None:
    """Detections of several detectors on the same images: one row an image, one column a detector.

    Args:
        detectors: by title; each runs on the first device that holds its parameters.
        images: uint8 (H, W, 3), RGB. labels: ground truth (M, 6) of each, in its pixels.
        out: PNG file to write.
        threshold: lowest score that is drawn.
    """
    panels, titles = [], []
    for image, label in zip(images, labels):
        for title, detector in detectors.items():
            ids, scores, boxes = voc.detect_image(detector, image, _device(detector))
            classes = detector.classes
            panels.append(
                draw.draw_detections(image, ids, scores, boxes, classes, threshold, label)
            )
            titles.append(title)
    draw.save(out, draw.grid(panels, titles, columns=len(detectors)))


def _loss_records(kinds: dict[str, list[dict]]) -> list[dict]:
    """Means of whole epochs; of a run in its first epochs, the running means at its steps."""
    return kinds["epoch"] if len(kinds["epoch"]) > 1 else kinds["step"] or kinds["epoch"]


def _is_number(value) -> bool:
    """Inactive figures are None, diverged ones the strings 'nan' and 'inf'."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _numbers(records, key) -> np.ndarray:
    return np.array([r[key] for r in records if _is_number(r.get(key))])


def _place(record, in_images: bool) -> float:
    return record["images"] if in_images else record["position"]


def _look(number: int) -> dict:
    """Colour, line style and marker of the run of that number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[number % len(STYLES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
        "linewidth": 1.6,
    }


def _curve(axes, records, key, in_images, number, hollow=False):
    """Draw one figure of one run; returns the last point, or None where there is nothing."""
    points = [(_place(r, in_images), r[key]) for r in records if _is_number(r.get(key))]
    if not points:
        return None
    look = _look(number)
    if hollow:
        look["markerfacecolor"] = "white"
    axes.plot(*zip(*points), markevery=max(1, len(points) // 15), **look)
    return points[-1]


def _end_label(axes, point, text):
    axes.annotate(
        text,
        point,
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        annotation_clip=False,
    )


def _mark_phases(axes, runs, in_images, at_top):
    """A thin vertical line, with its name, wherever the GAN phase of a run ends."""
    ends = {
        _place(before, in_images)
        for records in runs
        for before, after in zip(records, records[1:])
        if (before.get("phase"), after.get("phase")) == ("gan", "detection")
    }
    for x in sorted(ends):
        axes.axvline(x, color="0.3", linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            "GAN ends",
            (x, 1 if at_top else 0),
            (-3, -4 if at_top else 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="top" if at_top else "bottom",
            fontsize=8,
            color="0.3",
        )


def _figure(width: float, height: float):
    from matplotlib.figure import Figure  # no pyplot: it would choose a display

    return Figure(figsize=(width, height), layout="constrained")


def _finish(axes, in_images: bool):
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.grid(color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if in_images:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(figure, names: Sequence[str]):
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=name, **_look(number)) for number, name in enumerate(names)]
    entry = 0.08 * max(map(len, names)) + 0.9  # inches that the widest one takes
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=int(np.clip(figure.get_figwidth() // entry, 1, len(names))),
        frameon=False,
        handlelength=3.5,
    )


def _save(figure, out: Path):
    try:
        figure.savefig(out, dpi=130)
    except OSError as error:
        raise UserError(f"{out}: the picture cannot be written ({error.strerror})") from error


def _device(detector):
    return next(iter(detector.net.collect_params().values())).list_ctx()[0]


def _pyramid(detector, image: np.ndarray) -> list[np.ndarray]:
    """Levels (C, H, W) of one image, finest first."""
    from gan_kd_ssd.util.mxnet import mx

    x = voc.input_of(detector, image)
    levels = detector.pyramid(mx.nd.array(x[None], ctx=_device(detector)))
    return [level.asnumpy()[0] for level in levels]
