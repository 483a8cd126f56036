"""Speed of the SSD pipeline compared with GluonCV's own transforms.

    python benchmarks/pipeline.py [--dataset DIR] [--sizes 128,512] [--images N] [--rounds N]

Each step of both pipelines is timed on the same images, one image at a time, in one process. The table shows
milliseconds per image and their ratio. Without --dataset, pictures of shapes are generated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from gan_kd_ssd.data.batches.ssd_targets import SSDTargets
from gan_kd_ssd.data.batches.ssd_transform import train_transform
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.data.formats.voc import VOCFolder
from gan_kd_ssd.data.synthetic import shapes
from gan_kd_ssd.util.errors import exit_on_user_error
from gan_kd_ssd.util.tables import aligned

STEPS = ("decode", "augment", "targets", "whole sample")
STRIDES = (16, 32, 64, 128, 256, 512)  # strides of an SSD-512, which has 6,132 anchors
ANCHORS_OF_CELL = (4, 6, 6, 6, 4, 4)


def make_anchors(size: int) -> np.ndarray:
    """Anchors similar in number and size to those of an SSD at this input size: float32 (N, 4)."""
    anchors = []
    for stride, count in zip(STRIDES, ANCHORS_OF_CELL):
        cells = max(1, size // stride)
        centre = (np.arange(cells) + 0.5) * size / cells
        for k in range(count):
            side = min(2.0 * stride * size / max(size, stride), 0.9 * size)
            ratio = 2.0 ** (k - count // 2)
            for y in centre:
                for x in centre:
                    anchors.append((x, y, side * ratio**0.5, side / ratio**0.5))
    return np.array(anchors, np.float32)


def measure(data: Dataset, size: int, images: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per image of each step, ours and GluonCV's."""
    from gan_kd_ssd.util.mxnet import mx  # isort: skip
    from gluoncv.data.transforms.presets.ssd import SSDDefaultTrainTransform
    from gluoncv.model_zoo.ssd.target import SSDTargetGenerator

    anchors = make_anchors(size)
    targets = SSDTargets(anchors)
    transform = SSDDefaultTrainTransform(size, size)
    generator = SSDTargetGenerator(iou_thresh=0.5, negative_mining_ratio=-1)
    anchors = mx.nd.array(anchors[None])
    seconds = {"GluonCV": defaultdict(float), "ours": defaultdict(float)}

    def timed(who, step, function):
        start = time.perf_counter()
        result = function()
        mx.nd.waitall()
        elapsed = time.perf_counter() - start
        seconds[who][step] += elapsed
        seconds[who]["whole sample"] += elapsed
        return result

    def encode(label):
        boxes, ids = mx.nd.array(label[None, :, :4]), mx.nd.array(label[None, :, 4:5])
        return generator(anchors, None, boxes, ids)

    rng = np.random.default_rng(0)
    np.random.seed(0)
    for turn in range(rounds + 1):
        if turn == 1:  # the first round is a warm-up
            for times in seconds.values():
                times.clear()
        for i in range(min(images, len(data))):
            path, label = str(data.image_path(i)), data.label(i)
            theirs = timed("GluonCV", "decode", lambda p=path: mx.image.imread(p))
            ours = timed("ours", "decode", lambda i=i: data.image(i))
            args = (theirs, label.astype(np.float64))
            _, boxes = timed("GluonCV", "augment", lambda a=args: transform(*a))
            timed("GluonCV", "targets", lambda b=boxes: encode(b))
            args = (ours, label, size, rng)
            _, boxes = timed("ours", "augment", lambda a=args: train_transform(*a))
            timed("ours", "targets", lambda b=boxes: targets(b))
    count = rounds * min(images, len(data)) / 1000
    return {who: {step: times[step] / count for step in STEPS} for who, times in seconds.items()}


def table(size: int, result: dict[str, dict[str, float]]) -> str:
    """A table of the steps: milliseconds of GluonCV's and our step, and their ratio."""
    rows = [(f"{size} px", "GluonCV ms", "ours ms", "ratio")]
    for step in STEPS:
        theirs, ours = result["GluonCV"][step], result["ours"][step]
        rows.append((step, f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.1f}x"))
    return aligned(rows, right=(1, 2, 3))


def run(options: argparse.Namespace) -> int:
    """Measure and print a table for each size."""
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            if options.dataset:
                data = open_dataset(options.dataset, "train")
            else:
                counts = {"train": options.images, "val": 1, "test": 1}
                folder = shapes.generate(Path(folder) / "shapes", counts, max(size, 160))
                data = VOCFolder([(folder, "train")], shapes.CLASSES)
            print(f"{data.name}, {data.image(0).shape[1]}x{data.image(0).shape[0]}")
            result = measure(data, size, options.images, options.rounds)
            print(table(size, result), end="\n\n")
    return 0


def main() -> int:
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a folder in VOC layout (default: generated shapes)")
    sizes = "sides of the input in pixels (128,512)"
    parser.add_argument(
        "--sizes", type=lambda s: [int(n) for n in s.split(",")], default=[128, 512], help=sizes
    )
    parser.add_argument("--images", type=int, default=40, help="number of images (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of timed rounds (%(default)s)"
    )
    return exit_on_user_error(parser.prog, run, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
