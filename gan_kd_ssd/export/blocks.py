"""What is exported: a detector with or without its non-maximum suppression, outputs by name."""

from __future__ import annotations

from gan_kd_ssd.detectors.faster_rcnn import FasterRCNN
from gan_kd_ssd.util.mxnet import mx

DETECTIONS = ("ids", "scores", "boxes")
RAW = ("class_scores", "class_boxes")


def _named(F, arrays, names):
    """The arrays, as outputs of these names."""
    return tuple(F.identity(array, name=name) for array, name in zip(arrays, names))


class Detections(mx.gluon.HybridBlock):
    """x (B, 3, H, W) -> ids, scores (B, N, 1), boxes (B, N, 4) in pixels of x; -1 pads."""

    outputs = DETECTIONS

    def __init__(self, detector, **kwargs):
        super().__init__(prefix="", **kwargs)  # so that outputs are named as they are
        self.net = detector.net

    def hybrid_forward(self, F, x):
        return _named(F, self.net(x), DETECTIONS)


class RawSSD(mx.gluon.HybridBlock):
    """x (B, 3, S, S) -> class scores (B, N, K + 1), 0 is background, and boxes (B, N, 4), pixels."""

    outputs = RAW

    def __init__(self, detector, **kwargs):
        super().__init__(prefix="", **kwargs)  # so that outputs are named as they are
        self.pyramid, self.head = detector.pyramid, detector.head
        self.anchor_generators = detector.net.anchor_generators
        self.bbox_decoder = detector.net.bbox_decoder

    def hybrid_forward(self, F, x):
        levels = self.pyramid(x)
        classes, offsets = self.head(*levels)
        parts = [g(level).reshape((1, -1)) for g, level in zip(self.anchor_generators, levels)]
        anchors = F.concat(*parts, dim=1).reshape((1, -1, 4))
        boxes = self.bbox_decoder(offsets, anchors)
        return _named(F, (F.softmax(classes, axis=-1), boxes), RAW)


class RawFasterRCNN(mx.gluon.HybridBlock):
    """x (1, 3, H, W) -> class scores (1, R, K + 1), 0 is background, and boxes (1, R, K, 4), pixels.

    The R proposals have gone through the suppression of the region proposal network, which is part of
    the network.
    """

    outputs = RAW

    def __init__(self, detector, **kwargs):
        super().__init__(prefix="", **kwargs)  # so that outputs are named as they are
        self.pyramid, self.net = detector.pyramid, detector.net
        self.__dict__["_head"] = (
            detector.head
        )  # not as a child: its parameters are those of the net

    def hybrid_forward(self, F, x):
        net = self.net
        levels = self.pyramid(x)
        _, rois = net.rpn(F.zeros_like(x), *levels)
        flat = rois.reshape((-1, 4))
        number = F.zeros_like(F.slice_axis(flat, axis=1, begin=0, end=1))  # one image: 0
        features = self._head.features_of(F, F.concat(number, flat, dim=-1), levels)
        scores = F.softmax(net.class_predictor(features), axis=-1).expand_dims(0)
        offsets = net.box_predictor(features).reshape((-1, net.num_class, 4)).transpose((1, 0, 2))
        boxes = net.box_decoder(offsets, rois).transpose((1, 0, 2)).expand_dims(0)
        return _named(F, (scores, boxes), RAW)


def exported(detector, raw: bool):
    """The block to export, compiled at its first call; ``outputs`` are the names of its outputs."""
    kind = RawFasterRCNN if isinstance(detector, FasterRCNN) else RawSSD
    block = kind(detector) if raw else Detections(detector)
    block.hybridize()
    return block


def suppress(net, class_scores, boxes):
    """Detections of an SSD from its raw outputs, as GluonCV's SSD has them: ids, scores, boxes."""
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
