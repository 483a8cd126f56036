"""Thin and narrow backbones, for machines without a GPU. There are no pretrained weights for either.

- Thin ResNets ('resnet10_v1_0.25', 'resnet18_v1_0.5') are this project's own: ResNetV1 with basic blocks
  and a fraction of the channels. As SSDs they have a level of stride 8.
- Narrow backbones ('resnet50_v1_w0.25') are GluonCV's with a fraction of the channels. Their layers, blocks
  and taps are those of the full-width network.

``prefix`` is that of the detector, see :data:`ssd_networks.PREFIX`. The names of parameters continue it as
GluonCV does for a backbone that it builds by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gan_kd_ssd.detectors.names import DetectorKind, NetworkName, read_name
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: Basic blocks in each stage of a thin ResNet, by its number of layers.
THIN_BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2)}


def known_name(
    network: str | NetworkName,
    kind: DetectorKind,
    option: str,
    backbones: Sequence[str],
    narrow: Sequence[str],
) -> NetworkName:
    """Parse the name of a network on one of ``backbones``, or of ``narrow`` ones with fewer channels.

    Raises:
        UserError: there is no such network; names ``option``.
    """
    name = read_name(str(network), kind)
    if name.thin or name.base in (narrow if name.width else backbones):
        return name
    names = ", ".join([*backbones, "resnet10_v1_0.25 and other widths of resnet10/18"])
    raise UserError(
        f"{option} {str(network)!r}: no such network; known are {names}; {narrow[0]}_w0.25 and similar "
        "names are GluonCV's backbones with fewer channels".lstrip()
    )


@contextmanager
def backbone_download(name: NetworkName, pretrained_base: bool) -> Iterator[None]:
    """Convert errors of a block that downloads a pretrained backbone into a UserError."""
    try:
        yield
    except Exception as error:  # errors of requests, of zip files, of the operating system
        if not pretrained_base:
            raise
        raise UserError(
            f"the pretrained backbone of {name.backbone} is not available ({error}): check the "
            "network connection, put the file into ~/.mxnet/models, or give --no-pretrained-base"
        ) from error


def channels(widths: Sequence[int], width: float) -> list[int]:
    """``widths`` multiplied by ``width``; at least 8, so that a narrow network still trains."""
    return [max(8, round(each * width)) for each in widths]


def thin_channels(name: NetworkName) -> list[int]:
    """Channels of the stem and the four stages of a thin ResNet."""
    return channels((64, 64, 128, 256, 512), name.thin[1])


def thin_resnet(name: NetworkName, prefix: str):
    """Build a thin ResNet."""
    from gluoncv.model_zoo.resnet import BasicBlockV1, ResNetV1

    blocks = list(THIN_BLOCKS[name.thin[0]])
    return ResNetV1(BasicBlockV1, blocks, thin_channels(name), prefix=prefix + "resnetv10_")


def thin_taps(name: NetworkName, stages: Sequence[int]) -> list[str]:
    """Names of the outputs of some stages (1 to 4) of a thin ResNet."""
    last = THIN_BLOCKS[name.thin[0]][0] - 1
    return [f"stage{stage}_activation{last}" for stage in stages]


def narrow_mobilenet_or_resnet(name: NetworkName, prefix: str):
    """A narrow MobileNet, MobileNetV2, ResNetV1 or ResNetV2."""
    from gluoncv.model_zoo import mobilenet, resnet

    if name.base.startswith("mobilenet"):
        second, multiplier = re.fullmatch(r"mobilenet(v2_)?(.+)", name.base).groups()
        network = mobilenet.MobileNetV2 if second else mobilenet.MobileNet
        own = "mobilenetv20_" if second else "mobilenet0_"
        return network(float(multiplier) * name.width, prefix=prefix + own)
    layers, version = map(int, re.findall(r"\d+", name.base))
    kind, blocks, wide = resnet.resnet_spec[layers]
    block = resnet.resnet_block_versions[version - 1][kind]
    network = resnet.resnet_net_versions[version - 1]
    return network(block, blocks, channels(wide, name.width), prefix=f"{prefix}resnetv{version}0_")


def narrow_resnet_b(name: NetworkName, prefix: str):
    """A narrow ResNetV1b or ResNetV1d, the backbones of GluonCV's Faster R-CNNs.

    BatchNorm is trained, because there are no ImageNet values.
    """
    from gluoncv.model_zoo.resnetv1b import BottleneckV1b, ResNetV1b

    stem_width, stem = channels([32, 64], name.width)
    deep = {}
    if name.base.endswith("d"):
        deep = {"deep_stem": True, "avg_down": True, "stem_width": stem_width}

    class NarrowResNetV1b(ResNetV1b):
        def _make_layer(self, stage_index, block, planes, *args, **kwargs):
            if stage_index == 1 and not deep:
                self.inplanes = stem
            (planes,) = channels([planes], name.width)
            return super()._make_layer(stage_index, block, planes, *args, **kwargs)

    blocks = [3, 4, 6 if name.base.startswith("resnet50") else 23, 3]
    own = f"{prefix}resnetv1{name.base[-1]}0_"
    net = NarrowResNetV1b(BottleneckV1b, blocks, name_prefix=own, **deep)
    if not deep:  # GluonCV's class gives its first convolution 64 channels
        with net.name_scope():
            net.conv1 = nn.Conv2D(stem, 7, 2, 3, use_bias=False, prefix="conv0_")
            net.bn1 = nn.BatchNorm(in_channels=stem, prefix="batchnorm0_")
    return net
