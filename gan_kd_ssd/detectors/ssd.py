"""GluonCV's SSD as a detector of ours: pyramid, predictions, losses, inference, parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_kd_ssd.detectors import ssd_networks as networks
from gan_kd_ssd.detectors.parameters import (
    check_params_file,
    initialize_by_name,
    published_file,
    trained,
)
from gan_kd_ssd.util.mxnet import mx

gluon, nd = mx.gluon, mx.nd


class Pyramid(gluon.HybridBlock):
    """The levels of an SSD: x (B, 3, S, S) -> L maps (B, C_l, H_l, W_l), finest first.

    Shares the children, and so the parameters, of a GluonCV SSD; kept apart from it because
    ``SSD.forward`` compiles its training or its inference branch, whichever comes first.
    """

    def __init__(self, ssd, **kwargs):
        super().__init__(**kwargs)
        self.features = ssd.features

    def hybrid_forward(self, F, x):
        return tuple(self.features(x))


class Head(gluon.HybridBlock):
    """The predictions of an SSD: L levels -> class logits (B, N, K + 1), box offsets (B, N, 4).

    Background is class 0; rows are in the order of the anchors. Shares the children of a GluonCV SSD.
    A block of its own, so that a gradient that enters at the levels does not run through it.
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
    """Predictions of all levels in one array, in the order of the anchors: (B, N, width)."""
    rows = [F.flatten(F.transpose(p(level), (0, 2, 3, 1))) for level, p in zip(levels, predictors)]
    return F.concat(*rows, dim=1).reshape((0, -1, width))


class MultiBoxLoss(gluon.HybridBlock):
    """SSD's two losses (arXiv 1512.02325, section 2.2), equal to GluonCV's ``SSDMultiBoxLoss``.

    GluonCV's block reads the number of positive anchors back to the host at each step; here it comes
    with the batch, so that nothing waits.

    Args of a call: class logits (B, N, K + 1), boxes (B, N, 4), class targets (B, N), box targets
    (B, N, 4), and ``scale`` (1,): one over the number of positive anchors of the whole batch, on all
    devices. Returns the cross-entropy over the positives and the three hardest negatives for each, and
    the smooth L1 loss over the positives: both (B,), summed over anchors, times ``scale``.
    """

    negatives_per_positive = 3

    def hybrid_forward(self, F, classes, boxes, class_targets, box_targets, scale):
        positive = class_targets > 0
        entropy = -F.pick(F.log_softmax(classes, axis=-1), class_targets, axis=-1)
        # Rank of each anchor's loss among the negatives of its image; positives come last (loss 0).
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


class SSD:
    """An SSD with everything that training and evaluation ask of a detector.

    Attributes:
        name: backbone's name. classes: foreground classes. data_shape: side of the input, pixels.
        net: the plain GluonCV block; its parameters are what is saved and deployed.
        shapes: (C, H, W) of each level, finest first. strides: pixels between a level's neighbours.
        pyramid: :class:`Pyramid`. head: :class:`Head`. loss: :class:`MultiBoxLoss`.
    """

    def __init__(self, name: str, classes: Sequence[str], data_shape: int, net):
        self.name, self.classes, self.data_shape, self.net = name, list(classes), data_shape, net
        self.shapes = networks.level_shapes(net.features, data_shape)
        self.strides = [round(data_shape / height) for _, height, _ in self.shapes]
        self.net.set_nms(nms_thresh=0.45, nms_topk=400, post_nms=100)  # GluonCV's for VOC
        self.pyramid, self.head = Pyramid(net), Head(net)
        self.loss = MultiBoxLoss()

    def hybridize(self) -> None:
        """Compile the graphs of training and of inference.

        Not with ``static_shape``: it ties a graph to the arrays of its first backward pass, and the
        second of two passes over one forward (``update='separate'``) then writes into the first's.
        """
        for block in (self.pyramid, self.head, self.loss, self.net):
            block.hybridize(static_alloc=True)

    def initialize(self, ctx: list) -> None:
        """Give every parameter without a value its first one, by its name, from MXNet's seed.

        GluonCV's default would give the appended levels' BatchNorm
        negative variances, and its Xavier predictors start the loss at 20 to 36.
        """
        initialize_by_name(self.net, ctx)
        with mx.autograd.pause():  # shapes are known after one small forward
            x = nd.zeros((1, 3, self.data_shape, self.data_shape), ctx=ctx[0])
            self.head(*self.pyramid(x))

    @cached_property
    def anchors(self) -> np.ndarray:
        """Anchors (N, 4): centre x, centre y, width, height in pixels, in the predictions' order."""
        rows = []
        for generator, (_, height, width) in zip(self.net.anchor_generators, self.shapes):
            grid = generator.anchors.value.asnumpy()[0, 0]  # (allocated H, allocated W, 4 A)
            rows.append(grid[:height, :width].reshape(-1, 4))
        return np.concatenate(rows).astype(np.float32)

    def detect(self, x):
        """Detections after non-maximum suppression, best first: ids, scores, boxes.

        x (B, 3, S, S) -> (B, 100, 1), (B, 100, 1), (B, 100, 4) in pixels of the input; -1 pads.
        """
        return self.net(x)

    def parts(self, batch, ctx: Sequence) -> list[tuple]:
        """What each device gets of a batch: images (B, 3, S, S) first, then what the losses need.

        The first devices get one more image where the batch does not divide by their number.
        """
        scale = 1.0 / max(1, batch.positives)
        arrays = [gluon.utils.split_and_load(a, list(ctx), even_split=False) for a in batch[:3]]
        weights = [nd.full((1,), scale, ctx=x.context) for x in arrays[0]]
        return list(zip(*arrays, weights))

    def forward(self, part: tuple) -> tuple:
        """Levels, losses (B,) and counts (none) of a part; recorded for its gradients.

        The losses' sum over all devices is what is minimised: they are divided by the number of
        positive anchors of the whole batch.
        """
        x, class_targets, box_targets, weight = part
        with mx.autograd.record():
            levels = self.pyramid(x)
            classes, boxes = self.head(*levels)
            losses = self.loss(classes, boxes, class_targets, box_targets, weight)
        return levels, list(losses), []

    def head_parts(self, levels: Sequence[int]) -> list[tuple[str, list]]:
        """The predictors of some levels, to start from a teacher's: (what it is, blocks)."""
        return [
            (
                f"stride {self.strides[level]}",
                [self.net.class_predictors[level], self.net.box_predictors[level]],
            )
            for level in levels
        ]

    def pyramid_parameters(self) -> list:
        """Trained parameters of the pyramid, in the order of their creation."""
        return trained(self.net.features)

    def parameters(self) -> list:
        """All trained parameters: those of the pyramid, then those of the head."""
        blocks = (self.net.features, self.net.class_predictors, self.net.box_predictors)
        return [parameter for block in blocks for parameter in trained(block)]

    def parameter_count(self) -> int:
        """Number of trained scalars."""
        return sum(int(np.prod(parameter.shape)) for parameter in self.parameters())

    kind = "ssd"
    #: Names of the losses, in their order, as the log has them; and of figures that are counted.
    loss_names = ("CrossEntropy", "SmoothL1")
    count_names = ()
    #: Whether the levels' sizes differ from image to image.
    any_size = False
    #: The option that an input size is given by, for messages.
    size_option = "--data-shape"

    @property
    def input_size(self) -> str:
        """Size of the input, for messages."""
        return f"{self.data_shape} pixels"

    @property
    def description(self) -> str:
        """What this is, for messages."""
        return f"{self.name} at {self.input_size}"

    def anchor_constants(self) -> dict:
        """Constants in a parameter file that depend on the input size: name -> numpy array."""
        return {
            f"anchor_generators.{index}.anchors": generator.anchors.value.asnumpy()
            for index, generator in enumerate(self.net.anchor_generators)
        }

    def classes_in(self, shapes: dict, different: list) -> int | None:
        """Number of classes of a parameter file; None if more than the classes differs."""
        if not all(key.startswith("class_predictors") for key in different):
            return None
        anchors = self.net.anchor_generators[0].num_depth
        return shapes["class_predictors.0.predictor.bias"][0] // anchors - 1

    def load(self, file: Path, ctx: list, option: str) -> None:
        """Load a ``.params`` file; UserError if it is missing, damaged or another network's."""
        expected = {
            key: parameter.shape
            for key, parameter in self.net._collect_params_with_prefix().items()
        }
        check_params_file(Path(file), expected, self, option)
        self.net.load_parameters(str(file), ctx=ctx)


def build(
    network: str,
    classes: Sequence[str],
    data_shape: int,
    *,
    pretrained_base: bool = False,
    option: str = "--network",
) -> SSD:
    """The detector of that name, without values for its parameters (see :meth:`SSD.initialize`).

    Raises:
        UserError: no such network, or not at this size; names ``option``.
    """
    name = networks.check_name(network, option)
    net = networks.build_ssd(name, classes, data_shape, pretrained_base)
    return SSD(name, classes, data_shape, net)


def load(
    network: str,
    classes: Sequence[str],
    data_shape: int,
    params: Path,
    ctx: list,
    option: str,
    network_option: str = "--network",
) -> SSD:
    """A trained detector from its ``.params`` file, compiled, for inference alone.

    Raises:
        UserError: no such network, or a file that is missing, damaged or another network's; names
            ``network_option`` or ``option``.
    """
    detector = build(network, classes, data_shape, option=network_option)
    detector.load(params, ctx, option)
    detector.net.collect_params().setattr("grad_req", "null")  # no memory for gradients
    detector.hybridize()
    return detector


def published_weights(network: str, data_shape: int, dataset: str, option: str) -> Path:
    """The file that GluonCV's zoo publishes for a network, from its local store or downloaded.

    Args:
        network: its name. data_shape: in pixels. dataset: 'voc', 'voc07' (the same weights) or 'coco'.
        option: the option to name in an error.

    Raises:
        UserError: the zoo has no such weights, or they cannot be downloaded.
    """
    name = networks.check_name(network, option)
    full = f"ssd_{data_shape}_{name}_{'voc' if dataset == 'voc07' else dataset}"
    train = f"train it (train_ssd_gkd.py --distill none --student {name}) and give its .params file"
    return published_file(full, option, train)
