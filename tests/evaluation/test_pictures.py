"""Figures of runs and detectors: what they read, what they compute, and that they are drawn."""

import json

import cv2
import numpy as np
import pytest

from gan_kd_ssd.evaluation import pictures as figures
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

RUN = {"kind": "run", "namespace": {"resume": ""}}
RESUMED = {"kind": "run", "namespace": {"resume": "x_state.zip"}}


def step(epoch, batch, phase="gan", loss=1.0):
    gan = 0.5 if phase == "gan" else None
    return {
        "kind": "step",
        "epoch": epoch,
        "batch": batch,
        "images": 100 * epoch + batch,
        "phase": phase,
        "Loss_D_real": gan,
        "Loss_D_fake": gan,
        "CrossEntropy": loss,
        "SmoothL1": loss,
        "cosine": gan,
        "speed": 9.0,
    }


def epoch(number, phase="gan", loss=1.0):
    return {**step(number, 0, phase, loss), "kind": "epoch", "images": 100 * number}


def validation(number, mean, phase="gan"):
    return {"kind": "validation", "epoch": number, "phase": phase, "mAP": mean, "classes": {}}


def write(path, records, tail=""):
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def means(path):
    return [(r["position"], r["mAP"]) for r in figures.read_metrics(path)["validation"]]


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    path = write(
        tmp_path / "m.jsonl",
        [
            *(RUN, validation(1, 0.1), validation(2, 0.2), validation(3, 0.3)),
            *(RESUMED, validation(2, 0.25), validation(3, 0.35)),
        ],
    )
    assert means(path) == [(1, 0.1), (2, 0.25), (3, 0.35)]
    steps = [step(1, 9), step(1, 19), step(2, 9, loss=2.0), RESUMED, step(1, 19), step(2, 9)]
    read = figures.read_metrics(write(path, [RUN, *steps]))["step"]
    assert [(r["epoch"], r["batch"], r["CrossEntropy"]) for r in read] == [
        (1, 9, 1.0),
        (1, 19, 1.0),
        (2, 9, 1.0),
    ]


def test_a_new_run_in_the_same_file_starts_afresh(tmp_path):
    path = write(
        tmp_path / "m.jsonl", [RUN, validation(1, 0.1), validation(2, 0.2), RUN, validation(1, 0.5)]
    )
    assert means(path) == [(1, 0.5)]


def test_a_detection_phase_that_counts_from_one_again_follows_the_gan_phase(tmp_path):
    path = write(
        tmp_path / "m.jsonl",
        [
            *(RUN, validation(1, 0.1), validation(2, 0.2)),
            *(validation(1, 0.3, "detection"), validation(2, 0.4, "detection")),
        ],
    )
    assert means(path) == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]


def test_a_line_cut_off_at_the_end_is_no_error_but_one_before_is(tmp_path):
    path = write(tmp_path / "m.jsonl", [RUN, validation(1, 0.1)], tail='{"kind": "vali')
    assert means(path) == [(1, 0.1)]
    path = write(tmp_path / "m.jsonl", [RUN], tail="[Epoch 1]\n" + json.dumps(RUN) + "\n")
    with pytest.raises(UserError, match="line 2"):
        figures.read_metrics(path)
    with pytest.raises(UserError, match="nowhere"):
        figures.read_metrics(tmp_path / "nowhere.jsonl")


def test_a_line_that_a_kill_cut_is_passed_over_when_the_run_went_on(tmp_path):
    path = write(tmp_path / "m.jsonl", [RUN, validation(1, 0.1)], tail='{"kind": "val\n')
    with open(path, "a") as file:
        file.write("".join(json.dumps(r) + "\n" for r in (RESUMED, validation(2, 0.2))))
    assert means(path) == [(1, 0.1), (2, 0.2)]


def test_a_text_log_can_be_drawn_as_well(tmp_path):
    path = tmp_path / "x_train.log"
    path.write_text("Namespace(resume='')\n[Epoch 1] StudentNet Validation: \na=0.5\nmAP=0.5\n")
    assert means(path) == [(1, 0.5)]


def test_curves_are_drawn_with_inactive_and_diverged_figures_left_out(tmp_path):
    gan = [epoch(n, "gan" if n < 4 else "detection", 4 / n) for n in range(1, 7)]
    gan[4]["CrossEntropy"] = "inf"
    maps = [validation(n, n / 10, "gan" if n < 4 else "detection") for n in range(1, 7)]
    plain = [epoch(n, "detection", 3 / n) for n in range(1, 7)]
    runs = {
        "GAN-KD": write(tmp_path / "a.jsonl", [RUN, *gan, *maps]),
        "plain": write(tmp_path / "b.jsonl", [RUN, *plain, validation(1, 0.1, "detection")]),
    }
    figures.loss_curves(runs, tmp_path / "loss.png")
    figures.map_curves(runs, tmp_path / "map.png")
    assert cv2.imread(str(tmp_path / "loss.png")).std() > 5
    assert cv2.imread(str(tmp_path / "map.png")).std() > 5
    with pytest.raises(UserError, match=r"a\.jsonl"):
        figures.map_curves({"x": write(tmp_path / "a.jsonl", [RUN, *gan])}, tmp_path / "no.png")
    with pytest.raises(UserError, match=r"a\.jsonl"):
        figures.loss_curves({"x": write(tmp_path / "a.jsonl", [RUN, *maps])}, tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


def test_attention_is_the_sum_of_squares_over_channels_of_norm_one():
    level = np.zeros((3, 2, 2), np.float32)
    level[0, 0, 0], level[1, 0, 0], level[2, 1, 1] = 1, -1, 2
    attention = figures.attention_map(level)
    np.testing.assert_allclose(attention, np.array([[2, 0], [0, 4]]) / np.sqrt(20))
    np.testing.assert_array_equal(figures.attention_map(level * 0), np.zeros((2, 2)))


def test_attention_and_detections_of_several_detectors_stand_side_by_side(tmp_path):
    from gan_kd_ssd.detectors import ssd

    detectors = {}
    for title, size in (("teacher", 64), ("student", 96)):
        detectors[title] = ssd.build("resnet10_v1_0.25", ["ant", "bee"], size)
        detectors[title].initialize([mx.cpu()])
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (70, 100, 3), dtype=np.uint8) for _ in range(2)]
    figures.attention_figure(detectors, images, tmp_path / "attention.png")
    picture = cv2.imread(str(tmp_path / "attention.png"))
    assert picture.shape[1] > 1.5 * picture.shape[0]  # 5 columns and a bar, 2 rows
    labels = [np.array([[10, 10, 50, 50, 1, 0]])] * 2
    figures.detections_figure(detectors, images, labels, tmp_path / "detections.png", 0.9)
    assert cv2.imread(str(tmp_path / "detections.png")).std() > 5
