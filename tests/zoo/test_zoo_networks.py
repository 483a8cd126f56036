"""Networks by name are GluonCV's own blocks, built without a download."""

import socket

import numpy as np
import pytest

from gan_kd_ssd import zoo as model_zoo
from gan_kd_ssd.detectors.parameters import initialize_by_name
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Any connection is an error, and the store is empty."""

    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.delenv("GAN_KD_SSD_REPO", raising=False)


@pytest.mark.parametrize("name", model_zoo.get_model_list())
def test_every_listed_network_is_built_without_a_download(name):
    net = model_zoo.get_model(name)
    kind = "SSD" if name.startswith("ssd") else "FasterRCNN"
    assert type(net).__name__ == kind and type(net).__module__.startswith("gluoncv.")
    assert len(net.classes) == (80 if "_coco" in name else 20)


def test_any_name_of_the_form_is_built_and_runs():
    net = model_zoo.get_model("ssd_128_resnet10_v1_0.125_shapes_gkd_resnet10_v1_0.5")
    initialize_by_name(net, [mx.cpu()])
    ids, scores, boxes = net(mx.nd.zeros((1, 3, 128, 128)))
    assert (ids.shape, scores.shape, boxes.shape) == ((1, 100, 1), (1, 100, 1), (1, 100, 4))
    assert list(net.classes) == ["cross", "disc", "ring", "square", "star", "triangle"]


def test_what_differs_in_faster_rcnn_is_in_the_block():
    name = "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos"
    assert model_zoo.get_model(f"{name}_roipool")._roi_mode == "pool"
    assert model_zoo.get_model(name)._roi_mode == "align"
    thin = "faster_rcnn_fpn_resnet10_v1_0.25_shapes"
    net = model_zoo.get_model(thin, short=128, max_size=256, classes=["a"])
    assert (net.num_stages, net.short, net.max_size, list(net.classes)) == (5, 128, 256, ["a"])


@pytest.mark.parametrize(
    ("name", "zoo"),
    [
        ("ssd_512_mobilenet1.0_voc_gkd_resnet50_v1", "ssd_512_mobilenet1.0_voc"),
        ("ssd_512_resnet18_v1_voc_gkd_vgg16_atrous", "ssd_512_resnet18_v1_voc"),
        (
            "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roialign",
            "faster_rcnn_resnet50_v1b_voc",
        ),
    ],
)
def test_parameter_files_are_gluoncvs(name, zoo, tmp_path):
    """Both ways; that a Faster R-CNN detects the same is in tests/detectors/test_faster_rcnn.py."""
    import gluoncv

    from gan_kd_ssd.zoo import model_names, networks

    mx.random.seed(5)
    detector = networks.build(model_names.parse(name))
    detector.initialize([mx.cpu()])
    mine = detector.net
    theirs = gluoncv.model_zoo.get_model(zoo, pretrained_base=False)
    mine.save_parameters(str(tmp_path / "mine.params"))
    theirs.load_parameters(str(tmp_path / "mine.params"))
    if name.startswith("ssd"):
        x = mx.nd.random.normal(shape=(1, 3, 512, 512))
        for a, b in zip(mine(x), theirs(x)):
            np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())
    theirs.save_parameters(str(tmp_path / "theirs.params"))
    again = model_zoo.get_model(name)
    again.load_parameters(str(tmp_path / "theirs.params"))
    back = again._collect_params_with_prefix()
    for key, parameter in mine._collect_params_with_prefix().items():
        np.testing.assert_array_equal(back[key].data().asnumpy(), parameter.data().asnumpy())


def test_parameter_names_do_not_depend_on_what_was_built_before():
    name = "ssd_64_resnet10_v1_0.125_shapes"
    first, second = (list(model_zoo.get_model(name).collect_params()) for _ in range(2))
    assert first == second


def test_gluoncvs_names_are_handed_on_with_all_arguments():
    net = model_zoo.get_model("resnet18_v1", classes=7, prefix="x_")
    assert net.output._units == 7 and net.prefix == "x_"
    net = model_zoo.get_model("SSD_512_ResNet50_v1_VOC", pretrained_base=False)
    assert net.prefix != model_zoo.get_model("ssd_512_resnet18_v1_voc").prefix
    assert "ssd_512_resnet50_v1_voc" in model_zoo.get_model_list(gluoncv=True)


def test_gluoncvs_store_that_cannot_be_reached_is_one_line(monkeypatch):
    import requests

    def refuse(*_, **__):
        raise requests.exceptions.ConnectionError("no route\nto it")

    monkeypatch.setattr(requests, "get", refuse)
    with pytest.raises(UserError, match=r"ssd_512_resnet50_v1_voc: .*\(no route\)"):
        model_zoo.get_model("ssd_512_resnet50_v1_voc", pretrained=True)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ssd_512_mobilenet1.0_voc_gdk_resnet50_v1", "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1"),
        ("resnet50v1", "resnet50_v1"),
        ("../../etc/passwd", "list"),
        ("ssd_512_mobilenet1.0_voc_gkd_resnet50_v1\0", "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1"),
    ],
)
def test_an_unknown_name_is_an_error_with_those_it_may_have_been(name, meant):
    with pytest.raises(UserError, match="no network is called") as error:
        model_zoo.get_model(name)
    assert meant in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ssd_512_resnet18_v1_bccd", {}, "classes of bccd are not known.*classes="),
        ("ssd_512_resnet77_v1_voc", {}, "ssd_512_resnet77_v1_voc: .*no such network"),
        ("ssd_64_resnet18_v1_voc", {"short": 3}, "short, max_size.*64 pixels"),
        ("ssd_64_resnet18_v1_voc", {"pretrained": "../x"}, "8 hexadecimal digits"),
        ("ssd_64_resnet18_v1_voc", {"pretrained": "abcdefg1"}, "8 hexadecimal digits"),
    ],
)
def test_what_cannot_be_built_is_one_line(name, arguments, message):
    with pytest.raises(UserError, match=message):
        model_zoo.get_model(name, **arguments)


def test_pretrained_weights_that_nobody_published_name_the_command_that_trains_them():
    from gan_kd_ssd.zoo import model_names

    name = "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos"
    with pytest.raises(UserError, match="the paper published no weights") as error:
        model_zoo.get_model(name, pretrained=True)
    assert model_names.parse(name).cell.command().line() in str(error.value)
    assert "GAN_KD_SSD_REPO" in str(error.value)
