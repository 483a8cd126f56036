"""The interface of a distillation term: its options, and named losses for each pair of levels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from gan_kd_ssd.distill.adapter import LevelPair

#: What a resumed run may do with an option: keep it, change it, or ignore it after the start.
FIXED, FREE, START = "fixed", "free", "start"


class Declaration(NamedTuple):
    """Properties of an option besides its name and its default, which decides its type."""

    help: str  # one phrase for --help
    at_least: float | None = None  # smallest accepted number; None accepts any finite number
    choices: tuple[str, ...] | None = None
    bare: float | None = None  # value of an option that is given without one; None: it needs one
    resume: str = FIXED
    inferred: str | None = None  # what the option decides, for the model card; None: published


def option(default, help: str, **properties):
    """A dataclass field that declares an option of its name, see :class:`Declaration`."""
    return field(default=default, metadata={"declaration": Declaration(help, **properties)})


@dataclass(frozen=True)
class Options:
    """Base class of option sets: each field is an option, or another set of options."""

    @classmethod
    def declarations(cls) -> dict[str, tuple[object, Declaration]]:
        """Default and declaration of each option by name, in the order of the fields."""
        found = {}
        for f in fields(cls):
            if isinstance(f.default, Options):
                found.update(f.default.declarations())
            else:
                found[f.name] = f.default, f.metadata["declaration"]
        return found

    @classmethod
    def pick(cls, values: Mapping):
        """The options among some values by name; missing ones have their defaults."""
        nested = {f.name: f.default for f in fields(cls) if isinstance(f.default, Options)}
        given = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        return cls(**given, **{name: options.pick(values) for name, options in nested.items()})

    def check(self, chosen: Sequence[str]) -> None:
        """Raise a UserError if values contradict each other; ``--distill`` gives the terms ``chosen``."""


@dataclass(frozen=True)
class Setup:
    """What a term is built from."""

    pairs: Sequence[LevelPair]  # finest first
    ctx: Sequence
    kvstore: str = "device"
    beta1: float = 0.5  # of Adam
    any_size: bool = False  # whether the maps differ in size from image to image

    def adam(self, parameters: Sequence, learning_rate: float):
        """A trainer that sums gradients over devices and keeps Adam's state on them."""
        from gan_kd_ssd.util.mxnet import mx

        settings = {"learning_rate": learning_rate, "beta1": self.beta1}
        return mx.gluon.Trainer(
            parameters, "adam", settings, kvstore=self.kvstore, update_on_kvstore=False
        )


class PairedMaps(NamedTuple):
    """The maps of one device's images at the paired levels, finest first."""

    student: Sequence  # (B, C_l, H_l, W_l), leaves of a graph of their own
    teacher: Sequence  # (B, C'_l, H_l, W_l), without gradients
    part: tuple  # images and targets, as the detector's ``parts`` gives them


class Term(ABC):
    """A loss between the paired levels of student and teacher.

    A step calls :meth:`begin` once, then :meth:`measure` and :meth:`loss` for each device while MXNet
    records. None of them may wait for a device.

    Attributes:
        blocks: blocks with parameters of the term's own by name; a training state holds them.
        trainers: trainers of the term's own by name; a training state holds them.
        student_parameters: parameters of the term that are trained with the student, on the same loss.
    """

    name: ClassVar[str]  # in --distill
    summary: ClassVar[str]  # in --help
    options_type: ClassVar[type[Options]] = Options
    #: Names of the figures that :meth:`measure` gives, in that order: letters, digits and underscores.
    figures: ClassVar[tuple[str, ...]]
    #: Names of terms that run whenever this one does.
    companions: ClassVar[tuple[str, ...]] = ()
    #: How the figures of the levels become one in the log: 'mean' or 'sum'.
    level_total = "mean"

    def __init__(self, setup: Setup, options: Options):
        self.setup, self.options = setup, options
        self.blocks: dict = {}
        self.trainers: dict = {}
        self.student_parameters: list = []

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
        """Figures (B, L) of one device by name; ``begun`` is the device's item of :meth:`begin`."""

    @abstractmethod
    def loss(self, figures: dict):
        """Loss of the student (1,), summed over the device's images, from :meth:`measure`'s figures."""

    def logged(self, totals: dict[str, float]) -> dict[str, float]:
        """Figures for the log, from the totals over the levels of :attr:`figures`."""
        return totals


class LevelTerm(Term):
    """A term with one figure and one loss, which compares the two maps of each pair."""

    #: Whether 1x1 convolutions bring the student's maps to the teacher's number of channels.
    adapts = False

    def __init__(self, setup: Setup, options: Options):
        from gan_kd_ssd.distill.adapter import Adapters, LevelGraph
        from gan_kd_ssd.util.mxnet import mx

        super().__init__(setup, options)
        adapters = None
        if self.adapts:
            widths = [(pair.student_channels, pair.teacher_channels) for pair in setup.pairs]
            adapters = Adapters(widths, prefix=f"{self.name}_adapter_")
            adapters.initialize(mx.init.Xavier(), ctx=setup.ctx)
            self.blocks = {f"{self.name}_adapters": adapters}
            self.student_parameters = list(adapters.collect_params().values())
        self._graph = LevelGraph(self.distance, adapters)
        self._graph.hybridize(static_alloc=True)

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


#: The registered terms by name, in the order of :mod:`gan_kd_ssd.distill.terms`.
TERMS: dict[str, type[Term]] = {}


def register(term: type[Term]) -> type[Term]:
    """Class decorator that makes a term a value of ``--distill``."""
    TERMS[term.name] = term
    return term
