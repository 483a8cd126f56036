"""Interface of the detectors for training, distillation, evaluation and export.

To add a detector:

1. Write a module with a subclass of :class:`Detector`, named after its kind.
2. Name the class in :data:`DETECTORS`.
3. Add the prefix of its network names, if any, to :mod:`gan_kd_ssd.detectors.names`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gan_kd_ssd.detectors.names import DetectorKind, NetworkName
from gan_kd_ssd.detectors.parameters import check_params_file, initialize_by_name, trained
from gan_kd_ssd.util.mxnet import mx

if TYPE_CHECKING:
    from gan_kd_ssd.data.formats.dataset import Dataset

NDArray = mx.nd.NDArray

#: Module and class of each kind of detector.
DETECTORS: dict[DetectorKind, tuple[str, str]] = {
    "ssd": ("gan_kd_ssd.detectors.ssd", "SSD"),
    "faster_rcnn": ("gan_kd_ssd.detectors.faster_rcnn", "FasterRCNN"),
}


def detector_class(kind: DetectorKind) -> type[Detector]:
    """The class of a kind of detector."""
    module, name = DETECTORS[kind]
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Forward:
    """Result of :meth:`Detector.forward` on one device, still on that device."""

    levels: tuple[NDArray, ...]  # maps (B, C, H, W) of the pyramid, finest first
    losses: dict[str, NDArray]  # losses (B,) by name, in the order of the log
    #: Sum (1,) and number (1,) of each counted figure by name, in the order of the log. The figure is
    #: the sum over all devices divided by the number over all devices.
    counts: dict[str, tuple[NDArray, NDArray]] = field(default_factory=dict)


class EvaluationPart(NamedTuple):
    """Part of an evaluation batch that one device processes."""

    images: NDArray  # (B, 3, H, W), on the device
    labels: np.ndarray  # (B, M, 6): corners in pixels of the input, class, difficult; -1 pads
    scale: float  # factor from pixels of the input to the pixels in which boxes are measured


class Pyramid(mx.gluon.HybridBlock):
    """Feature pyramid of a GluonCV detector: x (B, 3, H, W) -> L maps (B, C_l, H_l, W_l), finest first.

    The block shares ``net.features`` and its parameters. It is separate from ``net`` because GluonCV's
    ``forward`` compiles either its training or its inference branch, whichever runs first.
    """

    def __init__(self, net, **kwargs):
        super().__init__(**kwargs)
        self.features = net.features

    def hybrid_forward(self, F, x):
        levels = self.features(x)
        return tuple(levels) if isinstance(levels, (list, tuple)) else (levels,)


class Detector(ABC):
    """Base class of all detectors: a GluonCV network and the operations of training and evaluation.

    Args:
        name: name of the network.
        classes: names of the foreground classes, in the order of the ids.
        net: GluonCV block with the parameters that are saved and deployed.
    """

    kind: DetectorKind  # a key of DETECTORS
    loss_names: tuple[str, ...]  # in the order of the log
    count_names: tuple[str, ...] = ()  # counted figures, in the order of the log
    size_option: str  # command-line option of the input size, for messages
    #: Options of a training that its parameter file does not record, although the network cannot be built
    #: without them: fields of the settings.
    network_options: tuple[str, ...]
    settings_class: type  # record of the settings for build
    class_layers: tuple[str, ...]  # prefixes of the parameters that depend on the classes
    static_alloc = True  # whether compiled graphs keep their memory by default

    head: mx.gluon.HybridBlock  # predictions from the maps of the pyramid
    graphs: tuple[mx.gluon.HybridBlock, ...]  # blocks that are compiled
    strides: list[int]  # distance in pixels between neighbouring cells of each level, finest first
    shapes: list[tuple[int, int, int]]  # (C, H, W) of each level, for the largest image
    sizes: dict[str, int]  # input sizes in pixels, by the names of their options
    data_shape: int | None = None  # side of the square input in pixels; None for any size

    def __init__(self, name: NetworkName, classes: Sequence[str], net):
        self.name = str(name)
        self.classes = list(classes)
        self.net = net
        self.pyramid = Pyramid(net)

    # Construction

    @classmethod
    def settings(cls, options: Mapping, devices: int = 1):
        """Settings for :meth:`build` from :attr:`network_options`; a missing option has its default."""
        return cls.settings_class(**{n: options[n] for n in cls.network_options if options.get(n)})

    @classmethod
    @abstractmethod
    def build(
        cls,
        network: str | NetworkName,
        classes: Sequence[str],
        settings,
        *,
        pretrained_base: bool = False,
        option: str = "",
    ) -> Detector:
        """Build a detector whose parameters have no values yet, see :meth:`initialize`.

        Args:
            network: name of the network, in any spelling.
            classes: names of the foreground classes.
            settings: result of :meth:`settings`.
            pretrained_base: download ImageNet weights for the backbone, if GluonCV has them.
            option: command-line option that gave the name, for messages.

        Raises:
            UserError: the network does not exist, or not with these settings.
        """

    @classmethod
    @abstractmethod
    def published_weights(
        cls, network: str | NetworkName, settings, dataset: str, option: str = ""
    ) -> Path:
        """Path of the weights that GluonCV publishes for a network; downloads them if necessary.

        Raises:
            UserError: there are no such weights, or the download fails; names ``option``.
        """

    @classmethod
    def load_trained(
        cls,
        network: str | NetworkName,
        classes: Sequence[str],
        settings,
        params: str | Path,
        ctx: Sequence,
        *,
        option: str = "",
        network_option: str = "",
        hybridize: bool = True,
    ) -> Detector:
        """Build a detector with the parameters of a file, for inference only; see also :meth:`build`.

        Args:
            params: path of the ``.params`` file.
            ctx: MXNet contexts.
            option: command-line option that gave ``params``, for messages.
            network_option: command-line option that gave ``network``, for messages.
            hybridize: compile the graphs.

        Raises:
            UserError: as in :meth:`build` and :meth:`load`.
        """
        detector = cls.build(network, classes, settings, option=network_option)
        detector.load(params, ctx, option)
        detector.net.collect_params().setattr("grad_req", "null")  # saves the memory of gradients
        if hybridize:
            detector.hybridize()
        return detector

    def load(self, file: str | Path, ctx: Sequence, option: str = "") -> None:
        """Load a ``.params`` file.

        Raises:
            UserError: the file is missing, damaged or from another network.
        """
        check_params_file(Path(file), self, option)
        self.net.load_parameters(str(file), ctx=list(ctx), ignore_extra=True)

    def initialize(self, ctx: Sequence) -> None:
        """Initialise the parameters that have no values yet, from MXNet's seed (see ``parameters.py``)."""
        initialize_by_name(self.net, list(ctx))
        with mx.autograd.pause():
            self._infer_shapes(ctx[0])

    @abstractmethod
    def _infer_shapes(self, device) -> None:
        """Run each layer once on a small input, which completes the shapes of its parameters."""

    def hybridize(self, static_alloc: bool | None = None) -> None:
        """Compile the graphs of training and of inference.

        With ``static_alloc`` each graph keeps its memory between calls (default: that of the class).
        """
        # Never static_shape: it ties a graph to the arrays of its first backward pass, and the second
        # of two passes over one forward (--update separate) would write into them.
        keep = self.static_alloc if static_alloc is None else static_alloc
        for block in self.graphs:
            block.hybridize(static_alloc=keep)

    # Input

    @property
    def any_size(self) -> bool:
        """Whether the size varies from image to image. Batches of inference then have one image."""
        return self.data_shape is None

    @abstractmethod
    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize and normalise an RGB image, uint8 (H, W, 3) -> float32 (3, H', W')."""

    # Training

    @abstractmethod
    def parts(self, batch, ctx: Sequence) -> list:
        """Distribute a training batch over devices.

        Returns one named tuple for each device, on that device. Its first field is ``images``
        (B, 3, H, W); the others are what :meth:`forward` needs for the losses.
        """

    @abstractmethod
    def forward(self, part) -> Forward:
        """Record the forward pass of a part for its gradients; nothing waits for the device.

        The losses are scaled so that the quantity to minimise is their sum over images and devices.
        """

    def parameters(self) -> list:
        """All trained parameters, in the order of the optimizer: pyramid, then head."""
        return trained(self.net)

    def pyramid_parameters(self) -> list:
        """Trained parameters of the pyramid, in the order of their creation."""
        return trained(self.net.features)

    def parameter_count(self) -> int:
        """Number of trained scalars."""
        return sum(int(np.prod(parameter.shape)) for parameter in self.parameters())

    @abstractmethod
    def head_parts(self, levels: Sequence[int]) -> list[tuple[str, list]]:
        """Description and blocks of each part of the head that a student may copy from a teacher.

        ``levels`` are the indices of the levels to include.
        """

    # Evaluation

    def detect(self, x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Detect objects, with non-maximum suppression within each class, best first.

        x (B, 3, H, W) -> ids (B, N, 1), scores (B, N, 1), boxes (B, N, 4): corners in pixels of the
        input. Rows with id -1 are padding. B is 1 if images have any size.
        """
        return self.net(x)

    @abstractmethod
    def val_batches(self, dataset: Dataset, batch_size: int, devices: int, num_workers: int):
        """Batches of a data set in its order, for :meth:`evaluation_parts`.

        Args:
            batch_size: number of images in a batch, if all images have the same size.
            devices: number of images in a batch, if the size varies.
            num_workers: number of processes that read images; 0 reads them in this process.
        """

    @abstractmethod
    def evaluation_parts(self, batch, ctx: Sequence) -> list[EvaluationPart]:
        """Distribute a batch of :meth:`val_batches` over some or all of the devices."""
