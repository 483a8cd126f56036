"""Network names in every spelling, and the kind of detector of networks, runs and logs."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_kd_ssd.detectors.names import (
    FASTER_RCNN_BACKBONES,
    KINDS,
    SPLIT_ATTENTION,
    NetworkName,
    kind_of,
    read_name,
)
from gan_kd_ssd.logs.published import reference

SSD_BACKBONES = ("mobilenet1.0", "mobilenetv2_1.0", "resnet50_v1", "resnet101_v2", "vgg16_atrous")
WIDTHS = ("", "_w0.25", "_w0.125")
THIN = ("resnet10_v1_0.25", "resnet18_v1_0.125")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("mobilenet1.0", NetworkName("ssd", "mobilenet1.0")),
        ("ssd_512_mobilenet1_0_voc", NetworkName("ssd", "mobilenet1.0", False, 512, "voc")),
        (" SSD_300_vgg16_atrous_coco", NetworkName("ssd", "vgg16_atrous", False, 300, "coco")),
        ("mobilenetv2_0_75", NetworkName("ssd", "mobilenetv2_0.75")),
        ("resnet34_v1b", NetworkName("ssd", "resnet34_v1b")),
        ("ssd_512_resnet50_v1_custom", NetworkName("ssd", "resnet50_v1", False, 512, "custom")),
        ("resnet10_v1_0.25", NetworkName("ssd", "resnet10_v1_0.25")),
        ("faster_rcnn_resnet10_v1_0.25", NetworkName("faster_rcnn", "resnet10_v1_0.25")),
        ("fpn_resnet10_v1_0.25", NetworkName("faster_rcnn", "resnet10_v1_0.25", True)),
        ("resnet101_v1d", NetworkName("faster_rcnn", "resnet101_v1d")),
        ("fpn_resnet50_v1b", NetworkName("faster_rcnn", "resnet50_v1b", True)),
        ("resnet50_v1b_w0.25", NetworkName("faster_rcnn", "resnet50_v1b_w0.25")),
        ("resnest50", NetworkName("faster_rcnn", "resnest50", True)),
        (
            "faster_rcnn_fpn_syncbn_resnest50_coco",
            NetworkName("faster_rcnn", "resnest50", True, None, "coco"),
        ),
        (
            "faster_rcnn_fpn_bn_resnet50_v1b_coco",
            NetworkName("faster_rcnn", "resnet50_v1b", True, None, "coco"),
        ),
    ],
)
def test_every_spelling_is_read(text, expected):
    assert read_name(text) == expected
    assert kind_of(text) == expected.kind


@given(
    st.sampled_from([*(b + w for b in SSD_BACKBONES for w in WIDTHS), *THIN]),
    st.integers(1, 2000),
    st.sampled_from(["voc", "coco", "custom"]),
)
def test_full_and_short_names_of_an_ssd_say_the_same(backbone, size, dataset):
    full = read_name(f"ssd_{size}_{backbone}_{dataset}")
    assert full == NetworkName("ssd", backbone, False, size, dataset)
    assert str(full) == backbone and read_name(str(full)) == NetworkName("ssd", backbone)
    assert read_name(f"ssd_{size}_{backbone.replace('.', '_', 1)}_{dataset}".upper()).kind == "ssd"


@given(
    st.sampled_from([b + w for b in FASTER_RCNN_BACKBONES for w in WIDTHS]),
    st.booleans(),
    st.sampled_from(["_voc", "_coco", ""]),
)
def test_full_and_short_names_of_a_faster_rcnn_say_the_same(backbone, fpn, dataset):
    full = read_name(f"faster_rcnn_{'fpn_' if fpn else ''}{backbone}{dataset}")
    short = read_name(str(full))
    assert (short.kind, short.backbone, short.fpn) == ("faster_rcnn", backbone, fpn)
    assert (full.kind, full.backbone, full.fpn) == ("faster_rcnn", backbone, fpn)


@given(st.text(), st.sampled_from([*KINDS, None]))
def test_any_text_is_read_and_a_given_kind_is_kept(text, kind):
    name = read_name(text, kind)
    assert name.kind == (kind or kind_of(text)) and name.kind in KINDS


def test_a_backbone_of_both_kinds_takes_the_kind_that_the_context_gives():
    assert read_name("resnet10_v1_0.25", "faster_rcnn").kind == "faster_rcnn"
    assert read_name("resnet10_v1_0.25", "ssd").kind == "ssd"


@pytest.mark.parametrize(
    "backbone, base, width, thin",
    [
        ("resnet50_v1_w0.25", "resnet50_v1", 0.25, None),
        ("resnet18_v1_w0.0", "resnet18_v1_w0.0", None, None),
        ("resnet18_v1_0.5", "resnet18_v1_0.5", None, (18, 0.5)),
        ("vgg16_atrous", "vgg16_atrous", None, None),
    ],
)
def test_widths_of_thin_and_narrow_backbones(backbone, base, width, thin):
    name = read_name(backbone)
    assert (name.base, name.width, name.thin) == (base, width, thin)
    assert name.has_imagenet == (width is None and thin is None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_logs_are_of_the_kind_that_their_names_say(kind):
    assert kind_of(reference(kind).runs[0].namespace) == kind


@pytest.mark.parametrize(
    "options, losses, kind",
    [
        ({"data_shape": 300, "network": "vgg16_atrous"}, (), "ssd"),
        ({"use_fpn": False, "network": "resnet50_v1b"}, (), "faster_rcnn"),
        ({"roi_mode": "pool", "data_shape": 512}, (), "faster_rcnn"),
        ({}, ("RPN_Conf", "RCNN_CrossEntropy"), "faster_rcnn"),
        ({}, ("CrossEntropy", "SmoothL1"), "ssd"),
        ({"student": "fpn_resnet50_v1b"}, (), "faster_rcnn"),
        ({"network": "mobilenet1.0"}, (), "ssd"),
        ({}, (), None),
    ],
)
def test_a_run_without_a_recorded_kind_shows_it_by_options_losses_or_network(options, losses, kind):
    assert kind_of(options, {}, losses) == kind


def test_the_recorded_kind_comes_first():
    assert kind_of({"use_fpn": True}, {"detector": "ssd"}, ["RPN_Conf"]) == "ssd"
    assert kind_of({"use_fpn": True}, {"detector": "another"}) == "faster_rcnn"


def test_every_backbone_of_split_attention_has_a_pyramid():
    assert all(read_name(name).fpn for name in SPLIT_ATTENTION)


def test_names_are_read_without_mxnet():
    code = "import sys, gan_kd_ssd.detectors.names; sys.exit('mxnet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
