"""Runs of train_faster_rcnn_gkd.py with its options; bad input is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.cli.train_commands import train_faster_rcnn
from gan_kd_ssd.config.command import FASTER_RCNN as SCRIPT
from gan_kd_ssd.config.training_config import from_words
from gan_kd_ssd.detectors import faster_rcnn
from gan_kd_ssd.engine import build as run
from gan_kd_ssd.engine import checkpoint
from gan_kd_ssd.engine.setup import FasterRCNNSetup
from gan_kd_ssd.logs.records import (
    LearningRate,
    NewBest,
    Saved,
    Step,
    Validation,
)
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.hooks import on
from helpers.runs import RCNN_PHASES, lines, records, same_arrays

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["cross", "disc", "ring", "square", "star", "triangle"]


def test_like_repeats_the_run(rcnn_whole, train_rcnn, tmp_path):
    words = ["--like", f"{rcnn_whole}_train.log", "--save-prefix", str(tmp_path / "y")]
    assert train_faster_rcnn(words) == 0
    same_arrays(rcnn_whole, tmp_path / "y")


def test_without_compiling_the_first_figures_are_the_same(
    distil, rcnn_whole, tmp_path, monkeypatch
):
    compiled = []
    monkeypatch.setattr(faster_rcnn.FasterRCNN, "hybridize", lambda self: compiled.append(self))
    assert distil(tmp_path / "y", "--disable-hybridization", "--epochs", 3) == 0
    assert not compiled  # neither student nor teacher
    one, other = (records(prefix, Step)[0].figures for prefix in (rcnn_whole, tmp_path / "y"))
    assert one == pytest.approx(other, abs=2e-3)


def test_static_alloc_reaches_the_graphs_and_gives_the_same_student(
    distil, rcnn_whole, tmp_path, monkeypatch
):
    asked, plain = [], faster_rcnn.FasterRCNN.hybridize

    def watched(self, static_alloc=False):
        asked.append(static_alloc)
        plain(self, static_alloc)

    monkeypatch.setattr(faster_rcnn.FasterRCNN, "hybridize", watched)
    assert distil(tmp_path / "y", "--static-alloc") == 0
    assert asked[0] is True  # the student's
    for one, other in zip(records(rcnn_whole, Step), records(tmp_path / "y", Step)):
        assert one.figures == pytest.approx(other.figures, abs=2e-3, nan_ok=True)


def test_states_are_saved_each_interval_and_at_the_end(distil, tmp_path):
    assert distil(tmp_path / "y", "--save-interval", 2, "--epochs", 3) == 0
    assert [record.epoch for record in records(tmp_path / "y", Saved)] == [1]
    _, meta = checkpoint.load_state(tmp_path / "y_state.zip")
    assert meta["progress"]["epoch"] == 3


def test_a_best_map_of_zero_is_kept_but_not_told_as_better_than_zero(distil, tmp_path, monkeypatch):
    from gan_kd_ssd.evaluation.metrics import Evaluation, Timing

    maps = iter([0.5, 0.0, 0.3, 0.2, 0.4])  # the teacher's first

    def measured(*_args, **_kwargs):
        value = next(maps)
        return Evaluation("voc07", {"disc": value}, value, 1, Timing(1, 1.0, 1.0, True))

    monkeypatch.setattr(run, "evaluate", measured)
    assert distil(tmp_path / "y") == 0
    best = [
        (record.epoch, record.value, record.previous) for record in records(tmp_path / "y", NewBest)
    ]
    assert best == [(1, 0.3, 0), (3, 0.4, 0.3)]
    told = lines(tmp_path / "y", "best_map.log")
    assert told == ["0000:\t0.0000", "0001:\t0.3000", "0003:\t0.4000"]


def test_two_devices_with_one_image_each_train_through_all_phases(distil, tmp_path):
    options = ["--cpu-devices", 2, "--batch-size", 2, "--log-interval", 6, "--cosine-attention"]
    assert distil(tmp_path / "y", *options) == 0
    steps = records(tmp_path / "y", Step)
    assert len(steps) == 8 and all(np.isfinite(step.figures["RPN_Conf"]) for step in steps)


def test_one_image_a_device_is_the_default(shapes_folder, tmp_path):
    words = ["--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "y", "--quiet"]
    words += ["--dataset", shapes_folder, "--gpus", "", "--cpu-devices", 2, "--num-workers", 0]
    words += ["--student", "resnet10_v1_0.125", "--short", 64, "--max-size", 96]
    config = from_words(SCRIPT, [str(word) for word in words])
    assert config.schedule.batch_size is None
    assert run.run(config, SCRIPT) == 0
    assert config.schedule.batch_size is None and config.data.metric is None  # nobody writes to it
    namespace = json.loads(lines(tmp_path / "y", "metrics.jsonl")[0])["namespace"]
    assert (namespace["batch_size"], namespace["metric"]) == (2, "voc07")


def test_sides_that_are_not_given_are_recorded_as_the_network_has_them(train_rcnn, tmp_path):
    options = ["--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "y"]
    built = []

    def stop(training):
        built.append(training.steps["detection"].student)
        raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        train_rcnn(*options, "--batch-size", 1, "--short", 96, hooks=[on(before_training=stop)])
    (student,) = built
    namespace = json.loads(lines(tmp_path / "y", "metrics.jsonl")[0])["namespace"]
    assert (namespace["short"], namespace["max_size"]) == (student.short, student.max_size)


@pytest.mark.parametrize("settings", [["--use-fpn"], ["--roi-mode", "pool"]])
def test_fpn_and_roi_pooling_train_through_all_phases(settings, train_rcnn, tmp_path):
    options = [*settings, "--save-prefix", tmp_path / "t", "--epochs", 1, "--distill", "none"]
    assert train_rcnn(*options, "--student", "resnet10_v1_0.25") == 0
    teacher = ["--Teacher-param-path", tmp_path / "t_best.params"]
    common = [*settings, *RCNN_PHASES, *teacher, "--save-prefix", tmp_path / "y"]
    assert train_rcnn(*common, "--update", "joint", "--log-interval", 6) == 0
    info = json.loads(lines(tmp_path / "y", "metrics.jsonl")[0])
    assert info["strides"] == ([4, 8, 16, 32, 64] if "--use-fpn" in settings else [16])
    assert len(records(tmp_path / "y", Step)) == 4


def test_the_learning_rate_warms_up_over_the_first_batches(train_rcnn, tmp_path):
    rates = []

    def watch(training, _vectors):
        rates.append(training.steps["detection"].trainer.learning_rate)

    options = ["--lr", 0.003, "--lr-warmup", 4, "--epochs", 2, "--lr-decay-epoch", 1]
    options += ["--distill", "none", "--save-prefix", tmp_path / "y"]
    train_rcnn(*options, hooks=[on(after_step=watch)])
    expected = [0.001, 0.0015, 0.002, 0.0025, 0.003, 0.003, *[0.0003] * 6]
    assert rates == pytest.approx(expected)
    logged = records(tmp_path / "y", LearningRate)
    assert [(r.epoch, r.iteration) for r in logged] == [(0, 0), (0, 2), (0, 4), (1, None)]


def test_gan_rates_are_halved_at_each_epoch_that_is_given(distil, tmp_path):
    options = ["--lrD", 0.004, "--lrG", 0.002, "--lr-decay-GAN-epoch", "1,2"]
    assert distil(tmp_path / "y", *options, "--epochs", 3) == 0
    logged = [(r.epoch, r.rate) for r in records(tmp_path / "y", LearningRate) if r.gan]
    assert logged == [(1, 0.002), (1, 0.001), (2, 0.001), (2, 0.0005)]


def test_mixup_stops_for_the_last_epochs(train_rcnn, tmp_path, monkeypatch):
    weights = []

    def watched(self, batch):
        weights.append(sorted(float(w) for part in batch for w in part.weights.asnumpy()))
        return plain(self, batch)

    from gan_kd_ssd.distill.step import DetectionStep

    plain = DetectionStep.__call__
    monkeypatch.setattr(DetectionStep, "__call__", watched)
    options = ["--mixup", "--no-mixup-epochs", 1, "--epochs", 3, "--distill", "none"]
    assert train_rcnn(*options, "--save-prefix", tmp_path / "y") == 0
    assert weights == [[0.5] * 4] * 12 + [[1.0] * 4] * 6


def test_verbose_prints_the_names_of_the_trained_parameters(train_rcnn, tmp_path, capsys):
    train_rcnn("--distill", "none", "--verbose", "--epochs", 1, "--save-prefix", tmp_path / "y")
    printed = capsys.readouterr().out.split()
    assert any(name.endswith("rpn0_conv0_weight") for name in printed) and len(printed) > 20


@pytest.mark.parametrize(
    "options, message",
    [
        (["--teacher", "resnet10_v1_0.125"], "Teacher-param-path .*resnet10_v1_0.125"),
        (["--Teacher-param-path", "none.params"], "--Teacher-param-path none.params: no such file"),
        (["--teacher", "vgg16"], "--teacher 'vgg16': no such network"),
        (["--student", "vgg16"], "--student 'vgg16': no such network"),
        (["--student", "vgg16", "--no-pretrained-base"], "--student 'vgg16': no such network"),
        (["--short", 16], "--short 16: too small"),
        (["--max-size", 5000], "--max-size 5000: .* has anchors for 2048 pixels"),
        (["--batch-size", 3, "--cpu-devices", 2], "--batch-size 3: give a multiple"),
        (["--dataset", "nowhere"], "--dataset nowhere: no such data set"),
        (["--lr-decay-GAN-epoch", "x"], "--lr-decay-GAN-epoch 'x': give epochs"),
        (["--use-fpn"], "--Teacher-param-path .* a network other than"),
        (["--student", "resnet50_v1b", "--no-pretrained-base"], "give --norm-layer bn as well"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(options, message, distil, tmp_path):
    with pytest.raises(UserError, match=message):
        distil(tmp_path / "y", *options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, message",
    [
        (["--short", 80], "short 64, but this run has 80"),
        (["--roi-mode", "pool"], "roi-mode 'align', but this run has 'pool'"),
        (["--mixup"], "mixup False, but this run has True"),
        (["--seed", 5], "seed 233, but this run has 5"),
    ],
)
def test_a_state_of_another_run_is_refused(options, message, rcnn_whole, distil, tmp_path):
    with pytest.raises(UserError, match=message):
        distil(tmp_path / "y", "--resume", f"{rcnn_whole}_state.zip", *options)


def test_a_teacher_of_classes_in_another_order_is_refused(distil, tmp_path):
    with pytest.raises(
        UserError, match=r"--Teacher-param-path .* was trained on the classes cross"
    ):
        distil(tmp_path / "y", "--classes", ",".join(reversed(CLASSES)))


@pytest.mark.parametrize(
    "options, message",
    [
        (["--use-fpn"], "use-fpn False, but this run has True"),
        (["--norm-layer", "bn"], "norm-layer None, but this run has 'bn'"),
        (["--max-size", 80], "max-size 96, but this run has 80"),
    ],
)
def test_a_state_of_another_network_is_refused(options, message, train_rcnn, tmp_path):
    plain = ["--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "y"]
    assert train_rcnn(*plain) == 0
    with pytest.raises(UserError, match=message):
        train_rcnn(*plain, "--resume", tmp_path / "y_state.zip", *options)


def test_validations_come_each_interval_and_at_the_end_of_a_phase(distil, tmp_path):
    assert distil(tmp_path / "y", "--val-interval", 4, "--epochs", 6) == 0
    # 0: last of the discriminators alone; 2: last with the GAN; 3: of the interval; 5: the last
    assert [record.epoch for record in records(tmp_path / "y", Validation)] == [0, 2, 3, 5]


def setup_of(words, ctx):
    return FasterRCNNSetup(from_words(SCRIPT, words), ctx)


@pytest.fixture
def settings_asked_for(monkeypatch):
    """Settings of each Faster R-CNN that would be built."""
    asked = []

    def build(_class, _network, _classes, settings, **others):
        asked.append((settings, others.get("pretrained_base")))
        raise UserError("enough")

    monkeypatch.setattr(faster_rcnn.FasterRCNN, "build", classmethod(build))
    return asked


@pytest.mark.parametrize(
    "words, pretrained",
    [
        ([], True),
        (["--no-pretrained-base", "--norm-layer", "bn"], False),
        (["--resume", "x.params"], False),
        (["--student", "resnet10_v1_0.25"], False),
    ],
)
def test_the_backbone_starts_from_imagenet_by_default(words, pretrained, settings_asked_for):
    with pytest.raises(UserError, match="enough"):
        setup_of(["--batch-size", "1", *words], [mx.cpu()]).student(CLASSES)
    assert [asked for _, asked in settings_asked_for] == [pretrained]


def test_student_and_teacher_are_built_with_the_options_of_both(settings_asked_for):
    words = ["--use-fpn", "--roi-mode", "pool", "--short", "400", "--max-size", "500"]
    words += ["--norm-layer", "bn", "--batch-size", "6", "--Teacher-param-path", "x.params"]
    setup = setup_of(words, [mx.gpu(0), mx.gpu(1)])

    class Student:
        def __init__(self):
            self.sizes = {"short": 400, "max_size": 500}

    for build in (lambda: setup.student(CLASSES), lambda: setup.teacher(CLASSES, Student())):
        with pytest.raises(UserError, match="enough"):
            build()
    (student, _), (teacher, _) = settings_asked_for
    for settings in (student, teacher):
        assert (settings.use_fpn, settings.roi_mode, settings.devices) == (True, "pool", 2)
        assert (settings.short, settings.max_size) == (400, 500)
    # The teacher has the normalisation of the run that trained it, of which nothing is known here.
    assert (student.norm_layer, teacher.norm_layer) == ("bn", None)
    assert student.per_device == 3


def test_batchnorm_over_several_cpu_devices_is_refused_as_it_never_ends():
    words = ["--use-fpn", "--norm-layer", "bn", "--batch-size", "2"]
    with pytest.raises(UserError, match=r"--cpu-devices: .* deadlocks on several CPU devices"):
        setup_of(words, [mx.cpu(0), mx.cpu(1)]).student(CLASSES)


def test_an_image_with_too_few_anchors_is_named_and_room_is_made_for_many_boxes():
    class Data:
        name = "pets"

        def __init__(self, size, boxes):
            self.size, self.boxes = size, boxes

        def __len__(self):
            return 2

        def label(self, _index):
            return np.zeros((self.boxes, 6), np.float32)

        def image_size(self, _index):
            return self.size

        def image_path(self, _index):
            return "long.jpg"

    words = ["--student", "resnet10_v1_0.125", "--short", "64", "--max-size", "96"]
    words += ["--batch-size", "1", "--num-workers", "0"]
    setup = setup_of(words, [mx.cpu()])
    student = setup.student(CLASSES)
    with pytest.raises(
        UserError, match=r"long\.jpg: 400x24 pixels become 96x6, .* raise --max-size"
    ):
        setup.train_batches(student, Data((400, 24), 1))
    setup.train_batches(student, Data((80, 60), 3))
    assert student.net.sampler._max_num_gt == 100
    setup.train_batches(student, Data((80, 60), 120))
    assert student.net.sampler._max_num_gt == 120
    setup_of([*words, "--mixup"], [mx.cpu()]).train_batches(student, Data((80, 60), 120))
    assert student.net.sampler._max_num_gt == 240
