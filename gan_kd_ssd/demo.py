"""Run the whole method on generated images, in minutes and without a GPU.

It trains a teacher, then the same student without and with GAN-KD, from the same seed and for the same
number of epochs. It measures the three networks on test images that were used neither for training nor
for choosing options, and draws loss curves, detections and attention maps. Results of an earlier demo in
the same folder are reused, and an interrupted training is resumed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gan_kd_ssd.config.parser import Parser
from gan_kd_ssd.logs.run_metadata import metadata_beside
from gan_kd_ssd.paper.run_rows import move, progress_bar
from gan_kd_ssd.paper.training_runs import ResumableTraining, RunFiles, progress, run_program
from gan_kd_ssd.util.files import digests, writable_folder
from gan_kd_ssd.util.tables import aligned

OUT = Path("demo")
ZOO, PICTURES = OUT / "zoo", OUT / "pictures"
LAST_PICTURE = PICTURES / "attention.png"
DATA_SHAPE = 128
DATA = ("--dataset", "shapes", "--data-root", str(OUT / "data"), "--data-shape", str(DATA_SHAPE))
# Options of the trainings, chosen on the validation split (experiments/demo.md has the trials).
COMMON = (
    *(*DATA, "--gpus", "", "--num-workers", "1", "--epochs", "10", "--batch-size", "16"),
    *("--log-interval", "25", "--save-interval", "3", "--augmentation", "flip", "--quiet"),
)
TEACHER_OPTIONS = ("--distill", "none", "--lr", "0.008", "--lr-decay-epoch", "9")
STUDENT_OPTIONS = ("--lr", "0.02", "--lr-decay-epoch", "9,10")
PLAIN_OPTIONS = (*STUDENT_OPTIONS, "--distill", "none")
GAN_OPTIONS = (
    *(*STUDENT_OPTIONS, "--distill", "gan", "--gan-epochs", "8", "--d-channels", "64"),
    *("--student-head", "scratch", "--teacher", "resnet10_v1_0.5"),
    *("--teacher-params", str(OUT / "teacher/teacher_best.params")),
)
#: Difference of mAP between two seeds of the plain student (experiments/demo.md).
SEED_SPREAD = 0.032
#: Durations on 2 cores, for the progress bar only.
_DATA_SECONDS, _EVAL_SECONDS, _PICTURE_SECONDS = 15, 8, 12


@dataclass(frozen=True)
class DemoNetwork:
    """A network of the demo."""

    name: str  # of the folder and the files
    title: str  # in the table and the pictures
    backbone: str
    seconds: float  # duration of the training on 2 cores
    options: tuple[str, ...]  # of the training, in addition to COMMON

    @cached_property
    def files(self) -> RunFiles:
        return RunFiles(OUT / self.name / self.name)

    def training(self) -> ResumableTraining:
        """The training; it is repeated if its options, the images or the teacher's weights change."""
        from gan_kd_ssd.data.synthetic.shapes import VERSION

        words = ["train-ssd", *COMMON, "--student", self.backbone, *self.options]
        recipe = {"command": words, "data": VERSION}
        if "--teacher-params" in self.options:
            recipe["teacher"] = digests(TEACHER.files.params, ["sha256"])[0]
        words = [*words, "--save-prefix", str(self.files.prefix)]
        return ResumableTraining(self.files, words, recipe)

    @property
    def result(self) -> Path:
        """The figures measured on the test images."""
        return self.files.named("test.json")

    def eval_command(self) -> list[str]:
        """The command that measures the network on the test images."""
        return [
            *("eval", *DATA, "--gpus", "", "--network", self.backbone),
            *("--params", str(self.files.params), "--json", str(self.result)),
        ]


TEACHER = DemoNetwork("teacher", "teacher", "resnet10_v1_0.5", 210, TEACHER_OPTIONS)
PLAIN = DemoNetwork("student", "student, plain", "resnet10_v1_0.125", 75, PLAIN_OPTIONS)
GAN_KD = DemoNetwork("student_gkd", "student, GAN-KD", "resnet10_v1_0.125", 165, GAN_OPTIONS)
NETWORKS = (TEACHER, PLAIN, GAN_KD)


def run(words: Sequence[str]) -> int:
    """Run the demo in the current folder; return the exit code."""
    Parser(prog="gan-kd demo", description=__doc__).parse_args(list(words))
    writable_folder(OUT)
    total = _DATA_SECONDS + _PICTURE_SECONDS
    total += sum(network.seconds + _EVAL_SECONDS for network in NETWORKS)
    try:
        with progress_bar(total, "{desc:<28}") as bar:
            bar.set_description_str("making the images")
            open_images("train")
            move(bar, _DATA_SECONDS)
            done = [step(network, bar) for step in (train, measure) for network in NETWORKS]
            if any(done) or not LAST_PICTURE.exists():
                bar.set_description_str("drawing")
                draw()
            names = publish()
            move(bar, total)
    except KeyboardInterrupt:
        print("gan-kd demo: stopped; the same command resumes the demo", file=sys.stderr)
        return 130
    if not any(done):
        print("nothing to do: all results are from the earlier run\n")
    print(f"{table()}\n\n{explanation()}")
    print(f"\nlogs, metrics and weights: {OUT}/\npictures: {PICTURES}/")
    print(f"model zoo of these networks: export GAN_KD_SSD_REPO=file:{ZOO.resolve()}")
    print("\n".join(f"  {name}" for name in names))
    return 0


def train(network: DemoNetwork, bar) -> bool:
    """Train a network unless it is trained already; return whether it was trained now."""
    training, start = network.training(), bar.n
    bar.set_description_str(f"training the {network.title}")

    def show() -> None:
        found = progress(network.files.metrics)
        move(bar, start + network.seconds * (found.fraction if found else 0))

    needed = not training.is_done
    if needed:
        training.run(OUT / "output.txt", poll=show)
        network.result.unlink(missing_ok=True)
    move(bar, start + network.seconds)
    return needed


def measure(network: DemoNetwork, bar) -> bool:
    """Measure a network on the test images unless it is measured already; return whether it was."""
    bar.set_description_str(f"testing the {network.title}")
    needed = not network.result.exists()
    if needed:
        run_program(network.eval_command(), OUT / "output.txt", poll=lambda: move(bar, bar.n))
    move(bar, bar.n + _EVAL_SECONDS)
    return needed


def open_images(split: str):
    """Open a split of the generated images; generate the images if they do not exist."""
    from gan_kd_ssd.data.formats.catalog import open_dataset

    return open_dataset("shapes", split, data_root=OUT / "data")


def draw() -> None:
    """Draw curves of the trainings, detections and attention maps."""
    import numpy as np

    from gan_kd_ssd.analysis import plot
    from gan_kd_ssd.analysis.analysed_run import analyse
    from gan_kd_ssd.detectors.ssd import SSD, SSDSettings
    from gan_kd_ssd.evaluation import pictures
    from gan_kd_ssd.logs.read import read
    from gan_kd_ssd.util.mxnet import mx

    PICTURES.mkdir(exist_ok=True)
    runs = [
        replace(analyse(read(network.files.metrics)), name=network.title) for network in NETWORKS
    ]
    (PICTURES / "curves.png").write_bytes(plot.draw(runs))
    test, settings = open_images("test"), SSDSettings(DATA_SHAPE)
    detectors = {
        network.title: SSD.load_trained(
            network.backbone, test.classes, settings, network.files.params, [mx.cpu()]
        )
        for network in NETWORKS
    }
    chosen = np.linspace(0, len(test) - 1, 6).astype(int)  # evenly, not by their results
    images, labels = [test.image(i) for i in chosen], [test.label(i) for i in chosen]
    pictures.detections_figure(detectors, images, labels, PICTURES / "detections.png", 0.3)
    pictures.attention_figure(detectors, images[:4], LAST_PICTURE)


def publish() -> list[str]:
    """Publish the networks in the demo's own model zoo; return their names."""
    from gan_kd_ssd.zoo import publish as zoo_publish

    return [zoo_publish.publish(network.files.prefix, ZOO).name for network in NETWORKS]


def table() -> str:
    """A Markdown table of the networks: parameters, mAP on the test images, speed."""
    rows = [["network", "backbone", "parameters", "mAP@0.5", "images/s"]]
    for network in NETWORKS:
        result = json.loads(network.result.read_text())
        size = metadata_beside(network.files.params).parameters
        figures = f"{size:,}", f"{result['mAP']:.3f}", f"{result['network_images_per_second']:.0f}"
        rows.append([network.title, network.backbone, *figures])
    return aligned(rows, right=(2, 3, 4), markdown=True)


def explanation() -> str:
    """Interpretation of the figures of the table."""
    plain, gan = (json.loads(network.result.read_text())["mAP"] for network in (PLAIN, GAN_KD))
    gap = f"GAN-KD changes the student's mAP by {gan - plain:+.3f}"
    spread = f"the difference of {SEED_SPREAD:.3f} between two seeds of the plain student"
    if abs(gan - plain) <= SEED_SPREAD:
        text = f"{gap}, which is less than {spread}: this demo shows no effect beyond the noise."
    else:
        text = f"{gap}, which is more than {spread}. One pair of runs does not prove an effect."
    return (
        f"{text}\nBoth students are the same network at inference, so a difference in images/s is "
        "measurement noise."
    )
