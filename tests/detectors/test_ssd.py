"""The detector: GluonCV's SSD with its parameters, anchors and losses."""

import numpy as np
import pytest

from gan_kd_ssd.detectors import ssd_networks as networks
from gan_kd_ssd.detectors.ssd import MultiBoxLoss
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.detectors import build_ssd

VOC = [f"class{i}" for i in range(20)]


@pytest.mark.parametrize(
    "network, size, sides",
    [
        ("mobilenet1.0", 512, [32, 16, 8, 4, 2, 1]),
        ("mobilenet1.0", 300, [19, 10, 5, 3, 2, 1]),
        ("mobilenet0.75", 256, [16, 8, 4, 2, 1]),
        ("mobilenetv2_1.0", 128, [8, 4, 2, 1]),
        ("resnet50_v1", 256, [16, 8, 4, 2, 1]),
        ("resnet18_v1", 512, [32, 16, 8, 4, 2, 1]),
        ("resnet101_v2", 128, [8, 4, 2, 1]),
        ("vgg16_atrous", 512, [64, 32, 16, 8, 4, 2, 1]),
        ("vgg16_atrous", 300, [38, 19, 10, 5, 3, 1]),
        ("vgg16_atrous", 128, [16, 8, 4, 2, 1]),
        ("resnet34_v1b", 300, [38, 19, 10, 5, 3, 1]),
        ("resnet10_v1_0.25", 128, [16, 8, 4, 2, 1]),
    ],
)
def test_pyramid_ends_at_one_cell_and_has_fitting_anchors(network, size, sides):
    detector = build_ssd(network, VOC, size)
    assert [height for _, height, _ in detector.shapes] == sides
    per_level = [4, *[6] * (len(sides) - 3), 4, 4]
    assert len(detector.anchors) == sum(a * side**2 for a, side in zip(per_level, sides))
    centres, extents = detector.anchors[:, :2], detector.anchors[:, 2:]
    assert extents.min() > 0 and extents.max() < 2 * size
    if size != 300:  # some steps of the zoo's own SSD-300s leave the image a little
        assert centres.min() > 0 and centres.max() < size


@pytest.mark.parametrize(
    "size, sides, stride, fractions",
    [
        (512, [32, 16, 8, 4, 2, 1], 16, [0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 0.961]),
        (300, [19, 10, 5, 3, 2, 1], 16, [0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 0.961]),
        (256, [16, 8, 4, 2, 1], 16, [0.15, 0.37, 0.54, 0.71, 0.88, 0.961]),
        (128, [8, 4, 2, 1], 16, [0.3, 0.54, 0.71, 0.88, 0.961]),
        (256, [32, 16, 8, 4, 2, 1], 8, [0.1, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05]),
        (1024, [64, 32, 16, 8, 4, 2, 1], 16, [0.1, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05]),
    ],
)
def test_anchor_sizes_are_the_zoo_s_for_grids_as_coarse(size, sides, stride, fractions):
    sizes = networks.anchor_sizes(size, sides, stride)
    np.testing.assert_allclose(np.array(sizes) / size, fractions, atol=1e-3)


def test_input_too_large_for_the_anchors_is_refused():
    with pytest.raises(UserError, match="--data-shape 2048: too large"):
        build_ssd("resnet18_v1", VOC, 2048)


@pytest.mark.parametrize(
    "name, levels",
    [
        ("ssd_512_mobilenet1.0_voc", 6),
        ("ssd_512_vgg16_atrous_voc", 7),
        ("ssd_300_vgg16_atrous_voc", 6),
        ("ssd_300_mobilenet0.25_voc", 6),
        ("ssd_300_resnet34_v1b_voc", 6),
        ("ssd_300_mobilenet1.0_lite_coco", 6),
    ],
)
def test_parameters_and_anchors_are_the_zoo_s_where_it_has_the_network(name, levels):
    from gluoncv.model_zoo import get_model

    zoo = get_model(name, pretrained_base=False)
    ours = build_ssd(name, zoo.classes, int(name.split("_")[1])).net
    for mine, theirs in zip(ours.anchor_generators, zoo.anchor_generators):
        np.testing.assert_array_equal(mine.anchors.value.asnumpy(), theirs.anchors.value.asnumpy())
    assert len(ours.anchor_generators) == levels
    names = [net._collect_params_with_prefix() for net in (ours, zoo)]
    assert names[0].keys() == names[1].keys()


def test_saved_student_loads_with_plain_gluoncv_and_gives_the_same_levels(tmp_path):
    from gluoncv.model_zoo import get_model

    student = build_ssd("ssd_512_mobilenet1.0_voc", VOC, 512)
    student.initialize([mx.cpu()])
    student.net.save_parameters(str(tmp_path / "student.params"))
    plain = get_model("ssd_512_mobilenet1.0_voc", pretrained_base=False)
    plain.load_parameters(str(tmp_path / "student.params"))
    x = mx.nd.random.uniform(shape=(1, 3, 512, 512))
    for mine, theirs in zip(student.pyramid(x), plain.features(x)):
        np.testing.assert_array_equal(mine.asnumpy(), theirs.asnumpy())


def test_second_thin_network_of_a_process_loads_the_file_of_the_first(tiny_ssd, tmp_path):
    first = tiny_ssd(seed=1)
    first.net.save_parameters(str(tmp_path / "x.params"))
    second = tiny_ssd(seed=2)
    second.load(tmp_path / "x.params", [mx.cpu()], "--params")
    x = mx.nd.random.uniform(shape=(1, 3, 64, 64))
    np.testing.assert_array_equal(first.pyramid(x)[0].asnumpy(), second.pyramid(x)[0].asnumpy())


def test_the_same_seed_gives_the_same_weights(tiny_ssd):
    one, other = tiny_ssd(seed=5), tiny_ssd(seed=5)
    for a, b in zip(one.parameters(), other.parameters()):
        np.testing.assert_array_equal(a.data().asnumpy(), b.data().asnumpy())


def test_first_values_have_unit_scales_and_variances_and_small_predictors(tiny_ssd):
    for name, parameter in tiny_ssd().net.collect_params().items():
        values = parameter.data().asnumpy()
        if name.endswith(("gamma", "running_var")):
            assert (values == 1).all(), name
        elif name.endswith(("beta", "bias", "running_mean")):
            assert (values == 0).all(), name
        elif "predictor" in name:
            assert values.std() < 0.02, name


def numpy_multibox(classes, boxes, class_targets, box_targets, positives):
    """SSD's losses written from the paper: hard negatives 3 to 1, smooth L1 on positives."""
    shifted = classes - classes.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    entropy, location = [], []
    for row in range(len(classes)):
        targets = class_targets[row].astype(int)
        loss = -log_p[row, np.arange(len(targets)), targets]
        positive = targets > 0
        hardest = np.sort(loss[~positive])[::-1][: 3 * positive.sum()]
        entropy.append((loss[positive].sum() + hardest.sum()) / positives)
        distance = np.abs(boxes[row] - box_targets[row])[positive]
        location.append(np.where(distance > 1, distance - 0.5, distance**2 / 2).sum() / positives)
    return np.array(entropy), np.array(location)


@pytest.mark.parametrize("chance", [0.1, 0.6, 0.0])
def test_losses_equal_gluoncv_s_and_those_by_hand(chance):
    from gluoncv.loss import SSDMultiBoxLoss

    rng = np.random.RandomState(3)
    classes, boxes = rng.randn(3, 50, 4), rng.randn(3, 50, 4) * 2
    class_targets = rng.randint(1, 4, (3, 50)) * (rng.rand(3, 50) < chance)
    box_targets = rng.randn(3, 50, 4)
    positives = max(1, int((class_targets > 0).sum()))
    arrays = [mx.nd.array(a) for a in (classes, boxes, class_targets, box_targets)]
    gradients = []
    for loss in (
        lambda *a: MultiBoxLoss()(*a, mx.nd.array([1 / positives])),
        lambda *a: [losses[0] for losses in SSDMultiBoxLoss()(*a)[1:]],
    ):
        for array in arrays[:2]:
            array.attach_grad()
        with mx.autograd.record():
            entropy, location = loss(*arrays)
            total = entropy.sum() + location.sum()
        total.backward()
        gradients.append([array.grad.asnumpy() for array in arrays[:2]])
        if chance:  # without positives GluonCV gives sums of another shape
            by_hand = numpy_multibox(classes, boxes, class_targets, box_targets, positives)
            np.testing.assert_allclose(entropy.asnumpy(), by_hand[0], rtol=2e-5)
            np.testing.assert_allclose(location.asnumpy(), by_hand[1], rtol=2e-5)
        else:
            assert total.asscalar() == 0
    for ours, theirs in zip(*gradients):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_unknown_network_is_named_with_its_option():
    with pytest.raises(UserError, match=r"--student 'resnet7'.*known are.*mobilenet1.0"):
        networks.check_name("resnet7", "--student")


def test_size_that_a_network_is_not_made_for_is_refused():
    with pytest.raises(UserError, match=r"--data-shape 320: vgg16_atrous is made for"):
        build_ssd("vgg16_atrous", VOC, 320)


def damaged(path, kind, tiny_ssd):
    """A parameter file with a defect; returns it and the message that must come."""
    tiny_ssd().net.save_parameters(str(path))
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "text":
        path.write_text("not parameters")
    elif kind == "other network":
        tiny_ssd(blocks="18").net.save_parameters(str(path))
    elif kind == "wider":
        tiny_ssd(width="0.25").net.save_parameters(str(path))
    elif kind == "other size":
        tiny_ssd(size=60).net.save_parameters(str(path))
    elif kind == "missing":
        path.unlink()
    return path


@pytest.mark.parametrize(
    "kind, message",
    [
        ("truncated", "truncated, or not a parameter file"),
        ("text", "truncated, or not a parameter file"),
        ("other network", "a network other than resnet10_v1_0.125"),
        ("wider", "give the network that the file belongs to"),
        ("other size", "an input size other than 64"),
        ("missing", "no such file"),
    ],
)
def test_damaged_or_foreign_parameters_are_one_clear_line(kind, message, tiny_ssd, tmp_path):
    path = damaged(tmp_path / "x.params", kind, tiny_ssd)
    with pytest.raises(UserError, match=message) as caught:
        tiny_ssd().load(path, [mx.cpu()], "--teacher-params")
    assert "--teacher-params" in str(caught.value) and str(path) in str(caught.value)


def test_parameters_of_other_classes_say_how_many(tiny_ssd, tmp_path):
    tiny_ssd().net.save_parameters(str(tmp_path / "two.params"))
    three = build_ssd("resnet10_v1_0.125", ["a", "b", "c"], 64)
    with pytest.raises(
        UserError, match=r"trained for 2 classes, but 3 are given \(a, b, c\); .*--classes"
    ):
        three.load(tmp_path / "two.params", [mx.cpu()], "--teacher-params")


@pytest.mark.parametrize("network", ["mobilenet0.25", "resnet10_v1_0.125"])
def test_running_statistics_start_at_mean_0_and_variance_1(network):
    """Those of the appended levels too, which GluonCV names otherwise and gives negative variances."""
    detector = build_ssd(network, ["a"], 128)
    detector.initialize([mx.cpu()])
    values = {name: p.data().asnumpy() for name, p in detector.net.collect_params().items()}
    means = [v for name, v in values.items() if name.endswith(("running_mean", "moving_mean"))]
    variances = [v for name, v in values.items() if name.endswith(("running_var", "moving_var"))]
    assert len(means) == len(variances) > 10
    assert all((v == 0).all() for v in means) and all((v == 1).all() for v in variances)
