"""GluonCV's Faster R-CNNs by name: backbone, one level (C4) or a pyramid (FPN), anchors, proposals.

For GluonCV's backbones the layers and numbers are GluonCV's, so that parameters are interchangeable with
``gluoncv.model_zoo.get_model``. Thin and narrow backbones, their anchors and their numbers of proposals
are this project's, for machines without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Optional

from gan_kd_ssd.detectors import backbones
from gan_kd_ssd.detectors.names import FASTER_RCNN_BACKBONES, SPLIT_ATTENTION, NetworkName
from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: Prefix of all parameters of every Faster R-CNN, see :data:`ssd_networks.PREFIX`.
PREFIX = "fasterrcnn0_"

#: Settings of GluonCV's C4 networks for VOC, as published, that differ from the defaults of its class
#: (gluoncv/model_zoo/rcnn/faster_rcnn/predefined_models.py).
_C4 = {"scales": (2, 4, 8, 16, 32), "max_num_gt": 100}
#: Settings of GluonCV's FPN networks, which exist only for COCO.
_FPN = {
    **{"strides": (4, 8, 16, 32, 64), "min_stage": 2, "max_stage": 6, "roi_size": (7, 7)},
    **{"alloc_size": (384, 384), "clip": 4.14, "short": 800, "max_size": 1333},
    **{"nms_thresh": 0.5, "nms_topk": -1, "post_nms": -1},
    **{"rpn_test_post_nms": 1000, "rpn_min_size": 1, "num_sample": 512},
}
#: Thin and narrow networks: fewer proposals; anchors and smallest proposal for objects of 8 to 128 pixels.
_SMALL = {
    **{"rpn_channel": 64, "rpn_train_pre_nms": 1000, "rpn_train_post_nms": 100},
    **{"rpn_test_pre_nms": 500, "rpn_test_post_nms": 50, "rpn_min_size": 2, "num_sample": 32},
    **{"scales": (1, 2, 4, 8), "roi_size": (6, 6), "clip": 4.14, "alloc_size": (128, 128)},
}
_SMALL_FPN = {"scales": (0.5, 1, 2, 4, 8)}  # one for each level: 8 to 128 pixels
#: Trained parameters of GluonCV's networks. The others (BatchNorm, stem and first stage) keep their
#: ImageNet values.
_TRAINED = r".*dense|.*rpn|.*down(2|3|4)_conv|.*layers(2|3|4)_conv"
#: Trained parameters with ``norm_layer='bn'``: all but running statistics.
_TRAINED_WITH_NORM = r"(?!.*(moving|running))"


@dataclass(frozen=True)
class FasterRCNNSettings:
    """Settings of a Faster R-CNN."""

    #: Feature pyramid with strides 4 to 64, instead of one level of stride 16 (C4). A name with 'fpn' has
    #: the same effect.
    use_fpn: bool = False
    roi_mode: str = "align"  # pooling of RoIs, 'align' or 'pool'
    #: The short side of an image is resized to ``short`` pixels, unless the long side would exceed
    #: ``max_size``. None stands for GluonCV's numbers for the network.
    short: int | None = None
    max_size: int | None = None
    #: 'bn' trains BatchNorm; None keeps its ImageNet values, as published. FPN with 'bn' is GluonCV's
    #: network with BatchNorm over all devices, also in the box head. C4 with 'bn', which GluonCV does not
    #: have, normalises the images of each device separately (this project's choice).
    norm_layer: str | None = None
    per_device: int = 1  # images on each device in training
    devices: int = 1  # devices that share the statistics of BatchNorm


#: Arguments of GluonCV's ``get_faster_rcnn``: ``features`` is the pyramid; ``top_features``, a C4's last
#: stage, and ``box_features``, an FPN's two dense layers, are applied to pooled RoIs.
Parts = dict[str, Optional[mx.gluon.HybridBlock]]


def check_name(network: str | NetworkName, option: str = "", fpn: bool = False) -> NetworkName:
    """Parse a name with :func:`known_name`; with ``fpn`` the network has a pyramid in any case."""
    full_width = [*FASTER_RCNN_BACKBONES, *SPLIT_ATTENTION]
    name = backbones.known_name(network, "faster_rcnn", option, full_width, FASTER_RCNN_BACKBONES)
    return replace(name, fpn=name.fpn or fpn)


def trains_norm(name: NetworkName, norm_layer: str | None) -> bool:
    """Whether BatchNorm is trained in a network on one of GluonCV's backbones."""
    return norm_layer == "bn" or name.backbone in SPLIT_ATTENTION


def shares_statistics(name: NetworkName, norm_layer: str | None) -> bool:
    """Whether BatchNorm computes its statistics over all devices: GluonCV's FPN, if it is trained."""
    return name.fpn and trains_norm(name, norm_layer) and not name.thin


def build_faster_rcnn(
    name: NetworkName, classes: Sequence[str], settings: FasterRCNNSettings, pretrained_base: bool
):
    """Build GluonCV's Faster R-CNN block, not initialised except for a pretrained backbone.

    ``name`` is a result of :func:`check_name`; its ``fpn`` counts, not that of ``settings``.

    Raises:
        UserError: the pretrained backbone is not available.
    """
    from gluoncv.model_zoo.rcnn.faster_rcnn.faster_rcnn import get_faster_rcnn

    norm, fpn = trains_norm(name, settings.norm_layer), name.fpn
    config = {**_C4, **(_FPN if fpn else {})}
    if name.has_imagenet:
        parts = _zoo_parts(name, pretrained_base, norm, settings.devices)
        config["train_patterns"] = _TRAINED_WITH_NORM if norm else _TRAINED + ("|P" if fpn else "")
        if fpn and norm:
            config["rpn_channel"] = 256
    else:
        parts = _thin_parts(name) if name.thin else _narrow_parts(name)
        config.update({**_SMALL, **(_SMALL_FPN if fpn else {})})
    sizes = {"short": settings.short, "max_size": settings.max_size}
    config.update({option: side for option, side in sizes.items() if side is not None})
    net = get_faster_rcnn(
        name=name.backbone,
        dataset="",
        classes=tuple(classes),
        roi_mode=settings.roi_mode,
        per_device_batch_size=settings.per_device,
        prefix=PREFIX,
        **parts,
        **config,
    )
    if fpn:
        net._pyramid_roi_feats = partial(_pool_by_level, net)
    return net


def pool_rois(F, x, rois, size, stride, mode: str):
    """Features (R, C, *size) of RoIs (R, 5) on one level (B, C, H, W)."""
    if mode == "pool":
        return F.ROIPooling(x, rois, size, 1.0 / stride)
    return F.contrib.ROIAlign(x, rois, size, 1.0 / stride, sample_ratio=2)


def _pool_by_level(net, F, levels, rois, roi_size, strides, roi_mode="align"):
    """Features of RoIs (R, 5), each from the level that fits its size (arXiv 1612.03144, equation 1).

    This replaces GluonCV's method, which gives the RoIs of other levels the image number -1. On CPUs
    MXNet 1.9.1 then reads foreign memory, and losses of 1e15 were observed.
    """
    _, x0, y0, x1, y1 = F.split(rois, axis=-1, num_outputs=5)
    size = F.sqrt((x1 - x0 + 1) * (y1 - y0 + 1))
    last = net._max_stage - 1  # the coarsest level serves only proposals
    level = F.clip(F.floor(4 + F.log2(size / 224.0 + 1e-6)), net._min_stage, last)
    level = level.reshape((-1,))
    pooled = []
    for stage, x, stride in zip(range(net._min_stage, last + 1), levels, strides):
        part = pool_rois(F, x, rois, roi_size, stride, roi_mode)
        pooled.append(F.where(level == stage, part, F.zeros_like(part)))
    return F.add_n(*pooled)


def _zoo_parts(name: NetworkName, pretrained_base: bool, norm: bool, devices: int) -> Parts:
    """Parts of GluonCV's network; ``norm`` trains BatchNorm."""
    from gluoncv.model_zoo import get_model

    full, options = f"faster_rcnn_{name.backbone}_voc", {"pretrained_base": pretrained_base}
    if name.fpn:
        full = f"faster_rcnn_fpn_{'syncbn_' if norm else ''}{name.backbone}_coco"
        options.update({"num_devices": devices} if norm else {})
    with backbones.backbone_download(name, pretrained_base):
        zoo = get_model(full, **options)
    if norm and not name.fpn:
        for part in (zoo.features, zoo.top_features):
            part.apply(_normalise_by_batch)
    return {part: getattr(zoo, part) for part in ("features", "top_features", "box_features")}


def _normalise_by_batch(block) -> None:
    """Let a BatchNorm use the statistics of the batch; GluonCV's use the running ones in training."""
    if isinstance(block, nn.BatchNorm):
        block._kwargs["use_global_stats"] = False


def _thin_parts(name: NetworkName) -> Parts:
    """Parts of a thin ResNet. Its BatchNorm is trained, because it has no ImageNet values."""
    backbone = backbones.thin_resnet(name, PREFIX)
    if not name.fpn:
        return _c4_parts(backbone.features[:7], backbone.features[7])
    outputs = backbones.thin_taps(name, (1, 2, 3, 4))
    return _fpn_parts(backbone, outputs, backbones.thin_channels(name)[-1])


def _narrow_parts(name: NetworkName) -> Parts:
    """Parts of a narrow backbone, see :mod:`~gan_kd_ssd.detectors.backbones`."""
    backbone = backbones.narrow_resnet_b(name, PREFIX)
    if not name.fpn:
        layers = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        return _c4_parts([getattr(backbone, layer) for layer in layers], backbone.layer4)
    stages = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
    outputs = [f"layers{i}_relu{3 * len(stage) - 1}_fwd" for i, stage in enumerate(stages, 1)]
    return _fpn_parts(backbone, outputs, *backbones.channels([256], name.width))


def _c4_parts(features, top) -> Parts:
    """Layers up to the third stage, of stride 16, and the fourth stage; no box head."""
    blocks = [nn.HybridSequential(prefix="") for _ in range(2)]
    blocks[0].add(*features)
    blocks[1].add(top)
    return dict(zip(("features", "top_features"), blocks))


def _fpn_parts(backbone, outputs: Sequence[str], width: int) -> Parts:
    """A pyramid with ``width`` channels on the outputs of a backbone, and a box head."""
    from gluoncv.nn.feature import FPNFeatureExpander

    options = {"num_filters": [width] * 4, "use_p6": True, "no_bias": False, "pretrained": False}
    features = FPNFeatureExpander(network=backbone, outputs=outputs, **options)
    boxes = nn.HybridSequential(prefix=PREFIX + "box_")
    with boxes.name_scope():
        for _ in range(2):
            boxes.add(nn.Dense(2 * width), nn.Activation("relu"))
    return {"features": features, "top_features": None, "box_features": boxes}
