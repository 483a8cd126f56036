"""GluonCV's SSDs by name, at any input size: backbone, levels, anchors.

Where the zoo has a network at the asked size (512, or 300 for some), its own numbers are used, so that
parameters are interchangeable with ``gluoncv.model_zoo.get_model``. At other sizes the pyramid gets as
many levels as it takes to reach 1x1, and the anchors follow the zoo's proportions (ours).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.detectors import narrow
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

#: All parameters of every SSD of ours start with this, as those of the first SSD of a process do in
#: GluonCV: names do not depend on how many networks were built before.
PREFIX = "ssd0_"

#: Anchor sizes of the zoo's 512 px SSDs, in pixels (gluoncv/model_zoo/ssd/presets.py).
ZOO_SIZES_STRIDE_16 = (51.2, 102.4, 189.4, 276.4, 363.52, 450.6, 492)
ZOO_SIZES_STRIDE_8 = (51.2, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6)


@dataclass(frozen=True)
class Backbone:
    """Where a backbone is tapped and what is appended to it."""

    taps: tuple[str, ...]  # outputs of the backbone that become levels, finest first
    filters: tuple[int, ...] = (512, 512, 256, 256)  # channels of the appended stride-2 levels
    first_stride: int = 16  # pixels between neighbours of the finest level


BACKBONES = {
    "mobilenet1.0": Backbone(("relu22_fwd", "relu26_fwd")),
    "mobilenet0.75": Backbone(("relu22_fwd", "relu26_fwd")),
    "mobilenet0.5": Backbone(("relu22_fwd", "relu26_fwd")),
    "mobilenet0.25": Backbone(("relu22_fwd", "relu26_fwd"), filters=(256, 256, 128, 128)),
    # The zoo has no SSD on MobileNetV2 and the paper does not say where its levels are taken: the last
    # expansion at stride 16 and the last convolution, as SSDLite does (arXiv 1801.04381, section 6.2).
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
#: Networks that the zoo builds by hand; value: the input sizes they are made for.
EXTRACTORS = {
    "vgg16_atrous": (128, 256, 300, 512),
    "resnet34_v1b": (300,),
    "mobilenet1.0_lite": (300,),
}
#: Thin residual networks for machines without a GPU: width multiples of ResNetV1 with basic blocks.
THIN = re.compile(r"resnet(10|18)_v1_(0\.\d+)")
THIN_BLOCKS = {"10": (1, 1, 1, 1), "18": (2, 2, 2, 2)}


def base_name(network: str) -> str:
    """Backbone of a network's name: 'ssd_512_mobilenet1.0_voc' -> 'mobilenet1.0'."""
    name = re.sub(r"^ssd_\d+_", "", network.strip().lower())
    name = re.sub(r"_(voc|coco|custom)$", "", name)
    return re.sub(r"^(mobilenet(?:v2_)?\d)_(\d+)$", r"\1.\2", name)


def check_name(network: str, option: str) -> str:
    """Return the backbone's name; raise :class:`UserError` naming ``option`` if there is none such."""
    name = base_name(network)
    base, width = narrow.split(name)
    if width and (base in BACKBONES or base == "vgg16_atrous"):
        return name
    if name in BACKBONES or name in EXTRACTORS or THIN.fullmatch(name):
        return name
    known = ", ".join([*BACKBONES, *EXTRACTORS, "resnet10_v1_0.25 and other widths of resnet10/18"])
    raise UserError(
        f"{option} {network!r}: no such network; known are {known}; resnet50_v1_w0.25 and the like "
        "are the zoo's with less channels"
    )


def has_imagenet(network: str) -> bool:
    """Whether the zoo has ImageNet weights of a backbone: not of thin and narrow ones."""
    return not THIN.fullmatch(network) and narrow.split(network)[1] is None


def level_sides(first_side: int) -> list[int]:
    """Sides of a pyramid from its finest level down to 1x1, each the half of the last, rounded up."""
    sides = [first_side]
    while sides[-1] > 1:
        sides.append(math.ceil(sides[-1] / 2))
    return sides


def anchor_sizes(data_shape: int, sides: Sequence[int], first_stride: int) -> list[float]:
    """Anchor sizes in pixels for levels of these sides, ``len(sides) + 1`` of them.

    A full pyramid gets the zoo's own numbers at 512 px, and their proportions at other sizes. A smaller
    input lacks the finest levels: it gets the zoo's last sizes, those of grids as coarse, but for the
    first, which is 2.4 cells wide (at least 0.1 of the image), so that small objects find an anchor.
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


def anchor_ratios(levels: int) -> list[list[float]]:
    """Aspect ratios of the anchors of each level, as the zoo has them: 4, 6, ..., 6, 4, 4 anchors."""
    few, many = [1, 2, 0.5], [1, 2, 0.5, 3, 1.0 / 3]
    return [few if i == 0 or i >= levels - 2 else many for i in range(levels)]


def build_ssd(network: str, classes: Sequence[str], data_shape: int, pretrained_base: bool):
    """GluonCV's SSD block for a backbone's name, not initialised (but for a pretrained backbone).

    Args:
        network: backbone, as :func:`check_name` returns it.
        classes: names of the foreground classes.
        data_shape: side of the square input, in pixels.
        pretrained_base: load the zoo's ImageNet weights into the backbone (downloads them).

    Raises:
        UserError: the network does not exist at this size, or the download fails.
    """
    from gluoncv.model_zoo.ssd.ssd import get_ssd

    thin = THIN.fullmatch(network)
    base, width = narrow.split(network)
    pretrained_base = pretrained_base and has_imagenet(network)
    if data_shape < 32:
        raise UserError(f"--data-shape {data_shape}: at least 32 pixels are needed")
    config: dict = {}
    if base in EXTRACTORS:
        features, filters, config = _extractor(base, data_shape, width)
    elif (network, data_shape) == ("mobilenet0.25", 300):
        backbone = BACKBONES[network]
        features, filters = list(backbone.taps), list(backbone.filters)
        config = _zoo_300()
    else:
        backbone = _thin_backbone(thin) if thin else BACKBONES[base]
        sides = level_sides(math.ceil(data_shape / backbone.first_stride))
        extra = len(sides) - len(backbone.taps)
        if extra < 0:
            raise UserError(f"--data-shape {data_shape}: too small for {network}")
        filters = [*backbone.filters, *backbone.filters[-1:] * extra][:extra]
        features = list(backbone.taps)
        config = {
            "sizes": anchor_sizes(data_shape, sides, 16 if thin else backbone.first_stride),
            "ratios": anchor_ratios(len(sides)),
            "steps": [data_shape / side for side in sides],
        }
    name = network.replace("_lite", "")
    if width and filters is not None:
        filters = narrow.channels(filters, width)
        name = narrow.mobilenet_or_resnet(base, width, PREFIX)
    if thin:
        name = thin_network(thin)
    if filters and not has_imagenet(network):
        config["min_depth"] = filters[-1] // 2
    try:
        return get_ssd(
            name,
            data_shape,
            features=features,
            filters=filters,
            classes=tuple(classes),
            dataset="",
            pretrained_base=pretrained_base,
            prefix=PREFIX,
            **config,
        )
    except Exception as error:
        if not pretrained_base:
            raise
        raise UserError(
            f"the pretrained backbone of {network} cannot be had ({error}): check the network, put "
            "the file into ~/.mxnet/models, or give --no-pretrained-base"
        ) from error


def _zoo_300() -> dict:
    """Anchors of the zoo's SSD-300s on MobileNet 0.25 and ResNet34 (its presets.py)."""
    return {
        "sizes": [21, 45, 99, 153, 207, 261, 315],
        "ratios": anchor_ratios(6),
        "steps": [8, 16, 32, 64, 100, 300],
    }


def _lite_300() -> dict:
    """What sets the zoo's SSDLite on MobileNet 1.0 apart (its presets.py)."""
    from gluoncv.model_zoo.ssd.anchor import LiteAnchorGenerator

    return {
        "sizes": [60.0, 105.0, 150.0, 195.0, 240.0, 285.0, 300.0],
        "ratios": [[1, 2, 0.5]] + [[1, 2, 0.5, 3, 1.0 / 3]] * 5,
        "steps": [16, 30, 60, 100, 150, 300],
        "predictors_kernel": (1, 1),
        "predictors_pad": (0, 0),
        "min_depth": 64,
        "reduce_ratio": 0.5,
        "anchor_generator": LiteAnchorGenerator,
    }


def _extractor(network: str, data_shape: int, width: float | None = None):
    """Feature function, filters and anchors of the networks that the zoo builds by hand.

    ``width``: of a narrow VGG16; its two dilated layers keep their 1024 channels.
    """
    made_for = [size for size in EXTRACTORS[network] if width is None or size != 300]
    if data_shape not in made_for:
        sizes = ", ".join(map(str, made_for))
        raise UserError(f"--data-shape {data_shape}: {network} is made for {sizes}")
    if network == "mobilenet1.0_lite":
        return list(BACKBONES["mobilenet1.0"].taps), [512, 256, 256, 128], _lite_300()
    if network == "resnet34_v1b":
        from gluoncv.model_zoo.ssd.resnet_v1b_ssd import resnet34_v1b_ssd

        return resnet34_v1b_ssd, None, _zoo_300()
    from gluoncv.model_zoo.ssd import vgg_atrous

    if data_shape == 300:
        config = {
            "sizes": [30, 60, 111, 162, 213, 264, 315],
            "ratios": anchor_ratios(6),
            "steps": [8, 16, 32, 64, 100, 300],
        }
        return vgg_atrous.vgg16_atrous_300, None, config
    sides = level_sides(data_shape // 8)
    config = {
        "sizes": anchor_sizes(data_shape, sides, 8),
        "ratios": anchor_ratios(len(sides)),
        "steps": [data_shape // side for side in sides],
    }
    if data_shape == 512 and width is None:
        return vgg_atrous.vgg16_atrous_512, None, config

    def shorter(pretrained=False, ctx=None, root=None, **kwargs):
        """VGG16 with as many of the 512 px extras as fit: the first, some in between, the last."""
        layers, widths = vgg_atrous.vgg_spec[16]
        *strided, last = vgg_atrous.extra_spec[512]
        extras = [*strided[: len(sides) - 3], last]
        if width is not None:
            widths = narrow.channels(widths, width)
            extras = [
                [(*narrow.channels([wide], width), *rest) for wide, *rest in extra]
                for extra in extras
            ]
        net = vgg_atrous.VGGAtrousExtractor(layers, widths, extras)
        if pretrained:
            from gluoncv.model_zoo.model_store import get_model_file

            net.initialize(ctx=ctx)
            file = get_model_file("vgg16_atrous", tag=pretrained, root=root)
            net.load_parameters(file, ctx=ctx, allow_missing=True, ignore_extra=True)
        return net

    return shorter, None, config


def _thin_backbone(match: re.Match) -> Backbone:
    last = THIN_BLOCKS[match[1]][0] - 1
    taps = tuple(f"stage{stage}_activation{last}" for stage in (2, 3, 4))
    return Backbone(taps, filters=(thin_channels(match)[-1],) * 2, first_stride=8)


def thin_channels(match: re.Match) -> list[int]:
    """Channels of the stem and the four stages; at least 8, so that a width of 0.05 still trains."""
    return [max(8, round(width * float(match[2]))) for width in (64, 64, 128, 256, 512)]


def thin_network(match: re.Match, prefix: str = PREFIX):
    """The thin residual network of a name that :data:`THIN` matches."""
    from gluoncv.model_zoo.resnet import BasicBlockV1, ResNetV1

    blocks = list(THIN_BLOCKS[match[1]])
    # The prefix is the one that a backbone built by name would get; see PREFIX.
    return ResNetV1(BasicBlockV1, blocks, thin_channels(match), prefix=prefix + "resnetv10_")


def level_shapes(features, data_shape: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of each level of ``features`` for a square input, without running anything."""
    outputs = mx.sym.Group(list(features(mx.sym.var("data"))))
    _, shapes, _ = outputs.infer_shape(data=(1, 3, data_shape, data_shape))
    return [shape[1:] for shape in shapes]
