"""SSD: GluonCV's network as a :class:`~gan_kd_ssd.detectors.base.Detector`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gan_kd_ssd.detectors import ssd_networks as networks
from gan_kd_ssd.detectors.base import Detector, EvaluationPart, Forward
from gan_kd_ssd.detectors.names import NetworkName
from gan_kd_ssd.detectors.parameters import published_file
from gan_kd_ssd.util.mxnet import mx

gluon, nd = mx.gluon, mx.nd


@dataclass(frozen=True)
class SSDSettings:
    """Settings of an SSD."""

    data_shape: int = 512  # side of the square input in pixels; 512 is published


class SSDPart(NamedTuple):
    """Part of a training batch that one device processes; B images, N anchors."""

    images: nd.NDArray  # (B, 3, S, S), normalised
    class_targets: nd.NDArray  # (B, N): 0 is background, others are 1 + class
    box_targets: nd.NDArray  # (B, N, 4): encoded offsets, 0 for background
    scale: nd.NDArray  # (1,): reciprocal of the number of positive anchors on all devices


class SSDHead(gluon.HybridBlock):
    """Predictions of an SSD: L levels -> class logits (B, N, K + 1), box offsets (B, N, 4).

    Background is class 0. Rows are in the order of the anchors. The block shares the predictors of a
    GluonCV SSD; it is separate from the pyramid, so that a gradient that enters at the levels does not
    run through the predictors.
    """

    def __init__(self, ssd, **kwargs):
        super().__init__(**kwargs)
        self.class_predictors = ssd.class_predictors
        self.box_predictors = ssd.box_predictors
        self._width = ssd.num_classes + 1

    def hybrid_forward(self, F, *levels):
        classes = _rows(F, levels, self.class_predictors, self._width)
        return classes, _rows(F, levels, self.box_predictors, 4)


def _rows(F, levels, predictors, width):
    """Predictions of all levels in one array (B, N, width), in the order of the anchors."""
    rows = [F.flatten(F.transpose(p(level), (0, 2, 3, 1))) for level, p in zip(levels, predictors)]
    return F.concat(*rows, dim=1).reshape((0, -1, width))


class MultiBoxLoss(gluon.HybridBlock):
    """The two losses of SSD (arXiv 1512.02325, section 2.2), equal to GluonCV's ``SSDMultiBoxLoss``.

    GluonCV's block reads the number of positive anchors back to the host at each step. Here the
    batch contains the number, so that nothing waits for the device.

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


class SSD(Detector):
    """An SSD; ``data_shape`` is the side of the square input in pixels."""

    kind = "ssd"
    loss_names = ("CrossEntropy", "SmoothL1")
    size_option = "--data-shape"
    network_options = ("data_shape",)
    settings_class = SSDSettings
    class_layers = ("class_predictors",)

    def __init__(self, name: NetworkName, classes: Sequence[str], data_shape: int, net):
        super().__init__(name, classes, net)
        self.data_shape, self.sizes = data_shape, {"data_shape": data_shape}
        self.shapes = networks.level_shapes(net.features, data_shape)
        self.strides = [round(data_shape / height) for _, height, _ in self.shapes]
        net.set_nms(nms_thresh=0.45, nms_topk=400, post_nms=100)  # GluonCV's values for VOC
        self.head, self.loss = SSDHead(net), MultiBoxLoss()
        self.graphs = (self.pyramid, self.head, self.loss, net)

    @classmethod
    def build(cls, network, classes, settings, *, pretrained_base=False, option="") -> SSD:
        name = networks.check_name(network, option)
        net = networks.build_ssd(name, classes, settings.data_shape, pretrained_base)
        return cls(name, classes, settings.data_shape, net)

    @classmethod
    def published_weights(cls, network, settings, dataset, option=""):
        name = networks.check_name(network, option)
        data = "voc" if dataset == "voc07" else dataset  # GluonCV trains on both years
        training = f"train_ssd_gkd.py --distill none --student {name}"
        return published_file(f"ssd_{settings.data_shape}_{name}_{data}", option, training)

    def _infer_shapes(self, device) -> None:
        x = nd.zeros((1, 3, self.data_shape, self.data_shape), ctx=device)
        self.head(*self.pyramid(x))

    @cached_property
    def anchors(self) -> np.ndarray:
        """Anchors (N, 4): centre x, centre y, width, height in pixels, in the predictions' order."""
        rows = []
        for generator, (_, height, width) in zip(self.net.anchor_generators, self.shapes):
            grid = generator.anchors.value.asnumpy()[0, 0]  # (allocated H, allocated W, 4 A)
            rows.append(grid[:height, :width].reshape(-1, 4))
        return np.concatenate(rows).astype(np.float32)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        from gan_kd_ssd.data.batches.ssd_transform import val_transform

        return val_transform(image, np.zeros((0, 6), np.float32), self.data_shape)[0]

    def parts(self, batch, ctx: Sequence) -> list[SSDPart]:
        """Distribute a :class:`~gan_kd_ssd.data.batches.ssd_batches.TrainBatch` over devices.

        The first devices get one more image if the batch cannot be divided by their number.
        """
        scale = 1.0 / max(1, batch.positives)
        arrays = [gluon.utils.split_and_load(a, list(ctx), even_split=False) for a in batch[:3]]
        return [
            SSDPart(*share, nd.full((1,), scale, ctx=share[0].context)) for share in zip(*arrays)
        ]

    def forward(self, part: SSDPart) -> Forward:
        x, class_targets, box_targets, scale = part
        with mx.autograd.record():
            levels = self.pyramid(x)
            classes, boxes = self.head(*levels)
            losses = self.loss(classes, boxes, class_targets, box_targets, scale)
        return Forward(tuple(levels), dict(zip(self.loss_names, losses)))

    def head_parts(self, levels: Sequence[int]) -> list[tuple[str, list]]:
        """The class and box predictors of each level."""
        predictors = list(zip(self.net.class_predictors, self.net.box_predictors))
        return [(f"stride {self.strides[level]}", list(predictors[level])) for level in levels]

    def val_batches(self, dataset, batch_size: int, devices: int, num_workers: int):
        from gan_kd_ssd.data.batches.ssd_batches import val_batches

        return val_batches(dataset, self.data_shape, batch_size, num_workers)

    def evaluation_parts(self, batch, ctx: Sequence) -> list[EvaluationPart]:
        """Distribute images (B, 3, S, S) and labels (B, M, 6) over devices, as evenly as possible."""
        images, labels = batch
        ctx = list(ctx)[: len(images)]
        shares = gluon.utils.split_and_load(images, ctx, even_split=False)
        rows = np.array_split(labels.asnumpy(), len(ctx))
        return [EvaluationPart(share, own, 1.0) for share, own in zip(shares, rows)]
