"""The whole of GAN-KD on data that it makes itself, in minutes and without a GPU: ``make demo``.

Trains a teacher, then the same student from the same seed for the same epochs without and with GAN-KD,
all through ``train_ssd_gkd.py``; measures the three with ``eval_voc.py`` on images that neither training
nor the choice of any option has seen; draws what happened. What is there from an earlier demo is used
again, and a training that was stopped goes on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.config.parser import Parser
from gan_kd_ssd.paper.trainings import Training, progress, run_script
from gan_kd_ssd.util.errors import exit_on_user_error
from gan_kd_ssd.util.tables import aligned

OUT = Path("demo")
ZOO = OUT / "zoo"
DATA = ["--dataset", "shapes", "--data-root", str(OUT / "data")]
SHAPE = ["--data-shape", "128"]
TEACHER, STUDENT = "resnet10_v1_0.5", "resnet10_v1_0.125"

# Options of the trainings, chosen on the validation split (experiments/demo.md has the trials).
COMMON = [
    *DATA,
    *SHAPE,
    *("--gpus", "", "--num-workers", "1", "--batch-size", "16", "--log-interval", "25"),
    *("--save-interval", "3", "--augmentation", "flip", "--quiet"),
]


@dataclass(frozen=True)
class Network:
    """One row of the table: how it is called, what it is, how it is trained."""

    name: str
    title: str
    backbone: str
    epochs: int
    seconds: float  # measured on 2 cores; only weighs the progress bar
    options: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> Path:
        return OUT / self.name / self.name

    @property
    def training(self) -> Training:
        return Training(self.prefix, self.train_command(), self.recipe())

    @property
    def params(self) -> Path:
        return Path(f"{self.prefix}_best.params")

    @property
    def metrics(self) -> Path:
        return Path(f"{self.prefix}_metrics.jsonl")

    @property
    def result(self) -> Path:
        return OUT / self.name / "test.json"

    def train_command(self) -> list[str]:
        return [
            *("train_ssd_gkd.py", *COMMON, "--student", self.backbone),
            *("--epochs", str(self.epochs), "--save-prefix", str(self.prefix), *self.options),
        ]

    def recipe(self) -> dict:
        """All that the trained network depends on: another recipe is another training."""
        from gan_kd_ssd.data.synthetic.shapes import VERSION
        from gan_kd_ssd.engine.runlog import sha256

        recipe = {"command": self.train_command(), "data": VERSION}
        if "--teacher-params" in self.options:
            recipe["teacher"] = sha256(NETWORKS[0].params)
        return recipe

    def eval_command(self) -> list[str]:
        return [
            *("eval_voc.py", *DATA, *SHAPE, "--gpus", "", "--network", self.backbone),
            *("--params", str(self.params), "--json", str(self.result)),
        ]


_STUDENT = ["--lr", "0.02", "--lr-decay-epoch", "9,10"]
NETWORKS = [
    Network(
        "teacher",
        "teacher",
        TEACHER,
        10,
        210,
        ["--distill", "none", "--lr", "0.008", "--lr-decay-epoch", "9"],
    ),
    Network("student", "student, plain", STUDENT, 10, 75, [*_STUDENT, "--distill", "none"]),
    Network(
        "student_gkd",
        "student, GAN-KD",
        STUDENT,
        10,
        165,
        [
            *_STUDENT,
            *("--distill", "gan", "--gan-epochs", "8"),
            *("--teacher", TEACHER, "--teacher-params", str(OUT / "teacher/teacher_best.params")),
            *("--d-channels", "64", "--student-head", "scratch"),
        ],
    ),
]
_DATA_SECONDS, _EVAL_SECONDS, _PICTURE_SECONDS = 15, 8, 12


def command() -> int:
    """The demo as a command, which has no options but --help."""
    Parser(prog="gan-kd demo", description=__doc__).parse_args()
    return main()


def main() -> int:
    """Run the demo in the current folder; returns the exit code."""
    OUT.mkdir(exist_ok=True)
    total = _DATA_SECONDS + _PICTURE_SECONDS
    total += sum(network.seconds + _EVAL_SECONDS for network in NETWORKS)
    bar = tqdm(
        total=total,
        bar_format="{desc:<28} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left",
        dynamic_ncols=True,
        smoothing=0.1,
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
    with bar:
        _make_data(bar)
        for network in NETWORKS:
            _train(network, bar)
        for network in NETWORKS:
            _evaluate(network, bar)
        pictures = _draw(bar)
        names = _publish(bar)
    print(table())
    print(f"\nlogs, metrics and weights: {OUT}/\npictures: {pictures}/")
    print(f"the model zoo of these networks: export GAN_KD_SSD_REPO=file:{ZOO.resolve()}")
    for name in names:
        print(f"  {name}")
    return 0


def _make_data(bar) -> None:
    bar.set_description_str("making the images")
    from gan_kd_ssd.data.formats.catalog import open_dataset

    open_dataset("shapes", "train", data_root=OUT / "data")
    bar.update(_DATA_SECONDS)


def _train(network: Network, bar) -> None:
    """Train a network, or go on with it, unless it was trained by the same command before."""
    training, start = network.training, bar.n
    bar.set_description_str(f"training the {network.title}")
    if not training.is_done():
        training.run(
            OUT / "output.txt", lambda: _set(bar, start + network.seconds * _fraction(network))
        )
        network.result.unlink(missing_ok=True)
    _set(bar, start + network.seconds)


def _fraction(network: Network) -> float:
    """How much of a training is done."""
    found = progress(network.metrics)
    return found.fraction if found else 0.0


def _evaluate(network: Network, bar) -> None:
    bar.set_description_str(f"testing the {network.title}")
    if not network.result.exists():
        run_script(network.eval_command(), OUT / "output.txt", lambda: _refresh(bar))
    bar.update(_EVAL_SECONDS)


def _set(bar, value: float) -> None:
    bar.update(value - bar.n)
    _refresh(bar)


def _refresh(bar) -> None:
    """Show the time that passes; in a file, where each picture of the bar is a line, it is left out."""
    if sys.stderr.isatty():
        bar.refresh()


def _draw(bar) -> Path:
    """Draw curves, detections and attention maps; returns their folder."""
    bar.set_description_str("drawing")
    import numpy as np

    from gan_kd_ssd.data.formats.catalog import open_dataset
    from gan_kd_ssd.detectors import ssd
    from gan_kd_ssd.evaluation import pictures as figures
    from gan_kd_ssd.util.mxnet import mx

    folder = OUT / "pictures"
    folder.mkdir(exist_ok=True)
    runs = {network.title: network.metrics for network in NETWORKS}
    figures.loss_curves(runs, folder / "losses.png")
    figures.map_curves(runs, folder / "map.png")
    test = open_dataset("shapes", "test", data_root=OUT / "data")
    detectors = {
        network.title: ssd.load(
            network.backbone, test.classes, int(SHAPE[1]), network.params, [mx.cpu()], "--params"
        )
        for network in NETWORKS
    }
    chosen = np.linspace(0, len(test) - 1, 6).astype(int)  # evenly, not by how well they came out
    images, labels = [test.image(i) for i in chosen], [test.label(i) for i in chosen]
    figures.detections_figure(detectors, images, labels, folder / "detections.png", 0.3)
    figures.attention_figure(detectors, images[:4], folder / "attention.png")
    bar.update(_PICTURE_SECONDS)
    return folder


def _publish(bar) -> list[str]:
    """Release the networks into the demo's own model zoo; returns their names there."""
    bar.set_description_str("publishing")
    from gan_kd_ssd.zoo.publish import publish

    return [publish(network.prefix, ZOO).name for network in NETWORKS]


def table() -> str:
    """The networks with their parameters, mAP on the test split and speed, as Markdown."""
    rows = [("network", "backbone", "parameters", "mAP@0.5", "images/s")]
    for network in NETWORKS:
        result = json.loads(network.result.read_text())
        with open(network.metrics, encoding="utf-8") as file:
            parameters = json.loads(file.readline())["parameters"]
        rows.append(
            (
                network.title,
                network.backbone,
                f"{parameters:,}",
                f"{result['mAP']:.3f}",
                f"{result['network_images_per_second']:.0f}",
            )
        )
    return aligned(rows, right=(2, 3, 4), markdown=True)


if __name__ == "__main__":
    try:
        sys.exit(exit_on_user_error("demo", command))
    except KeyboardInterrupt:
        print("demo: stopped; `make demo` goes on from here", file=sys.stderr)
        sys.exit(130)
