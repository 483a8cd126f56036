"""A whole tiny run of train_faster_rcnn_gkd.py: phases, log, files, stopping and going on."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.logs.records import (
    EpochEnd,
    LearningRate,
    NewBest,
    Saved,
    Step,
    Unknown,
)
from gan_kd_ssd.util.mxnet import mx
from helpers.detectors import build_faster_rcnn
from helpers.hooks import on, signal_after
from helpers.runs import RCNN_PHASES, killed_and_resumed, lines, records, same_arrays

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["cross", "disc", "ring", "square", "star", "triangle"]


def figures(prefix):
    """Lines with figures, without what a clock says."""
    return [
        re.sub(r"(Speed|Training cost): \S+", "", line)
        for line in lines(prefix)
        if line.startswith("[Epoch") and ".params" not in line
    ]


def test_log_has_the_published_lines_of_all_three_phases(rcnn_whole):
    log = lines(rcnn_whole)
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


def test_the_log_tells_of_rates_best_and_saved_files_as_the_published_one(rcnn_whole):
    assert not records(rcnn_whole, Unknown)
    rates = records(rcnn_whole, LearningRate)
    assert rates == [LearningRate(2, 0.00025, gan=True)] * 2  # a line for each of two updates
    maps = [float(line[4:]) for line in lines(rcnn_whole) if line.startswith("mAP=")]
    names = [f"{rcnn_whole}_{epoch:04d}_{value:.4f}.params" for epoch, value in enumerate(maps)]
    assert records(rcnn_whole, Saved) == [Saved(epoch, name) for epoch, name in enumerate(names)]
    assert all(Path(name).is_file() for name in names)
    best, expected = 0, []
    for epoch, value in enumerate(maps):
        if value > best:
            expected.append(NewBest(epoch, value, best, f"{rcnn_whole}_best.params"))
            best = value
    assert records(rcnn_whole, NewBest) == expected


def test_counted_figures_continue_from_epoch_to_epoch_and_losses_do_not(distil, tmp_path):
    vectors = []

    def watch(_training, parts):
        vectors.append(sum(part.asnumpy().astype(np.float64) for part in parts))

    assert distil(tmp_path / "y", hooks=[on(after_step=watch)]) == 0
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
def test_python_m_logs_reads_it(command, code, rcnn_whole, tmp_path):
    text = Path(f"{rcnn_whole}_train.log").read_text()  # with the clock's figures at rest
    text = re.sub(r"Speed: [0-9.]+", "Speed: 5.000", text)
    log = tmp_path / "x_train.log"
    log.write_text(re.sub(r"Training cost: [0-9.]+", "Training cost: 9.000", text))
    words = [command[0], str(log), *command[1:]]
    call = [sys.executable, "-m", "gan_kd_ssd", "logs", *words]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code and done.stderr == "", done.stdout + done.stderr


def test_the_saved_student_loads_with_plain_gluoncv_s_block(rcnn_whole):
    detector = build_faster_rcnn("resnet10_v1_0.125", CLASSES, short=64, max_size=96)
    saved = mx.nd.load(f"{rcnn_whole}_best.params")
    assert saved.keys() == detector.net._collect_params_with_prefix().keys()
    detector.net.load_parameters(f"{rcnn_whole}_best.params")
    ids, scores, boxes = detector.net(mx.nd.zeros((1, 3, 64, 80)))
    assert ids.shape == scores.shape and boxes.shape[-1] == 4


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("signum, batch", [(signal.SIGTERM, 3), (signal.SIGINT, 14)])
def test_a_signal_keeps_the_state_and_resume_equals_no_interruption(
    signum, batch, workers, rcnn_whole, distil, tmp_path
):
    """The sampled RoIs as well, which MXNet draws: in the middle of the first and of another phase."""
    prefix = tmp_path / "y"
    hooks = [signal_after(batch, signum)]
    assert distil(prefix, "--num-workers", workers, hooks=hooks) == 128 + signum
    assert distil(prefix, "--resume", f"{prefix}_state.zip", "--num-workers", workers) == 0
    same_arrays(rcnn_whole, prefix)
    rates = [line for line in figures(prefix) if "Set GAN" in line]
    assert [line for line in figures(prefix) if line not in rates] == [
        line for line in figures(rcnn_whole) if line not in rates
    ]


def test_killed_without_warning_it_goes_on_from_the_last_saved_state(
    rcnn_whole, rcnn_teacher, shapes_folder, tmp_path
):
    prefix = tmp_path / "y"
    killed_and_resumed(
        prefix,
        *("train_faster_rcnn_gkd.py", "--dataset", shapes_folder, "--short", 64, "--max-size", 96),
        *("--gpus", "", "--num-workers", 0, "--quiet", "--lr", 0.01),
        *("--student", "resnet10_v1_0.125", "--teacher", "resnet10_v1_0.25", "--batch-size", 4),
        *("--log-interval", 2, "--d-channels", 16, *RCNN_PHASES),
        *("--Teacher-param-path", rcnn_teacher),
    )
    same_arrays(rcnn_whole, prefix)


def test_speed_and_cost_are_those_of_the_batches_also_of_an_epoch_cut_in_two(
    distil, tmp_path, monkeypatch
):
    now = [0.0]

    def tick(_training, _vectors):
        """A second passes with each step, and at no other time."""
        now[0] += 1

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    prefix, clock = tmp_path / "y", on(after_step=tick)
    assert distil(prefix, hooks=[clock, signal_after(9, signal.SIGTERM)]) == 143
    assert distil(prefix, "--resume", f"{prefix}_state.zip", hooks=[clock]) == 0
    assert [r.seconds for r in records(prefix, EpochEnd)] == [6.0] * 4
    speeds = {step.speed for step in records(prefix, Step)}
    assert speeds == {4.0}  # two batches of 4 in 2 s; after the cut, one batch in 1 s


def test_random_numbers_are_others_in_each_batch(distil, tmp_path, monkeypatch):
    seeds, plain = [], mx.random.seed

    def watched(seed, *args):
        seeds.append(seed)
        plain(seed, *args)

    monkeypatch.setattr(mx.random, "seed", watched)
    assert distil(tmp_path / "y") == 0
    # one for the student, one for the discriminators, then one for each batch
    assert len(seeds) == len(set(seeds)) == 2 + 24
