"""Narrow backbones have the layers, levels and paths of GluonCV's."""

import re

import numpy as np
import pytest

from gan_kd_ssd.detectors.ssd import SSD, SSDSettings
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.detectors import build_faster_rcnn, build_ssd

CLASSES = ["disc", "square"]
CPU = [mx.cpu()]
SSDS = [
    *("mobilenet1.0", "mobilenet0.75", "mobilenetv2_1.0"),
    *("resnet18_v1", "resnet50_v1", "resnet101_v2", "vgg16_atrous"),
]


def layers(net) -> set[str]:
    """Names of its parameters, by their places in the network."""
    return set(net._collect_params_with_prefix())


@pytest.mark.parametrize("size", [128, 512])
@pytest.mark.parametrize("network", SSDS)
def test_a_narrow_ssd_has_the_layers_and_levels_of_the_wide_one(network, size):
    wide = build_ssd(network, CLASSES, size)
    narrow = build_ssd(f"{network}_w0.25", CLASSES, size)
    assert [shape[1:] for shape in narrow.shapes] == [shape[1:] for shape in wide.shapes]
    assert layers(narrow.net) == layers(wide.net)
    np.testing.assert_array_equal(narrow.anchors, wide.anchors)
    assert narrow.shapes[0][0] < wide.shapes[0][0]


def test_the_width_is_a_share_of_the_channels():
    shapes = [build_ssd(f"resnet50_v1_w{w}", CLASSES, 128).shapes for w in ("0.25", "0.125")]
    assert [[c for c, _, _ in levels] for levels in shapes] == [
        [256, 512, 128, 128],
        [128, 256, 64, 64],
    ]


@pytest.mark.parametrize("fpn", [False, True])
@pytest.mark.parametrize("network", ["resnet50_v1b", "resnet101_v1d"])
def test_a_narrow_faster_rcnn_has_the_backbone_of_the_wide_one(network, fpn):
    def backbone(name):
        net = build_faster_rcnn(name, CLASSES, use_fpn=fpn, short=320, max_size=400).net
        if fpn:  # a graph: its parameters are known by their own names alone
            names = net.features.collect_params(".*_(layers|down|conv)[0-9].*")
            return {re.sub("^fasterrcnn0_", "", key) for key in names}
        return {key for key in layers(net) if key.startswith(("features", "top_features"))}

    wide, narrow = backbone(network), backbone(f"{network}_w0.25")
    assert len(narrow) > 200 and len(narrow) == len(wide)
    assert fpn or narrow == wide


def test_a_narrow_faster_rcnn_trains_everything_and_detects():
    detector = build_faster_rcnn("resnet50_v1b_w0.125", CLASSES, short=64, max_size=96)
    detector.initialize(CPU)
    frozen = [p.name for p in detector.net.collect_params().values() if p.grad_req == "null"]
    assert all("running" in name or "anchor" in name for name in frozen)
    _, scores, boxes = detector.detect(mx.nd.random.uniform(shape=(1, 3, 64, 80)))
    assert boxes.shape[2] == 4 and np.isfinite(scores.asnumpy()).all()


def test_a_file_loads_into_a_second_network_of_the_process(tmp_path):
    for name in ("vgg16_atrous_w0.125", "mobilenetv2_1.0_w0.125"):
        first = build_ssd(name, CLASSES, 128)
        first.initialize(CPU)
        first.net.save_parameters(str(tmp_path / "x.params"))
        second = SSD.load_trained(name, CLASSES, SSDSettings(128), tmp_path / "x.params", CPU)
        x = mx.nd.random.uniform(shape=(1, 3, 128, 128))
        for mine, theirs in zip(first.pyramid(x), second.pyramid(x)):
            np.testing.assert_allclose(mine.asnumpy(), theirs.asnumpy(), rtol=1e-4, atol=1e-5)


def test_there_are_no_imagenet_weights_for_narrow_backbones():
    build_ssd("mobilenet1.0_w0.25", CLASSES, 128, pretrained_base=True)  # downloads nothing


@pytest.mark.parametrize("name", ["resnet18_v1_w1.5", "resnet34_v1b_w0.5", "resnet18_v1_w0.0"])
def test_what_cannot_be_narrow_is_no_network(name):
    with pytest.raises(UserError, match=r"--student .*: no such network"):
        build_ssd(name, CLASSES, 128, option="--student")
    with pytest.raises(UserError, match=r"--student .*: no such network"):
        build_faster_rcnn(name, CLASSES, option="--student")


def test_vgg16_at_300_pixels_is_the_zoo_s_alone():
    with pytest.raises(UserError, match="vgg16_atrous is made for 128, 256, 512"):
        build_ssd("vgg16_atrous_w0.25", CLASSES, 300)
