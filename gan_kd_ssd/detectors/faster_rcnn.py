"""GluonCV's Faster R-CNN as a detector of ours: pyramid, head, losses, inference, parameters.

GluonCV's block does everything in one forward pass; here the pyramid and what comes after it are apart,
because the discriminators read the pyramid.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_kd_ssd.detectors import faster_rcnn_networks as rcnn_networks
from gan_kd_ssd.detectors.faster_rcnn_losses import RCNNCounts, RCNNLoss
from gan_kd_ssd.detectors.parameters import (
    check_params_file,
    initialize_by_name,
    published_file,
    trained,
)
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

gluon, nd = mx.gluon, mx.nd


class Pyramid(gluon.HybridBlock):
    """The levels of a Faster R-CNN: x (B, 3, H, W) -> L maps (B, C, H_l, W_l), finest first.

    C4 has one level of stride 16, FPN five of strides 4 to 64; H_l is H / stride, rounded up. Shares
    the children of a GluonCV Faster R-CNN.
    """

    def __init__(self, net, **kwargs):
        super().__init__(**kwargs)
        self.features = net.features

    def hybrid_forward(self, F, x):
        levels = self.features(x)
        return tuple(levels) if isinstance(levels, (list, tuple)) else (levels,)


class Head(gluon.HybridBlock):
    """Proposals, sampled RoIs and their predictions, in training; shares a GluonCV net's children.

    Args of a call: images (B, 3, H, W), for their size alone; boxes (B, M, 4), pixels, corners, -1 pads;
    labels (B, M, 1), class numbers; then the levels. Returns the fields of
    :class:`~gan_kd_ssd.detectors.faster_rcnn_losses.Predictions`. Draws the RoIs with MXNet's generator.
    """

    def __init__(self, net, per_device: int, **kwargs):
        super().__init__(**kwargs)
        self.rpn, self.sampler = net.rpn, net.sampler
        self.top_features, self.box_features = net.top_features, net.box_features
        self.class_predictor, self.box_predictor = net.class_predictor, net.box_predictor
        # Made apart: GluonCV's property would add it to the net, and so to the files it saves.
        self.targets = net._target_generator()
        self.__dict__["_net"] = net  # not as a child: its parameters are those of its children here
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
        # Box predictions of the places for positive RoIs alone; chosen holds their places in an image.
        rows = F.broadcast_add(chosen, F.arange(0, images).reshape((-1, 1)) * net._num_sample)
        positive = F.take(box_features, rows.reshape((-1,)))
        offsets = self.box_predictor(positive).reshape((images, -1, net.num_class, 4))
        return rpn_scores, rpn_boxes, logits, offsets, classes, boxes, masks

    def features_of(self, F, rois, levels):
        """RoIs (R, 5): image, corners in pixels -> their features (R, C, ...)."""
        net = self._net
        if net.num_stages > 1:
            pooled = net._pyramid_roi_feats(
                F, levels, rois, net._roi_size, net._strides, roi_mode=net._roi_mode
            )
        elif net._roi_mode == "pool":
            pooled = F.ROIPooling(levels[0], rois, net._roi_size, 1.0 / net._strides)
        else:
            pooled = F.contrib.ROIAlign(
                levels[0], rois, net._roi_size, 1.0 / net._strides, sample_ratio=2
            )
        return self.after_pooling(F, pooled)

    def after_pooling(self, F, pooled):
        """What both predictors read: (R, C, h, w) -> (R, C', ...)."""
        if self.top_features is not None:
            pooled = self.top_features(pooled)
        if self.box_features is not None:
            return self.box_features(pooled)
        return F.contrib.AdaptiveAvgPooling2D(pooled, output_size=1)


class FasterRCNN:
    """A Faster R-CNN with everything that training and evaluation ask of a detector.

    Attributes:
        name: backbone's name, with 'fpn_' before it for FPN. classes: foreground classes.
        short, max_size: sides of the input in pixels: the short one is brought to ``short`` unless the
            long one would exceed ``max_size``.
        net: the plain GluonCV block; its parameters are what is saved and deployed.
        strides: pixels between a level's neighbours, finest first. channels: of each level, once
            initialised. pyramid, head, loss: :class:`Pyramid`, :class:`Head`, :class:`RCNNLoss`.
    """

    kind = "faster_rcnn"
    loss_names = ("RPN_Conf", "RPN_SmoothL1", "RCNN_CrossEntropy", "RCNN_SmoothL1")
    count_names = ("RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")
    any_size = True
    size_option = "--short"

    def __init__(self, name: str, classes: Sequence[str], net, per_device: int = 1):
        self.name, self.classes, self.net, self.per_device = name, list(classes), net, per_device
        self.short, self.max_size = net.short, net.max_size
        multi = net.num_stages > 1
        self.strides = list(net._strides) if multi else [net._strides]
        self.channels: list[int] = []
        self.pyramid, self.head = Pyramid(net), Head(net, per_device)
        self.loss, self.counts = RCNNLoss(), RCNNCounts()
        # As GluonCV's script: what its pattern leaves out keeps its (ImageNet) values.
        net.collect_params().setattr("grad_req", "null")
        for parameter in net.collect_train_params().values():
            if not parameter.name.endswith(
                ("running_mean", "running_var", "moving_mean", "moving_var", "anchor_")
            ):
                parameter.grad_req = "write"

    @property
    def input_size(self) -> str:
        """Size of the input, for messages."""
        return f"{self.short} to {self.max_size} pixels"

    @property
    def description(self) -> str:
        """What this is, for messages."""
        return f"{self.name} at {self.input_size}"

    def hybridize(self, static_alloc: bool = False) -> None:
        """Compile the graphs of training and of inference; images may have any size.

        Args:
            static_alloc: keep the memory of a graph, for faster steps; each size holds its own.
        """
        for block in (self.pyramid, self.head, self.loss, self.counts, self.net):
            block.hybridize(static_alloc=static_alloc)

    def initialize(self, ctx: list) -> None:
        """Give every parameter without a value its first one, by its name, from MXNet's seed."""
        initialize_by_name(self.net, ctx)
        with mx.autograd.pause():  # shapes are known once each layer has seen an array
            levels = self.pyramid(nd.zeros((1, 3, 64, 64), ctx=ctx[0]))
            self.channels = [level.shape[1] for level in levels]
            rpn = self.net.rpn
            if len(levels) > 1:
                rpn.rpn_head(levels[0])
            else:
                hidden = rpn.conv1(levels[0])
                rpn.score(hidden), rpn.loc(hidden)
            pooled = nd.zeros((1, self.channels[0], *self.net._roi_size), ctx=ctx[0])
            features = self.head.after_pooling(nd, pooled)
            self.net.class_predictor(features), self.net.box_predictor(features)
        self.head.targets.initialize(ctx=ctx)

    def anchor_grids(self) -> list[np.ndarray]:
        """Anchors of each level, (allocated H, allocated W, A, 4), corners in pixels of the input.

        A level of H_l x W_l cells has those of the grid's first H_l rows and W_l columns.
        """
        generators = self.net.rpn.anchor_generator
        generators = list(generators) if len(self.strides) > 1 else [generators]
        grids = [generator.anchors.value.asnumpy()[0, 0] for generator in generators]
        return [grid.reshape((*grid.shape[:2], -1, 4)) for grid in grids]

    @cached_property
    def _anchors_per_cell(self) -> list[int]:
        return [grid.shape[2] for grid in self.anchor_grids()]

    def anchor_count(self, height: int, width: int) -> int:
        """Number of anchors of an input of this size, in pixels, on all levels."""
        return sum(
            -(-height // stride) * -(-width // stride) * each
            for stride, each in zip(self.strides, self._anchors_per_cell)
        )

    def make_room_for(self, boxes: int) -> None:
        """Let an image have so many boxes in training; GluonCV's sampler takes 100 unless told."""
        sampler = self.net.sampler
        sampler._max_num_gt = max(sampler._max_num_gt, boxes)

    def detect(self, x):
        """Detections of one image, after non-maximum suppression within each class.

        x (1, 3, H, W) -> ids, scores (1, N, 1) and boxes (1, N, 4) in pixels of the input; -1 pads.
        Thresholds are the zoo's: 0.3 over the best 400 for C4, 0.5 for FPN.
        """
        return self.net(x)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """(C, H, W) of each level, finest first, for the largest lying image."""
        sides = (self.short, self.max_size)
        return [
            (channels, *(-(-side // stride) for side in sides))
            for channels, stride in zip(self.channels, self.strides)
        ]

    def parts(self, batch: Sequence, ctx: Sequence) -> list[tuple]:
        """What each device gets of a batch: images (B, 3, H, W) first, then what the losses need."""
        images = sum(len(part.images) for part in batch)
        return [
            tuple(
                array.as_in_context(device)
                for array in part._replace(weights=part.weights / images)
            )
            for part, device in zip(batch, ctx)
        ]

    def forward(self, part: tuple) -> tuple:
        """Levels, losses (B,) and counts (8,) of a part; recorded for its gradients.

        The losses' sum over all devices is what is minimised: their mean over the images of the
        batch, as GluonCV's ``trainer.step(batch_size)``; a mixture of two images counts half.
        """
        x, boxes, labels, rpn_classes, rpn_boxes, weights = part
        with x.context:  # where the head makes arrays, if it is not compiled
            with mx.autograd.record():
                levels = self.pyramid(x)
                predictions = self.head(x, boxes, labels, *levels)
                losses = self.loss(rpn_classes, rpn_boxes, *predictions)
                losses = [loss * weights for loss in losses]
            with mx.autograd.pause():
                counts = self.counts(rpn_classes, rpn_boxes, *[p.detach() for p in predictions])
        return levels, losses, [counts]

    def head_parts(self, levels: Sequence[int]) -> list[tuple[str, list]]:
        """What may start from a teacher's, the same for all levels: (what it is, blocks)."""
        net = self.net
        features = [block for block in (net.top_features, net.box_features) if block is not None]
        return [
            ("region proposals", [net.rpn]),
            ("RoI features", features),
            ("class and box predictors", [net.class_predictor, net.box_predictor]),
        ]

    def pyramid_parameters(self) -> list:
        """Trained parameters of the pyramid, in the order of their creation."""
        return trained(self.net.features)

    def parameters(self) -> list:
        """All trained parameters."""
        return trained(self.net)

    def parameter_count(self) -> int:
        """Number of scalars that are trained."""
        return sum(int(np.prod(parameter.shape)) for parameter in self.parameters())

    def anchor_constants(self) -> dict:
        """None: the anchors of a Faster R-CNN do not depend on the input size."""
        return {}

    def classes_in(self, shapes: dict, different: list) -> int | None:
        """Number of classes of a parameter file; None if more than the classes differs."""
        if all(key.startswith(("class_predictor", "box_predictor")) for key in different):
            return shapes["class_predictor.bias"][0] - 1
        return None

    def load(self, file: Path, ctx: list, option: str) -> None:
        """Load a ``.params`` file; UserError if it is missing, damaged or another network's."""
        parameters = self.net._collect_params_with_prefix()
        expected = {key: parameter.shape for key, parameter in parameters.items()}
        check_params_file(Path(file), expected, self, option)
        self.net.load_parameters(str(file), ctx=ctx, ignore_extra=True)


def build(
    network: str,
    classes: Sequence[str],
    *,
    fpn: bool = False,
    roi_mode: str = "align",
    short: int | None = None,
    max_size: int | None = None,
    norm_layer: str | None = None,
    pretrained_base: bool = False,
    per_device: int = 1,
    devices: int = 1,
    option: str = "--network",
) -> FasterRCNN:
    """The detector of that name, without values for its parameters (see :meth:`FasterRCNN.initialize`).

    Args:
        network: a name of the zoo, long or short, or a thin one. classes: foreground classes.
        fpn: a level for each of the strides 4 to 64; so does 'fpn' in the name.
        roi_mode: 'align' or 'pool'. short, max_size: of the input, pixels (default: the zoo's).
        norm_layer: None or 'bn', see :func:`rcnn_networks.build_faster_rcnn`.
        per_device: images a device in training. devices: how many share a BatchNorm of 'bn'.

    Raises:
        UserError: no such network, or an input that is too small; names ``option``, or --short.
    """
    name, named_fpn = rcnn_networks.check_name(network, option)
    fpn = fpn or named_fpn
    if roi_mode not in rcnn_networks.ROI_MODES:
        raise UserError(f"--roi-mode {roi_mode!r}: give align or pool")
    given = {"short": short, "max_size": max_size}
    net = rcnn_networks.build_faster_rcnn(
        name,
        classes,
        fpn=fpn,
        roi_mode=roi_mode,
        pretrained_base=pretrained_base,
        norm_layer=norm_layer,
        devices=devices,
        per_device=per_device,
        **{key: value for key, value in given.items() if value is not None},
    )
    detector = FasterRCNN(f"fpn_{name}" if fpn else name, classes, net, per_device)
    _check_size(detector)
    return detector


def _check_size(detector: FasterRCNN) -> None:
    """GluonCV takes a fixed number of the proposals: the anchors must be as many."""
    if detector.max_size < detector.short:
        raise UserError(
            f"--max-size {detector.max_size} is below --short {detector.short}: give the larger side"
        )
    anchors = detector.anchor_count(detector.short, detector.short)
    needed = max(detector.net._rpn_test_post_nms, detector.net.rpn._train_post_nms)
    if anchors < needed:
        raise UserError(
            f"--short {detector.short}: too small for {detector.name}, which has {anchors} anchors there "
            f"and needs {needed}"
        )
    allocated = detector.anchor_grids()[0].shape[0] * detector.strides[0]
    if detector.max_size > allocated:
        raise UserError(
            f"--max-size {detector.max_size}: {detector.name} has anchors for {allocated} pixels"
        )


def load(
    network: str,
    classes: Sequence[str],
    params: Path,
    ctx: list,
    option: str,
    hybridize: bool = True,
    **settings,
) -> FasterRCNN:
    """A trained detector from its ``.params`` file, compiled unless told otherwise, for inference alone.

    Args:
        settings: of :func:`build`; its ``option`` is ``network_option`` here.

    Raises:
        UserError: no such network, or a file that is missing, damaged or another network's.
    """
    network_option = settings.pop("network_option", "--network")
    detector = build(network, classes, option=network_option, **settings)
    detector.load(params, ctx, option)
    detector.initialize(ctx)
    detector.net.collect_params().setattr("grad_req", "null")  # no memory for gradients
    if hybridize:
        detector.hybridize()
    return detector


def published_weights(network: str, fpn: bool, dataset: str, option: str) -> Path:
    """The file that GluonCV's zoo publishes for a network, from its local store or downloaded.

    Args:
        network: its name. fpn: of :func:`build`. dataset: of the script. option: to name in an error.

    Raises:
        UserError: the zoo has no such weights (as for the published teacher, ResNet101 on VOC), or they
            cannot be downloaded.
    """
    name, named_fpn = rcnn_networks.check_name(network, option)
    words = ["faster_rcnn", *(["fpn"] if fpn or named_fpn else [])]
    words += ["syncbn"] if name in rcnn_networks.SPLIT_ATTENTION else []
    full = "_".join([*words, name, "voc" if dataset.startswith("voc") else dataset])
    train = f"train it (train_faster_rcnn_gkd.py --distill none --student {name}"
    train += " --use-fpn)" if fpn and not named_fpn else ")"
    return published_file(full, option, f"{train} and give its .params file")
