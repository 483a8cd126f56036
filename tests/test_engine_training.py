"""A whole tiny run: its log, its files, stopping and going on."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.backend import mx
from gan_kd_ssd.engine import checkpoint, loop, ssd_run
from gan_kd_ssd.errors import UserError
from gan_kd_ssd.options import parse_train_ssd

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = ["--epochs", 3, "--gan-epochs", 2, "--save-interval", 1]


@pytest.fixture(scope="module")
def whole(train, teacher_params, tmp_path_factory):
    """Prefix of a run that nothing interrupted: two epochs of GAN, one of detection."""
    prefix = tmp_path_factory.mktemp("whole") / "x"
    assert train(*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", prefix) == 0
    return prefix


def lines(prefix, name="train.log"):
    return Path(f"{prefix}_{name}").read_text().splitlines()


def without_speed(texts):
    return [re.sub(r"Speed: \S+", "", text) for text in texts if text.startswith("[Epoch")]


def same_arrays(one, other):
    arrays, others = (checkpoint.load_state(Path(f"{p}_state.zip"))[0] for p in (one, other))
    assert arrays.keys() == others.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def test_log_has_the_published_lines_of_both_stages(whole):
    log = lines(whole)
    assert re.fullmatch(r"Namespace\(adapter='student', .*, wd=0.0005\)", log[0])
    assert log[1] == "Start training from [Epoch 1]"
    number = r"-?\d+\.\d{3}"
    gan = (
        rf"\[Epoch [12]\]\[Batch 1\], Speed: {number} samples/sec,Loss_D={number}\. "
        rf"Loss_G={number}\.  Loss_D_real={number}\. Loss_D_fake={number}\. "
        rf"train_student_ori_net_CrossEntropy={number}\. train_student_ori_net_SmoothL1={number}\. "
        rf"cosine_length_loss_metric={number}\."
    )
    detection = (
        rf"\[Epoch 3\]\[Batch 1\], Speed: {number} samples/sec,Loss_D=nan\. Loss_G=nan\.  "
        rf"Loss_D_real=nan\. Loss_D_fake=nan\. train_student_ori_net_CrossEntropy={number}\. "
        rf"train_student_ori_net_SmoothL1={number}\."
    )
    assert sum(bool(re.fullmatch(gan, line)) for line in log) == 2
    assert sum(bool(re.fullmatch(detection, line)) for line in log) == 1
    at = log.index("[Epoch 1] StudentNet Validation: ")
    assert [line.partition("=")[0] for line in log[at + 1 : at + 8]] == [
        *["cross", "disc", "ring", "square", "star", "triangle"],
        "mAP",
    ]
    assert sum(line.startswith("best_map is ") for line in log) == 2  # from the second validation


def test_every_line_of_the_log_is_understood_by_the_parser(whole):
    from gan_kd_ssd.logs.read import read
    from gan_kd_ssd.logs.records import Step, Unknown

    records = [entry.record for entry in read(Path(f"{whole}_train.log")).entries]
    assert not [record for record in records if isinstance(record, Unknown)]
    assert len([record for record in records if isinstance(record, Step)]) == 3


def test_json_lines_have_the_same_figures_and_the_run_s_provenance(whole):
    records = [json.loads(line) for line in lines(whole, "metrics.jsonl")]
    run = records[0]
    assert run["kind"] == "run" and run["namespace"]["gan_epochs"] == 2
    assert set(run["versions"]) >= {"git", "mxnet", "gluoncv", "numpy", "python"}
    assert re.fullmatch(r"[0-9a-f]{64}", run["teacher"]["sha256"])
    assert 0 <= run["teacher"]["mAP"] <= 1
    steps = [r for r in records if r["kind"] == "step"]
    assert [r["phase"] for r in steps] == ["gan", "gan", "detection"]
    for step in steps[:2]:
        assert step["Loss_D"] == pytest.approx(step["Loss_D_real"] - step["Loss_D_fake"], abs=1e-6)
    assert steps[2]["Loss_D"] is None
    assert [r["mAP"] for r in records if r["kind"] == "validation"] == [
        float(line[4:]) for line in lines(whole) if line.startswith("mAP=")
    ]


def test_files_are_named_as_gluoncv_names_them_and_hold_the_student_alone(whole, tiny_ssd):
    best = lines(whole, "best_map.log")
    assert all(re.fullmatch(r"000[123]:\t0\.\d{4}", line) for line in best)
    maps = [float(line[4:]) for line in lines(whole) if line.startswith("mAP=")]
    names = {f"x_{e:04d}_{m:.4f}.params" for e, m in zip((1, 2, 3), maps)} | {"x_best.params"}
    assert {path.name for path in whole.parent.glob("*.params")} == names
    from gan_kd_ssd.detectors import ssd

    classes = ["cross", "disc", "ring", "square", "star", "triangle"]
    expected = ssd.build("resnet10_v1_0.125", classes, 64).net._collect_params_with_prefix()
    assert mx.nd.load(f"{whole}_best.params").keys() == expected.keys()


def test_the_same_options_give_the_same_student(whole, train, teacher_params, tmp_path):
    options = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    assert train(*options) == 0
    same_arrays(whole, tmp_path / "y")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("signum, batch", [(signal.SIGTERM, 4), (signal.SIGINT, 1)])
def test_a_signal_keeps_the_state_and_resume_equals_no_interruption(
    signum, batch, workers, whole, train, teacher_params, tmp_path, monkeypatch
):
    options = [*EPOCHS, "--teacher-params", teacher_params, "--num-workers", workers]
    prefix = tmp_path / "y"
    seen = []
    plain = loop.Training._add

    def interrupting(self, vectors):
        plain(self, vectors)
        seen.append(None)
        if len(seen) == batch:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(loop.Training, "_add", interrupting)
    assert train(*options, "--save-prefix", prefix) == 128 + signum
    monkeypatch.undo()
    state = Path(f"{prefix}_state.zip")
    assert train(*options, "--save-prefix", prefix, "--resume", state) == 0
    same_arrays(whole, prefix)
    # every figure of the log as well, those of the epoch that was cut in two included
    assert without_speed(lines(prefix)) == without_speed(lines(whole))


def test_a_signal_during_validation_goes_on_with_the_validation(
    whole, train, teacher_params, tmp_path, monkeypatch
):
    options = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    plain = loop.synchronise_statistics

    def interrupting(block):
        os.kill(os.getpid(), signal.SIGTERM)
        plain(block)

    monkeypatch.setattr(loop, "synchronise_statistics", interrupting)
    assert train(*options) == 143
    monkeypatch.undo()
    assert train(*options, "--resume", tmp_path / "y_state.zip") == 0
    same_arrays(whole, tmp_path / "y")


def test_killed_without_warning_it_goes_on_from_the_last_saved_state(
    whole, teacher_params, shapes_folder, tmp_path
):
    prefix = tmp_path / "y"
    command = [
        *(sys.executable, ROOT / "train_ssd_gkd.py", "--dataset", shapes_folder),
        *("--data-shape", 64, "--gpus", "", "--num-workers", 0, "--quiet", "--lr", 0.01),
        *("--student", "resnet10_v1_0.125", "--teacher", "resnet10_v1_0.25", "--batch-size", 8),
        *("--log-interval", 2, "--d-channels", 16, *EPOCHS, "--save-prefix", prefix),
        *("--teacher-params", teacher_params),
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


def test_two_devices_resume_as_if_never_stopped(train, teacher_params, tmp_path):
    options = ["--teacher-params", teacher_params, "--cpu-devices", 2, "--gan-epochs", 2]
    options += ["--save-interval", 1]
    assert train(*options, "--epochs", 2, "--save-prefix", tmp_path / "whole") == 0
    assert train(*options, "--epochs", 1, "--save-prefix", tmp_path / "half") == 0
    again = ["--epochs", 2, "--save-prefix", tmp_path / "half"]
    assert train(*options, *again, "--resume", tmp_path / "half_state.zip") == 0
    same_arrays(tmp_path / "whole", tmp_path / "half")


def test_plain_and_distilled_student_start_from_the_same_weights(
    train, teacher_params, tmp_path, monkeypatch
):
    starts = []

    def stop(self):
        starts.append([p.data().asnumpy() for p in self.student.parameters()])

    monkeypatch.setattr(loop.Training, "run", stop)
    train("--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "plain")
    common = ["--epochs", 1, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "gan"]
    train(*common, "--student-head", "scratch")
    for a, b in zip(*starts):
        np.testing.assert_array_equal(a, b)


def test_parameters_to_resume_from_give_weights_alone(whole, train, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(loop.Training, "run", lambda self: loaded.append(self))
    best = f"{whole}_best.params"
    options = ["--distill", "none", "--start-epoch", 7, "--epochs", 9, "--resume", best]
    train(*options, "--save-prefix", tmp_path / "y")
    (training,) = loaded
    assert training.progress.epoch == 7
    expected = mx.nd.load(best)
    for name, parameter in training.student.net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), expected[name].asnumpy())


@pytest.mark.parametrize(
    "options, message",
    [
        (["--seed", 5], "seed 233, this run has 5"),
        (["--start-epoch", 2], "start-epoch 1, this run has 2"),
        (["--levels", "sum"], "levels 'mean', this run has 'sum'"),
        (["--augmentation", "flip"], "augmentation 'ssd', this run has 'flip'"),
        (["--batch-size", 4], "batch-size 8, this run has 4"),
        (["--student", "resnet10_v1_0.25"], "student 'resnet10_v1_0.125', this run has"),
        (["--d-channels", 8], "d-channels 16, this run has 8"),
    ],
)
def test_a_state_of_another_run_is_refused(
    options, message, whole, train, teacher_params, tmp_path
):
    state = f"{whole}_state.zip"
    common = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match=message):
        train(*common, "--resume", state, *options)


def test_a_damaged_state_is_refused(whole, train, teacher_params, tmp_path):
    damaged = tmp_path / "state.zip"
    content = bytearray(Path(f"{whole}_state.zip").read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    common = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match=r"--resume .*state.zip: not a whole training state"):
        train(*common, "--resume", damaged)
    missing = tmp_path / "none.zip"
    with pytest.raises(UserError, match=r"--resume .*none.zip: no such file"):
        train(*common, "--resume", missing)


@pytest.mark.parametrize(
    "entry, name",
    [
        (0, "CrossEntropy"),
        (2, r"Loss_D_real of level 0 \(stride 8\)"),
        (7, "Loss_D_fake of level 1"),
    ],
)
def test_a_figure_that_is_not_finite_stops_the_run_and_is_named(
    entry, name, whole, train, teacher_params, tmp_path, monkeypatch
):
    plain = loop.Training._add

    def poisoned(self, vectors):
        if self.progress.epoch == 2:
            vectors[0][entry] = float("nan")
        plain(self, vectors)

    monkeypatch.setattr(loop.Training, "_add", poisoned)
    prefix = tmp_path / "y"
    with pytest.raises(UserError, match=f"epoch 2, batch 0: not finite: {name}.*last good state"):
        train(*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", prefix)
    _, meta = checkpoint.load_state(Path(f"{prefix}_state.zip"))
    assert meta["progress"]["epoch"] == 2  # what epoch 1 left, whole


def test_weights_that_are_not_finite_are_never_saved(train, tmp_path, monkeypatch):
    plain = loop.synchronise_statistics

    def poisoned(block):
        plain(block)
        next(iter(block.collect_params().values())).data()[:] = float("inf")

    monkeypatch.setattr(loop, "synchronise_statistics", poisoned)
    prefix = tmp_path / "y"
    with pytest.raises(UserError, match="not finite"):
        train("--distill", "none", "--epochs", 1, "--save-prefix", prefix, "--val-interval", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"y_train.log", "y_metrics.jsonl"}


# Files


def test_a_full_disk_keeps_the_previous_file(tiny_ssd, tmp_path):
    net = tiny_ssd().net
    path = tmp_path / "x.params"
    checkpoint.save_parameters(net, path)
    before = path.read_bytes()
    state = tmp_path / "x_state.zip"
    checkpoint.save_state(state, {"a": np.zeros(10)}, {})
    state_before = state.read_bytes()
    # A limit on the size of files does to a writer what a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        with pytest.raises(UserError, match=r"x\.params: cannot be written.*is kept"):
            checkpoint.save_parameters(net, path)
        with pytest.raises(UserError, match=r"x_state\.zip: cannot be written.*is kept"):
            checkpoint.save_state(state, {"a": np.zeros(len(before))}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and state.read_bytes() == state_before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.params", "x_state.zip"]


def test_a_state_comes_back_with_its_types(tmp_path):
    arrays = {"a/b@0": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.array([3], np.int64)}
    checkpoint.save_state(tmp_path / "s.zip", arrays, {"progress": {"epoch": 3, "best_map": 0.1}})
    back, meta = checkpoint.load_state(tmp_path / "s.zip")
    for name, value in arrays.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)
    assert meta["progress"] == {"epoch": 3, "best_map": 0.1}


def test_a_place_that_cannot_be_written_is_named(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--save-prefix .*file/x"):
        train("--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "file" / "x")


def test_options_of_the_run_stand_in_its_first_line_and_can_be_read_back(whole):
    from gan_kd_ssd.logs.namespace import parse_namespace

    options = parse_namespace(lines(whole)[0])
    assert set(options) == set(vars(parse_train_ssd([])))
    assert options["gan_epochs"] == 2 and options["lrD"] == 0.0005


# What the options are made of


def test_every_distillation_option_reaches_the_step():
    words = {
        "--update": "joint",
        "--levels": "sum",
        "--adversarial-weight": 2.0,
        "--cosine-attention": 3.0,
        "--clamp": "all",
        "--clamp-lower": -0.5,
        "--clamp-upper": 0.25,
        "--d-norm": "none",
        "--d-channels": 7,
        "--adapter": "teacher",
        "--lrD": 0.125,
        "--lrG": 0.375,
        "--beta1": 0.75,
    }
    options = ssd_run.distill_options(parse_train_ssd([f"{k}={v}" for k, v in words.items()]))
    expected = [
        "joint",
        "sum",
        2.0,
        3.0,
        "all",
        -0.5,
        0.25,
        "none",
        7,
        "teacher",
        0.125,
        0.375,
        0.75,
    ]
    names = ["update", "levels", "adversarial_weight", "cosine_weight", "clamp", "clamp_lower"]
    names += ["clamp_upper", "normalisation", "channels", "adapter", "lr_d", "lr_g", "beta1"]
    assert vars(options) == dict(zip(names, expected))


def test_the_teacher_s_map_is_the_teacher_s(whole, teacher_params, shapes_folder):
    from gan_kd_ssd.data.pipeline import ValBatches
    from gan_kd_ssd.data.voc import open_dataset
    from gan_kd_ssd.detectors import ssd
    from gan_kd_ssd.evaluation.voc import evaluate

    run = json.loads(lines(whole, "metrics.jsonl")[0])
    data = open_dataset(str(shapes_folder), "val")
    teacher = ssd.load("resnet10_v1_0.25", data.classes, 64, teacher_params, [mx.cpu()], "--x")
    expected = evaluate(teacher, ValBatches(data, 64, 8), [mx.cpu()]).mean_ap
    assert run["teacher"]["mAP"] == pytest.approx(expected, abs=1e-12)


def test_the_student_s_head_starts_as_the_teacher_s_unless_from_scratch(
    train, teacher_params, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(loop.Training, "run", lambda self: seen.append(self.student.net))
    common = ["--student", "resnet10_v1_0.25", "--teacher-params", teacher_params, "--epochs", 1]
    for head in ("teacher", "scratch"):
        train(*common, "--student-head", head, "--save-prefix", tmp_path / head)
    teacher = mx.nd.load(str(teacher_params))
    name = "class_predictors.0.predictor.weight"
    same = [
        np.array_equal(
            net._collect_params_with_prefix()[name].data().asnumpy(), teacher[name].asnumpy()
        )
        for net in seen
    ]
    assert same == [True, False]


def test_the_learning_rate_falls_in_the_run_and_in_the_log(train, tmp_path, monkeypatch):
    rates = []
    plain = loop.Training._train

    def watched(self, phase, epoch):
        rates.append(self.trainer.learning_rate)
        return plain(self, phase, epoch)

    monkeypatch.setattr(loop.Training, "_train", watched)
    options = ["--lr", 0.01, "--lr-decay", 0.5, "--lr-decay-epoch", "2,3", "--val-interval", 3]
    train("--distill", "none", "--epochs", 3, *options, "--save-prefix", tmp_path / "y")
    assert rates == pytest.approx([0.01, 0.005, 0.0025])
    said = [line for line in lines(tmp_path / "y") if "Set learning rate" in line]
    assert said == ["[Epoch 2] Set learning rate to 0.005", "[Epoch 3] Set learning rate to 0.0025"]


def test_only_a_better_map_is_kept_as_the_best(train, tmp_path, monkeypatch):
    from gan_kd_ssd.evaluation.voc import Evaluation

    maps = iter([0.3, 0.2, 0.4])
    kept = []

    def measured(self, *_):
        path = tmp_path / "y_best.params"
        kept.append(path.read_bytes() if path.exists() else None)
        value = next(maps)
        return Evaluation([], {"disc": value}, value, 1, 1.0, "voc07", 1, 1.0, True)

    monkeypatch.setattr(ssd_run, "evaluate", measured)
    train("--distill", "none", "--epochs", 3, "--save-prefix", tmp_path / "y")
    kept.append((tmp_path / "y_best.params").read_bytes())
    assert kept[0] is None and kept[1] == kept[2] != kept[3]
    assert lines(tmp_path / "y", "best_map.log") == ["0001:\t0.3000", "0003:\t0.4000"]
    best = [line for line in lines(tmp_path / "y") if line.startswith("best_map is")]
    assert best == ["best_map is 0.3", "best_map is 0.4"]


def test_a_teacher_of_classes_in_another_order_is_refused(train, teacher_params, tmp_path):
    wrong = "disc,cross,ring,square,star,triangle"
    common = ["--teacher-params", teacher_params, "--epochs", 1, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match="was trained on the classes cross, disc, ring"):
        train(*common, "--classes", wrong)


def test_a_signal_before_the_training_leaves_nothing(train, teacher_params, tmp_path, monkeypatch):
    plain = ssd_run.evaluate

    def interrupting(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*args, **kwargs)

    monkeypatch.setattr(ssd_run, "evaluate", interrupting)
    common = ["--teacher-params", teacher_params, "--epochs", 1]
    assert train(*common, "--save-prefix", tmp_path / "y") == 143
    assert not list(tmp_path.iterdir())


def test_a_log_that_cannot_be_written_keeps_whole_lines(tmp_path):
    from gan_kd_ssd.engine.runlog import RunLog

    log = RunLog(str(tmp_path / "y"), quiet=True)
    log.append("train.log", "first\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        with pytest.raises(UserError, match=r"y_train\.log: cannot be written"):
            log.append("train.log", "second, which is too long\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "y_train.log").read_text() == "first\n"
    (tmp_path / "y_train.log").write_text("first\nhalf a li")
    log.append("train.log", "whole\n")
    assert (tmp_path / "y_train.log").read_text() == "first\nhalf a li\nwhole\n"


def test_files_are_forced_to_the_disk_before_they_are_renamed(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (events.append("rename"), replace(*a)))
    checkpoint.save_state(tmp_path / "s.zip", {"a": np.zeros(3)}, {})
    assert events == ["fsync", "rename", "fsync"]  # the file, its new name, the folder
