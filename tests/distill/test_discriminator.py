"""Discriminators: depth, sizes of maps, normalisation, clamp."""

import numpy as np
import pytest

from gan_kd_ssd.distill.discriminator import LevelDiscriminator, PyramidDiscriminator, clamp
from gan_kd_ssd.logs.records import DISTILLATION
from gan_kd_ssd.util.mxnet import mx
from helpers.distill import distil, weights


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
def test_clamp_bounds_the_convolutions_only_or_everything(which):
    critic = PyramidDiscriminator([(6, 4), (6, 1)], 5, "batch")
    critic.initialize_by_name([mx.cpu()])
    for p in critic.collect_params().values():
        p.set_data(mx.nd.ones(p.shape) * 3)
    clamp(critic.trained(which), -0.03, 0.02)
    for name, p in critic.collect_params().items():
        is_clamped = name.endswith("weight") or (which == "all" and p.grad_req != "null")
        assert np.allclose(p.data().asnumpy(), 0.02 if is_clamped else 3), name


@pytest.mark.parametrize("normalisation", ["batch", "instance", "none"])
def test_discriminators_train_with_each_normalisation(normalisation, tiny_ssd, make_batch):
    student, teacher = tiny_ssd(seed=1), tiny_ssd(seed=2, width="0.25")
    method = distil(student, teacher, d_norm=normalisation)
    before = weights(method.blocks["discriminator"])
    (vector,) = method.steps[DISTILLATION](make_batch(student))
    assert np.isfinite(vector.asnumpy()).all()
    after = weights(method.blocks["discriminator"])
    assert any((a != b).any() for a, b in zip(before, after))


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
