"""The method: alignment, adapters, discriminators, losses, and one iteration against numpy."""

import numpy as np
import pytest

from gan_kd_ssd.detectors import ssd
from gan_kd_ssd.distill import losses
from gan_kd_ssd.distill.adapter import Adapters, align
from gan_kd_ssd.distill.discriminator import LevelDiscriminator, PyramidDiscriminator, clamp
from gan_kd_ssd.distill.figures import Figures
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.distill.step import DetectionStep, DistillOptions, GanStep
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

SGD = {"learning_rate": 0.01, "momentum": 0.9, "wd": 5e-4}
VOC = [f"class{i}" for i in range(20)]


def values(parameters):
    return [p.data(p.list_ctx()[0]).asnumpy() for p in parameters]


# Alignment


def test_vgg_teacher_s_seven_levels_meet_the_student_s_six_by_stride():
    pairs = align(ssd.build("mobilenet1.0", VOC, 512), ssd.build("vgg16_atrous", VOC, 512))
    assert [pair.stride for pair in pairs] == [16, 32, 64, 128, 256, 512]
    assert [(pair.student, pair.teacher) for pair in pairs] == [(i, i + 1) for i in range(6)]
    assert [pair.student_channels for pair in pairs] == [512, 1024, 512, 512, 256, 256]
    assert [pair.teacher_channels for pair in pairs] == [1024, 512, 256, 256, 256, 256]


def test_published_pair_differs_in_channels_on_two_levels_and_has_43_8_million_critic_weights():
    pairs = align(ssd.build("mobilenet1.0", VOC, 512), ssd.build("resnet50_v1", VOC, 512))
    assert [p.student_channels == p.teacher_channels for p in pairs] == [False] * 2 + [True] * 4
    shapes = [(pair.teacher_channels, pair.side) for pair in pairs]
    critic = PyramidDiscriminator(shapes, 512, "batch")
    trained = [p for p in critic.collect_params().values() if p.grad_req != "null"]
    assert round(sum(np.prod(p.shape) for p in trained) / 1e6, 1) == 43.8


class _Detector:
    size_option, any_size = "--data-shape", False

    def __init__(self, name, sides):
        self.name, self.shapes = name, [(8, side, side) for side in sides]
        self.strides = [512 // side for side in sides]


def test_pyramids_without_common_levels_are_refused_with_both_options_named():
    with pytest.raises(UserError, match="--student a and --teacher b: their pyramids cannot be"):
        align(_Detector("a", [32, 16, 1]), _Detector("b", [30, 15, 1]))


def test_adapters_exist_only_where_channels_differ():
    adapters = Adapters([(4, 4), (4, 6)])
    adapters.initialize(mx.init.One())
    assert len(adapters.collect_params().keys()) == 2  # weight and bias of one convolution
    x = mx.nd.ones((1, 4, 2, 2))
    same, wider = adapters(x, x)
    np.testing.assert_array_equal(same.asnumpy(), x.asnumpy())
    assert wider.shape == (1, 6, 2, 2) and (wider.asnumpy() == 4).all()


def test_teacher_s_predictors_are_inherited_where_shapes_agree(tiny_ssd):
    teacher, student = tiny_ssd(seed=1), tiny_ssd(seed=2)
    pairs = align(student, teacher)
    assert inherit_head(student, teacher, pairs) == [f"stride {s}" for s in student.strides]
    for name in ("class_predictors", "box_predictors"):
        ours, theirs = (getattr(d.net, name).collect_params().values() for d in (student, teacher))
        for a, b in zip(values(ours), values(theirs)):
            np.testing.assert_array_equal(a, b)
    wide = tiny_ssd(seed=3, width="0.5")
    assert inherit_head(student, wide, align(student, wide)) == []


# Discriminators


@pytest.mark.parametrize("side, strided", [(32, 5), (19, 5), (16, 4), (2, 1), (1, 0)])
def test_discriminator_is_as_deep_as_its_level_needs(side, strided):
    critic = LevelDiscriminator(6, side, channels=5)
    critic.initialize()
    assert critic(mx.nd.ones((2, 6, side, side))).shape == (2, 1)
    convolutions = [layer for layer in critic.body if isinstance(layer, mx.gluon.nn.Conv2D)]
    assert sum(layer._kwargs["stride"] == (2, 2) for layer in convolutions) == strided
    inner = critic.body[:-1](mx.nd.ones((2, 6, side, side)))
    assert inner.shape == (2, 5, 1, 1)  # the last, 1x1 convolution sees a single cell


@pytest.mark.parametrize("which", ["conv", "all"])
def test_clamp_bounds_convolutions_alone_or_everything(which):
    critic = PyramidDiscriminator([(6, 4), (6, 1)], 5, "batch")
    critic.initialize_by_name([mx.cpu()])
    for p in critic.collect_params().values():
        p.set_data(mx.nd.ones(p.shape) * 3)
    clamp(critic.clamped(which), -0.03, 0.02)
    for name, p in critic.collect_params().items():
        is_clamped = name.endswith("weight") or (which == "all" and p.grad_req != "null")
        assert np.allclose(p.data().asnumpy(), 0.02 if is_clamped else 3), name


@pytest.mark.parametrize("normalisation", ["batch", "instance", "none"])
def test_discriminators_train_with_each_normalisation(normalisation, tiny_ssd, make_batch):
    student, teacher = tiny_ssd(seed=1), tiny_ssd(seed=2, width="0.25")
    options = DistillOptions(channels=8, normalisation=normalisation)
    step = GanStep(student, teacher, [mx.cpu()], SGD, "device", options)
    before = values(step.discriminator.collect_params().values())
    (vector,) = step(make_batch(student))
    assert np.isfinite(vector.asnumpy()).all()
    after = values(step.discriminator.collect_params().values())
    assert any((a != b).any() for a, b in zip(before, after))


# Losses


def numpy_cosine(a, b):
    maps = [(x.astype(np.float64) ** 2).sum(axis=1).reshape(len(x), -1) for x in (a, b)]
    norms = [np.sqrt((m**2).sum(axis=1)) for m in maps]
    return 1 - (maps[0] * maps[1]).sum(axis=1) / (norms[0] * norms[1])


def test_cosine_attention_equals_numpy_for_any_channels():
    rng = np.random.RandomState(0)
    a, b = rng.randn(3, 5, 4, 4), rng.randn(3, 7, 4, 4)
    maps = [losses.attention(mx.nd, mx.nd.array(x)) for x in (a, b)]
    distance = losses.cosine_distance(mx.nd, *maps).asnumpy()[:, 0]
    np.testing.assert_allclose(distance, numpy_cosine(a, b), rtol=1e-5, atol=1e-6)
    same = losses.cosine_distance(mx.nd, maps[0], maps[0]).asnumpy()
    np.testing.assert_allclose(same, 0, atol=1e-6)


def test_cosine_attention_s_gradient_equals_differences_and_is_finite_at_zero():
    rng = np.random.RandomState(1)
    a, b = rng.randn(1, 2, 3, 3), rng.randn(1, 2, 3, 3)
    x = mx.nd.array(a)
    x.attach_grad()

    def distance(level):
        maps = [losses.attention(mx.nd, level), losses.attention(mx.nd, mx.nd.array(b))]
        return losses.cosine_distance(mx.nd, *maps).sum()

    with mx.autograd.record():
        total = distance(x)
    total.backward()
    expected = np.zeros_like(a)
    for index in np.ndindex(*a.shape):
        moved = [a.copy(), a.copy()]
        moved[0][index] += 1e-5
        moved[1][index] -= 1e-5
        expected[index] = np.subtract(*[numpy_cosine(m, b)[0] for m in moved]) / 2e-5
    np.testing.assert_allclose(x.grad.asnumpy(), expected, atol=1e-5)
    zero = mx.nd.zeros((1, 2, 3, 3))
    zero.attach_grad()
    with mx.autograd.record():
        total = distance(zero)
    total.backward()
    assert np.isfinite(zero.grad.asnumpy()).all()


def test_figures_are_means_over_batches_and_levels():
    vector = np.array([4.0, 2.0, *[1, 3], *[0, 1], *[5, 7], *[0.2, 0.4]])
    losses = ("CrossEntropy", "SmoothL1")
    mean = Figures(losses, (), (8, 16), "mean").of_epoch(2 * vector, batches=2)
    expected = {
        "CrossEntropy": 4,
        "SmoothL1": 2,
        "Loss_D_real": 2,
        "Loss_D_fake": 0.5,
        "Loss_G": 6,
        "cosine": 0.3,
        "Loss_D": 1.5,
    }
    assert mean == pytest.approx(expected)
    total = Figures(losses, (), (8, 16), "sum").of_epoch(vector, 1)
    assert total["Loss_D"] == pytest.approx(3) and total["cosine"] == pytest.approx(0.3)
    inactive = {"Loss_G": None, "Loss_D": None}
    detection = Figures(losses).of_epoch(vector[:2], 1)
    assert detection == {"CrossEntropy": 4.0, "SmoothL1": 2.0, **inactive}


def test_counted_figures_are_sums_by_numbers_and_every_entry_of_a_vector_has_a_name():
    figures = Figures(["a"], ["Acc", "L1"], [16], "mean")
    vector = np.array([8.0, *[30, 40], *[5, 2], *[1, 2, 3, 4]])
    assert figures.counted(vector) == {"Acc": 0.75, "L1": 2.5}
    assert figures.counted(np.zeros(9)) == {"Acc": 0, "L1": 0}
    assert list(figures.of_epoch(vector, 4))[:3] == ["a", "Loss_G", "Loss_D"]
    assert figures.of_epoch(vector, 4)["a"] == 2
    assert len(figures.entries) == len(vector) and figures.entries[1] == "sum of Acc"
    assert figures.entries[-1] == "cosine of level 0 (stride 16)"


# One iteration


def adam(weight, gradient, rate, beta1, epsilon=1e-8):
    """First update of Adam, as in arXiv 1412.6980, with MXNet's order of the epsilon."""
    mean, square = (1 - beta1) * gradient, (1 - 0.999) * gradient**2
    scaled = rate * np.sqrt(1 - 0.999) / (1 - beta1)
    return weight - scaled * mean / (np.sqrt(square) + epsilon)


def sgd(weight, gradient):
    return weight - SGD["learning_rate"] * (gradient + SGD["wd"] * weight)


def gradients(loss, parameters):
    mx.autograd.backward(loss)
    return [p.grad().asnumpy().copy() for p in parameters]


def plain_iteration(student, teacher, step, batch, options):
    """Expected weights after one step, from one graph a loss and the updates' formulas in numpy.

    Nothing of the step is used but its freshly made blocks, not hybridized: the student runs forward
    once for each loss, and the discriminators' gradients of the student's losses are thrown away.
    """
    size, pairs = len(batch.images), step.pairs
    critic = [
        p for b in (step.discriminator, step.teacher_adapters) for p in b.collect_params().values()
    ]
    critic = [p for p in critic if p.grad_req != "null"]
    adapters = list(step.student_adapters.collect_params().values())
    pyramid, every = student.pyramid_parameters(), student.parameters()
    share = 1 / len(pairs) if options.levels == "mean" else 1.0
    real = [teacher.pyramid(batch.images)[pair.teacher] for pair in pairs]

    def fake():
        levels = student.pyramid(batch.images)
        return [levels[pair.student] for pair in pairs]

    clamp(step.clamped, options.clamp_lower, options.clamp_upper)
    with mx.autograd.record():
        adapted = step.student_adapters(*[level.detach() for level in fake()])
        adapted = [level.detach() for level in adapted]
        difference = step.discriminator(*step.teacher_adapters(*real)) - step.discriminator(
            *adapted
        )
        loss_d = share * difference.sum() / size
    updates = gradients(loss_d, critic)
    expected_critic = [
        adam(w, g, options.lr_d, options.beta1) for w, g in zip(values(critic), updates)
    ]
    for p, value in zip(critic, expected_critic):
        p.set_data(mx.nd.array(value))

    with mx.autograd.record():
        levels = fake()
        scores = step.discriminator(*step.student_adapters(*levels))
        maps = [[losses.attention(mx.nd, x) for x in pair] for pair in zip(levels, real)]
        cosine = sum(losses.cosine_distance(mx.nd, *pair).sum() for pair in maps) / len(pairs)
        loss_g = options.adversarial_weight * share * scores.sum() / size
        loss_g = loss_g + options.cosine_weight * cosine / size
    of_terms = dict(zip([*pyramid, *adapters], gradients(loss_g, [*pyramid, *adapters])))
    with mx.autograd.record():
        predictions = student.head(*student.pyramid(batch.images))
        weight = mx.nd.array([1 / batch.positives])
        detection = sum(x.sum() for x in student.loss(*predictions, *batch[1:3], weight))
    of_detection = dict(zip(every, gradients(detection, every)))

    expected = {}
    for p in [*every, *adapters]:
        (value,) = values([p])
        if options.update == "joint":
            expected[p] = sgd(value, of_detection.get(p, 0) + of_terms.get(p, 0))
        else:
            value = sgd(value, of_detection[p]) if p in of_detection else value
            if p in of_terms:
                value = adam(value, of_terms[p], options.lr_g, options.beta1)
            expected[p] = value
    return expected, dict(zip(critic, expected_critic)), float(loss_d.asscalar())


def make_step(tiny_ssd, options, ctx=None):
    ctx = ctx or [mx.cpu()]
    student = tiny_ssd(seed=1, ctx=ctx)
    teacher = tiny_ssd(seed=2, width="0.25", ctx=ctx)
    mx.random.seed(3)
    return student, teacher, GanStep(student, teacher, ctx, SGD, "device", options)


@pytest.mark.parametrize(
    "changes",
    [
        {"update": "joint"},
        {"update": "separate"},
        {"update": "joint", "levels": "sum", "clamp": "all", "adversarial_weight": 3.0},
        {"update": "separate", "adapter": "teacher", "clamp": "all"},
        {"update": "joint", "adapter": "teacher", "normalisation": "none"},
    ],
)
def test_one_iteration_equals_its_formulas(changes, tiny_ssd, make_batch):
    options = DistillOptions(**{"channels": 8, "cosine_weight": 0.5, **changes})
    twin_student, twin_teacher, twin = make_step(tiny_ssd, options)
    for block in (twin.student_adapters, twin.critic, twin.terms, twin.discriminator):
        block.hybridize(active=False)
    batch = make_batch(twin_student)
    student_after, critic_after, loss_d = plain_iteration(
        twin_student, twin_teacher, twin, batch, options
    )

    student, teacher, step = make_step(tiny_ssd, options)
    student.hybridize()
    teacher.hybridize()
    (vector,) = step(batch)
    strides = [pair.stride for pair in step.pairs]
    reader = Figures(student.loss_names, (), strides, options.levels)
    figures = reader.of_epoch(vector.asnumpy(), 1)
    assert figures["Loss_D"] == pytest.approx(loss_d, rel=1e-4, abs=1e-6)

    # Adam's first step is the gradient's sign: where that is noise about zero, the sign is as well.
    slack = 2.1 * max(options.lr_d, options.lr_g)
    for expected, parameters in (
        (student_after, [*student.parameters(), *step.student_adapters.collect_params().values()]),
        (critic_after, [p for p in step.trainer_d._params]),
    ):
        assert len(expected) == len(parameters)
        for value, parameter in zip(expected.values(), parameters):
            gap = np.abs(value - values([parameter])[0])
            off = gap > 1e-5 * np.abs(value) + 2e-6
            assert gap.max() <= slack, parameter.name
            assert off.mean() < (0.02 if gap.size > 100 else 0.2), (parameter.name, off.mean())


@pytest.mark.parametrize("update", ["separate", "joint"])
def test_two_devices_equal_one_on_the_same_batch(update, tiny_ssd, make_batch):
    """Each device gets the same images, so that its BatchNorm sees the statistics of the whole."""
    options = DistillOptions(channels=8, update=update, cosine_weight=0.5)
    outcome = []
    for ctx in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        student, _, step = make_step(tiny_ssd, options, ctx)
        half = make_batch(student, 4)
        batch = type(half)(*[mx.nd.concat(a, a, dim=0) for a in half[:3]], 2 * half.positives)
        figures = sum(vector.as_in_context(mx.cpu(0)) for vector in step(batch)).asnumpy()
        trained = [*student.parameters(), *step.trainer_d._params, *step.adapter_parameters]
        if len(ctx) == 2:
            for p in trained:  # both devices hold the same weights: all trainers aggregate
                np.testing.assert_array_equal(*[p.data(c).asnumpy() for c in ctx])
        outcome.append((figures, values(trained)))
    (figures, weights), (figures_of_two, weights_of_two) = outcome
    np.testing.assert_allclose(figures, figures_of_two, rtol=1e-5, atol=1e-5)
    for one, two in zip(weights, weights_of_two):
        gap = np.abs(one - two)
        assert np.quantile(gap, 0.99) < 1e-5  # beyond: signs of Adam's noise about zero
        assert gap.max() < 2.1e-3


def test_two_devices_without_adam_equal_one_everywhere(tiny_ssd, make_batch):
    outcome = []
    for ctx in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        student = tiny_ssd(seed=1, ctx=ctx)
        step = DetectionStep(student, ctx, SGD, "device")
        half = make_batch(student, 4)
        batch = type(half)(*[mx.nd.concat(a, a, dim=0) for a in half[:3]], 2 * half.positives)
        for _ in range(3):
            step(batch)
        outcome.append(values(student.parameters()))
    for one, two in zip(*outcome):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_teacher_is_not_changed_and_detection_goes_on_after_a_joint_gan_stage(tiny_ssd, make_batch):
    student, teacher, step = make_step(tiny_ssd, DistillOptions(channels=8, update="joint"))
    before = values(teacher.net.collect_params().values())
    step(make_batch(student))
    for a, b in zip(before, values(teacher.net.collect_params().values())):
        np.testing.assert_array_equal(a, b)
    adapters, weights = values(step.adapter_parameters), values(student.parameters())
    step.detection(make_batch(student, seed=1))
    for a, b in zip(adapters, values(step.adapter_parameters)):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(weights, values(student.parameters())))


def test_each_trainer_has_its_own_learning_rate(tiny_ssd):
    options = DistillOptions(channels=8, lr_d=0.125, lr_g=0.25, beta1=0.75)
    _, _, step = make_step(tiny_ssd, options)
    assert (step.trainer_d.learning_rate, step.trainer_d.optimizer.beta1) == (0.125, 0.75)
    assert (step.trainer_g.learning_rate, step.trainer_g.optimizer.beta1) == (0.25, 0.75)
    assert step.detection.trainer.learning_rate == SGD["learning_rate"]
    assert step.detection.trainer.optimizer.momentum == SGD["momentum"]


def test_teacher_side_adapters_are_trained_and_clamped_with_the_discriminators(tiny_ssd):
    _, _, step = make_step(tiny_ssd, DistillOptions(channels=8, adapter="teacher"))
    adapters = set(step.teacher_adapters.collect_params().values())
    assert adapters and adapters <= set(step.clamped) and adapters <= set(step.trainer_d._params)
    assert not step.adapter_parameters


def test_a_teacher_holds_no_gradients(tiny_ssd, tmp_path):
    tiny_ssd().net.save_parameters(str(tmp_path / "t.params"))
    teacher = ssd.load("resnet10_v1_0.125", ["a", "b"], 64, tmp_path / "t.params", [mx.cpu()], "-")
    assert all(p.grad_req == "null" for p in teacher.net.collect_params().values())
