"""Faster R-CNN: GluonCV's network as a :class:`~gan_kd_ssd.detectors.base.Detector`.

GluonCV's block computes everything in one forward pass. Here the pyramid and the head are separate,
because the discriminators read the pyramid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gan_kd_ssd.detectors import faster_rcnn_networks as networks
from gan_kd_ssd.detectors.base import Detector, EvaluationPart, Forward
from gan_kd_ssd.detectors.faster_rcnn_losses import FasterRCNNCounts, FasterRCNNLoss
from gan_kd_ssd.detectors.faster_rcnn_networks import FasterRCNNSettings
from gan_kd_ssd.detectors.names import SPLIT_ATTENTION, NetworkName
from gan_kd_ssd.detectors.parameters import published_file
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

gluon, nd = mx.gluon, mx.nd


class FasterRCNNHead(gluon.HybridBlock):
    """Proposals, sampled RoIs and their predictions in training.

    Inputs: images (B, 3, H, W), of which only the size is used; boxes (B, M, 4), corners in pixels, -1
    pads; class numbers (B, M, 1); then the levels. Returns the fields of
    :class:`~gan_kd_ssd.detectors.faster_rcnn_losses.Predictions`. RoIs are sampled with MXNet's
    generator. The block shares the children of a GluonCV Faster R-CNN.
    """

    def __init__(self, net, per_device: int, **kwargs):
        super().__init__(**kwargs)
        self.rpn, self.sampler = net.rpn, net.sampler
        self.top_features, self.box_features = net.top_features, net.box_features
        self.class_predictor, self.box_predictor = net.class_predictor, net.box_predictor
        # GluonCV's property would add the target generator to the net, and so to the files it saves.
        self.targets = net._target_generator()
        # Not a child: the parameters of net are those of the children above.
        self.__dict__["_net"] = net
        self._images = per_device

    def hybrid_forward(self, F, x, gt_boxes, gt_labels, *levels):
        net, images = self._net, self._images
        scores, proposals, rpn_scores, rpn_boxes, _anchors = self.rpn(F.zeros_like(x), *levels)
        rois, samples, matches = self.sampler(proposals, scores, gt_boxes)
        classes, boxes, masks, chosen = self.targets(rois, samples, matches, gt_labels, gt_boxes)
        number = F.repeat(F.arange(0, images), net._num_sample).reshape((-1, 1))
        numbered = F.stop_gradient(F.concat(number, rois.reshape((-1, 4)), dim=-1))
        box_features = self.features_of(F, numbered, levels)
        logits = self.class_predictor(box_features).reshape((images, -1, net.num_class + 1))
        # Boxes are predicted only at the places for positive RoIs; chosen holds these places.
        rows = F.broadcast_add(chosen, F.arange(0, images).reshape((-1, 1)) * net._num_sample)
        positive = F.take(box_features, rows.reshape((-1,)))
        offsets = self.box_predictor(positive).reshape((images, -1, net.num_class, 4))
        return rpn_scores, rpn_boxes, logits, offsets, classes, boxes, masks

    def features_of(self, F, rois, levels):
        """Features (R, C, ...) of RoIs (R, 5): image number, corners in pixels."""
        net = self._net
        size, mode = net._roi_size, net._roi_mode
        if net.num_stages > 1:
            pooled = net._pyramid_roi_feats(F, levels, rois, size, net._strides, roi_mode=mode)
        else:
            pooled = networks.pool_rois(F, levels[0], rois, size, net._strides, mode)
        return self.after_pooling(F, pooled)

    def after_pooling(self, F, pooled):
        """Input of both predictors: (R, C, h, w) -> (R, C', ...)."""
        if self.top_features is not None:
            pooled = self.top_features(pooled)
        if self.box_features is not None:
            return self.box_features(pooled)
        return F.contrib.AdaptiveAvgPooling2D(pooled, output_size=1)


class FasterRCNN(Detector):
    """A Faster R-CNN; ``per_device`` is the number of images on each device in training."""

    kind = "faster_rcnn"
    loss_names = ("RPN_Conf", "RPN_SmoothL1", "RCNN_CrossEntropy", "RCNN_SmoothL1")
    count_names = ("RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")
    size_option = "--short"
    network_options = ("use_fpn", "roi_mode", "short", "max_size", "norm_layer")
    settings_class = FasterRCNNSettings
    class_layers = ("class_predictor", "box_predictor")
    static_alloc = False  # each size of an image would hold its own memory

    def __init__(self, name: NetworkName, classes: Sequence[str], net, per_device: int = 1):
        super().__init__(name, classes, net)
        self.short, self.max_size = net.short, net.max_size
        self.sizes = {"short": self.short, "max_size": self.max_size}
        self.strides = list(net._strides) if name.fpn else [net._strides]
        self.head = FasterRCNNHead(net, per_device)
        self.loss, self.counts = FasterRCNNLoss(), FasterRCNNCounts()
        self.graphs = (self.pyramid, self.head, self.loss, self.counts, net)
        # As in GluonCV's script, parameters outside its pattern keep their (ImageNet) values.
        net.collect_params().setattr("grad_req", "null")
        for parameter in net.collect_train_params().values():
            if not parameter.name.endswith(
                ("running_mean", "running_var", "moving_mean", "moving_var", "anchor_")
            ):
                parameter.grad_req = "write"

    @classmethod
    def settings(cls, options: Mapping, devices: int = 1) -> FasterRCNNSettings:
        return replace(super().settings(options), devices=devices)

    @classmethod
    def build(cls, network, classes, settings, *, pretrained_base=False, option="") -> FasterRCNN:
        name = networks.check_name(network, option, settings.use_fpn)
        if settings.roi_mode not in ("align", "pool"):
            raise UserError(f"--roi-mode {settings.roi_mode!r}: give align or pool")
        net = networks.build_faster_rcnn(name, classes, settings, pretrained_base)
        detector = cls(name, classes, net, settings.per_device)
        detector._check_size()
        return detector

    def _check_size(self) -> None:
        """Check that there are enough anchors for the fixed number of GluonCV's proposals."""
        if self.max_size < self.short:
            raise UserError(
                f"--max-size {self.max_size} is below --short {self.short}: give the larger side"
            )
        anchors = self.anchor_count(self.short, self.short)
        needed = max(self.net._rpn_test_post_nms, self.net.rpn._train_post_nms)
        if anchors < needed:
            raise UserError(
                f"--short {self.short}: too small: {self.name} has {anchors} anchors at this size and "
                f"needs {needed}"
            )
        allocated = self.anchor_grids()[0].shape[0] * self.strides[0]
        if self.max_size > allocated:
            raise UserError(
                f"--max-size {self.max_size}: {self.name} has anchors for {allocated} pixels"
            )

    @classmethod
    def published_weights(cls, network, settings, dataset, option=""):
        name = networks.check_name(network, option)
        fpn = settings.use_fpn or name.fpn
        words = ["fpn"] * fpn + ["syncbn"] * (name.backbone in SPLIT_ATTENTION)
        words += [name.backbone, "voc" if dataset.startswith("voc") else dataset]
        training = f"train_faster_rcnn_gkd.py --distill none --student {name.backbone}"
        training += " --use-fpn" if fpn and not name.fpn else ""
        return published_file("_".join(["faster_rcnn", *words]), option, training)

    def initialize(self, ctx: Sequence) -> None:
        super().initialize(ctx)
        self.head.targets.initialize(ctx=list(ctx))

    def _infer_shapes(self, device) -> None:
        levels = self.pyramid(nd.zeros((1, 3, 64, 64), ctx=device))
        rpn = self.net.rpn
        if len(levels) > 1:
            rpn.rpn_head(levels[0])
        else:
            hidden = rpn.conv1(levels[0])
            rpn.score(hidden), rpn.loc(hidden)
        pooled = nd.zeros((1, levels[0].shape[1], *self.net._roi_size), ctx=device)
        features = self.head.after_pooling(nd, pooled)
        self.net.class_predictor(features), self.net.box_predictor(features)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """(C, H, W) of each level for the largest landscape; C is 0 while there are no parameters."""
        rpn = self.net.rpn
        convolution = rpn.rpn_head.conv1 if len(self.strides) > 1 else rpn.conv1
        channels = convolution[0].weight.shape[1]
        sides = (self.short, self.max_size)
        return [(channels, *(-(-side // stride) for side in sides)) for stride in self.strides]

    @property
    def _anchor_generators(self) -> list:
        generators = self.net.rpn.anchor_generator
        return list(generators) if len(self.strides) > 1 else [generators]

    def anchor_grids(self) -> list[np.ndarray]:
        """Anchors of each level, (allocated H, allocated W, A, 4): corners in pixels of the input.

        A level of H_l x W_l cells has those of the first H_l rows and W_l columns.
        """
        grids = [each.anchors.value.asnumpy()[0, 0] for each in self._anchor_generators]
        return [grid.reshape((*grid.shape[:2], -1, 4)) for grid in grids]

    def anchor_count(self, height: int, width: int) -> int:
        """Number of anchors on all levels, for an input of this size in pixels."""
        return sum(
            -(-height // stride) * -(-width // stride) * generator.num_depth
            for stride, generator in zip(self.strides, self._anchor_generators)
        )

    def make_room_for(self, boxes: int) -> None:
        """Raise the maximum number of ground-truth boxes per training image (GluonCV's: 100)."""
        sampler = self.net.sampler
        sampler._max_num_gt = max(sampler._max_num_gt, boxes)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        from gan_kd_ssd.data.batches.faster_rcnn_transform import val_transform

        return val_transform(image, np.zeros((0, 6), np.float32), self.short, self.max_size)[0]

    def parts(self, batch: Sequence, ctx: Sequence) -> list:
        """Place the :class:`~gan_kd_ssd.data.batches.faster_rcnn_batches.DevicePart` of each device.

        Their weights are divided by the number of images in the batch.
        """
        images = sum(len(part.images) for part in batch)
        scaled = [part._replace(weights=part.weights / images) for part in batch]
        return [
            part._make(array.as_in_context(device) for array in part)
            for part, device in zip(scaled, ctx)
        ]

    def forward(self, part) -> Forward:
        """Record the forward pass of a part for its gradients.

        The sum of the losses over images and devices is their mean over the images of the batch, as with
        GluonCV's ``trainer.step(batch_size)``. A mixture of two images counts half.
        """
        x, boxes, labels, rpn_classes, rpn_boxes, weights = part
        with x.context:  # a head that is not compiled makes arrays in the current context
            with mx.autograd.record():
                levels = self.pyramid(x)
                predictions = self.head(x, boxes, labels, *levels)
                losses = self.loss(rpn_classes, rpn_boxes, *predictions)
                losses = [loss * weights for loss in losses]
            with mx.autograd.pause():
                counts = self.counts(rpn_classes, rpn_boxes, *[p.detach() for p in predictions])
        counts = dict(zip(self.count_names, zip(counts[::2], counts[1::2])))
        return Forward(tuple(levels), dict(zip(self.loss_names, losses)), counts)

    def head_parts(self, levels: Sequence[int]) -> list[tuple[str, list]]:
        """Parts of the head, which all levels share."""
        net = self.net
        features = [block for block in (net.top_features, net.box_features) if block is not None]
        return [
            ("region proposals", [net.rpn]),
            ("RoI features", features),
            ("class and box predictors", [net.class_predictor, net.box_predictor]),
        ]

    def val_batches(self, dataset, batch_size: int, devices: int, num_workers: int):
        from gan_kd_ssd.data.batches.faster_rcnn_batches import InputSize, val_batches

        return val_batches(dataset, InputSize(self.short, self.max_size), devices, num_workers)

    def evaluation_parts(self, batch: Sequence, ctx: Sequence) -> list[EvaluationPart]:
        """Place one image (1, 3, H, W), with its labels (1, M, 6) and its scale, on each device."""
        return [
            EvaluationPart(image.as_in_context(device), label.asnumpy(), scale)
            for (image, label, scale), device in zip(batch, ctx)
        ]
