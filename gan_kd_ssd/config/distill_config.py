"""The distillation options on the command line, made from the declarations of the terms."""

from __future__ import annotations

from collections.abc import Callable

from gan_kd_ssd.config.parser import finite, not_negative, positive, rate
from gan_kd_ssd.distill.options import Declaration
from gan_kd_ssd.distill.settings import (
    SGD,
    DistillConfig,
    declared,
    distill_names,
    inferred_options,
)
from gan_kd_ssd.distill.terms import TERMS

__all__ = ["SGD", "DistillConfig", "add_distill", "add_distill_options", "inferred_options"]


def add_distill(group) -> None:
    """Add ``--distill``, which chooses the terms."""
    terms = "; ".join(f"{name}: {term.summary}" for name, term in TERMS.items())
    group.add_argument(
        "--distill",
        type=_canonical,
        default="gan",
        metavar="TERMS",
        help=f"distillation terms, separated by commas ({terms}); none: train the student without a "
        "teacher, as a plain baseline or as a future teacher",
    )


def add_distill_options(group, **defaults) -> None:
    """Add the options of the method and of all terms.

    Args:
        defaults: values that replace the declared defaults, by name of the option.
    """
    for name, (_, default, declaration) in declared().items():
        default = defaults.get(name, default)
        settings = {"default": default, "help": declaration.help}
        if declaration.choices:
            settings["choices"] = declaration.choices
        else:
            settings["type"] = _type(default, declaration)
        if declaration.bare is not None:
            settings.update(nargs="?", const=declaration.bare, metavar="WEIGHT")
        group.add_argument("--" + name.replace("_", "-"), **settings)


def _canonical(text: str) -> str:
    """The value of ``--distill`` with its terms in their order."""
    return ",".join(distill_names(text)) or "none"


def _type(default, declaration: Declaration) -> Callable:
    """The function that reads and checks a value, by the type of the default and the bounds."""
    if isinstance(default, int):
        return positive if declaration.at_least == 1 else not_negative
    if isinstance(default, float):
        return finite if declaration.at_least is None else rate
    return str
