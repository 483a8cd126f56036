"""Losses of SSD."""

from __future__ import annotations

from gan_kd_ssd.util.mxnet import mx


class MultiBoxLoss(mx.gluon.HybridBlock):
    """The two losses of SSD (arXiv 1512.02325, section 2.2), equal to GluonCV's ``SSDMultiBoxLoss``.

    GluonCV's block reads the number of positive anchors back to the host at each step. Here it comes
    with the batch, so that nothing waits for the device.

    Inputs: class logits (B, N, K + 1), box offsets (B, N, 4), class targets (B, N), box targets
    (B, N, 4), and ``scale`` (1,), the reciprocal of the number of positive anchors of the whole batch on
    all devices.

    Returns two losses (B,), summed over anchors and multiplied by ``scale``: the cross-entropy of the
    positive anchors and of the three hardest negatives for each of them, and the smooth L1 loss of the
    positive anchors.
    """

    negatives_per_positive = 3

    def hybrid_forward(self, F, classes, boxes, class_targets, box_targets, scale):
        positive = class_targets > 0
        entropy = -F.pick(F.log_softmax(classes, axis=-1), class_targets, axis=-1)
        # Rank of each anchor's loss among the negatives of its image. Positives rank last: loss 0.
        rank = (entropy * (positive - 1)).argsort(axis=1).argsort(axis=1)
        hardest = F.broadcast_lesser(
            rank, self.negatives_per_positive * positive.sum(axis=1, keepdims=True)
        )
        entropy = F.where(positive + hardest > 0, entropy, F.zeros_like(entropy))
        distance = F.smooth_l1(boxes - box_targets, scalar=1.0)
        distance = F.broadcast_mul(distance, positive.expand_dims(axis=-1))
        return (
            F.broadcast_mul(entropy.sum(axis=1), scale),
            F.broadcast_mul(distance.sum(axis=(1, 2)), scale),
        )
