"""The interface of a distillation term: named losses for each pair of levels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gan_kd_ssd.distill.options import Options

if TYPE_CHECKING:
    from gan_kd_ssd.distill.adapter import LevelPair

#: The registered terms by name, in the order of :mod:`gan_kd_ssd.distill.terms`.
TERMS: dict[str, type[Term]] = {}


def register(term: type[Term]) -> type[Term]:
    """Class decorator that makes a term a value of ``--distill``."""
    TERMS[term.name] = term
    return term


@dataclass(frozen=True)
class Setup:
    """What a term is built from.

    Attributes:
        pairs: the paired levels of student and teacher, finest first.
        ctx: devices. kvstore: MXNet's name of the way in which gradients are summed over devices.
        beta1: of Adam, for a trainer of the term's own.
        any_size: whether the maps differ in size from image to image.
    """

    pairs: Sequence[LevelPair]
    ctx: Sequence
    kvstore: str = "device"
    beta1: float = 0.5
    any_size: bool = False


@dataclass(frozen=True)
class PairedMaps:
    """The maps of one device's images at the paired levels, finest first.

    Attributes:
        student: maps (B, C_l, H_l, W_l), detached from the student's graph. Gradients of the terms
            are taken with respect to these arrays.
        teacher: maps (B, C'_l, H_l, W_l), without gradients.
        part: the device's part of the batch: images and targets, as the detector's ``parts`` gives it.
    """

    student: Sequence
    teacher: Sequence
    part: tuple


class Term(ABC):
    """A loss between the paired levels of student and teacher.

    A step calls :meth:`begin` once, then :meth:`measure` and :meth:`loss` for each device while MXNet
    records. None of them may wait for a device.

    Args:
        setup: pairs of levels and devices. options: an instance of :attr:`options_type`.
    """

    #: Name of the term in ``--distill``, and its description in ``--help``.
    name: ClassVar[str]
    summary: ClassVar[str]
    #: The term's options, a subclass of :class:`~gan_kd_ssd.distill.options.Options`.
    options_type: ClassVar[type[Options]] = Options
    #: Names of the figures that :meth:`measure` gives, in that order: words of letters, digits and
    #: underscores. Names with ``Loss_`` in front are reserved for the figures of the published log.
    figures: ClassVar[tuple[str, ...]]
    #: Names of terms that run whenever this one does.
    companions: ClassVar[tuple[str, ...]] = ()

    #: How the figures of the levels become one in the log: 'mean' or 'sum'.
    level_total = "mean"

    def __init__(self, setup: Setup, options: Options):
        self.setup, self.options = setup, options

    def blocks(self) -> dict:
        """Blocks with parameters of the term's own by name; a training state holds them."""
        return {}

    def trainers(self) -> dict:
        """Trainers of the term's own by name; a training state holds them."""
        return {}

    def student_parameters(self) -> list:
        """Parameters of the term that are trained with the student, on the same loss."""
        return []

    def begin(self, maps: Sequence[PairedMaps], images: int) -> list:
        """Prepare a step, for example by an update of the term's own networks.

        Args:
            maps: paired maps of each device. images: size of the batch over all devices.

        Returns:
            For each device what :meth:`measure` needs besides the maps.
        """
        return [None] * len(maps)

    @abstractmethod
    def measure(self, maps: PairedMaps, begun) -> dict:
        """Figures (B, L) of one device by name, in the order of :attr:`figures`; is recorded.

        Args:
            maps: paired maps of the device. begun: the device's item of :meth:`begin`.
        """

    @abstractmethod
    def loss(self, figures: dict):
        """Loss of the student (1,), summed over the device's images, from :meth:`measure`'s figures."""

    def logged(self, totals: dict[str, float]) -> dict[str, float]:
        """Figures for the log, from the totals over the levels of :attr:`figures`."""
        return totals


class LevelTerm(Term):
    """A term with one loss, which compares the two maps of each pair.

    A subclass has a name, a :attr:`weight` and a :meth:`distance`; ``figures`` holds one name.
    """

    #: Whether 1x1 convolutions bring the student's maps to the teacher's number of channels.
    adapts = False

    def __init__(self, setup: Setup, options: Options):
        from gan_kd_ssd.distill.adapter import Adapters
        from gan_kd_ssd.distill.graph import LevelGraph
        from gan_kd_ssd.util.mxnet import mx

        super().__init__(setup, options)
        self._adapters = None
        if self.adapts:
            widths = [(pair.student_channels, pair.teacher_channels) for pair in setup.pairs]
            self._adapters = Adapters(widths, prefix=f"{self.name}_adapter_")
            self._adapters.initialize(mx.init.Xavier(), ctx=setup.ctx)
        self._graph = LevelGraph(self.distance, self._adapters)
        self._graph.hybridize(static_alloc=True)

    def blocks(self) -> dict:
        return {f"{self.name}_adapters": self._adapters} if self.adapts else {}

    def student_parameters(self) -> list:
        return list(self._adapters.collect_params().values()) if self.adapts else []

    @property
    @abstractmethod
    def weight(self) -> float:
        """Factor of the loss; a term of weight 0 is measured, its gradient is zero."""

    @abstractmethod
    def distance(self, F, student, teacher):
        """Loss (B, 1) of maps (B, C, H, W) and (B, C', H, W); F is ``mx.nd`` or ``mx.sym``."""

    def measure(self, maps: PairedMaps, begun) -> dict:
        return {self.figures[0]: self._graph(*maps.student, *maps.teacher)}

    def loss(self, figures: dict):
        """The mean over levels, summed over images, times the weight."""
        return self.weight * figures[self.figures[0]].sum() / len(self.setup.pairs)
