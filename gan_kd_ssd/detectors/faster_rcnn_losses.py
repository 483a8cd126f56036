"""Faster R-CNN's losses and counted figures, as GluonCV 0.4's script has them."""

from __future__ import annotations

from typing import NamedTuple

from gan_kd_ssd.util.mxnet import mx

gluon = mx.gluon


class Predictions(NamedTuple):
    """What the head gives in training; A anchors, R sampled RoIs, P places for positive RoIs, K classes.

    Targets of the RoIs are among them, because the RoIs are drawn from the proposals.
    """

    rpn_scores: object  # (B, A, 1), before the sigmoid
    rpn_boxes: object  # (B, A, 4)
    classes: object  # (B, R, K + 1), before the softmax; 0 is background
    boxes: object  # (B, P, K, 4)
    class_targets: object  # (B, R): 0 background, 1 + class, -1 ignored
    box_targets: object  # (B, P, K, 4)
    box_masks: object  # (B, P, K, 4): 1 where there is a target


class RCNNLoss(gluon.HybridBlock):
    """The four losses of Faster R-CNN (arXiv 1506.01497), normalised as in GluonCV 0.4's script.

    Args of a call: RPN targets, classes (B, A): 1 object, 0 background, -1 ignored; boxes (B, A, 4),
    read where there is an object; then the fields of :class:`Predictions`. Returns, each (B,):

    - RPN_Conf: binary cross-entropy of the sampled anchors, summed, by the number of sampled anchors;
    - RPN_SmoothL1: smooth L1 (quadratic below 1/9), summed, by the same number;
    - RCNN_CrossEntropy: cross-entropy of the sampled RoIs, summed, by their number;
    - RCNN_SmoothL1: smooth L1 (quadratic below 1), summed, by the same number.

    The normalisation is recalled from GluonCV 0.4's train_faster_rcnn.py, which the published log's
    option names and figures follow (inferred). Published runs have one image a device; for more, each
    image is normalised by its own numbers (ours).
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


class RCNNCounts(gluon.HybridBlock):
    """What GluonCV 0.4's script measures beside the losses, as sums and numbers to divide them by.

    Args of a call: as of :class:`RCNNLoss`. Returns (8,), a sum and a number for each of:

    - RPNAcc: sampled anchors on whose right side of 0.5 the score is, of the sampled anchors;
    - RPNL1Loss: smooth L1 of the proposals, by the anchors that are objects;
    - RCNNAcc: RoIs of the right class, of all RoIs;
    - RCNNL1Loss: smooth L1 of the boxes, by the RoIs that are objects.

    Recalled from GluonCV 0.4's train_faster_rcnn.py (inferred, as the losses).
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
        return F.concat(*[F.sum(part).reshape((1,)) for part in sums], dim=0)
