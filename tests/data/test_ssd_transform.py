"""The augmentation is GluonCV's in distribution and its rendering exactly."""

import random

import cv2
import numpy as np
import pytest
from scipy.stats import ks_2samp

from gan_kd_ssd.data.batches import ssd_transform as augment
from gan_kd_ssd.data.batches.normalise import planes

UNLIKELY = 1e-3  # the seeds are fixed: a sample this odd means another distribution


def picture(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


@pytest.fixture
def theirs():
    """GluonCV's transforms, with the two global generators they draw from seeded."""
    from gan_kd_ssd.util.mxnet import mx  # isort: skip
    from gluoncv.data import transforms
    from gluoncv.data.transforms.presets import ssd

    random.seed(5)
    np.random.seed(5)
    transforms.mx, transforms.ssd = mx, ssd
    return transforms


@pytest.mark.parametrize(
    ("shape", "size"),
    [((48, 64), 32), ((480, 640), 512), ((100, 50), 64), ((64, 64), 64), ((48, 64), 128)],
)
def test_the_validation_transform_equals_gluoncv(theirs, shape, size):
    image, label = picture(*shape), np.array([[3, 4, 20, 30, 1, 0]], np.float32)
    pixels, boxes = augment.val_transform(image, label, size)
    expected, expected_boxes = theirs.ssd.SSDDefaultValTransform(size, size)(
        theirs.mx.nd.array(image, dtype="uint8"), label
    )
    np.testing.assert_allclose(boxes, expected_boxes, rtol=1e-6)
    # Two builds of OpenCV may round a pixel of an enlarged image apart, at most a few in a million.
    apart = np.abs(pixels - expected.asnumpy()) > 1e-5
    assert apart.mean() <= (1e-4 if size > max(shape) else 0)


@pytest.mark.parametrize("interpolation", range(5))
@pytest.mark.parametrize("crop", [(4, 3, 50, 40), (-9, -5, 90, 80), (20, 10, 30, 70)])
def test_rendering_equals_distort_expand_crop_resize_normalise(theirs, interpolation, crop):
    image, size = picture(48, 64), 40
    colour = augment.colour_matrix(np.random.default_rng(interpolation))
    # In GluonCV's order, each step at full size; the canvas goes 100 pixels beyond the image.
    std, mean = 255 * np.array(augment.STD), 255 * np.array(augment.MEAN)
    distorted = (image @ colour[:, :3].T.astype(np.float64) + colour[:, 3]) * std + mean
    canvas = np.tile(mean, (248, 264, 1))
    canvas[100:148, 100:164] = distorted
    x, y, width, height = crop
    mx = theirs.mx
    expected = mx.image.fixed_crop(mx.nd.array(canvas), x + 100, y + 100, width, height)
    expected = theirs.image.imresize(expected, size, size, interp=interpolation)
    expected = mx.nd.image.normalize(
        mx.nd.image.to_tensor(expected), mean=augment.MEAN, std=augment.STD
    )
    ours = augment.render_crop(image, crop, size, interpolation, colour)
    np.testing.assert_allclose(planes(ours), expected.asnumpy(), atol=2e-5)


def test_the_figures_are_gluoncvs_defaults(theirs):
    # With the same seeds, GluonCV's functions must do the same with our figures as without.
    def twice(function, *args, **ours):
        results = []
        for figures in ({}, ours):
            random.seed(7)
            np.random.seed(7)
            results.append([function(*args, **figures) for _ in range(40)])
        return results

    image = theirs.mx.nd.array(picture(8, 8))
    default, ours = twice(
        theirs.experimental.image.random_color_distort,
        image,
        brightness_delta=augment.BRIGHTNESS,
        contrast_low=augment.CONTRAST[0],
        contrast_high=augment.CONTRAST[1],
        saturation_low=augment.SATURATION[0],
        saturation_high=augment.SATURATION[1],
        hue_delta=augment.HUE,
    )
    for a, b in zip(default, ours):
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())
    default, ours = twice(theirs.image.random_expand, image, max_ratio=augment.EXPAND)
    assert [place for _, place in default] == [place for _, place in ours]
    default, ours = twice(
        theirs.experimental.bbox.random_crop_with_constraints,
        np.array([[10, 5, 105, 95, 0, 0.0]]),  # so large that every smallest IoU can be met
        (120, 100),
        min_scale=augment.CROP_SCALE[0],
        max_scale=augment.CROP_SCALE[1],
        max_aspect_ratio=augment.CROP_ASPECT,
        constraints=[(iou, None) for iou in augment.CROP_IOUS] + [(None, 1)],
        max_trial=augment.CROP_TRIALS,
    )
    assert [crop for _, crop in default] == [crop for _, crop in ours]


def test_colour_distortion_has_gluoncvs_distribution(theirs):
    # Black, red, green and blue, distorted, tell the whole matrix.
    basis = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)])
    rng = np.random.default_rng(0)
    ours, expected = [], []
    for _ in range(1500):
        matrix = augment.colour_matrix(rng)
        normalised = basis @ matrix[:, :3].T + matrix[:, 3]
        ours.append((normalised * augment.STD + augment.MEAN) * 255)
        distorted = theirs.experimental.image.random_color_distort(theirs.mx.nd.array(basis[None]))
        expected.append(distorted[0].asnumpy())
    # Rounded: values that no distortion touched must tie.
    ours, expected = (np.reshape(np.round(v, 1) + 0.0, (1500, 12)) for v in (ours, expected))
    assert min(ks_2samp(ours[:, k], expected[:, k]).pvalue for k in range(12)) > UNLIKELY


@pytest.mark.parametrize(
    "label",
    [
        np.zeros((0, 6)),
        np.array([[20, 30, 80, 90, 0, 0.0]]),
        np.array([[5, 5, 60, 60, 0, 0.0], [70, 50, 110, 90, 1, 0], [30, 20, 115, 95, 2, 0]]),
    ],
    ids=["no object", "one object", "three objects"],
)
def test_random_crops_have_gluoncvs_distribution(theirs, label):
    rng = np.random.default_rng(0)
    draws = 250
    ours = [augment.random_crop(label.copy(), (120, 100), rng) for _ in range(draws)]
    crop = theirs.experimental.bbox.random_crop_with_constraints
    expected = [crop(label.copy(), (120, 100)) for _ in range(draws)]
    for k in range(4):
        values = [[c[k] for _, c in draws_] for draws_ in (ours, expected)]
        assert ks_2samp(*values).pvalue > UNLIKELY
    kept = [[len(boxes) for boxes, _ in draws_] for draws_ in (ours, expected)]
    assert ks_2samp(*kept).pvalue > UNLIKELY
    extents = [
        np.concatenate([b[:, 2:4] - b[:, :2] for b, _ in draws_]) for draws_ in (ours, expected)
    ]
    for k in range(2 if len(label) else 0):
        assert ks_2samp(extents[0][:, k], extents[1][:, k]).pvalue > UNLIKELY


def test_the_whole_training_transform_has_gluoncvs_distribution(theirs):
    image = picture(30, 40)
    label = np.array([[3, 3, 30, 24, 0, 0]], np.float32)
    rng = np.random.default_rng(0)
    ours = [augment.train_transform(image, label, 24, rng) for _ in range(4000)]
    transform = theirs.ssd.SSDDefaultTrainTransform(24, 24)
    args = theirs.mx.nd.array(image, dtype="uint8"), label.astype(np.float64)
    expected = [transform(*args) for _ in range(400)]
    expected = [(pixels.asnumpy(), boxes) for pixels, boxes in expected]
    assert {pixels.shape for pixels, _ in ours} == {(3, 24, 24)}

    def filled(pixels):
        return np.mean(np.abs(pixels) < 1e-6)

    for measure in (np.mean, np.std, filled):
        values = [[measure(pixels) for pixels, _ in draws] for draws in (ours, expected)]
        assert ks_2samp(*values).pvalue > UNLIKELY
    for k in range(5):
        values = [np.concatenate([b[:, k] for _, b in draws]) for draws in (ours, expected)]
        assert ks_2samp(*values).pvalue > UNLIKELY


@pytest.mark.parametrize(("steps", "share"), [("expanded", 0.5), ("flipped", 0.5)])
def test_optional_steps_happen_half_the_time(monkeypatch, steps, share):
    seen = []
    monkeypatch.setattr(augment, "random_crop", lambda label, size, rng: (label, (0, 0, *size)))
    image, label = picture(20, 20), np.array([[2, 8, 6, 12, 0, 0]], np.float32)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        _, ((x0, y0, _, y1, *_),) = augment.train_transform(image, label, 20, rng)
        expanded = abs((y1 - y0) - 4) > 1e-3
        if steps == "expanded":
            seen.append(expanded)
        elif not expanded:
            seen.append(x0 > 10)
    assert abs(np.mean(seen) - share) < 4 * np.sqrt(share * (1 - share) / len(seen))


def test_boxes_follow_their_pixels():
    # One white rectangle on black: wherever it goes, its box must go. Colour is left out.
    image = np.zeros((90, 120, 3), np.uint8)
    image[20:60, 30:80] = 255
    label = np.array([[30, 20, 80, 60, 3, 1]], np.float32)
    rng = np.random.default_rng(2)
    for _ in range(60):
        pixels, boxes = augment.train_transform(image, label, 96, rng)
        (x0, y0, x1, y1, class_id, difficult), *others = boxes.tolist()
        assert not others and (class_id, difficult) == (3, 1)
        # White and black are the extremes of any distortion; the mean colour lies between.
        inside = pixels[:, int(y0 + y1) // 2, int(x0 + x1) // 2]
        near = np.abs(pixels - inside[:, None, None]).max(axis=0) < 0.4 * np.abs(inside).max()
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(found, [x0, y0, x1, y1], atol=3)


def test_the_same_generator_state_gives_the_same_sample_and_leaves_its_input_alone():
    image, label = picture(60, 80), np.array([[5, 5, 50, 40, 0, 0]], np.float32)
    kept_image, kept_label = image.copy(), label.copy()
    one, two = (
        augment.train_transform(image, label, 48, np.random.default_rng(9)) for _ in range(2)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    np.testing.assert_array_equal(image, kept_image)
    np.testing.assert_array_equal(label, kept_label)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 400)])
def test_tiny_and_narrow_images_without_objects_are_augmented(shape):
    rng = np.random.default_rng(0)
    for _ in range(30):
        pixels, boxes = augment.train_transform(picture(*shape), np.zeros((0, 6)), 16, rng)
        assert pixels.shape == (3, 16, 16) and np.isfinite(pixels).all()
        assert boxes.shape == (0, 6)


def test_flip_keeps_the_whole_image_and_every_object():
    image, label = picture(48, 64), np.array([[3, 4, 20, 30, 1, 0]], np.float32)
    places = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pixels, boxes = augment.train_transform(image, label, 32, rng, "flip")
        assert pixels.shape == (3, 32, 32)
        places.add(tuple(np.round(boxes[0], 3)))
    upright = (1.5, round(4 * 32 / 48, 3), 10.0, 20.0, 1.0, 0.0)
    mirrored = (22.0, upright[1], 30.5, 20.0, 1.0, 0.0)
    assert {tuple(np.round(p, 3)) for p in places} == {
        tuple(np.round(np.float32(p), 3)) for p in (upright, mirrored)
    }
