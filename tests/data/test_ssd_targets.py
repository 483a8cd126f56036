"""SSD's targets are those of GluonCV's generator, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_kd_ssd.data.batches.ssd_targets import SSDTargets
from helpers.voc_folders import random_anchors


@pytest.fixture(scope="module")
def gluoncv_targets():
    from gan_kd_ssd.util.mxnet import mx  # isort: skip
    from gluoncv.model_zoo.ssd.target import SSDTargetGenerator

    generator = SSDTargetGenerator(iou_thresh=0.5, negative_mining_ratio=-1)

    def targets(anchors, label):
        boxes, ids = mx.nd.array(label[None, :, :4]), mx.nd.array(label[None, :, 4:5])
        classes, encoded, _ = generator(mx.nd.array(anchors[None]), None, boxes, ids)
        return classes[0].asnumpy(), encoded[0].asnumpy()

    return targets


def random_label(rng, objects, size, grid):
    low = rng.uniform(0, 0.8 * size, (objects, 2))
    boxes = np.concatenate([low, low + rng.uniform(2, 0.7 * size, (objects, 2))], axis=1)
    boxes = np.round(boxes / grid) * grid + (0, 0, grid, grid)
    return np.concatenate([boxes, rng.integers(0, 20, (objects, 1))], axis=1).astype("f")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), objects=st.integers(1, 12), grid=st.sampled_from([1e-3, 16]))
def test_targets_equal_gluoncv(gluoncv_targets, seed, objects, grid):
    # On the coarse grid many anchors and objects coincide: every kind of tie occurs.
    rng = np.random.default_rng(seed)
    anchors = np.maximum(np.round(random_anchors(300, 128, seed) / grid) * grid, grid).astype("f")
    label = random_label(rng, objects, 128, grid)
    classes, boxes = SSDTargets(anchors)(label)
    expected_classes, expected_boxes = gluoncv_targets(anchors, label)
    np.testing.assert_array_equal(classes, expected_classes)
    np.testing.assert_allclose(boxes, expected_boxes, rtol=1e-4, atol=1e-5)


def test_an_object_that_touches_no_anchor_is_treated_as_by_gluoncv(gluoncv_targets):
    anchors = np.array([[10, 10, 8, 8], [40, 40, 8, 8]], np.float32)
    near, far = [7, 7, 13, 13, 3], [90, 90, 99, 99, 4]
    for label in ([near, far], [far, near], [far]):
        label = np.array(label, np.float32)
        ours, theirs = SSDTargets(anchors)(label), gluoncv_targets(anchors, label)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-5)


def test_an_image_without_objects_is_all_background():
    classes, boxes = SSDTargets(random_anchors(50, 64))(np.zeros((0, 6), np.float32))
    assert classes.shape == (50,) and boxes.shape == (50, 4)
    assert not classes.any() and not boxes.any()


def test_an_anchor_equal_to_an_object_has_zero_box_target():
    anchors = np.array([[[20, 20, 10, 20], [50, 50, 10, 10]]], np.float32)
    classes, boxes = SSDTargets(anchors)(np.array([[15, 10, 25, 30, 6, 0]], np.float32))
    assert classes.tolist() == [7, 0]
    assert not boxes.any()
