"""Faster R-CNN: the zoo's networks in two parts, thin ones, GluonCV 0.4's losses, parameter files."""

import numpy as np
import pytest

from gan_kd_ssd.detectors.faster_rcnn import FasterRCNN, FasterRCNNSettings
from gan_kd_ssd.detectors.faster_rcnn_losses import FasterRCNNCounts, FasterRCNNLoss
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.detectors import build_faster_rcnn

CLASSES = ["disc", "square"]
CPU = [mx.cpu()]


def tiny(seed=0, classes=CLASSES, network="resnet10_v1_0.125", **settings):
    mx.random.seed(seed)
    sizes = {"short": 64, "max_size": 96, **settings}
    detector = build_faster_rcnn(network, classes, **sizes)
    detector.initialize(CPU)
    return detector


def sample(height=64, width=80, images=1, seed=0):
    """Images, boxes (B, 2, 4), labels (B, 2, 1)."""
    rng = np.random.RandomState(seed)
    boxes = [[[5, 5, 30, 30], [20, 10, 60, 50]]] * images
    labels = [[[0], [1]]] * images
    x = rng.uniform(-1, 1, (images, 3, height, width))
    return mx.nd.array(x), mx.nd.array(boxes), mx.nd.array(labels)


def as_numpy(arrays):
    return [array.asnumpy() for array in arrays]


@pytest.mark.parametrize("fpn", [False, True])
@pytest.mark.parametrize("size", [(64, 80), (71, 97)])
def test_levels_have_the_input_s_size_over_their_stride_rounded_up(fpn, size):
    detector = tiny(use_fpn=fpn)
    assert detector.strides == ([4, 8, 16, 32, 64] if fpn else [16])
    levels = detector.pyramid(mx.nd.zeros((1, 3, *size)))
    expected = [tuple(-(-side // stride) for side in size) for stride in detector.strides]
    assert [level.shape[2:] for level in levels] == expected
    assert [level.shape[1] for level in levels] == [shape[0] for shape in detector.shapes]


@pytest.mark.parametrize("roi_mode", ["align", "pool"])
@pytest.mark.parametrize("fpn, images", [(False, 1), (True, 1), (False, 2)])
def test_pyramid_and_head_together_are_gluoncv_s_training_forward(fpn, images, roi_mode):
    detector = tiny(use_fpn=fpn, roi_mode=roi_mode, per_device=images)
    x, boxes, labels = sample(images=images)
    mx.random.seed(4)
    with mx.autograd.train_mode(), mx.autograd.record():
        ours = detector.head(x, boxes, labels, *detector.pyramid(x))
    mx.random.seed(4)
    with mx.autograd.record():
        theirs = detector.net(x, boxes, labels)
    classes, offsets, _, _, _, scores, raw, _, class_targets, targets, masks, _ = theirs
    expected = [scores, raw, classes, offsets, class_targets, targets, masks]
    for mine, other in zip(as_numpy(ours), as_numpy(expected)):
        np.testing.assert_allclose(mine.reshape(other.shape), other, rtol=1e-4, atol=1e-5)
    assert (class_targets.asnumpy() > 0).any()


@pytest.mark.parametrize("fpn", [False, True])
def test_compiled_graphs_give_the_same_for_images_of_several_sizes(fpn):
    plain, compiled = tiny(use_fpn=fpn), tiny(use_fpn=fpn)
    compiled.hybridize()
    for size in ((64, 80), (71, 97), (64, 80)):
        x, boxes, labels = sample(*size)
        results = []
        for detector in (plain, compiled):
            mx.random.seed(1)
            with mx.autograd.record():
                results.append(as_numpy(detector.head(x, boxes, labels, *detector.pyramid(x))))
            results[-1] += as_numpy(detector.detect(x))
        for one, other in zip(*results):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_counted_figures_are_those_computed_by_hand():
    """Two images, three anchors, two RoIs, one place for a positive RoI, two classes."""
    nan = 1e3  # what must not be read
    rpn_classes = [[1, 0, -1], [0, 1, 1]]
    rpn_targets = [[[0, 0, 0, 0], [nan] * 4, [nan] * 4], [[nan] * 4, [1, 1, 1, 1], [0, 0, 0, 0]]]
    scores = [[[2], [3], [5]], [[-1], [-2], [4]]]  # right: 1, 0, unread; 1, 0, 1
    boxes = [[[0.1, 0, 0, 0], [0] * 4, [0] * 4], [[0] * 4, [1, 1, 1, 3], [0, 0, 0, 0]]]
    classes = [[[0, 1, 2], [3, 1, 2]], [[0, 1, 0], [9, 0, 0]]]  # chosen: 2, 0; 1, 0
    class_targets = [[2, 1], [1, -1]]
    offsets = [[[[1, 1, 1, 1], [0.5, 0, 0, 0]]], [[[0, 0, 0, 2], [7, 7, 7, 7]]]]
    targets = [[[[1, 1, 1, 1], [0, 0, 0, 0]]], [[[0, 0, 0, 0], [0, 0, 0, 0]]]]
    masks = [[[[0] * 4, [1] * 4]], [[[1] * 4, [0] * 4]]]
    arrays = (rpn_classes, rpn_targets, scores, boxes, classes, offsets)
    arrays = [mx.nd.array(a) for a in (*arrays, class_targets, targets, masks)]
    counted = np.reshape(as_numpy(FasterRCNNCounts()(*arrays)), (4, 2))
    near, far = 0.5 * 9 * 0.1**2, 2 - 0.5 / 9  # smooth L1, quadratic below 1/9
    expected = [(3, 5), (near + far, 3), (2, 4), (0.5 * 0.5**2 + 1.5, 2)]
    np.testing.assert_allclose(counted, expected, rtol=1e-5)


def test_a_mixture_of_two_images_counts_half():
    from gan_kd_ssd.data.batches.faster_rcnn_batches import DevicePart
    from gan_kd_ssd.data.batches.faster_rcnn_targets import RPNTargets

    detector = tiny(per_device=2)
    x, boxes, labels = sample(images=2)
    targets = RPNTargets(detector.anchor_grids(), detector.strides)
    given = [targets(b, (64, 80), (64, 80), np.random.default_rng(0)) for b in boxes.asnumpy()]
    classes, encoded = (mx.nd.array(np.stack(arrays)) for arrays in zip(*given))
    results = []
    for weights in ([1, 1], [0.5, 1]):
        part = DevicePart(x, boxes, labels, classes, encoded, mx.nd.array(weights))
        mx.random.seed(3)
        results.append(detector.forward(detector.parts([part], CPU)[0]).losses.values())
    for whole, halved in zip(*results):
        np.testing.assert_allclose(halved.asnumpy(), whole.asnumpy() * [0.5, 1], rtol=1e-5)


@pytest.mark.parametrize("fpn", [False, True])
def test_bn_trains_every_normalisation_and_uses_the_batch_s_statistics(fpn):
    plain, trained = (
        build_faster_rcnn("resnet50_v1b", CLASSES, use_fpn=fpn, norm_layer=norm, devices=1)
        for norm in (None, "bn")
    )
    for detector, expected in ((plain, False), (trained, True)):
        names = [p.name for p in detector.parameters()]
        assert any(name.endswith("gamma") for name in names) == expected
        assert not any(name.endswith(("_mean", "_var")) for name in names)
    zoo = "faster_rcnn_fpn_syncbn_resnet50_v1b_coco" if fpn else "faster_rcnn_resnet50_v1b_voc"
    from gluoncv.model_zoo import get_model

    expected = get_model(zoo, pretrained_base=False)._collect_params_with_prefix()
    assert trained.net._collect_params_with_prefix().keys() == expected.keys()


def test_a_backbone_of_split_attention_is_the_zoo_s_fpn():
    detector = build_faster_rcnn("resnest50", CLASSES)
    assert detector.name == "fpn_resnest50" and detector.strides == [4, 8, 16, 32, 64]


def test_each_roi_is_pooled_from_the_one_level_that_fits_its_size():
    detector = tiny(use_fpn=True)
    levels = [mx.nd.ones((1, 1, 8, 8)) * (index + 1) for index in range(5)]
    sides = [20, 130, 300, 700]  # sqrt(area) over 224 is below 1/2, 1/2 to 1, 1 to 2, above 2
    rois = mx.nd.array([[0, 0, 0, side, side] for side in sides])
    args = (mx.nd, levels, rois, (2, 2), (128,) * 5)
    for mode in ("align", "pool"):
        pooled = detector.net._pyramid_roi_feats(*args, roi_mode=mode).asnumpy()
        assert pooled.max(axis=(1, 2, 3)).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "name, fpn",
    [
        ("faster_rcnn_resnet50_v1b_voc", False),
        ("faster_rcnn_resnet101_v1d_voc", False),
        ("faster_rcnn_fpn_resnet50_v1b_coco", True),
    ],
)
def test_parameters_anchors_and_numbers_are_the_zoo_s(name, fpn):
    from gluoncv.model_zoo import get_model

    zoo = get_model(name, pretrained_base=False)
    ours = build_faster_rcnn(name, zoo.classes).net
    assert ours._collect_params_with_prefix().keys() == zoo._collect_params_with_prefix().keys()
    assert (ours.num_stages > 1) == fpn
    same = "short max_size nms_thresh nms_topk post_nms _strides _roi_size _roi_mode _num_sample"
    for attribute in same.split():
        assert getattr(ours, attribute) == getattr(zoo, attribute), attribute
    numbers = "_nms_thresh _train_pre_nms _train_post_nms _test_pre_nms _test_post_nms"
    for attribute in numbers.split():
        assert getattr(ours.rpn, attribute) == getattr(zoo.rpn, attribute), attribute
    for numbers in ("_num_proposal", "_max_pos", "_max_num_gt", "_pos_iou_thresh"):
        assert getattr(ours.sampler, numbers) == getattr(zoo.sampler, numbers)
    anchors = [
        [p.value.asnumpy() for p in net.rpn.anchor_generator.collect_params().values()]
        for net in (ours, zoo)
    ]
    for mine, theirs in zip(*anchors):
        np.testing.assert_array_equal(mine, theirs)
    trained = [
        {key for key, p in net._collect_params_with_prefix().items() if p.name in names}
        for net, names in (
            (n, {p.name for p in n.collect_train_params().values()}) for n in (ours, zoo)
        )
    ]
    assert trained[0] == trained[1]


def test_saved_student_loads_with_plain_gluoncv_and_detects_the_same(tmp_path):
    from gluoncv.model_zoo import get_model

    plain = get_model("faster_rcnn_resnet50_v1b_voc", pretrained_base=False)
    student = build_faster_rcnn("resnet50_v1b", plain.classes)
    student.initialize(CPU)
    x, _, _ = sample(128, 160)
    student.net.save_parameters(str(tmp_path / "s.params"))
    plain.load_parameters(str(tmp_path / "s.params"))
    for mine, theirs in zip(student.detect(x), plain(x)):
        np.testing.assert_array_equal(mine.asnumpy(), theirs.asnumpy())


def test_the_zoo_s_networks_keep_stem_and_first_stage_and_thin_ones_train_all():
    zoo = build_faster_rcnn("resnet50_v1b", CLASSES)
    names = [p.name for p in zoo.parameters()]
    assert any("layers2_conv" in name for name in names)
    assert any("rpn" in name for name in names) and any("dense" in name for name in names)
    kept = [p.name for p in zoo.net.collect_params().values() if p.grad_req == "null"]
    assert any("layers1" in name for name in kept) and all("gamma" not in name for name in names)
    thin = tiny()
    never = ("running_mean", "running_var", "anchor_")
    everything = [p.name for p in thin.net.collect_params().values() if not p.name.endswith(never)]
    assert [p.name for p in thin.parameters()] == everything


def numpy_losses(rpn_classes, rpn_targets, p):
    """GluonCV 0.4's four losses for one image, written out."""

    def smooth(x, rho):
        x = np.abs(x)
        return np.where(x > rho, x - 0.5 * rho, 0.5 / rho * x * x)

    x, used = p[0][:, 0].astype("d"), rpn_classes >= 0
    probability = 1 / (1 + np.exp(-x))
    entropy = -np.where(rpn_classes == 1, np.log(probability), np.log(1 - probability))
    anchors = used.sum()
    shifted = np.exp(p[2] - p[2].max(axis=1, keepdims=True))
    log_p = np.log(shifted / shifted.sum(axis=1, keepdims=True))
    kept = np.flatnonzero(p[4] >= 0)
    return [
        entropy[used].sum() / anchors,
        smooth(p[1] - rpn_targets, 1 / 9)[rpn_classes == 1].sum() / anchors,
        -sum(log_p[i, int(p[4][i])] for i in kept) / len(kept),
        (smooth(p[3] - p[5], 1.0) * p[6]).sum() / len(kept),
    ]


def test_losses_are_those_of_gluoncv_0_4_for_each_image():
    rng = np.random.RandomState(0)
    images, anchors, rois, places, classes = 3, 40, 12, 4, 2
    p = [
        rng.randn(images, anchors, 1) * 3,
        rng.randn(images, anchors, 4),
        rng.randn(images, rois, classes + 1) * 3,
        rng.randn(images, places, classes, 4) * 2,
        rng.randint(-1, classes + 1, (images, rois)),
        rng.randn(images, places, classes, 4),
        rng.randint(0, 2, (images, places, classes, 4)),
    ]
    rpn = [
        rng.randint(-1, 2, (images, anchors)),
        rng.randn(images, anchors, 4),
    ]
    losses = FasterRCNNLoss()(*[mx.nd.array(a) for a in rpn + p])
    for image in range(images):
        expected = numpy_losses(*[a[image] for a in rpn], [a[image] for a in p])
        got = [float(loss[image].asscalar()) for loss in losses]
        np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_an_image_without_sampled_anchors_or_objects_has_finite_losses():
    detector = tiny()
    x, _, _ = sample()
    none = -mx.nd.ones((1, 1, 4)), -mx.nd.ones((1, 1, 1))
    with mx.autograd.record():
        predictions = detector.head(x, *none, *detector.pyramid(x))
        rpn = -mx.nd.ones((1, predictions[0].shape[1]))
        losses = detector.loss(rpn, mx.nd.zeros(predictions[1].shape), *predictions)
    mx.autograd.backward(list(losses))
    values = [float(loss.asscalar()) for loss in losses]
    assert np.isfinite(values).all() and values[0] == values[1] == values[3] == 0
    for parameter in detector.parameters():
        assert np.isfinite(parameter.grad().asnumpy()).all()


def test_a_file_of_a_trained_network_loads_into_a_second_network_of_the_process(tmp_path):
    for fpn in (False, True):
        first, file = tiny(seed=1, use_fpn=fpn), tmp_path / f"{fpn}.params"
        x, boxes, labels = sample()
        with mx.autograd.record():  # training must leave nothing in the file that the net lacks
            first.head(x, boxes, labels, *first.pyramid(x))
        first.net.save_parameters(str(file))
        settings = FasterRCNNSettings(use_fpn=fpn, short=64, max_size=96)
        second = FasterRCNN.load_trained("resnet10_v1_0.125", CLASSES, settings, file, CPU)
        assert not any("_target" in key for key in mx.nd.load(str(file)))
        for one, other in zip(first.detect(x), second.detect(x)):
            np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"classes": ["a", "b", "c"]}, "trained for 2 classes"),
        ({"network": "resnet10_v1_0.25"}, "give the network that the file belongs to"),
        ({"use_fpn": True}, "parameters of a network other than .* --short"),
    ],
)
def test_foreign_parameters_are_one_clear_line(tmp_path, change, message):
    tiny().net.save_parameters(str(tmp_path / "x.params"))
    with pytest.raises(UserError, match=message):
        tiny(**change).load(tmp_path / "x.params", CPU, "--params")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"network": "resnet99"}, "'resnet99': no such network"),
        ({"short": 16}, "--short 16: too small"),
        ({"short": 128, "max_size": 96}, "--max-size 96 is below --short 128"),
        ({"max_size": 3000}, "--max-size 3000: .* anchors for 2048"),
        ({"roi_mode": "none"}, "--roi-mode"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(settings, message):
    with pytest.raises(UserError, match=message):
        tiny(**settings)
