"""Options of the distillation, for the command line, training states and model cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field

from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import FIXED, FREE, decimal, option, options_in, pick

#: Training states of the first version hold the options of these terms, whatever ``--distill`` was.
FIRST_TERMS = ("gan", "cosine")


@dataclass(frozen=True)
class SGD:
    """Settings of the optimizer of the detection losses."""

    lr: float
    momentum: float = 0.9
    wd: float = 0.0005


@dataclass(frozen=True)
class MethodOptions:
    """The options that apply to all terms."""

    lrG: float = decimal(
        0.0005, "learning rate of the student's Adam (with --update separate)", resume=FREE
    )
    beta1: float = decimal(
        0.5, "beta1 of both Adam optimizers (the use of Adam is inferred)", resume=FREE
    )
    update: str = option(
        "separate",
        "separate: SGD (--lr) on the detection losses and Adam (--lrG) on the distillation losses "
        "(inferred from the published options); joint: SGD on their sum L_G, the paper's formula",
        choices=("separate", "joint"),
        resume=FIXED,
        inferred="optimizers that update the student",
    )
    student_head: str = option(
        "teacher",
        "initial weights of the student's predictors: teacher copies those of the teacher where the "
        "shapes agree (caption of figure 1), scratch uses random weights",
        choices=("teacher", "scratch"),
        inferred="initial weights of the student's predictors",
    )

    def __post_init__(self) -> None:
        if self.beta1 >= 1:
            raise UserError(f"--beta1 {self.beta1}: give a number below 1")


@dataclass(frozen=True)
class DistillConfig:
    """How the student learns from the teacher."""

    distill: str  # value of --distill
    terms: tuple[str, ...]  # names of the terms that run, in their order
    values: Mapping[str, object] = field(hash=False)  # values of all options by name

    @classmethod
    def from_options(cls, options) -> DistillConfig:
        """The configuration of parsed options, a Namespace or a dict; missing options have defaults.

        Raises:
            UserError: an unknown term, or values that contradict each other.
        """
        given = options if isinstance(options, Mapping) else vars(options)
        distill = given.get("distill", "gan")
        chosen = distill_names(distill)
        wanted = {*chosen, *(name for term in chosen for name in TERMS[term].companions)}
        values = {name: given.get(name, f.default) for name, (_, f) in declared().items()}
        config = cls(distill, tuple(name for name in TERMS if name in wanted), values)
        pick(MethodOptions, values)  # checks the values
        for name, term in TERMS.items():
            term.check(config.of_term(name), chosen)
        return config

    @property
    def method(self) -> MethodOptions:
        """Options that apply to all terms."""
        return pick(MethodOptions, self.values)

    @property
    def student_head(self) -> str:
        """'teacher' or 'scratch'."""
        return self.values["student_head"]

    def of_term(self, name: str):
        """Options of a term, whether it runs or not."""
        return pick(TERMS[name].options_type, self.values)

    def fixed(self) -> dict:
        """Options that a resumed run must share with the run that wrote its state."""
        return {"distill": self.distill, **self._of_resume(FIXED)}

    def free(self) -> dict:
        """Options that a resumed run may change; it reports the change."""
        return self._of_resume(FREE)

    def _of_resume(self, resume: str) -> dict:
        return {
            name: self.values[name]
            for name, (term, f) in declared().items()
            if f.metadata["resume"] == resume and term in (None, *FIRST_TERMS, *self.terms)
        }


def distill_names(text: str) -> tuple[str, ...]:
    """Names of the terms in a value of ``--distill``, in the order of the terms: 'none' -> ().

    Raises:
        UserError: an unknown name, or 'none' with others.
    """
    names = [name.strip() for name in text.split(",")]
    if names == ["none"]:
        return ()
    if not set(names) <= TERMS.keys():
        raise UserError(
            f"--distill {text}: give none, or one or more of {', '.join(TERMS)}, separated by commas"
        )
    return tuple(name for name in TERMS if name in names)


def option_records() -> dict[str | None, type]:
    """The records of the options by term, in the order of ``--help``; None stands for all terms."""
    return {**{name: term.options_type for name, term in TERMS.items()}, None: MethodOptions}


def declared() -> dict[str, tuple[str | None, Field]]:
    """Term (None: all terms) and field of each option, by name."""
    return {f.name: (term, f) for term, r in option_records().items() for f in options_in(r)}


def inferred_options() -> dict[str, str]:
    """Descriptions of the choices that the paper leaves open, by the name of the option."""
    inferred = {name: f.metadata["inferred"] for name, (_, f) in declared().items()}
    return {name: text for name, text in inferred.items() if text}
