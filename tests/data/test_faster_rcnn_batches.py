"""Faster R-CNN's transforms, targets and batches, compared with GluonCV's."""

import numpy as np
import pytest

from gan_kd_ssd.data.batches import faster_rcnn_batches as rcnn_batches
from gan_kd_ssd.data.batches import faster_rcnn_transform as rcnn_transform
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.util.errors import UserError
from helpers.voc_folders import annotation, make_folder, make_random_folder, write_image

SIZE = rcnn_batches.InputSize(64, 90)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Seven images, one of them upright."""
    folder = make_random_folder(tmp_path_factory.mktemp("data") / "pets", 7)
    write_image(folder / "JPEGImages" / "003.jpg", 48, 60)
    text = annotation([("cat", 5, 9, 30, 50), ("dog", 20, 30, 44, 56)], 48, 60)
    (folder / "Annotations" / "003.xml").write_text(text)
    return open_dataset(str(folder), "train")


def grids(levels=1):
    """Anchors of random sizes around the cells of each level, and the strides."""
    rng = np.random.default_rng(0)
    strides = [8 * 2**level for level in range(levels)]
    result = []
    for stride in strides:
        rows, columns = np.meshgrid(np.arange(16) * stride, np.arange(16) * stride, indexing="ij")
        centre = np.stack([columns, rows], axis=-1)[:, :, None] + stride / 2
        half = rng.uniform(stride / 2, 2 * stride, (1, 1, 3, 2))
        result.append(np.concatenate([centre - half, centre + half], axis=-1).astype(np.float32))
    return result, strides


def train_batches(dataset, devices=2, batch_size=2, num_workers=0, seed=3, samples=64):
    targets = RPNTargets(*grids(), samples=samples)
    return rcnn_batches.train_batches(
        dataset, SIZE, targets, batch_size, devices, seed, num_workers
    )


def as_numpy(batches):
    return [[[array.asnumpy() for array in part] for part in batch] for batch in batches]


def assert_same(one, other):
    assert len(one) == len(other)
    for batch, others in zip(one, other):
        assert len(batch) == len(others)
        for part, other_part in zip(batch, others):
            for a, b in zip(part, other_part):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (100, 300), (64, 64)])
def test_training_and_validation_transforms_are_gluoncv_s(size):
    from gluoncv.data.transforms.presets import rcnn

    from gan_kd_ssd.util.mxnet import mx

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    label = np.array([[10, 20, 60, 50, 1, 0], [5, 5, 30, 62, 0, 1]], np.float32)
    flips = set()
    for seed in range(6):
        flip = float(np.random.default_rng(seed).random() < 0.5)
        flips.add(flip)
        theirs = rcnn.FasterRCNNDefaultTrainTransform(60, 100, flip_p=flip)
        pixels, boxes = theirs(mx.nd.array(image, dtype="uint8"), label)
        ours = rcnn_transform.train_transform(image, label, 60, 100, np.random.default_rng(seed))
        np.testing.assert_allclose(ours[0], pixels.asnumpy(), atol=1e-5)
        np.testing.assert_allclose(ours[1], boxes, rtol=1e-6)
    assert flips == {0.0, 1.0}
    pixels, boxes, scale = rcnn.FasterRCNNDefaultValTransform(60, 100)(
        mx.nd.array(image, dtype="uint8"), label
    )
    ours = rcnn_transform.val_transform(image, label, 60, 100)
    np.testing.assert_allclose(ours[0], pixels.asnumpy(), atol=1e-5)
    np.testing.assert_allclose(ours[1], boxes, rtol=1e-6)
    assert ours[2] == pytest.approx(scale.asscalar())


@pytest.mark.parametrize("levels", [1, 3])
def test_targets_are_gluoncv_s_where_all_anchors_may_be_sampled(levels):
    from gluoncv.model_zoo.rcnn.rpn.rpn_target import RPNTargetGenerator

    from gan_kd_ssd.util.mxnet import mx

    rng = np.random.default_rng(1)
    height, width = 70, 90
    ours = RPNTargets(*grids(levels), samples=100000)
    theirs = RPNTargetGenerator(num_sample=100000)
    for _ in range(5):
        low = rng.uniform(0, 40, (4, 2))
        boxes = np.concatenate([low, low + rng.uniform(6, 28, (4, 2))], axis=1).astype(np.float32)
        anchors = ours.anchors(height, width)
        classes, targets, masks = theirs(mx.nd.array(boxes), mx.nd.array(anchors), width, height)
        got = ours(boxes, (height, width), (height, width), rng)
        np.testing.assert_array_equal(got[0], classes)
        np.testing.assert_allclose(got[1], targets, rtol=1e-4, atol=1e-5)
        assert (got[0] == 1).sum() * 4 == masks.sum() > 0 and (got[0] == 0).any()


def test_at_most_half_the_samples_are_objects_and_background_fills_the_rest():
    anchors = np.tile(np.array([10, 10, 30, 30], np.float32), (4, 4, 3, 1))
    anchors[2:] = (2, 2, 8, 8)  # 24 anchors on the object, 24 on background
    boxes = np.array([[10, 10, 30, 30]], np.float32)
    for samples, objects, background in ((16, 8, 8), (40, 20, 20), (60, 24, 24)):
        targets = RPNTargets([anchors], [16], samples=samples)
        classes, _ = targets(boxes, (64, 64), (64, 64), np.random.default_rng(0))
        assert ((classes == 1).sum(), (classes == 0).sum()) == (objects, background)
    draws = [
        RPNTargets([anchors], [16], 16)(boxes, (64, 64), (64, 64), np.random.default_rng(s))[0]
        for s in (0, 0, 1)
    ]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_objects_that_no_anchor_overlaps_and_images_without_objects_are_background():
    targets = RPNTargets(*grids(), samples=100000)
    size = (64, 64)
    for boxes in (np.zeros((0, 4), np.float32), np.array([[0, 0, 0.1, 0.1]], np.float32)):
        classes, offsets = targets(boxes, size, size, np.random.default_rng(0))
        assert set(np.unique(classes)) == {-1, 0} and not offsets.any()


def test_each_device_has_a_part_of_its_own_size(dataset):
    sizes = set()
    for batch in train_batches(dataset).epoch(0):
        assert len(batch) == 2
        for part in batch:
            images, boxes, labels, classes, offsets, weights = (array.asnumpy() for array in part)
            assert weights.tolist() == [1]
            assert images.shape[0] == 1 and min(images.shape[2:]) == SIZE.short
            cells = -(-images.shape[2] // 8) * -(-images.shape[3] // 8)
            assert classes.shape == (1, 3 * cells) and offsets.shape == (1, 3 * cells, 4)
            assert boxes.shape[2] == 4 and labels.shape == (*boxes.shape[:2], 1)
            assert (boxes[..., 2:] <= images.shape[:1:-1]).all()
            sizes.add(images.shape[2:])
    assert sizes == {(64, 80), (80, 64)}


def test_several_images_a_device_are_padded_and_their_padding_has_no_targets(dataset):
    for batch in train_batches(dataset, devices=1, batch_size=7).epoch(0):
        images, boxes, labels, classes, *_ = (array.asnumpy() for array in batch[0])
        assert images.shape == (7, 3, 80, 80)
        lying = np.flatnonzero(~images[:, :, 64:].any(axis=(1, 2, 3)))
        assert len(lying) == 6  # the seventh is upright
        anchors = RPNTargets(*grids()).anchors(80, 80)
        for row in lying:
            assert (classes[row][anchors[:, 3] >= 64] == -1).all()
        assert ((labels[..., 0] == -1) == (boxes == -1).all(axis=-1)).all()


def test_batches_are_bit_identical_for_0_1_and_2_workers_and_from_any_batch(dataset):
    expected = [as_numpy(train_batches(dataset).epoch(epoch)) for epoch in range(2)]
    for num_workers in (1, 2):
        batches = train_batches(dataset, num_workers=num_workers)
        for epoch in range(2):
            assert_same(as_numpy(batches.epoch(epoch)), expected[epoch])
        assert_same(as_numpy(batches.epoch(1, first_batch=2)), expected[1][2:])
        batches.close()
    assert [len(epoch) for epoch in expected] == [3, 4]  # the seventh image rolls over


def test_seeds_and_epochs_differ(dataset):
    first = as_numpy(train_batches(dataset).epoch(0))
    for other in (train_batches(dataset).epoch(2), train_batches(dataset, seed=4).epoch(0)):
        with pytest.raises(AssertionError):
            assert_same(first, as_numpy(other))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_validation_has_every_image_in_order_with_its_scale(dataset, num_workers):
    batches = rcnn_batches.val_batches(dataset, SIZE, 2, num_workers)
    lists = list(batches)
    assert [len(batch) for batch in lists] == [2, 2, 2, 1] and len(batches) == 4
    got = [part for batch in lists for part in batch]
    for index, (image, label, scale) in enumerate(got):
        assert image.shape == ((1, 3, 80, 64) if index == 3 else (1, 3, 64, 80))
        assert scale == pytest.approx(0.75)
        restored = label.asnumpy()[0, :, :4] * scale
        np.testing.assert_allclose(restored, dataset.label(index)[:, :4], rtol=1e-4)
    batches.close()


def test_images_without_objects_train_and_validate(tmp_path):
    folder = make_folder(tmp_path / "pets", [[("cat", 5, 5, 30, 30)], [("dog", 5, 5, 30, 30)]])
    data = open_dataset(str(folder), "train", classes=["dog"])
    (batch,) = train_batches(data).epoch(0)
    assert sorted(bool((part.labels.asnumpy() >= 0).any()) for part in batch) == [False, True]
    ((_, label, _),), *_ = rcnn_batches.val_batches(data, SIZE)
    assert (label.asnumpy() == -1).all()


@pytest.mark.parametrize("sizes", [((40, 60), (50, 30)), ((20, 20), (20, 20))])
def test_a_mixture_is_gluoncv_s_with_a_ratio_of_one_half(sizes):
    from gluoncv.data.mixup.detection import MixupDetection
    from mxnet import nd

    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    labels = [rng.rand(2, 6).astype(np.float32), rng.rand(1, 6).astype(np.float32)]
    mixed = MixupDetection(list(zip(map(nd.array, images), labels)), lambda: 0.5)
    expected, label = mixed[0]
    image, got = rcnn_transform.mixture(images, labels)
    np.testing.assert_array_equal(image, expected.asnumpy())
    np.testing.assert_allclose(got, label[:, :6])


def test_mixtures_are_of_two_images_until_their_last_epoch(dataset):
    targets = RPNTargets(*grids(), samples=64)
    args = (dataset, SIZE, targets, 7, 1, 3)
    mixed, plain = (
        rcnn_batches.train_batches(*args, mixup_before=1),
        rcnn_batches.train_batches(*args),
    )
    counts = []
    for batches in (mixed, plain):
        (part,) = next(iter(batches.epoch(0)))
        counts.append(int((part.labels.asnumpy() >= 0).sum()))
        assert set(part.weights.asnumpy()) == {0.5 if batches is mixed else 1.0}
    assert counts[0] > counts[1]
    assert_same(as_numpy(mixed.epoch(1)), as_numpy(plain.epoch(1)))
    again = rcnn_batches.train_batches(*args, num_workers=2, mixup_before=1)
    assert_same(as_numpy(mixed.epoch(0)), as_numpy(again.epoch(0)))
    again.close()


def test_a_mixture_is_of_two_different_images_and_any_may_be_the_other(dataset, monkeypatch):
    seen, plain = [], rcnn_batches.mixture
    shapes = [dataset.image(index).tobytes() for index in range(len(dataset))]

    def watched(images, labels):
        seen.append(tuple(shapes.index(image.tobytes()) for image in images))
        return plain(images, labels)

    monkeypatch.setattr(rcnn_batches, "mixture", watched)
    batches = rcnn_batches.train_batches(
        dataset, SIZE, RPNTargets(*grids(), samples=64), 7, 1, 3, mixup_before=30
    )
    for epoch in range(30):
        list(batches.epoch(epoch))
    pairs = set(seen)
    assert len(pairs) == 7 * 6 and all(one != other for one, other in pairs)


def test_a_batch_that_does_not_divide_by_the_devices_is_refused(dataset):
    with pytest.raises(UserError, match=r"--batch-size 3: give a multiple .* 2"):
        train_batches(dataset, devices=2, batch_size=3)
    with pytest.raises(UserError, match=r"--batch-size 8: .* 7 images"):
        train_batches(dataset, devices=2, batch_size=8)


def test_the_number_of_anchors_is_that_of_the_network_s_predictions():
    from gan_kd_ssd.util.mxnet import mx
    from helpers.detectors import build_faster_rcnn

    for fpn in (False, True):
        detector = build_faster_rcnn("resnet10_v1_0.125", ["a"], use_fpn=fpn, short=64, max_size=96)
        detector.initialize([mx.cpu()])
        targets = RPNTargets(detector.anchor_grids(), detector.strides)
        for size in ((64, 80), (71, 97)):
            x = mx.nd.zeros((1, 3, *size))
            with mx.autograd.train_mode():
                *_, anchors = detector.net.rpn(x, *detector.pyramid(x))
            # GluonCV has the anchors of a level in one block of its own, FPN's in a list.
            anchors = anchors if isinstance(anchors, list) else [anchors]
            expected = np.concatenate([a.asnumpy().reshape(-1, 4) for a in anchors])
            np.testing.assert_array_equal(targets.anchors(*size), expected)
