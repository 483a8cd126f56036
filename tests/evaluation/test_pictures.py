"""Pictures of detectors: what is drawn where, and what they are computed from."""

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
