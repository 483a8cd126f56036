"""Detectors from a name and settings in one call."""

from gan_kd_ssd.detectors.faster_rcnn import FasterRCNN, FasterRCNNSettings
from gan_kd_ssd.detectors.ssd import SSD, SSDSettings


def build_ssd(network, classes, data_shape, **how):
    """An SSD without values; ``how`` are the keyword arguments of ``SSD.build``."""
    return SSD.build(network, classes, SSDSettings(data_shape), **how)


def build_faster_rcnn(network, classes, *, option="", **settings):
    """A Faster R-CNN without values; ``settings`` are the fields of ``FasterRCNNSettings``."""
    return FasterRCNN.build(network, classes, FasterRCNNSettings(**settings), option=option)
