"""A whole tiny run of train_faster_rcnn_gkd.py: phases, log, files, stopping and going on, options."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import lines

from gan_kd_ssd.backend import mx
from gan_kd_ssd.detectors import faster_rcnn
from gan_kd_ssd.engine import checkpoint, loop, rcnn_run, run
from gan_kd_ssd.errors import UserError
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import LearningRate, NewBest, Saved, Step, Unknown
from gan_kd_ssd.options.faster_rcnn import parse_train_faster_rcnn

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ["cross", "disc", "ring", "square", "star", "triangle"]
#: Epoch 0: discriminators alone; 1 and 2: GAN; 3: detection alone.
PHASES = ["--epochs", 4, "--train-D-eopch", 1, "--GAN-epochs", 2, "--lr-decay-GAN-epoch", "2"]


@pytest.fixture(scope="module")
def teacher(train_rcnn, tmp_path_factory):
    """Parameters of a tiny teacher after one epoch."""
    prefix = tmp_path_factory.mktemp("teacher") / "t"
    options = ["--student", "resnet10_v1_0.25", "--distill", "none", "--epochs", 1]
    assert train_rcnn(*options, "--save-prefix", prefix) == 0
    return Path(f"{prefix}_best.params")


@pytest.fixture(scope="module")
def distil(train_rcnn, teacher):
    """distil(prefix, *options) -> exit code of a run through all phases."""

    def train(prefix, *options):
        common = [*PHASES, "--Teacher-param-path", teacher, "--save-prefix", prefix]
        return train_rcnn(*common, *options)

    return train


@pytest.fixture(scope="module")
def whole(distil, tmp_path_factory):
    """Prefix of a run that nothing interrupted."""
    prefix = tmp_path_factory.mktemp("whole") / "x"
    assert distil(prefix) == 0
    return prefix


def records(prefix, *kinds):
    return [e.record for e in read(f"{prefix}_train.log").entries if isinstance(e.record, kinds)]


def figures(prefix):
    """Lines with figures, without what a clock says."""
    return [
        re.sub(r"(Speed|Training cost): \S+", "", line)
        for line in lines(prefix)
        if line.startswith("[Epoch") and ".params" not in line
    ]


def same_arrays(one, other):
    arrays, others = (checkpoint.load_state(Path(f"{p}_state.zip"))[0] for p in (one, other))
    assert arrays.keys() == others.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def test_log_has_the_published_lines_of_all_three_phases(whole):
    log = lines(whole)
    assert re.fullmatch(r"Namespace\(GAN_epochs=2, Teacher_param_path=.*, wd=0.0005\)", log[0])
    assert log[1] == "Start training from [Epoch 0]"
    n = r"-?\d+\.\d{3}"
    losses = rf"RPN_Conf={n},RPN_SmoothL1={n},RCNN_CrossEntropy={n},RCNN_SmoothL1={n},"
    counted = rf"RPNAcc={n},RPNL1Loss={n},RCNNAcc={n},RCNNL1Loss={n},"
    step = rf"\[Epoch \d\]\[Batch [135]\], Speed: {n} samples/sec, {losses}{counted}"
    epoch = rf"\[Epoch \d\] Training cost: {n}, {losses}"
    for pattern, times in (
        (rf"{step}Loss_G={n},Loss_D={n}", 9),
        (rf"{step}Loss_G=nan,Loss_D=nan", 3),
        (rf"{epoch}Loss_G={n},Loss_D={n}", 3),
        (rf"{epoch}Loss_G=nan,Loss_D=nan", 1),
    ):
        assert sum(bool(re.fullmatch(pattern, line)) for line in log) == times, pattern
    at = log.index("[Epoch 1] Validation: ")
    names = [line.partition("=")[0] for line in log[at + 1 : at + 8]]
    assert names == [*CLASSES, "mAP"]


def test_the_log_tells_of_rates_best_and_saved_files_as_the_published_one(whole):
    assert not records(whole, Unknown)
    rates = records(whole, LearningRate)
    assert rates == [LearningRate(2, 0.00025, gan=True)] * 2  # a line for each of two updates
    maps = [float(line[4:]) for line in lines(whole) if line.startswith("mAP=")]
    names = [f"{whole}_{epoch:04d}_{value:.4f}.params" for epoch, value in enumerate(maps)]
    assert records(whole, Saved) == [Saved(epoch, name) for epoch, name in enumerate(names)]
    assert all(Path(name).is_file() for name in names)
    best, expected = 0, []
    for epoch, value in enumerate(maps):
        if value > best:
            expected.append(NewBest(epoch, value, best, f"{whole}_best.params"))
            best = value
    assert records(whole, NewBest) == expected


def test_counted_figures_run_on_from_epoch_to_epoch_and_losses_do_not(
    distil, tmp_path, monkeypatch
):
    vectors, plain = [], loop.Training._add

    def watched(self, parts):
        vectors.append(sum(part.asnumpy().astype(np.float64) for part in parts))
        plain(self, parts)

    monkeypatch.setattr(loop.Training, "_add", watched)
    assert distil(tmp_path / "y") == 0
    steps = [json.loads(line) for line in lines(tmp_path / "y", "metrics.jsonl")]
    steps = [step for step in steps if step["kind"] == "step"]
    assert len(steps) == 12 and len(vectors) == 24  # 4 epochs of 6 batches, a line for two
    for number, step in enumerate(steps):
        done = 2 * (number + 1)
        epoch = vectors[6 * step["epoch"] : done]
        assert step["RPN_SmoothL1"] == pytest.approx(np.mean([v[1] for v in epoch]), abs=1e-6)
        counted = np.sum([v[4:12] for v in vectors[:done]], axis=0).reshape(4, 2)
        for name, (total, count) in zip(("RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss"), counted):
            assert step[name] == pytest.approx(total / count, rel=1e-5), name
    assert [s["phase"] for s in steps[::3]] == ["discriminator", "gan", "gan", "detection"]
    assert steps[0]["Loss_D"] == pytest.approx(steps[0]["Loss_D_real"] - steps[0]["Loss_D_fake"])
    assert steps[9]["Loss_D"] is None and steps[9]["Loss_G"] is None


@pytest.mark.parametrize(
    "command, code",
    [(["show"], 0), (["args"], 0), (["compare", "--reference", "faster_rcnn"], 3)],
)
def test_python_m_logs_reads_it(command, code, whole):
    words = [command[0], f"{whole}_train.log", *command[1:]]
    call = [sys.executable, "-m", "gan_kd_ssd.logs", *words]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code and done.stderr == "", done.stdout + done.stderr


def test_like_repeats_the_run(whole, train_rcnn, tmp_path):
    words = ["--like", f"{whole}_train.log", "--save-prefix", str(tmp_path / "y")]
    assert rcnn_run.run(parse_train_faster_rcnn(words)) == 0
    same_arrays(whole, tmp_path / "y")


def test_the_saved_student_loads_with_plain_gluoncv_s_block(whole):
    detector = faster_rcnn.build("resnet10_v1_0.125", CLASSES, short=64, max_size=96)
    saved = mx.nd.load(f"{whole}_best.params")
    assert saved.keys() == detector.net._collect_params_with_prefix().keys()
    detector.net.load_parameters(f"{whole}_best.params")
    ids, scores, boxes = detector.net(mx.nd.zeros((1, 3, 64, 80)))
    assert ids.shape == scores.shape and boxes.shape[-1] == 4


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("signum, batch", [(signal.SIGTERM, 3), (signal.SIGINT, 14)])
def test_a_signal_keeps_the_state_and_resume_equals_no_interruption(
    signum, batch, workers, whole, distil, tmp_path, monkeypatch
):
    """The sampled RoIs as well, which MXNet draws: in the middle of the first and of another phase."""
    prefix, seen, plain = tmp_path / "y", [], loop.Training._add

    def interrupting(self, vectors):
        plain(self, vectors)
        seen.append(None)
        if len(seen) == batch:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(loop.Training, "_add", interrupting)
    assert distil(prefix, "--num-workers", workers) == 128 + signum
    monkeypatch.undo()
    assert distil(prefix, "--resume", f"{prefix}_state.zip", "--num-workers", workers) == 0
    same_arrays(whole, prefix)
    rates = [line for line in figures(prefix) if "Set GAN" in line]
    assert [line for line in figures(prefix) if line not in rates] == [
        line for line in figures(whole) if line not in rates
    ]


def test_killed_without_warning_it_goes_on_from_the_last_saved_state(
    whole, teacher, shapes_folder, tmp_path
):
    prefix = tmp_path / "y"
    command = [
        *(sys.executable, ROOT / "train_faster_rcnn_gkd.py", "--dataset", shapes_folder),
        *("--short", 64, "--max-size", 96, "--gpus", "", "--num-workers", 0, "--quiet"),
        *("--student", "resnet10_v1_0.125", "--teacher", "resnet10_v1_0.25", "--batch-size", 4),
        *("--log-interval", 2, "--lr", 0.01, "--d-channels", 16, *PHASES),
        *("--Teacher-param-path", teacher, "--save-prefix", prefix),
    ]
    command = [str(word) for word in command]
    state = Path(f"{prefix}_state.zip")
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.time() + 120
    while not state.exists() and child.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    child.kill()
    assert child.wait() in (-signal.SIGKILL, 0), child.stderr.read()
    done = subprocess.run([*command, "--resume", str(state)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same_arrays(whole, prefix)


def test_without_compiling_the_first_figures_are_the_same(distil, whole, tmp_path):
    assert distil(tmp_path / "y", "--disable-hybridization", "--epochs", 3) == 0
    one, other = (records(prefix, Step)[0].figures for prefix in (whole, tmp_path / "y"))
    assert one == pytest.approx(other, abs=2e-3)


def test_static_alloc_gives_the_same_student(distil, whole, tmp_path):
    assert distil(tmp_path / "y", "--static-alloc") == 0
    for one, other in zip(records(whole, Step), records(tmp_path / "y", Step)):
        assert one.figures == pytest.approx(other.figures, abs=2e-3, nan_ok=True)


def test_two_devices_with_one_image_each_train_through_all_phases(distil, tmp_path):
    options = ["--cpu-devices", 2, "--batch-size", 2, "--log-interval", 6, "--cosine-attention"]
    assert distil(tmp_path / "y", *options) == 0
    steps = records(tmp_path / "y", Step)
    assert len(steps) == 8 and all(np.isfinite(step.figures["RPN_Conf"]) for step in steps)


def test_one_image_a_device_is_the_default(train_rcnn, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(loop.Training, "run", lambda self: sizes.append(self.plan.batch_size))
    words = ["--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "y"]
    options = parse_train_faster_rcnn(
        [str(w) for w in words]
        + ["--dataset", "shapes", "--data-root", str(tmp_path), "--gpus", "", "--cpu-devices", "2"]
        + ["--student", "resnet10_v1_0.125", "--short", "64", "--max-size", "96", "--quiet"]
    )
    assert options.batch_size is None
    monkeypatch.setattr(run, "_open_data", lambda *_: (_ for _ in ()).throw(UserError("enough")))
    with pytest.raises(UserError, match="enough"):
        rcnn_run.run(options)
    assert options.batch_size == 2


@pytest.mark.parametrize("settings", [["--use-fpn"], ["--roi-mode", "pool"]])
def test_fpn_and_roi_pooling_train_through_all_phases(settings, train_rcnn, tmp_path):
    options = [*settings, "--save-prefix", tmp_path / "t", "--epochs", 1, "--distill", "none"]
    assert train_rcnn(*options, "--student", "resnet10_v1_0.25") == 0
    teacher = ["--Teacher-param-path", tmp_path / "t_best.params"]
    common = [*settings, *PHASES, *teacher, "--save-prefix", tmp_path / "y"]
    assert train_rcnn(*common, "--update", "joint", "--log-interval", 6) == 0
    info = json.loads(lines(tmp_path / "y", "metrics.jsonl")[0])
    assert info["strides"] == ([4, 8, 16, 32, 64] if "--use-fpn" in settings else [16])
    assert len(records(tmp_path / "y", Step)) == 4


def test_the_learning_rate_warms_up_over_the_first_batches(train_rcnn, tmp_path, monkeypatch):
    rates, plain = [], loop.Training._seed

    def watched(self, epoch, batch):
        rates.append(self.trainers["student"].learning_rate)
        plain(self, epoch, batch)

    monkeypatch.setattr(loop.Training, "_seed", watched)
    options = ["--lr", 0.003, "--lr-warmup", 4, "--epochs", 2, "--lr-decay-epoch", 1]
    train_rcnn("--distill", "none", *options, "--save-prefix", tmp_path / "y")
    expected = [0.001, 0.0015, 0.002, 0.0025, 0.003, 0.003, *[0.0003] * 6]
    assert rates == pytest.approx(expected)
    told = records(tmp_path / "y", LearningRate)
    assert [(r.epoch, r.iteration) for r in told] == [(0, 0), (0, 2), (0, 4), (1, None)]


def test_gan_rates_are_halved_at_each_epoch_that_is_given(distil, tmp_path, monkeypatch):
    rates, plain = [], loop.Training._train

    def watched(self, phase, epoch):
        rates.append([self.trainers[n].learning_rate for n in ("discriminators", "adversarial")])
        plain(self, phase, epoch)

    monkeypatch.setattr(loop.Training, "_train", watched)
    options = ["--lrD", 0.004, "--lrG", 0.002, "--lr-decay-GAN-epoch", "1,2"]
    assert distil(tmp_path / "y", *options, "--epochs", 3) == 0
    np.testing.assert_allclose(rates, [[0.004, 0.002], [0.002, 0.001], [0.001, 0.0005]])


def test_mixup_stops_for_the_last_epochs(train_rcnn, tmp_path, monkeypatch):
    weights = []

    def watched(self, batch):
        weights.append(sorted(float(w) for part in batch for w in part.weights.asnumpy()))
        return plain(self, batch)

    from gan_kd_ssd.distill.step import DetectionStep

    plain = DetectionStep.__call__
    monkeypatch.setattr(DetectionStep, "__call__", watched)
    options = ["--mixup", "--no-mixup-epochs", 1, "--epochs", 2, "--distill", "none"]
    assert train_rcnn(*options, "--save-prefix", tmp_path / "y") == 0
    assert weights == [[0.5] * 4] * 6 + [[1.0] * 4] * 6


def test_verbose_prints_the_names_of_the_trained_parameters(
    train_rcnn, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(loop.Training, "run", lambda self: None)
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
        (["--short", 16], "--short 16: too small"),
        (["--max-size", 5000], "--max-size 5000: .* has anchors for 2048 pixels"),
        (["--batch-size", 3, "--cpu-devices", 2], "--batch-size 3: give a multiple"),
        (["--dataset", "nowhere"], "--dataset nowhere: no such data set"),
        (["--lr-decay-GAN-epoch", "x"], "--lr-decay-GAN-epoch 'x': give epochs"),
        (["--use-fpn"], "--Teacher-param-path .* another network"),
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
        (["--short", 80], "short 64, this run has 80"),
        (["--roi-mode", "pool"], "roi-mode 'align', this run has 'pool'"),
        (["--mixup"], "mixup False, this run has True"),
        (["--seed", 5], "seed 233, this run has 5"),
    ],
)
def test_a_state_of_another_run_is_refused(options, message, whole, distil, tmp_path):
    with pytest.raises(UserError, match=message):
        distil(tmp_path / "y", "--resume", f"{whole}_state.zip", *options)


@pytest.mark.parametrize("devices", [1, 2])
def test_eval_voc_gives_the_map_that_the_run_gave(devices, whole, shapes_folder, tmp_path):
    """Sizes and classes are those of the run, whose metrics lie beside the parameters."""
    from gan_kd_ssd.engine import eval_run
    from gan_kd_ssd.options import evaluation as options

    words = ["--network", "faster_rcnn_resnet10_v1_0.125", "--params", f"{whole}_best.params"]
    words += ["--dataset", shapes_folder, "--val-split", "val", "--gpus", ""]
    words += ["--cpu-devices", devices, "--json", tmp_path / "r.json", "--plot", tmp_path / "p"]
    assert eval_run.run(options.parse([str(word) for word in [*words, "--plot-images", 2]])) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    maps = [float(line[4:]) for line in lines(whole) if line.startswith("mAP=")]
    assert result["mAP"] == pytest.approx(max(maps), abs=1e-9)
    assert (result["short"], result["max_size"], result["images"]) == (64, 96, 8)
    assert len(list((tmp_path / "p").iterdir())) == 3


def test_a_size_of_the_other_kind_of_detector_is_refused():
    from gan_kd_ssd.options import evaluation as options

    with pytest.raises(UserError, match=r"--data-shape: faster_rcnn_.* takes --short"):
        options.parse(["--network", "faster_rcnn_resnet50_v1b_voc", "--data-shape", "512"])
    with pytest.raises(UserError, match="--short: resnet50_v1 is an SSD"):
        options.parse(["--network", "resnet50_v1", "--short", "600"])


def test_the_map_is_that_of_gluoncv_s_own_transform_network_and_metric(
    train_rcnn, shapes_folder, tmp_path
):
    from gluoncv.data.transforms.presets.rcnn import FasterRCNNDefaultValTransform
    from gluoncv.nn.bbox import BBoxClipToImage
    from gluoncv.utils.metrics.voc_detection import VOC07MApMetric

    from gan_kd_ssd.data.rcnn_pipeline import ValBatches
    from gan_kd_ssd.data.rcnn_transform import val_transform
    from gan_kd_ssd.data.sets import open_dataset
    from gan_kd_ssd.evaluation.voc import evaluate

    options = ["--student", "resnet10_v1_0.25", "--distill", "none", "--batch-size", 2]
    train_rcnn(*options, "--epochs", 8, "--save-prefix", tmp_path / "t", "--val-interval", 8)
    data = open_dataset(str(shapes_folder), "train")
    params = tmp_path / "t_best.params"
    sizes = {"short": 64, "max_size": 96}
    detector = faster_rcnn.load("resnet10_v1_0.25", CLASSES, params, [mx.cpu()], "--x", **sizes)
    ours = evaluate(detector, ValBatches(data, 64, 96), [mx.cpu()])

    metric, clip = VOC07MApMetric(iou_thresh=0.5, class_names=CLASSES), BBoxClipToImage()
    transform = FasterRCNNDefaultValTransform(64, 96)
    for index in range(len(data)):
        label = data.label(index)
        image, boxes, scale = transform(mx.nd.array(data.image(index), dtype="uint8"), label)
        same, _, _ = val_transform(data.image(index), label, 64, 96)
        np.testing.assert_allclose(same, image.asnumpy(), atol=2e-5)
        x = mx.nd.array(same[None])  # an object at IoU 0.5 would turn on the last digit of a pixel
        ids, scores, found = detector.net(x)
        scale = float(scale.asnumpy().reshape(-1)[0])
        metric.update(
            clip(found, x) * scale,
            ids,
            scores,
            mx.nd.array(boxes[None, :, :4]) * scale,
            mx.nd.array(label[None, :, 4:5]),
            mx.nd.array(label[None, :, 5:6]),
        )
    names, values = metric.get()
    assert names[-1] == "mAP" and values[-1] > 0.01
    assert ours.mean_ap == pytest.approx(values[-1], abs=1e-6)
    assert list(ours.ap.values()) == pytest.approx(values[:-1], abs=1e-6)
