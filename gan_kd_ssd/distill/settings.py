"""The settings of a training's method, made from its options; this module does not import MXNet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gan_kd_ssd.distill.options import FIXED, FREE, Declaration, MethodOptions, Options
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.util.errors import UserError

#: Options of the first version, in their order in ``--help`` and in the Namespace; later options follow.
#: Training states of that version hold those that :data:`FIXED` names, whatever ``--distill`` was.
FIRST_OPTIONS = (
    *("lrD", "lrG", "beta1", "clamp_lower", "clamp_upper", "clamp", "update", "levels"),
    *("adversarial_weight", "cosine_attention", "d_norm", "d_channels", "adapter", "student_head"),
)


@dataclass(frozen=True)
class SGD:
    """Settings of the optimizer of the detection losses."""

    lr: float
    momentum: float = 0.9
    wd: float = 0.0005


@dataclass(frozen=True)
class DistillConfig:
    """How the student learns from the teacher.

    Attributes:
        distill: value of ``--distill``.
        terms: names of the terms that run, in their order; empty without distillation.
        method: options that hold for every term.
        options: options of each registered term by its name, whether it runs or not.
    """

    distill: str
    terms: tuple[str, ...]
    method: MethodOptions
    options: Mapping[str, Options] = field(hash=False)

    @classmethod
    def from_options(cls, options) -> DistillConfig:
        """The configuration of parsed options, a Namespace or a dict; missing options have defaults.

        Raises:
            UserError: an unknown term, or values that contradict each other.
        """
        values = options if isinstance(options, Mapping) else vars(options)
        distill = values.get("distill", "gan")
        chosen = distill_names(distill)
        wanted = {*chosen, *(name for term in chosen for name in TERMS[term].companions)}
        config = cls(
            distill,
            tuple(name for name in TERMS if name in wanted),
            _pick(MethodOptions, values),
            {name: _pick(term.options_type, values) for name, term in TERMS.items()},
        )
        for each in (config.method, *config.options.values()):
            each.check(chosen)
        return config

    @property
    def update(self) -> str:
        """'separate' or 'joint'."""
        return self.method.update

    @property
    def student_head(self) -> str:
        """'teacher' or 'scratch'."""
        return self.method.student_head

    def fixed(self) -> dict:
        """Options that a resumed run must share with the run that wrote its state."""
        return {"distill": self.distill, **self._of_resume(FIXED)}

    def free(self) -> dict:
        """Options that a resumed run may change; it reports the change."""
        return self._of_resume(FREE)

    def learning_rates(self) -> dict[str, float]:
        """Learning rates of the trainers besides the student's, by the trainer's name."""
        rates = {}
        for owner, name, declaration in self._values():
            trained = owner in self.terms or (owner is None and self.terms)
            if declaration.trainer and trained:
                rates[declaration.trainer] = self._value(owner, name)
        if self.update == "joint":  # the student's trainer takes the place of this one
            rates.pop("adversarial", None)
        return rates

    def _of_resume(self, resume: str) -> dict:
        return {
            name: self._value(owner, name)
            for owner, name, declaration in self._values()
            if declaration.resume == resume and (owner in self.terms or name in FIRST_OPTIONS)
        }

    def _values(self) -> Iterator[tuple[str | None, str, Declaration]]:
        for name, (owner, _default, declaration) in declared().items():
            yield owner, name, declaration

    def _value(self, owner: str | None, name: str):
        return getattr(self.method if owner is None else self.options[owner], name)


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


def declared() -> dict[str, tuple[str | None, object, Declaration]]:
    """All options of the method and of its terms, in the order of ``--help``.

    Returns:
        For each name the term that has the option (None: the method), its default, its declaration.
    """
    owners = [(None, MethodOptions), *((name, term.options_type) for name, term in TERMS.items())]
    found = {
        name: (owner, *declaration)
        for owner, options in owners
        for name, declaration in options.declarations().items()
    }
    order = [*FIRST_OPTIONS, *(name for name in found if name not in FIRST_OPTIONS)]
    return {name: found[name] for name in order}


def inferred_options() -> dict[str, str]:
    """What each option decides that the paper leaves open, by the option's name."""
    return {
        name: declaration.inferred
        for name, (_, _, declaration) in declared().items()
        if declaration.inferred
    }


def _pick(options: type[Options], values: Mapping) -> Options:
    return options(**{name: values[name] for name in options.declarations() if name in values})
