"""Distillation terms: cosine attention against numpy, and a term that is added in one place."""

from dataclasses import dataclass

import numpy as np
import pytest

from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.distill.terms.cosine import attention, cosine_distance
from gan_kd_ssd.distill.terms.term import LevelTerm
from gan_kd_ssd.logs.records import DISTILLATION
from gan_kd_ssd.util.mxnet import mx
from gan_kd_ssd.util.option_fields import decimal
from helpers.distill import OPTIMIZER, distil, values, weights
from helpers.runs import EPOCHS, lines


def numpy_cosine(a, b):
    maps = [(x.astype(np.float64) ** 2).sum(axis=1).reshape(len(x), -1) for x in (a, b)]
    norms = [np.sqrt((m**2).sum(axis=1)) for m in maps]
    return 1 - (maps[0] * maps[1]).sum(axis=1) / (norms[0] * norms[1])


def test_cosine_attention_equals_numpy_for_any_channels():
    rng = np.random.RandomState(0)
    a, b = rng.randn(3, 5, 4, 4), rng.randn(3, 7, 4, 4)
    maps = [attention(mx.nd, mx.nd.array(x)) for x in (a, b)]
    distance = cosine_distance(mx.nd, *maps).asnumpy()[:, 0]
    np.testing.assert_allclose(distance, numpy_cosine(a, b), rtol=1e-5, atol=1e-6)
    same = cosine_distance(mx.nd, maps[0], maps[0]).asnumpy()
    np.testing.assert_allclose(same, 0, atol=1e-6)


def test_cosine_attention_s_gradient_equals_differences_and_is_finite_at_zero():
    rng = np.random.RandomState(1)
    a, b = rng.randn(1, 2, 3, 3), rng.randn(1, 2, 3, 3)
    x = mx.nd.array(a)
    x.attach_grad()

    def distance(level):
        maps = [attention(mx.nd, level), attention(mx.nd, mx.nd.array(b))]
        return cosine_distance(mx.nd, *maps).sum()

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


# A new term


@dataclass(frozen=True)
class HintOptions:
    hint_weight: float = decimal(1.0, "weight of the L2 hint", inferred="the hint")


class Hint(LevelTerm):
    """Half the mean square of the difference of two maps (arXiv 1412.6550)."""

    name = "hint"
    summary = "L2 distance between the maps"
    options_type = HintOptions
    figures = ("Loss_hint",)
    weight_option = "hint_weight"
    adapts = True

    def distance(self, F, student, teacher):
        difference = F.flatten(F.square(student - teacher))
        return F.mean(difference, axis=1, keepdims=True) / 2


@pytest.fixture
def hint(monkeypatch):
    monkeypatch.setitem(TERMS, Hint.name, Hint)


def test_a_new_term_s_loss_and_gradient_reach_the_student(hint, tiny_ssd, make_batch):
    """Joint update: weights after a step differ from a plain step's by the hint's gradient only."""
    plain, student, teacher = tiny_ssd(seed=1), tiny_ssd(seed=1), tiny_ssd(seed=2)
    batch = make_batch(student)
    of_teacher = teacher.pyramid(batch.images)
    gaps = []
    with mx.autograd.record():
        levels = plain.pyramid(batch.images)
    for level, target in zip(levels, of_teacher):
        gaps.append(level.asnumpy().astype(np.float64) - target.asnumpy())
    loss = np.mean([np.mean(gap.reshape(len(gap), -1) ** 2, axis=1) / 2 for gap in gaps])
    at_levels = [3.0 * gap / gap[0].size / len(gaps) / len(gap) for gap in gaps]
    pyramid = plain.pyramid_parameters()
    heads = [mx.nd.array(gradient) for gradient in at_levels]
    expected = mx.autograd.grad(levels, [p.data() for p in pyramid], heads)

    after = []
    for detector, options in ((plain, {"hint_weight": 0.0}), (student, {"hint_weight": 3.0})):
        method = distil(detector, teacher, distill="hint", update="joint", **options)
        (vector,) = method.steps[DISTILLATION](batch)
        after.append(values(detector.pyramid_parameters()))
    found = method.figures.of_epoch(vector.asnumpy(), 1)
    assert found["Loss_hint"] == pytest.approx(loss, rel=1e-5)
    assert found["Loss_D"] is None and "cosine" not in found
    assert "Loss_hint of level 0 (stride 8)" in method.figures.entries
    assert list(method.blocks) == ["student", "hint_adapters"]
    assert list(method.trainers) == ["student"]
    without, with_hint, gradient = (
        np.concatenate([np.ravel(value) for value in found])
        for found in (*after, [gradient.asnumpy() for gradient in expected])
    )
    size = np.abs(gradient).max()
    assert size > 0.01
    np.testing.assert_allclose((without - with_hint) / OPTIMIZER.lr, gradient, atol=1e-3 * size)


def test_a_new_term_joins_the_gan_and_is_updated_by_the_same_adam(hint, tiny_ssd, make_batch):
    student, teacher = tiny_ssd(seed=1), tiny_ssd(seed=2, width="0.25")
    method = distil(student, teacher, distill="hint,gan", hint_weight=2.0)
    before = weights(method.blocks["hint_adapters"])
    assert [term.name for term in method.steps[DISTILLATION].terms] == ["gan", "cosine", "hint"]
    (vector,) = method.steps[DISTILLATION](make_batch(student))
    after = weights(method.blocks["hint_adapters"])
    assert before and all((a != b).any() for a, b in zip(before, after))
    names = ["Loss_G", "Loss_D", "Loss_D_real", "Loss_D_fake", "cosine", "Loss_hint"]
    figures = method.figures.of_epoch(vector.asnumpy(), 1)
    assert list(figures) == [*student.loss_names, *names]
    assert np.isfinite(list(figures.values())).all()


def test_a_new_term_is_an_option_of_the_script_and_a_figure_of_its_log(
    hint, train, teacher_params, tmp_path
):
    from gan_kd_ssd.logs.read import read

    options = ["--teacher-params", teacher_params, "--distill", "hint", "--hint-weight", 0.5]
    assert train(*EPOCHS, *options, "--save-prefix", tmp_path / "x") == 0
    assert "distill='hint'" in lines(tmp_path / "x")[0]
    assert "hint_weight=0.5" in lines(tmp_path / "x")[0]
    for name in ("train.log", "metrics.jsonl"):
        records = [entry.record for entry in read(f"{tmp_path}/x_{name}").entries]
        steps = [record for record in records if hasattr(record, "batch")]
        assert [("Loss_hint" in step.figures) for step in steps] == [True, True, False]
        assert 0 < steps[0].figures["Loss_hint"] < 10
