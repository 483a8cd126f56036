"""What several tests share: a tiny data set, tiny networks, a tiny trained teacher."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from helpers.runs import CLASSES, EPOCHS, RCNN_PHASES, SIZE

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """Reference material beside the checkout: the published logs, real images. Not in the project."""
    if not SHARED.is_dir():
        pytest.skip("needs the published logs and BCCD beside the checkout, in ../shared")
    return SHARED


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory):
    """24 + 8 + 8 generated images in VOC layout."""
    from gan_kd_ssd.data.synthetic import shapes

    folder = tmp_path_factory.mktemp("data") / "shapes"
    return shapes.generate(folder, {"train": 24, "val": 8, "test": 8}, size=96, progress=False)


@pytest.fixture
def tiny_ssd():
    """make(seed=0, width='0.125', ctx=one CPU) -> an initialised SSD of 64 pixels and two classes."""
    from gan_kd_ssd.util.mxnet import mx
    from helpers.detectors import build_ssd

    def make(seed=0, width="0.125", ctx=None, blocks="10", size=SIZE):
        mx.random.seed(seed)
        detector = build_ssd(f"resnet{blocks}_v1_{width}", CLASSES, size)
        detector.initialize(ctx or [mx.cpu()])
        return detector

    return make


@pytest.fixture
def make_batch():
    """make(detector, B, seed) -> a training batch of noise with random targets."""
    from gan_kd_ssd.data.batches.ssd_batches import TrainBatch
    from gan_kd_ssd.util.mxnet import mx

    def make(detector, size=4, seed=0):
        rng = np.random.RandomState(seed)
        anchors = len(detector.anchors)
        classes = rng.randint(1, 3, (size, anchors)) * (rng.rand(size, anchors) < 0.05)
        arrays = (
            rng.randn(size, 3, detector.data_shape, detector.data_shape),
            classes,
            rng.randn(size, anchors, 4) * (classes > 0)[..., None],
        )
        return TrainBatch(*[mx.nd.array(a) for a in arrays], positives=int((classes > 0).sum()))

    return make


@pytest.fixture(scope="session")
def train(shapes_folder):
    """train(*options, hooks=()) -> exit code of a tiny run of ``train_ssd_gkd.py`` in this process.

    Options given later override the tiny ones given here.
    """
    tiny = [
        *("--dataset", shapes_folder, "--data-shape", SIZE, "--gpus", "", "--num-workers", 0),
        *("--student", "resnet10_v1_0.125", "--batch-size", 8, "--log-interval", 2, "--quiet"),
        *("--lr", 0.01, "--d-channels", 16, "--teacher", "resnet10_v1_0.25"),
    ]
    return _trains("train_ssd_gkd.py", tiny)


@pytest.fixture(scope="session")
def train_rcnn(shapes_folder):
    """train_rcnn(*options, hooks=()) -> exit code of a tiny run of ``train_faster_rcnn_gkd.py``."""
    tiny = [
        *("--dataset", shapes_folder, "--short", 64, "--max-size", 96, "--gpus", ""),
        *("--student", "resnet10_v1_0.125", "--teacher", "resnet10_v1_0.25", "--quiet"),
        *("--batch-size", 4, "--log-interval", 2, "--lr", 0.01, "--d-channels", 16),
        *("--num-workers", 0),
    ]
    return _trains("train_faster_rcnn_gkd.py", tiny)


def _trains(script, tiny):
    from gan_kd_ssd.config.training_config import from_words
    from gan_kd_ssd.engine import build

    def run(*options, hooks=()):
        return build.run(
            from_words(script, [str(word) for word in [*tiny, *options]]), script, hooks
        )

    return run


@pytest.fixture(scope="session")
def rcnn_teacher(train_rcnn, tmp_path_factory):
    """Parameters of a tiny teacher after one epoch."""
    prefix = tmp_path_factory.mktemp("rcnn_teacher") / "t"
    options = ["--student", "resnet10_v1_0.25", "--distill", "none", "--epochs", 1]
    assert train_rcnn(*options, "--save-prefix", prefix) == 0
    return Path(f"{prefix}_best.params")


@pytest.fixture(scope="session")
def distil(train_rcnn, rcnn_teacher):
    """distil(prefix, *options, hooks=()) -> exit code of a run through all phases."""

    def train(prefix, *options, hooks=()):
        common = [*RCNN_PHASES, "--Teacher-param-path", rcnn_teacher, "--save-prefix", prefix]
        return train_rcnn(*common, *options, hooks=hooks)

    return train


@pytest.fixture(scope="session")
def rcnn_whole(distil, tmp_path_factory):
    """Prefix of a run that nothing interrupted."""
    prefix = tmp_path_factory.mktemp("rcnn_whole") / "x"
    assert distil(prefix) == 0
    return prefix


@pytest.fixture(scope="session")
def teacher_params(train, tmp_path_factory):
    """Parameters of a tiny teacher after one epoch."""
    prefix = tmp_path_factory.mktemp("teacher") / "t"
    options = ["--student", "resnet10_v1_0.25", "--distill", "none", "--epochs", 1]
    assert train(*options, "--save-prefix", prefix) == 0
    return Path(f"{prefix}_best.params")


@pytest.fixture(scope="session")
def whole(train, teacher_params, tmp_path_factory):
    """Prefix of a run that nothing interrupted: two epochs of GAN, one of detection."""
    prefix = tmp_path_factory.mktemp("whole") / "x"
    assert train(*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", prefix) == 0
    return prefix


# The same examples in every run of continuous integration: a new find belongs to the one who looks for it.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
