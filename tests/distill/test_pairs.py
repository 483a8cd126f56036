"""Paired levels, adapters, and the inherited head."""

import numpy as np
import pytest

from gan_kd_ssd.distill.adapter import Adapters, align
from gan_kd_ssd.distill.discriminator import PyramidDiscriminator
from gan_kd_ssd.distill.head import inherit_head
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.detectors import build_ssd
from helpers.distill import weights

VOC = [f"class{i}" for i in range(20)]


def test_the_vgg_teacher_s_seven_levels_are_paired_with_the_student_s_six_by_stride():
    pairs = align(build_ssd("mobilenet1.0", VOC, 512), build_ssd("vgg16_atrous", VOC, 512))
    assert [pair.stride for pair in pairs] == [16, 32, 64, 128, 256, 512]
    assert [(pair.student, pair.teacher) for pair in pairs] == [(i, i + 1) for i in range(6)]
    assert [pair.student_channels for pair in pairs] == [512, 1024, 512, 512, 256, 256]
    assert [pair.teacher_channels for pair in pairs] == [1024, 512, 256, 256, 256, 256]


def test_published_pair_differs_in_channels_on_two_levels_and_has_43_8_million_critic_weights():
    pairs = align(build_ssd("mobilenet1.0", VOC, 512), build_ssd("resnet50_v1", VOC, 512))
    assert [p.student_channels == p.teacher_channels for p in pairs] == [False] * 2 + [True] * 4
    shapes = [(pair.teacher_channels, pair.side) for pair in pairs]
    critic = PyramidDiscriminator(shapes, 512, "batch")
    trained = [p for p in critic.collect_params().values() if p.grad_req != "null"]
    assert round(sum(np.prod(p.shape) for p in trained) / 1e6, 1) == 43.8


class _Detector:
    size_option = "--data-shape"
    any_size = False

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


def test_the_teacher_s_predictors_are_inherited_where_shapes_agree(tiny_ssd):
    teacher, student = tiny_ssd(seed=1), tiny_ssd(seed=2)
    pairs = align(student, teacher)
    assert inherit_head(student, teacher, pairs) == [f"stride {s}" for s in student.strides]
    for name in ("class_predictors", "box_predictors"):
        for a, b in zip(*(weights(getattr(d.net, name)) for d in (student, teacher))):
            np.testing.assert_array_equal(a, b)
    wide = tiny_ssd(seed=3, width="0.5")
    assert inherit_head(student, wide, align(student, wide)) == []
