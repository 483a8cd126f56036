"""Thin and narrow backbones, for machines without a GPU.

- Thin ResNets ('resnet10_v1_0.25', 'resnet18_v1_0.5') are this project's own: ResNetV1 with basic blocks
  and a fraction of the channels. As SSDs they have a level of stride 8.
- Narrow backbones ('resnet50_v1_w0.25') are GluonCV's with a fraction of the channels. Their layers, blocks
  and taps are those of the full-width network.

There are no pretrained weights for either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gan_kd_ssd.detectors.names import NetworkName
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: Basic blocks in each stage of a thin ResNet, by its number of layers.
THIN_BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2)}

_MOBILENET = re.compile(r"mobilenet(v2_)?(\d\.\d+)")
_RESNET = re.compile(r"resnet(\d+)_v([12])")
_RESNET_B = re.compile(r"resnet(50|101)_v1([bd])")


@contextmanager
def backbone_download(name: NetworkName, pretrained_base: bool) -> Iterator[None]:
    """Turn errors of a block that downloads a pretrained backbone into a UserError."""
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
    """A thin ResNet; ``prefix`` is that of the detector, see :data:`ssd_networks.PREFIX`."""
    from gluoncv.model_zoo.resnet import BasicBlockV1, ResNetV1

    blocks = list(THIN_BLOCKS[name.thin[0]])
    # GluonCV would choose this prefix for a backbone that it builds by name.
    return ResNetV1(BasicBlockV1, blocks, thin_channels(name), prefix=prefix + "resnetv10_")


def thin_taps(name: NetworkName, stages: Sequence[int]) -> list[str]:
    """Names of the outputs of some stages (1 to 4) of a thin ResNet."""
    last = THIN_BLOCKS[name.thin[0]][0] - 1
    return [f"stage{stage}_activation{last}" for stage in stages]


def narrow_mobilenet_or_resnet(name: NetworkName, prefix: str):
    """A narrow MobileNet, MobileNetV2, ResNetV1 or ResNetV2."""
    mobile, residual = _MOBILENET.fullmatch(name.base), _RESNET.fullmatch(name.base)
    if mobile:
        from gluoncv.model_zoo.mobilenet import MobileNet, MobileNetV2

        network, own = (MobileNetV2, "mobilenetv20_") if mobile[1] else (MobileNet, "mobilenet0_")
        return network(float(mobile[2]) * name.width, prefix=prefix + own)
    from gluoncv.model_zoo import resnet

    layers, version = int(residual[1]), int(residual[2]) - 1
    kind, blocks, wide = resnet.resnet_spec[layers]
    block = resnet.resnet_block_versions[version][kind]
    network = resnet.resnet_net_versions[version]
    widths = channels(wide, name.width)
    return network(block, blocks, widths, prefix=f"{prefix}resnetv{version + 1}0_")


def narrow_resnet_b(name: NetworkName, prefix: str):
    """A narrow ResNetV1b or ResNetV1d, the backbones of GluonCV's Faster R-CNNs.

    BatchNorm is trained, because there are no ImageNet values.
    """
    from gluoncv.model_zoo.resnetv1b import BottleneckV1b, ResNetV1b

    layers, letter = _RESNET_B.fullmatch(name.base).groups()
    deep = {}
    if letter == "d":
        (stem_width,) = channels([32], name.width)
        deep = {"deep_stem": True, "avg_down": True, "stem_width": stem_width}
    (stem,) = channels([64], name.width)

    class NarrowResNetV1b(ResNetV1b):
        def _make_layer(self, stage_index, block, planes, *args, **kwargs):
            if stage_index == 1 and not deep:
                self.inplanes = stem
            (planes,) = channels([planes], name.width)
            return super()._make_layer(stage_index, block, planes, *args, **kwargs)

    blocks = [3, 4, 6 if layers == "50" else 23, 3]
    net = NarrowResNetV1b(BottleneckV1b, blocks, name_prefix=f"{prefix}resnetv1{letter}0_", **deep)
    if not deep:  # GluonCV's class gives its first convolution 64 channels
        with net.name_scope():
            net.conv1 = nn.Conv2D(stem, 7, 2, 3, use_bias=False, prefix="conv0_")
            net.bn1 = nn.BatchNorm(in_channels=stem, prefix="batchnorm0_")
    return net
