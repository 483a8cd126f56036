"""Pictures of detectors and runs: what is drawn where, and what they are computed from."""

import json

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gan_kd_ssd.evaluation import pictures as figures
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

GREY = np.full((200, 300, 3), 128, np.uint8)
CLASSES = ["ant", "bee"]

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


def panel(ids=(), scores=(), boxes=(), labels=(), image=GREY):
    boxes, labels = (np.array(rows, float).reshape(-1, n) for rows, n in ((boxes, 4), (labels, 6)))
    return figures.Panel("title", image, np.array(ids), np.array(scores), boxes, labels)


def drawn(*args, threshold=0.5, **more):
    """[(text, colour, line style, box)] and the texts of a panel, in the order of drawing."""
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    figures.draw_panel(axes, panel(*args, **more), CLASSES, threshold)
    assert axes.get_title() == "title" and len(axes.patches) == len(axes.texts)
    items = [
        (
            text.get_text(),
            to_hex(patch.get_edgecolor()).upper(),
            patch.get_linestyle(),
            patch.get_bbox().extents.tolist(),
        )
        for text, patch in zip(axes.texts, axes.patches)
    ]
    return items, axes.texts


def test_a_detection_has_its_class_colour_its_name_and_its_score():
    items, texts = drawn([0, 1], [0.9, 0.81], [[10, 30, 80, 90], [100, 30, 150, 99]])
    assert items == [  # the highest score last, on top
        ("bee 81%", figures.class_colour(1), "-", [100, 30, 150, 99]),
        ("ant 90%", figures.class_colour(0), "-", [10, 30, 80, 90]),
    ]
    assert texts[1].get_position() == (10, 30) and texts[1].get_va() == "bottom"  # above the box


def test_padding_and_detections_below_the_threshold_are_not_drawn():
    boxes = [[10, 10, 90, 90], [100, 100, 200, 150]]
    assert drawn([-1, 0], [0.9, 0.49], boxes)[0] == []
    assert len(drawn([-1, 0], [0.9, 0.49], boxes, threshold=0.4)[0]) == 1
    assert len(drawn([-1, 0], [0.9, 0.4], boxes, threshold=0.4)[0]) == 1


def test_ground_truth_is_white_and_dashed_with_its_class_below_the_box():
    labels = [[10, 20, 90, 80, 1, 0], [100, 20, 150, 80, 0, 1], [-1] * 6]
    items, texts = drawn(labels=labels)
    assert items == [
        ("bee", "#FFFFFF", "--", [10, 20, 90, 80]),
        ("ant", "#FFFFFF", ":", [100, 20, 150, 80]),  # difficult
    ]
    assert texts[0].get_position() == (10, 80) and texts[0].get_va() == "top"
    assert to_hex(texts[0].get_color()) == "#000000"


def test_boxes_and_texts_stay_inside_the_image():
    edges = [[-50, -50, 400, 10], [280, 190, 320, 230]]
    items, texts = drawn([0, 1], [0.9, 0.8], edges, labels=[[250, 150, 299, 199, 0, 0]])
    boxes = [box for *_, box in items]
    assert boxes == [[280, 190, 299.5, 199.5], [0, 0, 299.5, 10], [250, 150, 299, 199]]
    right, top, truth = texts
    assert truth.get_va() == "bottom" and truth.get_ha() == right.get_ha() == "right"
    assert top.get_va() == "top" and top.get_ha() == "left"


def test_class_colours_differ_and_repeat_after_the_last_one():
    count = len(figures.CLASS_COLOURS)
    assert len({figures.class_colour(i) for i in range(count)}) == count >= 12
    assert figures.class_colour(count) == figures.class_colour(0)


def test_a_grid_has_every_panel_below_a_legend(tmp_path):
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    sizes = [(300, 400), (400, 300), (100, 120)]
    panels = [
        panel(image=np.full((*size, 3), colour, np.uint8)) for size, colour in zip(sizes, colours)
    ]
    figures.detection_picture(panels, CLASSES, tmp_path / "grid.png", columns=2)
    picture = cv2.imread(str(tmp_path / "grid.png"))[..., ::-1]
    for size, colour in zip(sizes, colours):
        rows, columns = np.nonzero(np.abs(picture.astype(int) - colour).max(axis=-1) < 12)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height / width == pytest.approx(size[0] / size[1], rel=0.03)
        assert max(height, width) >= 300 and rows.min() > 40
    assert (picture[:40] < 128).any()  # the legend


def test_a_picture_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"gone.*red\.png"):
        figures.detection_picture([panel()], CLASSES, tmp_path / "gone" / "red.png")


class FakeDataset:
    """Three images whose ids hold a slash."""

    classes = CLASSES

    def __len__(self):
        return 3

    def image_id(self, i):
        return f"a/{i}"

    def image(self, i):
        return GREY

    def label(self, i):
        return np.array([[10, 10, 50, 50, 1, 0]])


def test_the_pictures_of_a_data_set_count_what_they_show(tmp_path, monkeypatch):
    found = np.array([0, 1]), np.array([0.9, 0.4]), np.array([[10, 10, 50, 50]] * 2)
    monkeypatch.setattr(figures, "detect_image", lambda *_: found)
    count = figures.draw_dataset(None, FakeDataset(), mx.cpu(), tmp_path, 2, 0.5)
    assert count == (2, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("00000_a_0.png", "00002_a_2.png", "grid.png")
    ]
    assert figures.draw_dataset(None, FakeDataset(), mx.cpu(), tmp_path, 9, 0.95) == (3, 0)


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
    from helpers.detectors import build_ssd

    detectors = {}
    for title, size in (("teacher", 64), ("student", 96)):
        detectors[title] = build_ssd("resnet10_v1_0.25", ["ant", "bee"], size)
        detectors[title].initialize([mx.cpu()])
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (70, 100, 3), dtype=np.uint8) for _ in range(2)]
    figures.attention_figure(detectors, images, tmp_path / "attention.png")
    picture = cv2.imread(str(tmp_path / "attention.png"))
    assert picture.shape[1] > 1.5 * picture.shape[0]  # 5 columns and a bar, 2 rows
    labels = [np.array([[10, 10, 50, 50, 1, 0]])] * 2
    figures.detections_figure(detectors, images, labels, tmp_path / "detections.png", 0.9)
    assert cv2.imread(str(tmp_path / "detections.png")).std() > 5
