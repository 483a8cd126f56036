"""Options as fields of frozen dataclasses: one declaration makes the option and the field of the record."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, field, fields

#: What a resumed run must do with an option: share the value of its state, or report a change.
FIXED, FREE = "fixed", "free"


def _value(kind: type, accepted: Callable[[float], bool], name: str) -> Callable[[str], float]:
    """An argparse type that reads a finite ``kind`` and names what is expected."""

    def read(text: str):
        try:
            value = kind(text) if kind is float or text.isdecimal() else math.nan
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and accepted(value)):
            raise argparse.ArgumentTypeError(f"{text!r} is not {name}")
        return value

    return read


positive = _value(int, lambda value: value > 0, "a whole number above 0")
not_negative = _value(int, lambda value: True, "a whole number from 0")
rate = _value(float, lambda value: value >= 0, "a number from 0")
fraction = _value(float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
finite = _value(float, lambda value: True, "a finite number")


def option(default, help: str, *, also="", group="", resume=None, inferred="", **settings):
    """A field that declares the option of the same name, with dashes for underscores.

    Args:
        default: default value; ``None`` and ``""`` are not shown in ``--help``.
        help: phrase for ``--help``.
        also: second spelling of the option.
        group: title of a new group, which starts with this option.
        resume: :data:`FIXED` or :data:`FREE`; None if a change has no effect on a resumed run's figures.
        inferred: what the option decides, for model cards; "" if the paper decides it.
        settings: further arguments of ``add_argument``.
    """
    if isinstance(default, bool):
        settings["action"] = argparse.BooleanOptionalAction if default else "store_true"
    settings["help"] = help
    metadata = {"also": also, "group": group, "resume": resume, "inferred": inferred}
    return field(default=default, metadata={**metadata, "settings": settings})


def count(default: int | None, help: str, **settings):
    """An option that is a whole number above 0."""
    return option(default, help, type=positive, **settings)


def number(default: int | None, help: str, **settings):
    """An option that is a whole number from 0."""
    return option(default, help, type=not_negative, **settings)


def decimal(default: float, help: str, **settings):
    """An option that is a finite number from 0."""
    return option(default, help, type=rate, **settings)


def redeclared(record: type, name: str, default, group: str = "", **settings) -> Field:
    """The field ``name`` of another record with its own default, group and settings."""
    metadata = record.__dataclass_fields__[name].metadata
    settings = {**metadata["settings"], **settings}
    return field(default=default, metadata={**metadata, "group": group, "settings": settings})


def options_in(record: type) -> Iterator[Field]:
    """The fields of a record that declare options."""
    return (f for f in fields(record) if "settings" in f.metadata)


def add_options(parser, record: type, descriptions: Mapping[str, str] = {}) -> None:
    """Add the options that the fields of ``record`` declare, in the order of the fields.

    Args:
        parser: parser or group of options.
        descriptions: descriptions of groups by title.
    """
    group = parser
    for f in options_in(record):
        if title := f.metadata["group"]:
            group = parser.add_argument_group(title, descriptions.get(title))
        names = (f"--{f.name.replace('_', '-')}", f.metadata["also"])
        group.add_argument(*filter(None, names), default=f.default, **f.metadata["settings"])


def pick(record: type, options: Mapping[str, object]):
    """The record whose fields have the values of the options of the same names."""
    return record(**{f.name: options[f.name] for f in options_in(record)})
