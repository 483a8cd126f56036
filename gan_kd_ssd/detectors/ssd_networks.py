"""GluonCV's SSDs by name: backbone, levels and anchors.

Where GluonCV has a network at the requested input size (512, or 300 for some), its numbers are used, so
that parameters are interchangeable with ``gluoncv.model_zoo.get_model``. At other sizes the pyramid has
as many levels as it takes to reach 1x1, and the anchors follow GluonCV's proportions (this project's
choice).

To add a backbone, add it to :data:`BACKBONES`, or write a function such as :func:`_vgg16` and add it to
:data:`DESIGNS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from gan_kd_ssd.detectors import backbones
from gan_kd_ssd.detectors.names import NetworkName
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

#: Prefix of all parameters of every SSD. GluonCV gives it to the first SSD of a process; here names do not
#: depend on how many networks were built before.
PREFIX = "ssd0_"

#: Anchor sizes in pixels of GluonCV's SSDs for 512 pixels (gluoncv/model_zoo/ssd/presets.py).
ZOO_SIZES_STRIDE_16 = (51.2, 102.4, 189.4, 276.4, 363.52, 450.6, 492)
ZOO_SIZES_STRIDE_8 = (51.2, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6)


class Backbone(NamedTuple):
    """Levels of an SSD on one of GluonCV's backbones."""

    taps: tuple[str, ...]  # outputs of the backbone that are levels, finest first
    #: Channels of the appended levels, each with half the cells of the one before.
    filters: tuple[int, ...] = (512, 512, 256, 256)
    first_stride: int = 16  # distance in pixels between neighbouring cells of the finest level


_MOBILENET = ("relu22_fwd", "relu26_fwd")
BACKBONES = {
    "mobilenet1.0": Backbone(_MOBILENET),
    "mobilenet0.75": Backbone(_MOBILENET),
    "mobilenet0.5": Backbone(_MOBILENET),
    "mobilenet0.25": Backbone(_MOBILENET, filters=(256, 256, 128, 128)),
    # GluonCV has no SSD on MobileNetV2, and the paper does not say which outputs are its levels. These
    # are SSDLite's: the last expansion at stride 16 and the last convolution (arXiv 1801.04381, 6.2).
    "mobilenetv2_1.0": Backbone(
        ("features_linearbottleneck13_relu60_relu6", "features_relu61_relu6")
    ),
    "resnet18_v1": Backbone(("stage3_activation1", "stage4_activation1")),
    "resnet50_v1": Backbone(("stage3_activation5", "stage4_activation2")),
    "resnet101_v2": Backbone(("stage3_activation22", "stage4_activation2")),
    "resnet152_v2": Backbone(
        ("stage2_activation7", "stage3_activation35", "stage4_activation2"), first_stride=8
    ),
}


def check_name(network: str | NetworkName, option: str = "") -> NetworkName:
    """Parse the name of an SSD with :func:`~gan_kd_ssd.detectors.backbones.known_name`."""
    narrow = [*BACKBONES, "vgg16_atrous"]
    return backbones.known_name(network, "ssd", option, [*BACKBONES, *SIZES], narrow)


def level_sides(first_side: int) -> list[int]:
    """Sides of a pyramid in cells, from the finest level to 1x1; each is half the one before, rounded up."""
    sides = [first_side]
    while sides[-1] > 1:
        sides.append(math.ceil(sides[-1] / 2))
    return sides


def anchor_sizes(data_shape: int, sides: Sequence[int], first_stride: int) -> list[float]:
    """Anchor sizes in pixels: ``len(sides) + 1`` numbers for levels with these sides in cells.

    A full pyramid gets GluonCV's numbers at 512 pixels, and their proportions at other sizes. A smaller
    input lacks the finest levels. Its levels get GluonCV's last sizes, which belong to grids as coarse,
    except for the first size: that is 2.4 cells (at least 0.1 of the image), so that small objects
    match an anchor.
    """
    zoo = ZOO_SIZES_STRIDE_16
    if first_stride == 8 or len(sides) >= len(zoo):
        zoo = ZOO_SIZES_STRIDE_8
    if len(sides) >= len(zoo):
        raise UserError(f"--data-shape {data_shape}: too large; give 1024 pixels or fewer")
    sizes = [size * data_shape / 512 for size in zoo[-len(sides) - 1 :]]
    if len(sizes) < len(zoo):
        sizes[0] = data_shape * max(0.1, 2.4 / sides[0])
    return sizes


def _ratios(levels: int) -> list[list[float]]:
    """Aspect ratios of the anchors of each level, as in GluonCV: 4, 6, ..., 6, 4, 4 per cell."""
    few, many = [1, 2, 0.5], [1, 2, 0.5, 3, 1.0 / 3]
    return [few if i == 0 or i >= levels - 2 else many for i in range(levels)]


def build_ssd(name: NetworkName, classes: Sequence[str], data_shape: int, pretrained_base: bool):
    """Build GluonCV's SSD block, not initialised except for a pretrained backbone.

    ``name`` is a result of :func:`check_name`, ``data_shape`` the side of the square input in pixels.

    Raises:
        UserError: the network does not exist at this size, or the download fails.
    """
    from gluoncv.model_zoo.ssd.ssd import get_ssd

    if data_shape < 32:
        raise UserError(f"--data-shape {data_shape}: at least 32 pixels are needed")
    made_for = [size for size in SIZES.get(name.base, ()) if not name.width or size != 300]
    if made_for and data_shape not in made_for:
        sizes = ", ".join(map(str, made_for))
        raise UserError(f"--data-shape {data_shape}: {name.base} is made for {sizes}")
    pretrained_base = pretrained_base and name.has_imagenet
    design = {"name": name.backbone, "filters": None}
    design.update(DESIGNS.get(name.base, _standard)(name, data_shape))
    if name.thin:
        design["name"] = backbones.thin_resnet(name, PREFIX)
    elif design["filters"] and name.width:
        design["name"] = backbones.narrow_mobilenet_or_resnet(name, PREFIX)
        design["filters"] = backbones.channels(design["filters"], name.width)
    if design["filters"] and not name.has_imagenet:
        design["min_depth"] = design["filters"][-1] // 2
    design.update(base_size=data_shape, classes=tuple(classes), dataset="", prefix=PREFIX)
    with backbones.backbone_download(name, pretrained_base):
        return get_ssd(**design, pretrained_base=pretrained_base)


def _standard(name: NetworkName, data_shape: int) -> dict:
    """Arguments of GluonCV's ``get_ssd`` for levels from the backbone's taps down to 1x1."""
    if name.thin:
        taps = tuple(backbones.thin_taps(name, (2, 3, 4)))
        last = backbones.thin_channels(name)[-1]
        backbone = Backbone(taps, filters=(last, last), first_stride=8)
    else:
        backbone = BACKBONES[name.base]
    sides = level_sides(math.ceil(data_shape / backbone.first_stride))
    extra = len(sides) - len(backbone.taps)
    # Thin networks take the coarse anchors, although their finest level has stride 8.
    anchor_stride = 16 if name.thin else backbone.first_stride
    return {
        "features": list(backbone.taps),
        "filters": [*backbone.filters, *backbone.filters[-1:] * extra][:extra],
        "sizes": anchor_sizes(data_shape, sides, anchor_stride),
        "ratios": _ratios(len(sides)),
        "steps": [data_shape / side for side in sides],
    }


#: Anchors of GluonCV's SSDs for 300 pixels on MobileNet 0.25 and ResNet34 (its presets.py).
_ANCHORS_300 = {
    "sizes": [21, 45, 99, 153, 207, 261, 315],
    "ratios": _ratios(6),
    "steps": [8, 16, 32, 64, 100, 300],
}


def _mobilenet_quarter(name: NetworkName, data_shape: int) -> dict:
    """MobileNet 0.25, which GluonCV has for 300 pixels."""
    design = _standard(name, data_shape)
    return {**design, **_ANCHORS_300} if data_shape == 300 and not name.width else design


def _resnet34(name: NetworkName, data_shape: int) -> dict:
    from gluoncv.model_zoo.ssd.resnet_v1b_ssd import resnet34_v1b_ssd

    return {"features": resnet34_v1b_ssd, **_ANCHORS_300}


def _mobilenet_lite(name: NetworkName, data_shape: int) -> dict:
    """SSDLite on MobileNet 1.0 (GluonCV's presets.py)."""
    from gluoncv.model_zoo.ssd.anchor import LiteAnchorGenerator

    return {
        **{"name": "mobilenet1.0", "features": list(_MOBILENET), "filters": [512, 256, 256, 128]},
        "sizes": [60.0, 105.0, 150.0, 195.0, 240.0, 285.0, 300.0],
        "ratios": [[1, 2, 0.5]] + [[1, 2, 0.5, 3, 1.0 / 3]] * 5,
        "steps": [16, 30, 60, 100, 150, 300],
        **{"predictors_kernel": (1, 1), "predictors_pad": (0, 0), "min_depth": 64},
        **{"reduce_ratio": 0.5, "anchor_generator": LiteAnchorGenerator},
    }


def _vgg16(name: NetworkName, data_shape: int) -> dict:
    from gluoncv.model_zoo.ssd import vgg_atrous

    if data_shape == 300:
        sizes = [30, 60, 111, 162, 213, 264, 315]
        return {"features": vgg_atrous.vgg16_atrous_300, **_ANCHORS_300, "sizes": sizes}
    sides = level_sides(data_shape // 8)
    features = partial(_smaller_vgg16, len(sides), name.width)
    if data_shape == 512 and not name.width:
        features = vgg_atrous.vgg16_atrous_512
    return {
        "features": features,
        "sizes": anchor_sizes(data_shape, sides, 8),
        "ratios": _ratios(len(sides)),
        "steps": [data_shape // side for side in sides],
    }


def _smaller_vgg16(levels: int, width: float | None, pretrained, ctx, root, **_normalisation):
    """VGG16 with the appended levels of 512 pixels that fit: the first, some in between, the last.

    The two dilated layers of a narrow VGG16 keep their 1024 channels.
    """
    from gluoncv.model_zoo.model_store import get_model_file
    from gluoncv.model_zoo.ssd import vgg_atrous

    layers, widths = vgg_atrous.vgg_spec[16]
    *strided, last = vgg_atrous.extra_spec[512]
    extras = [*strided[: levels - 3], last]
    if width is not None:
        widths = backbones.channels(widths, width)
        extras = [
            [(*backbones.channels([wide], width), *rest) for wide, *rest in extra]
            for extra in extras
        ]
    net = vgg_atrous.VGGAtrousExtractor(layers, widths, extras)
    if pretrained:
        net.initialize(ctx=ctx)
        file = get_model_file("vgg16_atrous", tag=pretrained, root=root)
        net.load_parameters(file, ctx=ctx, allow_missing=True, ignore_extra=True)
    return net


#: Networks with a design of their own: functions of name and input size, as :func:`_standard`.
DESIGNS = {
    "vgg16_atrous": _vgg16,
    "resnet34_v1b": _resnet34,
    "mobilenet1.0_lite": _mobilenet_lite,
    "mobilenet0.25": _mobilenet_quarter,
}
#: Input sizes in pixels of the networks that exist only at some; 300 only at full width.
SIZES = {
    "vgg16_atrous": (128, 256, 300, 512),
    "resnet34_v1b": (300,),
    "mobilenet1.0_lite": (300,),
}


def level_shapes(features, data_shape: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of each level for a square input, from symbolic shape inference."""
    outputs = mx.sym.Group(list(features(mx.sym.var("data"))))
    _, shapes, _ = outputs.infer_shape(data=(1, 3, data_shape, data_shape))
    return [shape[1:] for shape in shapes]
