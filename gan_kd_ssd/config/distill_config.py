"""The distillation options on the command line, made from the declarations of the terms."""

from __future__ import annotations

from collections.abc import Callable

from gan_kd_ssd.config.parser import finite, not_negative, positive, rate
from gan_kd_ssd.distill.options import declared, distill_names
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.distill.terms.term import Declaration


def add_distill(group) -> None:
    """Add ``--distill``, which chooses the terms."""
    terms = " ".join(f"{name}: {term.summary}." for name, term in TERMS.items())
    group.add_argument(
        "--distill",
        type=lambda text: ",".join(distill_names(text)) or "none",
        default="gan",
        metavar="TERMS",
        help=f"distillation terms, separated by commas. {terms} none: no teacher, for a plain baseline or "
        "a future teacher",
    )


def add_distill_options(group, **defaults) -> None:
    """Add the options of all terms and of the method; ``defaults`` replace declared defaults."""
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


def _type(default, declaration: Declaration) -> Callable:
    """The function that reads and checks a value, by the type of the default and the bounds."""
    if isinstance(default, int):
        return positive if declaration.at_least == 1 else not_negative
    if isinstance(default, float):
        return finite if declaration.at_least is None else rate
    return str
