"""The zoo's backbones at a part of their width: ``resnet50_v1_w0.25`` has a quarter of the channels.

Layers, blocks and taps are the zoo's, so that a network of these takes the same paths as the wide one
on a machine without a GPU; there are no pretrained weights of them. (The thin networks of
:mod:`gan_kd_ssd.detectors.ssd_networks`, ``resnet10_v1_0.25``, are ours: they have a level of stride 8.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: A name is a backbone's with ``_w`` and its width behind it.
NAME = re.compile(r"(.+)_w(0\.\d+)")
_MOBILENET = re.compile(r"mobilenet(v2_)?(\d\.\d+)")
_RESNET = re.compile(r"resnet(\d+)_v([12])")
_RESNET_B = re.compile(r"resnet(50|101)_v1([bd])")


def split(network: str) -> tuple[str, float | None]:
    """Backbone and width of a name: 'vgg16_atrous_w0.25' -> ('vgg16_atrous', 0.25); None: all of it."""
    match = NAME.fullmatch(network)
    return (match[1], float(match[2])) if match and float(match[2]) else (network, None)


def channels(widths: Sequence[int], width: float) -> list[int]:
    """``widths`` times ``width``; at least 8, so that a narrow network still trains."""
    return [max(8, round(each * width)) for each in widths]


def mobilenet_or_resnet(base: str, width: float, prefix: str):
    """A MobileNet, MobileNetV2, ResNetV1 or ResNetV2 of the zoo with less channels."""
    mobile, residual = _MOBILENET.fullmatch(base), _RESNET.fullmatch(base)
    if mobile:
        from gluoncv.model_zoo.mobilenet import MobileNet, MobileNetV2

        network, name = (MobileNetV2, "mobilenetv20_") if mobile[1] else (MobileNet, "mobilenet0_")
        return network(float(mobile[2]) * width, prefix=prefix + name)
    from gluoncv.model_zoo import resnet

    layers, version = int(residual[1]), int(residual[2]) - 1
    kind, blocks, wide = resnet.resnet_spec[layers]
    block = resnet.resnet_block_versions[version][kind]
    network = resnet.resnet_net_versions[version]
    return network(block, blocks, channels(wide, width), prefix=f"{prefix}resnetv{version + 1}0_")


def resnet_b(base: str, width: float, prefix: str):
    """A ResNetV1b or V1d of the zoo, the backbones of its Faster R-CNNs, with less channels.

    BatchNorm is trained: it has no ImageNet values.
    """
    from gluoncv.model_zoo.resnetv1b import BottleneckV1b, ResNetV1b

    layers, letter = _RESNET_B.fullmatch(base).groups()
    deep = {}
    if letter == "d":
        deep = {"deep_stem": True, "avg_down": True, "stem_width": channels([32], width)[0]}
    (stem,) = channels([64], width)

    class Narrow(ResNetV1b):
        def _make_layer(self, stage_index, block, planes, *args, **kwargs):
            if stage_index == 1 and not deep:
                self.inplanes = stem
            (planes,) = channels([planes], width)
            return super()._make_layer(stage_index, block, planes, *args, **kwargs)

    blocks = [3, 4, 6 if layers == "50" else 23, 3]
    net = Narrow(BottleneckV1b, blocks, name_prefix=f"{prefix}resnetv1{letter}0_", **deep)
    if not deep:  # the zoo's class gives its first convolution 64
        with net.name_scope():
            net.conv1 = nn.Conv2D(stem, 7, 2, 3, use_bias=False, prefix="conv0_")
            net.bn1 = nn.BatchNorm(in_channels=stem, prefix="batchnorm0_")
    return net
