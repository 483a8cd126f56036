"""GluonCV's Faster R-CNNs by name: backbone, one level (C4) or a pyramid (FPN), anchors, proposals.

For the zoo's backbones the layers and the numbers are the zoo's, so that parameters are interchangeable
with ``gluoncv.model_zoo.get_model``. Thin backbones, their anchors and their numbers of proposals are
ours, for machines without a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from gan_kd_ssd.detectors import narrow
from gan_kd_ssd.detectors import ssd_networks as networks
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: Prefix of the parameters of every Faster R-CNN of ours, see networks.PREFIX.
PREFIX = "fasterrcnn0_"
BACKBONES = ("resnet50_v1b", "resnet101_v1d")
#: The zoo has these as FPN with trained BatchNorm alone.
SPLIT_ATTENTION = ("resnest50", "resnest101", "resnest269")
ROI_MODES = ("align", "pool")

#: What C4 and FPN have in common in the zoo (gluoncv/model_zoo/rcnn/faster_rcnn/predefined_models.py).
_ZOO = {
    **{"base_size": 16, "scales": (2, 4, 8, 16, 32), "ratios": (0.5, 1, 2), "rpn_channel": 1024},
    **{"rpn_nms_thresh": 0.7, "rpn_train_pre_nms": 12000, "rpn_train_post_nms": 2000},
    **{"rpn_test_pre_nms": 6000, "pos_iou_thresh": 0.5, "pos_ratio": 0.25, "max_num_gt": 100},
}
#: The zoo's C4 networks for VOC, the published ones.
_C4 = {
    **{"strides": 16, "roi_size": (14, 14), "alloc_size": (128, 128), "clip": None},
    **{"short": 600, "max_size": 1000, "nms_thresh": 0.3, "nms_topk": 400, "post_nms": 100},
    **{"rpn_test_post_nms": 300, "rpn_min_size": 16, "num_sample": 128},
}
#: The zoo's FPN networks; it has them for COCO alone.
_FPN = {
    **{"strides": (4, 8, 16, 32, 64), "min_stage": 2, "max_stage": 6, "roi_size": (7, 7)},
    **{"alloc_size": (384, 384), "clip": 4.14, "short": 800, "max_size": 1333},
    **{"nms_thresh": 0.5, "nms_topk": -1, "post_nms": -1},
    **{"rpn_test_post_nms": 1000, "rpn_min_size": 1, "num_sample": 512},
}
#: The zoo's FPN networks with BatchNorm over all devices in backbone, pyramid and box head.
_FPN_BN = {"rpn_channel": 256}
#: Thin networks: fewer proposals; anchors and the least proposal for objects of 8 to 128 pixels.
_THIN = {
    **{"rpn_channel": 64, "rpn_train_pre_nms": 1000, "rpn_train_post_nms": 100},
    **{"rpn_test_pre_nms": 500, "rpn_test_post_nms": 50, "rpn_min_size": 2, "num_sample": 32},
    **{"scales": (1, 2, 4, 8), "roi_size": (6, 6), "clip": 4.14, "alloc_size": (128, 128)},
}
#: Trained in the zoo's networks: BatchNorm, the stem and the first stage keep their ImageNet values.
_TRAINED = r".*dense|.*rpn|.*down(2|3|4)_conv|.*layers(2|3|4)_conv"
#: Trained with ``norm_layer='bn'``: everything but running statistics.
_TRAINED_WITH_NORM = r"(?!.*(moving|running))"


def base_name(network: str) -> tuple[str, bool]:
    """Backbone of a network's name and whether the name says FPN.

    'faster_rcnn_fpn_resnet50_v1b_coco' -> ('resnet50_v1b', True).
    """
    match = re.fullmatch(
        r"(?:faster_rcnn_)?(fpn_)?(?:syncbn_|bn_)?(.+?)(?:_(?:voc|coco|custom))?",
        network.strip().lower(),
    )
    if not match:
        return "", False
    return match[2], bool(match[1]) or match[2] in SPLIT_ATTENTION


def check_name(network: str, option: str) -> tuple[str, bool]:
    """:func:`base_name`; raise :class:`UserError` naming ``option`` if there is no such network."""
    name, fpn = base_name(network)
    if name in (*BACKBONES, *SPLIT_ATTENTION) or networks.THIN.fullmatch(name):
        return name, fpn
    base, width = narrow.split(name)
    if width and base in BACKBONES:
        return name, fpn
    known = ", ".join(
        [*BACKBONES, *SPLIT_ATTENTION, "resnet10_v1_0.25 and other widths of resnet10/18"]
    )
    raise UserError(
        f"{option} {network!r}: no such network; known are {known}; resnet50_v1b_w0.25 and the like "
        "are the zoo's with less channels"
    )


def trains_norm(network: str, norm_layer: str | None) -> bool:
    """Whether BatchNorm is trained in a network of the zoo."""
    return norm_layer == "bn" or network in SPLIT_ATTENTION


def shares_statistics(network: str, fpn: bool, norm_layer: str | None) -> bool:
    """Whether its BatchNorm is over all devices: that of the zoo's FPN, where it is trained."""
    return fpn and trains_norm(network, norm_layer) and not networks.THIN.fullmatch(network)


def build_faster_rcnn(
    network: str,
    classes: Sequence[str],
    *,
    fpn: bool,
    roi_mode: str,
    pretrained_base: bool,
    norm_layer: str | None = None,
    devices: int = 1,
    per_device: int = 1,
    **sizes: int,
):
    """GluonCV's Faster R-CNN block for a backbone's name, not initialised (but for its backbone).

    Args:
        network: backbone, as :func:`check_name` returns it. classes: foreground classes.
        fpn: levels of strides 4 to 64 instead of one of stride 16. roi_mode: 'align' or 'pool'.
        pretrained_base: load the zoo's ImageNet weights into the backbone (downloads them).
        norm_layer: 'bn' trains BatchNorm. FPN then is the zoo's network with BatchNorm over all
            ``devices``, in the box head as well; C4, which the zoo has without alone, normalises each
            device's images by themselves (ours). None keeps the ImageNet values, as published.
        per_device: images a device in training. sizes: short and max_size of the input, pixels, where
            they are not the zoo's.

    Raises:
        UserError: the pretrained backbone cannot be had.
    """
    from gluoncv.model_zoo.rcnn.faster_rcnn.faster_rcnn import get_faster_rcnn

    norm = trains_norm(network, norm_layer)
    config = {**_ZOO, **(_FPN if fpn else _C4), **(_FPN_BN if fpn and norm else {})}
    if not networks.has_imagenet(network):
        config.update(_THIN)
        if fpn:
            config["scales"] = (0.5, 1, 2, 4, 8)  # one a level: 8 to 128 pixels
        thin = networks.THIN.fullmatch(network)
        parts = _thin_parts(thin, fpn) if thin else _narrow_parts(network, fpn)
        patterns = None
    else:
        parts = _zoo_parts(network, fpn, pretrained_base, norm, devices)
        patterns = _TRAINED_WITH_NORM if norm else _TRAINED + ("|P" if fpn else "")
    config.update(sizes)
    net = get_faster_rcnn(
        name=network,
        dataset="",
        classes=tuple(classes),
        train_patterns=patterns,
        roi_mode=roi_mode,
        per_device_batch_size=per_device,
        prefix=PREFIX,
        **dict(zip(("features", "top_features", "box_features"), parts)),
        **config,
    )
    if fpn:
        net._pyramid_roi_feats = partial(_pool_by_level, net)
    return net


def _pool_by_level(net, F, levels, rois, roi_size, strides, roi_mode="align"):
    """Features of RoIs (R, 5), each from the level that fits its size (arXiv 1612.03144, equation 1).

    In place of GluonCV's method, which gives the RoIs of other levels the image number -1: on CPUs
    MXNet 1.9.1 reads foreign memory for those, and losses of 1e15 were seen.
    """
    _, x0, y0, x1, y1 = F.split(rois, axis=-1, num_outputs=5)
    size = F.sqrt((x1 - x0 + 1) * (y1 - y0 + 1))
    last = net._max_stage - 1  # the coarsest level serves proposals alone
    level = F.clip(F.floor(4 + F.log2(size / 224.0 + 1e-6)), net._min_stage, last)
    level = level.reshape((-1,))
    pooled = []
    for stage, x, stride in zip(range(net._min_stage, last + 1), levels, strides):
        if roi_mode == "pool":
            part = F.ROIPooling(x, rois, roi_size, 1.0 / stride)
        else:
            part = F.contrib.ROIAlign(x, rois, roi_size, 1.0 / stride, sample_ratio=2)
        pooled.append(F.where(level == stage, part, F.zeros_like(part)))
    return F.add_n(*pooled)


def _zoo_parts(network: str, fpn: bool, pretrained_base: bool, norm: bool, devices: int):
    """Features, features of a RoI, features of a box, as the zoo puts them together."""
    from gluoncv.model_zoo import get_model

    name = f"faster_rcnn_{network}_voc"
    settings = {"pretrained_base": pretrained_base}
    if fpn:
        name = f"faster_rcnn_fpn_{'syncbn_' if norm else ''}{network}_coco"
        if norm:
            settings["num_devices"] = devices
    try:
        zoo = get_model(name, **settings)
    except Exception as error:
        if not pretrained_base:
            raise
        raise UserError(
            f"the pretrained backbone of {network} cannot be had ({error}): check the network, put "
            "the file into ~/.mxnet/models, or give --no-pretrained-base"
        ) from error
    if norm and not fpn:
        for part in (zoo.features, zoo.top_features):
            part.apply(_normalise_by_batch)
    return zoo.features, zoo.top_features, zoo.box_features


def _normalise_by_batch(block) -> None:
    """Have a BatchNorm of the zoo, which uses its running statistics in training, use the batch's."""
    if isinstance(block, nn.BatchNorm):
        block._kwargs["use_global_stats"] = False


def _thin_parts(match: re.Match, fpn: bool):
    """The same of a thin residual network, whose BatchNorm is trained: it has no ImageNet values."""
    backbone = networks.thin_network(match, PREFIX)
    if not fpn:
        return _c4_parts(backbone.features[:7], backbone.features[7])
    last = networks.THIN_BLOCKS[match[1]][0] - 1
    outputs = [f"stage{stage}_activation{last}" for stage in (1, 2, 3, 4)]
    return _fpn_parts(backbone, outputs, networks.thin_channels(match)[-1])


def _narrow_parts(network: str, fpn: bool):
    """The same of one of the zoo's backbones with less channels, see :mod:`narrow`."""
    base, width = narrow.split(network)
    backbone = narrow.resnet_b(base, width, PREFIX)
    if not fpn:
        layers = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        return _c4_parts([getattr(backbone, name) for name in layers], backbone.layer4)
    stages = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
    outputs = [f"layers{i}_relu{3 * len(stage) - 1}_fwd" for i, stage in enumerate(stages, 1)]
    return _fpn_parts(backbone, outputs, *narrow.channels([256], width))


def _c4_parts(features, top):
    """Up to the third stage, of stride 16, and the fourth; no box head of its own."""
    parts = [nn.HybridSequential(prefix="") for _ in range(2)]
    parts[0].add(*features)
    parts[1].add(top)
    return *parts, None


def _fpn_parts(backbone, outputs: Sequence[str], width: int):
    from gluoncv.nn.feature import FPNFeatureExpander

    features = FPNFeatureExpander(
        network=backbone,
        outputs=outputs,
        num_filters=[width] * 4,
        use_p6=True,
        no_bias=False,
        pretrained=False,
    )
    boxes = nn.HybridSequential(prefix=PREFIX + "box_")
    with boxes.name_scope():
        for _ in range(2):
            boxes.add(nn.Dense(2 * width), nn.Activation("relu"))
    return features, None, boxes
