"""GAN-KD of Faster R-CNN: maps of any size, its three phases, one and several levels and devices."""

import numpy as np
import pytest

from gan_kd_ssd.data.batches.faster_rcnn_batches import DevicePart
from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets
from gan_kd_ssd.distill.adapter import align
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.distill.method import plain
from gan_kd_ssd.distill.options import SGD
from gan_kd_ssd.logs.records import DISCRIMINATORS, DISTILLATION
from gan_kd_ssd.util.mxnet import mx
from helpers.detectors import build_faster_rcnn
from helpers.distill import OPTIMIZER, distil, term, values, weights

SIZES = [(64, 80), (80, 64)]


def build(width="0.125", seed=0, devices=1, use_fpn=False):
    mx.random.seed(seed)
    detector = build_faster_rcnn(
        f"resnet10_v1_{width}", ["disc", "square"], use_fpn=use_fpn, short=64, max_size=96
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


def changed(before, parameters):
    return [not np.array_equal(a, b) for a, b in zip(before, values(parameters))]


def gan(student, devices=1, use_fpn=False, **options):
    teacher = build("0.25", seed=9, devices=devices, use_fpn=use_fpn)
    ctx = [mx.cpu(i) for i in range(devices)]
    return distil(student, teacher, ctx, clamp="all", **options)


@pytest.mark.parametrize("update", ["separate", "joint"])
@pytest.mark.parametrize("fpn", [False, True])
def test_a_step_trains_both_networks_and_gives_finite_figures_of_every_level(fpn, update):
    student = build(use_fpn=fpn)
    method = gan(student, use_fpn=fpn, update=update)
    discriminator = method.blocks["discriminator"].collect_params().values()
    before = values(student.parameters()), values(discriminator)
    (vector,) = method.steps[DISTILLATION](make_batch(student))
    levels = 5 if fpn else 1
    assert len(method.pairs) == levels and vector.size == len(method.figures.entries)
    assert vector.shape == (4 + 8 + 4 * levels,)
    figures = method.figures.of_epoch(vector.asnumpy(), 1)
    names = ["Loss_G", "Loss_D", "Loss_D_real", "Loss_D_fake", "cosine"]
    assert list(figures) == [*student.loss_names, *names]
    assert np.isfinite(list(figures.values())).all()
    assert any(changed(before[0], student.pyramid_parameters()))
    assert any(changed(before[1], discriminator))
    for parameter in term(method, "gan").clamped:  # clamped before its own Adam step of 0.0005
        assert np.abs(values([parameter])[0]).max() <= 0.03 + 0.00051


@pytest.mark.parametrize("update", ["separate", "joint"])
def test_in_the_discriminator_phase_the_student_has_its_detection_losses_only(update):
    batch = make_batch(build())
    twin, student = build(), build()
    mx.random.seed(5)
    detection = plain(twin, [mx.cpu()], OPTIMIZER, "device").steps["detection"]
    expected = detection(batch)[0].asnumpy()[:4]
    method = gan(student, update=update)
    before = weights(method.blocks["discriminator"])
    student_adapters = method.blocks["student_adapters"].collect_params().values()
    adapters = values(student_adapters)
    assert adapters
    mx.random.seed(5)
    got = method.steps[DISCRIMINATORS](batch)[0].asnumpy()
    np.testing.assert_allclose(got[:4], expected, rtol=1e-5)
    for a, b in zip(values(twin.parameters()), values(student.parameters())):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert any(changed(before, method.blocks["discriminator"].collect_params().values()))
    assert not any(changed(adapters, student_adapters))
    mx.random.seed(5)
    method.steps[DISTILLATION](batch)  # and the adversarial gradient comes in afterwards
    assert any(changed(adapters, student_adapters))


def test_two_devices_with_images_of_two_sizes_take_one_step_together():
    student = build(devices=2)
    batch = make_batch(student, devices=2)
    vectors = gan(student, devices=2).steps[DISTILLATION](batch)
    assert [v.context for v in vectors] == [mx.cpu(0), mx.cpu(1)]
    for parameter in student.parameters():
        one, other = (data.asnumpy() for data in parameter.list_data())
        np.testing.assert_array_equal(one, other)
    share = student.parts(batch, [mx.cpu(0), mx.cpu(1)])[0][-1]
    assert share.asscalar() == 0.5  # GluonCV's trainer.step(batch_size) on summed losses


def test_a_step_waits_for_no_device(monkeypatch):
    """The second device is given its work while the first one computes."""
    student = build(devices=2)
    method = gan(student, devices=2)
    batch = make_batch(student, devices=2)
    method.steps[DISTILLATION](batch)  # traces the graphs and starts the kvstore
    mx.nd.waitall()

    def wait(*_args, **_kwargs):
        raise AssertionError("the step waits for a device")

    for name in ("asnumpy", "asscalar", "wait_to_read"):
        monkeypatch.setattr(mx.nd.NDArray, name, wait)
    monkeypatch.setattr(mx.nd, "waitall", wait)
    for phase in ("discriminator", "gan"):
        vectors = method.steps[phase](batch)
    monkeypatch.undo()
    assert np.isfinite(sum(vector.asnumpy() for vector in vectors)).all()


def test_the_teacher_s_head_is_inherited_where_its_shapes_agree():
    student, twin, wide = build(seed=1), build(seed=2), build("0.25", seed=3)
    copied = inherit_head(student, twin, align(student, twin))
    assert copied == ["region proposals", "RoI features", "class and box predictors"]
    for block in ("rpn", "top_features", "class_predictor", "box_predictor"):
        for a, b in zip(*(weights(getattr(d.net, block)) for d in (student, twin))):
            np.testing.assert_array_equal(a, b)
    assert inherit_head(student, wide, align(student, wide)) == []


def test_some_steps_of_detection_lower_the_losses():
    student = build()
    step = plain(student, [mx.cpu()], SGD(lr=0.02), "device").steps["detection"]
    batch = make_batch(student)
    mx.random.seed(0)
    totals = [float(step(batch)[0][:4].sum().asscalar()) for _ in range(25)]
    assert np.mean(totals[-5:]) < 0.7 * np.mean(totals[:5])


def test_levels_of_the_same_side_are_paired_by_their_stride():
    student, teacher = (
        build_faster_rcnn("resnet10_v1_0.125", ["a"], use_fpn=True, short=32, max_size=64)
        for _ in range(2)
    )
    for detector in (student, teacher):
        detector.initialize([mx.cpu()])
    pairs = align(student, teacher)
    assert [(p.student, p.teacher) for p in pairs] == [(i, i) for i in range(5)]
