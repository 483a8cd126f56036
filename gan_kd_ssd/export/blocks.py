"""The blocks that are exported: a detector with or without its non-maximum suppression."""

from __future__ import annotations

from gan_kd_ssd.detectors.base import Detector
from gan_kd_ssd.util.mxnet import mx

DETECTIONS = ("ids", "scores", "boxes")
RAW = ("class_scores", "class_boxes")


class _Exported(mx.gluon.HybridBlock):
    """A block with named outputs. Its names have no prefix, so that outputs have their names only."""

    outputs = RAW

    def __init__(self, detector: Detector):
        super().__init__(prefix="")
        self.net = detector.net

    def hybrid_forward(self, F, x):
        arrays = self.values(F, x)
        return tuple(F.identity(array, name=name) for array, name in zip(arrays, self.outputs))


class Detections(_Exported):
    """x (B, 3, H, W) -> ids, scores (B, N, 1), boxes (B, N, 4) in pixels of x; rows of -1 are padding."""

    outputs = DETECTIONS

    def values(self, F, x):
        return self.net(x)


class _Raw(_Exported):
    """A block that uses the pyramid and the head of a detector."""

    def __init__(self, detector: Detector):
        super().__init__(detector)
        self.pyramid = detector.pyramid
        # Not a child: the head's parameters are those of the net.
        self.__dict__["_head"] = detector.head


class RawSSD(_Raw):
    """x (B, 3, S, S) -> class scores (B, N, K + 1), class 0 is background; boxes (B, N, 4) in pixels."""

    def values(self, F, x):
        levels = self.pyramid(x)
        classes, offsets = self._head(*levels)
        generators = self.net.anchor_generators
        parts = [g(level).reshape((1, -1)) for g, level in zip(generators, levels)]
        anchors = F.concat(*parts, dim=1).reshape((1, -1, 4))
        return F.softmax(classes, axis=-1), self.net.bbox_decoder(offsets, anchors)


class RawFasterRCNN(_Raw):
    """x (1, 3, H, W) -> class scores (1, R, K + 1), class 0 is background; boxes (1, R, K, 4) in pixels.

    The suppression of the region proposal network, which gives the R proposals, is included.
    """

    def values(self, F, x):
        net = self.net
        levels = self.pyramid(x)
        _, rois = net.rpn(F.zeros_like(x), *levels)
        flat = rois.reshape((-1, 4))
        # The only image is number 0.
        number = F.zeros_like(F.slice_axis(flat, axis=1, begin=0, end=1))
        features = self._head.features_of(F, F.concat(number, flat, dim=-1), levels)
        scores = F.softmax(net.class_predictor(features), axis=-1).expand_dims(0)
        offsets = net.box_predictor(features).reshape((-1, net.num_class, 4)).transpose((1, 0, 2))
        return scores, net.box_decoder(offsets, rois).transpose((1, 0, 2)).expand_dims(0)


def exported(detector: Detector, raw: bool) -> _Exported:
    """The block to export, compiled at its first call."""
    if raw:
        block = RawSSD(detector) if detector.kind == "ssd" else RawFasterRCNN(detector)
    else:
        block = Detections(detector)
    block.hybridize()
    return block


def suppress(net, class_scores, boxes):
    """Ids, scores and boxes from the raw outputs of an SSD, as GluonCV's SSD computes them."""
    nd = mx.nd
    ids, scores = net.cls_decoder(class_scores)
    rows = [
        nd.concat(ids[:, :, k : k + 1], scores[:, :, k : k + 1], boxes, dim=-1)
        for k in range(net.num_classes)
    ]
    kept = nd.contrib.box_nms(
        nd.concat(*rows, dim=1),
        overlap_thresh=net.nms_thresh,
        topk=net.nms_topk,
        valid_thresh=0.01,  # GluonCV's
        id_index=0,
        score_index=1,
        coord_start=2,
    )
    if net.post_nms > 0:
        kept = kept[:, : net.post_nms]
    return kept[:, :, 0:1], kept[:, :, 1:2], kept[:, :, 2:6]
