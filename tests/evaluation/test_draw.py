"""Pictures of detections: what is drawn where, judged by their pixels."""

import cv2
import numpy as np
import pytest

from gan_kd_ssd.evaluation import draw
from gan_kd_ssd.util.errors import UserError

GREY = np.full((500, 600, 3), 128, np.uint8)


def drawn(ids, scores, boxes, image=GREY, **more):
    arrays = np.array(ids), np.array(scores), np.array(boxes, float).reshape(-1, 4)
    return draw.draw_detections(image, *arrays, ["ant", "bee"], **more)


def has_colour(image, colour):
    return bool((image == np.array(colour, np.uint8)).all(axis=-1).any())


def test_detections_have_their_class_colour_at_their_box():
    image = drawn([[0], [1]], [[0.9], [0.8]], [[100, 100, 200, 200], [300, 300, 400, 420]])
    assert tuple(image[150, 100]) == draw.colour(0)
    assert tuple(image[420, 350]) == draw.colour(1)
    assert tuple(image[150, 150]) == (128, 128, 128)
    assert has_colour(image[80:100], draw.colour(0))  # its label stands above it


def test_padding_and_low_scores_are_not_drawn():
    image = drawn([-1, 0], [0.9, 0.49], [[10, 10, 90, 90], [100, 100, 200, 200]])
    np.testing.assert_array_equal(image, GREY)
    assert not np.array_equal(drawn([0], [0.49], [[9, 9, 90, 90]], threshold=0.4), GREY)


def test_ground_truth_is_dashed_white_and_its_padding_is_not_drawn():
    labels = np.array([[100, 100, 400, 400, 0, 0], [-1] * 6])
    image = drawn([], [], [], labels=labels)
    top = (image[100, 110:390] == 255).all(axis=-1)
    assert 0.2 < top.mean() < 0.8
    assert not has_colour(image[:50], (255, 255, 255))


def test_the_given_image_is_not_changed_and_small_ones_are_enlarged():
    small = np.full((60, 100, 3), 128, np.uint8)
    before = small.copy()
    image = drawn([0], [1.0], [[20, 20, 60, 50]], image=small)
    np.testing.assert_array_equal(small, before)
    assert image.shape == (300, 500, 3)
    assert tuple(image[150, 100]) == draw.colour(0)


def test_boxes_over_the_edge_and_labels_stay_inside():
    image = drawn([0, 1], [0.9, 0.9], [[-50, -50, 700, 700], [590, 490, 599, 499]])
    assert image.shape == GREY.shape
    assert has_colour(image, draw.colour(0)) and has_colour(image, draw.colour(1))


def test_labels_of_neighbours_do_not_hide_each_other():
    taken = []
    canvas = GREY.copy()
    for _ in range(3):
        draw._label(canvas, "bee 90%", ((100, 100), (300, 300)), draw.colour(1), taken)
    pairs = [(a, b) for i, a in enumerate(taken) for b in taken[:i]]
    assert len(pairs) == 3
    assert all(draw._overlap(a, b) == 0 for a, b in pairs)


def test_class_colours_differ_from_each_other():
    assert len(set(draw.PALETTE)) == len(draw.PALETTE) >= 12
    assert draw.colour(len(draw.PALETTE)) == draw.colour(0)


def test_a_grid_shows_every_panel_in_proportion_on_white():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    sizes = [(300, 400), (400, 300), (100, 120)]
    panels = [np.full((*size, 3), colour, np.uint8) for size, colour in zip(sizes, colours)]
    image = draw.grid(panels, ["one", "two", "a title that is far too long " * 9], columns=2)
    assert tuple(image[0, 0]) == (255, 255, 255)
    for size, colour in zip(sizes, colours):
        rows, columns = np.nonzero((image == np.array(colour, np.uint8)).all(axis=-1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height / width == pytest.approx(size[0] / size[1], rel=0.02)
        assert max(height, width) >= 300


def test_pictures_are_saved_as_rgb_and_a_missing_folder_is_said(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 255
    draw.save(tmp_path / "red.png", image)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]
    with pytest.raises(UserError, match=r"gone.*red\.png"):
        draw.save(tmp_path / "gone" / "red.png", image)
