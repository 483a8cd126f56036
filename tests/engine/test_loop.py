"""A whole tiny run: its log, its files, stopping and going on."""

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.config.training_config import from_words
from gan_kd_ssd.engine import build, checkpoint
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.hooks import on, signal_after
from helpers.runs import EPOCHS, killed_and_resumed, lines, same_arrays

ROOT = Path(__file__).resolve().parents[2]


def without_speed(texts):
    return [re.sub(r"Speed: \S+", "", text) for text in texts if text.startswith("[Epoch")]


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
    from helpers.detectors import build_ssd

    classes = ["cross", "disc", "ring", "square", "star", "triangle"]
    expected = build_ssd("resnet10_v1_0.125", classes, 64).net._collect_params_with_prefix()
    assert mx.nd.load(f"{whole}_best.params").keys() == expected.keys()


def test_the_same_options_give_the_same_student(whole, train, teacher_params, tmp_path):
    options = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    assert train(*options) == 0
    same_arrays(whole, tmp_path / "y")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("signum, batch", [(signal.SIGTERM, 4), (signal.SIGINT, 1)])
def test_a_signal_keeps_the_state_and_resume_equals_no_interruption(
    signum, batch, workers, whole, train, teacher_params, tmp_path
):
    options = [*EPOCHS, "--teacher-params", teacher_params, "--num-workers", workers]
    prefix = tmp_path / "y"
    hooks = [signal_after(batch, signum)]
    assert train(*options, "--save-prefix", prefix, hooks=hooks) == 128 + signum
    state = Path(f"{prefix}_state.zip")
    assert train(*options, "--save-prefix", prefix, "--resume", state) == 0
    same_arrays(whole, prefix)
    # every figure of the log as well, those of the epoch that was cut in two included
    assert without_speed(lines(prefix)) == without_speed(lines(whole))


def test_a_signal_during_validation_goes_on_with_the_validation(
    whole, train, teacher_params, tmp_path
):
    options = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    interrupting = on(after_epoch=lambda _training: os.kill(os.getpid(), signal.SIGTERM))
    assert train(*options, hooks=[interrupting]) == 143
    assert train(*options, "--resume", tmp_path / "y_state.zip") == 0
    same_arrays(whole, tmp_path / "y")
    assert without_speed(lines(tmp_path / "y")) == without_speed(lines(whole))
    assert not [line for line in lines(tmp_path / "y") if "Speed: nan" in line]


def test_killed_without_warning_it_goes_on_from_the_last_saved_state(
    whole, teacher_params, shapes_folder, tmp_path
):
    prefix = tmp_path / "y"
    killed_and_resumed(
        prefix,
        *("train_ssd_gkd.py", "--dataset", shapes_folder, "--data-shape", 64),
        *("--gpus", "", "--num-workers", 0, "--quiet", "--lr", 0.01),
        *("--student", "resnet10_v1_0.125", "--teacher", "resnet10_v1_0.25", "--batch-size", 8),
        *("--log-interval", 2, "--d-channels", 16, *EPOCHS, "--teacher-params", teacher_params),
    )
    same_arrays(whole, prefix)


def test_two_devices_resume_as_if_never_stopped(train, tmp_path):
    """To rounding: how many threads a CPU device gets beside another one changes its sums."""
    options = ["--distill", "none", "--cpu-devices", 2, "--save-interval", 1]
    assert train(*options, "--epochs", 2, "--save-prefix", tmp_path / "whole") == 0
    assert train(*options, "--epochs", 1, "--save-prefix", tmp_path / "half") == 0
    again = ["--epochs", 2, "--save-prefix", tmp_path / "half"]
    assert train(*options, *again, "--resume", tmp_path / "half_state.zip") == 0
    states = [checkpoint.load_state(tmp_path / f"{name}_state.zip") for name in ("whole", "half")]
    (arrays, meta), (others, other_meta) = states
    assert meta["trainers"] == other_meta["trainers"] and arrays.keys() == others.keys()
    for name, value in arrays.items():
        np.testing.assert_allclose(value, others[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--seed", 5], "seed 233, but this run has 5"),
        (["--start-epoch", 2], "start-epoch 1, but this run has 2"),
        (["--levels", "sum"], "levels 'mean', but this run has 'sum'"),
        (["--augmentation", "flip"], "augmentation 'ssd', but this run has 'flip'"),
        (["--batch-size", 4], "batch-size 8, but this run has 4"),
        (["--student", "resnet10_v1_0.25"], "student 'resnet10_v1_0.125', but this run has"),
        (["--d-channels", 8], "d-channels 16, but this run has 8"),
    ],
)
def test_a_state_of_another_run_is_refused(
    options, message, whole, train, teacher_params, tmp_path
):
    state = f"{whole}_state.zip"
    common = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match=message):
        train(*common, "--resume", state, *options)


def test_a_state_has_the_fields_of_format_1(whole):
    """States of earlier revisions are read, and theirs can read ours."""
    _, meta = checkpoint.load_state(Path(f"{whole}_state.zip"))
    assert meta["format"] == 1
    assert set(meta) == {"format", "progress", "trainers", "fixed", "options"}
    progress = ["epoch", "batch", "images", "best_map", "told", "seconds", "sums", "run_sums"]
    assert set(meta["progress"]) == set(progress)


def test_a_state_of_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "STATE_FORMAT", 2)
    checkpoint.save_state(tmp_path / "s.zip", {}, {})
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"s\.zip: format 2, this version reads 1"):
        checkpoint.load_state(tmp_path / "s.zip")


def test_changed_options_of_a_resumed_run_are_reported(
    whole, teacher_params, shapes_folder, tmp_path, capsys
):
    words = ["--dataset", shapes_folder, "--data-shape", 64, "--gpus", "", "--num-workers", 0]
    words += ["--student", "resnet10_v1_0.125", "--batch-size", 8, "--d-channels", 16]
    words += ["--teacher", "resnet10_v1_0.25", "--teacher-params", teacher_params, *EPOCHS]
    words += ["--lr", 0.02, "--epochs", 4, "--resume", f"{whole}_state.zip"]
    words += ["--save-prefix", tmp_path / "y"]

    def stop(_training):
        raise UserError("enough")

    config = from_words("train_ssd_gkd.py", [str(word) for word in words])
    with pytest.raises(UserError, match="enough"):
        build.run(config, "train_ssd_gkd.py", [on(before_training=stop)])
    reported = [line for line in capsys.readouterr().out.splitlines() if "resumed" in line]
    assert reported == ["resumed with epochs 4, before 3", "resumed with lr 0.02, before 0.01"]


def test_a_damaged_state_is_refused(whole, train, teacher_params, tmp_path):
    damaged = tmp_path / "state.zip"
    content = bytearray(Path(f"{whole}_state.zip").read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    common = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match=r"--resume .*state.zip: not a complete training state"):
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
    entry, name, whole, train, teacher_params, tmp_path
):
    def poison(training, vectors):
        if training.progress.epoch == 2:
            vectors[0][entry] = float("nan")

    prefix = tmp_path / "y"
    common = [*EPOCHS, "--teacher-params", teacher_params, "--save-prefix", prefix]
    with pytest.raises(UserError, match=f"epoch 2, batch 0: not finite: {name}.*last good state"):
        train(*common, hooks=[on(after_step=poison)])
    _, meta = checkpoint.load_state(Path(f"{prefix}_state.zip"))
    assert meta["progress"]["epoch"] == 2  # what epoch 1 left, whole


def test_weights_that_are_not_finite_are_never_saved(train, tmp_path):
    def poison(training):
        parameters = training.steps["detection"].student.parameters()
        parameters[0].data()[:] = float("inf")

    options = ["--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match="not finite"):
        train(*options, hooks=[on(after_epoch=poison)])
    assert {path.name for path in tmp_path.iterdir()} == {"y_train.log", "y_metrics.jsonl"}
