"""GAN-KD of Faster R-CNN: maps of any size, discriminators alone, one and several levels and devices."""

import numpy as np
import pytest

from gan_kd_ssd.data.batches.faster_rcnn_batches import DevicePart
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.detectors import faster_rcnn
from gan_kd_ssd.distill import step as steps
from gan_kd_ssd.distill.discriminator import LevelDiscriminator
from gan_kd_ssd.distill.figures import LEVEL_FIGURES, Figures
from gan_kd_ssd.util.mxnet import mx

SGD = {"learning_rate": 0.01, "momentum": 0.9, "wd": 0.0005}
SIZES = [(64, 80), (80, 64)]


def build(width="0.125", seed=0, devices=1, fpn=False):
    mx.random.seed(seed)
    detector = faster_rcnn.build(
        f"resnet10_v1_{width}", ["disc", "square"], fpn=fpn, short=64, max_size=96
    )
    detector.initialize([mx.cpu(i) for i in range(devices)])
    detector.hybridize()
    return detector


def make_batch(detector, devices=1, seed=0):
    """One image of noise with one object a device, each of another size."""
    rng = np.random.default_rng(seed)
    targets = RPNTargets(detector.anchor_grids(), detector.strides)
    parts = []
    for size in SIZES[:devices]:
        box = np.array([[8, 10, 40, 44]], np.float32)
        classes, boxes = targets(box, size, size, rng)
        arrays = (rng.normal(size=(3, *size)), box, np.ones((1, 1)), classes, boxes, np.array(1.0))
        parts.append(DevicePart(*[mx.nd.array(a[None]) for a in arrays]))
    return parts


def values(parameters):
    return [p.data(p.list_ctx()[0]).asnumpy() for p in parameters]


def changed(before, parameters):
    return [not np.array_equal(a, b) for a, b in zip(before, values(parameters))]


def gan_step(student, devices=1, fpn=False, **options):
    teacher = build("0.25", seed=9, devices=devices, fpn=fpn)
    ctx = [mx.cpu(i) for i in range(devices)]
    given = {"channels": 8, "clamp": "all", **options}
    return steps.GanStep(student, teacher, ctx, SGD, "device", steps.DistillOptions(**given))


@pytest.mark.parametrize("side", [1, 2, 4, 5, 38, 63])
def test_a_discriminator_for_any_size_scores_maps_larger_and_smaller_than_it_was_made_for(side):
    level = LevelDiscriminator(3, side, channels=8, any_size=True)
    level.initialize(mx.init.Normal(0.1))
    for size in ((38, 63), (5, 9), (1, 2)):
        assert level(mx.nd.ones((2, 3, *size))).shape == (2, 1)


def test_one_image_a_device_is_enough_to_tell_two_maps_apart():
    """BatchNorm of one image and one cell would give any two maps the same score."""
    maps = [mx.nd.random.uniform(-1, 1, (1, 3, 38, 50)) ** power for power in (1, 3)]
    differences = []
    for any_size in (True, False):
        level = LevelDiscriminator(3, 64 if not any_size else 38, channels=8, any_size=any_size)
        level.initialize(mx.init.Normal(0.1))
        with mx.autograd.train_mode():
            one, other = (float(level(x).asscalar()) for x in maps)
        differences.append(abs(one - other))
    assert differences[0] > 1e-4 > differences[1]


@pytest.mark.parametrize("update", ["separate", "joint"])
@pytest.mark.parametrize("fpn", [False, True])
def test_a_step_trains_both_networks_and_gives_finite_figures_of_every_level(fpn, update):
    student = build(fpn=fpn)
    step = gan_step(student, fpn=fpn, update=update)
    before = values(student.parameters()), values(step.discriminator.collect_params().values())
    (vector,) = step(make_batch(student))
    levels = 5 if fpn else 1
    assert len(step.pairs) == levels and vector.shape == (4 + 8 + 4 * levels,)
    strides = [pair.stride for pair in step.pairs]
    reader = Figures(student.loss_names, student.count_names, strides)
    figures = reader.of_epoch(vector.asnumpy(), 1)
    names = [*student.loss_names, *LEVEL_FIGURES, "Loss_D"]
    assert sorted(figures) == sorted(names) and np.isfinite(list(figures.values())).all()
    assert any(changed(before[0], student.pyramid_parameters()))
    assert any(changed(before[1], step.discriminator.collect_params().values()))
    for parameter in step.clamped:  # clamped before its own Adam step of 0.0005
        assert np.abs(values([parameter])[0]).max() <= 0.03 + 0.00051


@pytest.mark.parametrize("update", ["separate", "joint"])
def test_discriminators_alone_leave_the_student_to_its_detection_losses(update):
    batch = make_batch(build())
    plain, student = build(), build()
    mx.random.seed(5)
    detection = steps.DetectionStep(plain, [mx.cpu()], SGD, "device")
    expected = detection(batch)[0].asnumpy()[:4]
    step = gan_step(student, update=update)
    before = values(step.discriminator.collect_params().values())
    adapters = values(step.adapter_parameters)
    mx.random.seed(5)
    got = step(batch, adversarial=False)[0].asnumpy()
    np.testing.assert_allclose(got[:4], expected, rtol=1e-5)
    for a, b in zip(values(plain.parameters()), values(student.parameters())):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert any(changed(before, step.discriminator.collect_params().values()))
    assert not any(changed(adapters, step.adapter_parameters))
    mx.random.seed(5)
    step(batch)  # and the adversarial gradient comes in afterwards
    assert any(changed(adapters, step.adapter_parameters))


def test_two_devices_with_images_of_two_sizes_take_one_step_together():
    student = build(devices=2)
    step = gan_step(student, devices=2)
    batch = make_batch(student, devices=2)
    vectors = step(batch)
    assert [v.context for v in vectors] == [mx.cpu(0), mx.cpu(1)]
    for parameter in student.parameters():
        one, other = (data.asnumpy() for data in parameter.list_data())
        np.testing.assert_array_equal(one, other)
    share = student.parts(batch, [mx.cpu(0), mx.cpu(1)])[0][-1]
    assert (
        share.asscalar() == 0.5
    )  # GluonCV's trainer.step(batch_size) on losses summed over devices


def test_a_step_waits_for_no_device(monkeypatch):
    """The second device is given its work while the first one computes."""
    student = build(devices=2)
    step = gan_step(student, devices=2)
    batch = make_batch(student, devices=2)
    step(batch)  # traces the graphs and starts the kvstore
    mx.nd.waitall()

    def wait(*_args, **_kwargs):
        raise AssertionError("the step waits for a device")

    for name in ("asnumpy", "asscalar", "wait_to_read"):
        monkeypatch.setattr(mx.nd.NDArray, name, wait)
    monkeypatch.setattr(mx.nd, "waitall", wait)
    for adversarial in (False, True):
        vectors = step(batch, adversarial)
    monkeypatch.undo()
    assert np.isfinite(sum(vector.asnumpy() for vector in vectors)).all()


def test_the_teacher_s_head_is_inherited_where_its_shapes_agree():
    from gan_kd_ssd.distill.adapter import align
    from gan_kd_ssd.distill.head import inherit_head

    student, twin, wide = build(seed=1), build(seed=2), build("0.25", seed=3)
    copied = inherit_head(student, twin, align(student, twin))
    assert copied == ["region proposals", "RoI features", "class and box predictors"]
    for block in ("rpn", "top_features", "class_predictor", "box_predictor"):
        ours, theirs = (getattr(d.net, block).collect_params().values() for d in (student, twin))
        for a, b in zip(values(ours), values(theirs)):
            np.testing.assert_array_equal(a, b)
    assert inherit_head(student, wide, align(student, wide)) == []


def test_some_steps_of_detection_lower_the_losses():
    student = build()
    step = steps.DetectionStep(student, [mx.cpu()], {**SGD, "learning_rate": 0.02}, "device")
    batch = make_batch(student)
    mx.random.seed(0)
    totals = [float(step(batch)[0][:4].sum().asscalar()) for _ in range(25)]
    assert np.mean(totals[-5:]) < 0.7 * np.mean(totals[:5])


def test_levels_of_the_same_side_are_paired_by_their_stride():
    from gan_kd_ssd.distill.adapter import align

    student, teacher = (
        faster_rcnn.build("resnet10_v1_0.125", ["a"], fpn=True, short=32, max_size=64)
        for _ in range(2)
    )
    for detector in (student, teacher):
        detector.initialize([mx.cpu()])
    pairs = align(student, teacher)
    assert [(p.student, p.teacher) for p in pairs] == [(i, i) for i in range(5)]
