"""Declaration of the distillation options: each option is one field of a frozen dataclass.

The command line, the facts that a training state keeps, the learning rates of the trainers and the list
of inferred choices in a model card are all made from these declarations
(:mod:`gan_kd_ssd.distill.settings`). This module does not import MXNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from gan_kd_ssd.util.errors import UserError

#: What a resumed run may do with an option: keep it, change it, or ignore it after the start.
FIXED, FREE, START = "fixed", "free", "start"


@dataclass(frozen=True)
class Declaration:
    """Properties of an option besides its name, its type and its default.

    Attributes:
        help: one phrase for ``--help``.
        at_least: smallest number that is accepted; None accepts any finite number.
        choices: accepted values, or None.
        bare: value of the option when it is given without one, or None if it needs a value.
        resume: :data:`FIXED`, :data:`FREE` or :data:`START`.
        inferred: what the option decides, for the model card; None for an option whose value was
            published.
        trainer: name of the trainer whose learning rate the option is, or None.
    """

    help: str
    at_least: float | None = None
    choices: tuple[str, ...] | None = None
    bare: float | None = None
    resume: str = FIXED
    inferred: str | None = None
    trainer: str | None = None


def option(default, help: str, **properties):
    """A dataclass field that declares an option, see :class:`Declaration` for its properties.

    The name of the field is the name of the option with underscores.
    """
    return field(default=default, metadata={"declaration": Declaration(help, **properties)})


@dataclass(frozen=True)
class Options:
    """Base class of option sets, one for each term and one for the method."""

    @classmethod
    def declarations(cls) -> dict[str, tuple[object, Declaration]]:
        """Default and declaration of each option by name, in the order of the fields."""
        return {f.name: (f.default, f.metadata["declaration"]) for f in fields(cls)}

    def check(self, chosen: Sequence[str]) -> None:
        """Check values that depend on each other.

        Args:
            chosen: names of the terms that ``--distill`` gives.

        Raises:
            UserError: the values contradict each other.
        """


@dataclass(frozen=True)
class MethodOptions(Options):
    """Options that hold for every term."""

    lrG: float = option(
        0.0005,
        "learning rate of the student's distillation update (Adam)",
        at_least=0,
        resume=FREE,
        trainer="adversarial",
    )
    beta1: float = option(
        0.5,
        "beta1 of both Adam optimizers; that Adam was used is inferred",
        at_least=0,
        resume=FREE,
    )
    update: str = option(
        "separate",
        "separate: SGD (--lr) on the detection losses and Adam (--lrG) on the adversarial loss, "
        "inferred from the published options; joint: SGD on their sum L_G, the paper's formula",
        choices=("separate", "joint"),
        inferred="optimizers that update the student",
    )
    student_head: str = option(
        "teacher",
        "initial values of the student's predictors: teacher copies the teacher's where the shapes "
        "agree (caption of figure 1), scratch draws random ones",
        choices=("teacher", "scratch"),
        resume=START,
        inferred="initial values of the student's predictors",
    )

    def check(self, chosen: Sequence[str]) -> None:
        if self.beta1 >= 1:
            raise UserError(f"--beta1 {self.beta1}: give a number below 1")
