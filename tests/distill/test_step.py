"""One iteration against its formulas in numpy."""

import numpy as np
import pytest

from gan_kd_ssd.detectors.ssd import SSD, SSDSettings
from gan_kd_ssd.distill.discriminator import clamp
from gan_kd_ssd.distill.method import plain
from gan_kd_ssd.distill.terms.cosine import attention, cosine_distance
from gan_kd_ssd.logs.records import DISTILLATION
from gan_kd_ssd.util.mxnet import mx
from helpers.distill import OPTIMIZER, config, distil, term, values, weights


def adam(weight, gradient, rate, beta1, epsilon=1e-8):
    """First update of Adam, as in arXiv 1412.6980, with MXNet's order of the epsilon."""
    mean, square = (1 - beta1) * gradient, (1 - 0.999) * gradient**2
    scaled = rate * np.sqrt(1 - 0.999) / (1 - beta1)
    return weight - scaled * mean / (np.sqrt(square) + epsilon)


def sgd(weight, gradient):
    return weight - OPTIMIZER.lr * (gradient + OPTIMIZER.wd * weight)


def gradients(loss, parameters):
    mx.autograd.backward(loss)
    return [p.grad().asnumpy().copy() for p in parameters]


def plain_iteration(student, teacher, method, batch, options):
    """Expected weights after one step, from one graph a loss and the updates' formulas in numpy.

    Nothing of the method is used but its new blocks, not hybridized: the student runs forward once for
    each loss, and the discriminators' gradients of the student's losses are thrown away.
    """
    size, pairs, gan = len(batch.images), method.pairs, options.of_term("gan")
    discriminator, student_adapters, teacher_adapters = (
        method.blocks[name] for name in ("discriminator", "student_adapters", "teacher_adapters")
    )
    critic = [p for b in (discriminator, teacher_adapters) for p in b.collect_params().values()]
    critic = [p for p in critic if p.grad_req != "null"]
    adapters = list(student_adapters.collect_params().values())
    pyramid, every = student.pyramid_parameters(), student.parameters()
    share = 1 / len(pairs) if gan.levels == "mean" else 1.0
    real = [teacher.pyramid(batch.images)[pair.teacher] for pair in pairs]

    def fake():
        levels = student.pyramid(batch.images)
        return [levels[pair.student] for pair in pairs]

    clamp(term(method, "gan").clamped, gan.clamp_lower, gan.clamp_upper)
    with mx.autograd.record():
        adapted = student_adapters(*[level.detach() for level in fake()])
        adapted = [level.detach() for level in adapted]
        difference = discriminator(*teacher_adapters(*real)) - discriminator(*adapted)
        loss_d = share * difference.sum() / size
    updates = gradients(loss_d, critic)
    beta1 = options.method.beta1
    expected_critic = [adam(w, g, gan.lrD, beta1) for w, g in zip(values(critic), updates)]
    for p, value in zip(critic, expected_critic):
        p.set_data(mx.nd.array(value))

    with mx.autograd.record():
        levels = fake()
        scores = discriminator(*student_adapters(*levels))
        maps = [[attention(mx.nd, x) for x in pair] for pair in zip(levels, real)]
        cosine = sum(cosine_distance(mx.nd, *pair).sum() for pair in maps) / len(pairs)
        loss_g = gan.adversarial_weight * share * scores.sum() / size
        loss_g = loss_g + options.of_term("cosine").cosine_attention * cosine / size
    of_terms = dict(zip([*pyramid, *adapters], gradients(loss_g, [*pyramid, *adapters])))
    with mx.autograd.record():
        predictions = student.head(*student.pyramid(batch.images))
        weight = mx.nd.array([1 / batch.positives])
        detection = sum(x.sum() for x in student.loss(*predictions, *batch[1:3], weight))
    of_detection = dict(zip(every, gradients(detection, every)))

    expected = {}
    for p in [*every, *adapters]:
        (value,) = values([p])
        if options.method.update == "joint":
            expected[p] = sgd(value, of_detection.get(p, 0) + of_terms.get(p, 0))
        else:
            value = sgd(value, of_detection[p]) if p in of_detection else value
            if p in of_terms:
                value = adam(value, of_terms[p], options.method.lrG, beta1)
            expected[p] = value
    return expected, dict(zip(critic, expected_critic)), float(loss_d.asscalar())


def make_method(tiny_ssd, ctx=None, **options):
    student = tiny_ssd(seed=1, ctx=ctx)
    teacher = tiny_ssd(seed=2, width="0.25", ctx=ctx)
    mx.random.seed(3)
    return student, teacher, distil(student, teacher, ctx, **options)


def trained(method, name):
    """Parameters that a trainer updates."""
    return method.trainers[name]._params


@pytest.mark.parametrize(
    "changes",
    [
        {"update": "joint"},
        {"update": "separate"},
        {"update": "joint", "levels": "sum", "clamp": "all", "adversarial_weight": 3.0},
        {"update": "separate", "adapter": "teacher", "clamp": "all"},
        {"update": "joint", "adapter": "teacher", "d_norm": "none"},
    ],
)
def test_one_iteration_equals_its_formulas(changes, tiny_ssd, make_batch):
    given = {"cosine_attention": 0.5, **changes}
    options = config(**given)
    twin_student, twin_teacher, twin = make_method(tiny_ssd, **given)
    for block in (*twin.blocks.values(), term(twin, "gan").critic):
        block.hybridize(active=False)
    batch = make_batch(twin_student)
    student_after, critic_after, loss_d = plain_iteration(
        twin_student, twin_teacher, twin, batch, options
    )

    student, teacher, method = make_method(tiny_ssd, **given)
    student.hybridize()
    teacher.hybridize()
    (vector,) = method.steps[DISTILLATION](batch)
    figures = method.figures.of_epoch(vector.asnumpy(), 1)
    assert figures["Loss_D"] == pytest.approx(loss_d, rel=1e-4, abs=1e-6)

    # Adam's first step is the gradient's sign: where that is noise about zero, the sign is as well.
    slack = 2.1 * max(options.of_term("gan").lrD, options.method.lrG)
    adapters = method.blocks["student_adapters"].collect_params().values()
    for expected, parameters in (
        (student_after, [*student.parameters(), *adapters]),
        (critic_after, trained(method, "discriminators")),
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
    outcome = []
    for ctx in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        student, _, method = make_method(tiny_ssd, ctx, update=update, cosine_attention=0.5)
        half = make_batch(student, 4)
        batch = type(half)(*[mx.nd.concat(a, a, dim=0) for a in half[:3]], 2 * half.positives)
        vectors = method.steps[DISTILLATION](batch)
        figures = sum(vector.as_in_context(mx.cpu(0)) for vector in vectors).asnumpy()
        adapters = method.blocks["student_adapters"].collect_params().values()
        parameters = [*student.parameters(), *trained(method, "discriminators"), *adapters]
        if len(ctx) == 2:
            for p in parameters:  # both devices hold the same weights: all trainers aggregate
                np.testing.assert_array_equal(*[p.data(c).asnumpy() for c in ctx])
        outcome.append((figures, values(parameters)))
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
        step = plain(student, ctx, OPTIMIZER, "device").steps["detection"]
        half = make_batch(student, 4)
        batch = type(half)(*[mx.nd.concat(a, a, dim=0) for a in half[:3]], 2 * half.positives)
        for _ in range(3):
            step(batch)
        outcome.append(values(student.parameters()))
    for one, two in zip(*outcome):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_teacher_is_not_changed_and_detection_continues_after_a_joint_gan_stage(
    tiny_ssd, make_batch
):
    student, teacher, method = make_method(tiny_ssd, update="joint")
    before = weights(teacher.net)
    method.steps[DISTILLATION](make_batch(student))
    for a, b in zip(before, weights(teacher.net)):
        np.testing.assert_array_equal(a, b)
    adapters, parameters = weights(method.blocks["student_adapters"]), values(student.parameters())
    method.steps["detection"](make_batch(student, seed=1))
    for a, b in zip(adapters, weights(method.blocks["student_adapters"])):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(parameters, values(student.parameters())))


def test_each_trainer_has_its_own_learning_rate(tiny_ssd):
    _, _, method = make_method(tiny_ssd, lrD=0.125, lrG=0.25, beta1=0.75)
    assert list(method.trainers) == ["student", "discriminators", "adversarial"]
    _, _, joint = make_method(tiny_ssd, update="joint")
    assert list(joint.trainers) == ["student", "discriminators"]
    rates = [trainer.learning_rate for trainer in method.trainers.values()]
    assert rates == [OPTIMIZER.lr, 0.125, 0.25]
    student, *others = (trainer.optimizer for trainer in method.trainers.values())
    assert [optimizer.beta1 for optimizer in others] == [0.75, 0.75]
    assert (student.momentum, student.wd) == (OPTIMIZER.momentum, OPTIMIZER.wd)


def test_teacher_side_adapters_are_trained_and_clamped_with_the_discriminators(tiny_ssd):
    _, _, method = make_method(tiny_ssd, adapter="teacher")
    adapters = set(method.blocks["teacher_adapters"].collect_params().values())
    assert adapters and adapters <= set(term(method, "gan").clamped)
    assert adapters <= set(trained(method, "discriminators"))
    assert not method.blocks["student_adapters"].collect_params().keys()


def test_a_teacher_holds_no_gradients(tiny_ssd, tmp_path):
    tiny_ssd().net.save_parameters(str(tmp_path / "t.params"))
    settings, file = SSDSettings(64), tmp_path / "t.params"
    teacher = SSD.load_trained("resnet10_v1_0.125", ["a", "b"], settings, file, [mx.cpu()])
    assert all(p.grad_req == "null" for p in teacher.net.collect_params().values())
