"""Losses and counted figures of Faster R-CNN, as in GluonCV 0.4's script.

The normalisation and the figures are recalled from GluonCV 0.4's train_faster_rcnn.py, because the
published log has its option names and figures (inferred).
"""

from __future__ import annotations

from typing import NamedTuple

from gan_kd_ssd.util.mxnet import mx

gluon = mx.gluon


class Predictions(NamedTuple):
    """Output of the head in training; A anchors, R sampled RoIs, P places for positive RoIs, K classes.

    The targets of the RoIs are included, because the RoIs are sampled from the proposals.
    """

    rpn_scores: object  # (B, A, 1), before the sigmoid
    rpn_boxes: object  # (B, A, 4)
    classes: object  # (B, R, K + 1), before the softmax; 0 is background
    boxes: object  # (B, P, K, 4)
    class_targets: object  # (B, R): 0 background, 1 + class, -1 ignored
    box_targets: object  # (B, P, K, 4)
    box_masks: object  # (B, P, K, 4): 1 where there is a target


class FasterRCNNLoss(gluon.HybridBlock):
    """The four losses of Faster R-CNN (arXiv 1506.01497).

    Inputs: targets of the anchors, classes (B, A): 1 object, 0 background, -1 ignored, and boxes
    (B, A, 4), read only for objects; then the fields of :class:`Predictions`. Returns, each (B,):

    - RPN_Conf, RPN_SmoothL1: binary cross-entropy and smooth L1 (quadratic below 1/9) of the sampled
      anchors, summed, divided by their number;
    - RCNN_CrossEntropy, RCNN_SmoothL1: cross-entropy and smooth L1 (quadratic below 1) of the sampled
      RoIs, summed, divided by their number.

    The published runs have one image on each device. With more, each image is normalised by its own
    numbers (this project's choice).
    """

    def hybrid_forward(self, F, rpn_classes, rpn_targets, *predictions):
        p = Predictions(*predictions)
        sampled = rpn_classes >= 0
        count = F.maximum(sampled.sum(axis=1), 1)
        x = p.rpn_scores.reshape((0, -1))
        entropy = F.relu(x) - x * rpn_classes + F.Activation(-F.abs(x), act_type="softrelu")
        conf = F.where(sampled, entropy, F.zeros_like(entropy)).sum(axis=1) / count
        distance = F.smooth_l1(p.rpn_boxes - rpn_targets, scalar=3.0).sum(axis=2)
        rpn_location = (distance * (rpn_classes > 0)).sum(axis=1) / count
        used = p.class_targets >= 0
        rois = F.maximum(used.sum(axis=1), 1)
        picked = -F.pick(F.log_softmax(p.classes, axis=-1), F.relu(p.class_targets), axis=-1)
        rcnn = F.where(used, picked, F.zeros_like(picked)).sum(axis=1) / rois
        distance = F.smooth_l1(p.boxes - p.box_targets, scalar=1.0) * p.box_masks
        return conf, rpn_location, rcnn, distance.sum(axis=(1, 2, 3)) / rois


class FasterRCNNCounts(gluon.HybridBlock):
    """Figures that GluonCV 0.4's script measures in addition to the losses.

    Inputs: as for :class:`FasterRCNNLoss`. Returns a sum (1,) and the number (1,) to divide it by for
    each figure, eight arrays in this order:

    - RPNAcc: fraction of the sampled anchors with a score on the right side of 0.5;
    - RPNL1Loss: mean smooth L1 loss of the proposals, over the anchors that are objects;
    - RCNNAcc: fraction of the RoIs with the right class;
    - RCNNL1Loss: mean smooth L1 loss of the boxes, over the RoIs that are objects.
    """

    def hybrid_forward(self, F, rpn_classes, rpn_targets, *predictions):
        p = Predictions(*predictions)
        sampled, objects = rpn_classes >= 0, rpn_classes > 0
        right = (p.rpn_scores.reshape((0, -1)) >= 0) == rpn_classes
        distance = F.smooth_l1(p.rpn_boxes - rpn_targets, scalar=3.0).sum(axis=2)
        chosen = F.argmax(p.classes, axis=-1) == p.class_targets
        boxes = F.smooth_l1(p.boxes - p.box_targets, scalar=1.0) * p.box_masks
        sums = (
            *(right * sampled, sampled, distance * objects, objects),
            *(chosen, F.ones_like(chosen), boxes, p.box_masks / 4),
        )
        return tuple(F.sum(part).reshape((1,)) for part in sums)
