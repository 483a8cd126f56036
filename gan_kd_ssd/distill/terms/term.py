"""The interface of a distillation term: named losses for each pair of levels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from gan_kd_ssd.distill.adapter import LevelPair


@dataclass(frozen=True)
class Setup:
    """Arguments of the constructor of a term."""

    pairs: Sequence[LevelPair]  # finest first
    ctx: Sequence
    adam: Callable  # (parameters, learning rate) -> trainer
    any_size: bool = False  # whether the maps differ in size from image to image


class PairedMaps(NamedTuple):
    """The maps of one device's images at the paired levels, finest first."""

    student: Sequence  # (B, C_l, H_l, W_l), leaves of a separate graph
    teacher: Sequence  # (B, C'_l, H_l, W_l), without gradients
    part: tuple  # images and targets, as the detector's ``parts`` returns them


class Term(ABC):
    """A loss between the paired levels of student and teacher.

    A step calls :meth:`begin` once, then :meth:`measure` and :meth:`loss` for each device while MXNet
    records. None of them may wait for a device.
    """

    name: ClassVar[str]  # in --distill
    summary: ClassVar[str]  # in --help
    #: Frozen dataclass with the term's options as fields, see :mod:`gan_kd_ssd.util.option_fields`.
    options_type: ClassVar[type]
    #: Names of the figures that :meth:`measure` computes, in order: letters, digits and underscores.
    figures: ClassVar[tuple[str, ...]]
    companions: ClassVar[tuple[str, ...]] = ()  # names of terms that run whenever this one does
    level_total = "mean"  # how the figures of the levels become one in the log: 'mean' or 'sum'

    def __init__(self, setup: Setup, options):
        self.setup, self.options = setup, options
        self.blocks: dict = {}  # the term's own, with parameters; saved in the training state
        self.trainers: dict = {}  # the term's own; saved in the training state
        self.student_parameters: list = []  # trained with the student, on the same loss

    @classmethod  # noqa: B027 - most terms accept all
    def check(cls, options, chosen: Sequence[str]) -> None:
        """Raise a UserError if the options contradict the terms ``chosen`` by ``--distill``."""

    def begin(self, maps: Sequence[PairedMaps], images: int) -> list:
        """Prepare a step, for example by an update of the term's own networks.

        Args:
            maps: paired maps of each device.
            images: number of images in the batch, over all devices.

        Returns:
            One value for each device, which is passed to :meth:`measure`.
        """
        return [None] * len(maps)

    @abstractmethod
    def measure(self, maps: PairedMaps, begun) -> dict:
        """Compute the figures (B, L) of one device by name; ``begun`` is its value of :meth:`begin`."""

    @abstractmethod
    def loss(self, figures: dict):
        """Loss of the student (1,), summed over the device's images, from :meth:`measure`'s figures."""

    def logged(self, totals: dict[str, float]) -> dict[str, float]:
        """Figures for the log, from the totals over the levels of :attr:`figures`."""
        return totals


class LevelTerm(Term):
    """A term with one figure and one loss, which compares the two maps of each pair."""

    #: Name of the option for the weight of the loss. With weight 0, the term is logged but has no gradient.
    weight_option: ClassVar[str]
    #: Whether 1x1 convolutions adapt the student's maps to the teacher's number of channels.
    adapts = False

    def __init__(self, setup: Setup, options):
        from gan_kd_ssd.distill.adapter import Adapters, MapsGraph
        from gan_kd_ssd.util.mxnet import mx

        super().__init__(setup, options)
        if self.adapts:
            widths = [(pair.student_channels, pair.teacher_channels) for pair in setup.pairs]
            adapters = Adapters(widths, prefix=f"{self.name}_adapter_")
            adapters.initialize(mx.init.Xavier(), ctx=setup.ctx)
            self.blocks = {f"{self.name}_adapters": adapters}
            self.student_parameters = list(adapters.collect_params().values())
        self._graph = MapsGraph(self._distances, *self.blocks.values())

    @abstractmethod
    def distance(self, F, student, teacher):
        """Loss (B, 1) of maps (B, C, H, W) and (B, C', H, W); F is ``mx.nd`` or ``mx.sym``."""

    def _distances(self, F, student, teacher):
        for adapters in self.blocks.values():
            student = adapters(*student)
        return F.concat(*[self.distance(F, *pair) for pair in zip(student, teacher)], dim=1)

    def measure(self, maps: PairedMaps, begun) -> dict:
        return {self.figures[0]: self._graph(*maps.student, *maps.teacher)}

    def loss(self, figures: dict):
        """Return the weighted mean over the levels, summed over the images."""
        weight = getattr(self.options, self.weight_option)
        return weight * figures[self.figures[0]].sum() / len(self.setup.pairs)


#: The registered terms by name, in the order of :mod:`gan_kd_ssd.distill.terms`.
TERMS: dict[str, type[Term]] = {}


def register(term: type[Term]) -> type[Term]:
    """Class decorator that makes a term a value of ``--distill``."""
    TERMS[term.name] = term
    return term
