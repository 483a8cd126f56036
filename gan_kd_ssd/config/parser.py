"""The argument parser of all commands, and lists in the values of options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from gan_kd_ssd.util.errors import UserError

_NEGATIVE = re.compile(r"-[\d.][\d.e+-]*", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`UserError` and accepts no abbreviations."""

    def __init__(self, **settings):
        settings.setdefault("epilog", "Option names may be written with dashes or underscores.")
        super().__init__(allow_abbrev=False, formatter_class=Defaults, **settings)

    def error(self, message):
        raise UserError(f"{message} (see --help)")


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default value to a help text, except for an empty one and False."""

    def _get_help_string(self, action):
        if action.default in (None, "") or action.default is False or "%(default)" in action.help:
            return action.help
        return super()._get_help_string(action)


def with_dashes(words: Sequence[str]) -> list[str]:
    """Spell option names with dashes: ``--data_shape=3`` becomes ``--data-shape=3``."""
    names: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            names.append(name.replace("_", "-") + equals + value)
        elif _NEGATIVE.fullmatch(word) and names and names[-1].startswith("--"):
            names[-1] += f"={word}"  # argparse would read -3e-2 as an option
        else:
            names.append(word)
    return names


def class_names(text: str | None) -> list[str] | None:
    """Class names of ``--classes``: 'a,b' -> ['a', 'b']; None stays None.

    Raises:
        UserError: an empty name, or a name that occurs twice.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"--classes {text!r}: separate the names by commas and give each name once")
    return names


def epoch_list(text: str, option: str = "--lr-decay-epoch") -> tuple[int, ...]:
    """Epochs of an option in ascending order: '100,80' -> (80, 100); '' -> ().

    Raises:
        UserError: not a list of numbers; the message names ``option``.
    """
    try:
        return tuple(sorted(int(part) for part in text.replace(" ", "").split(",") if part))
    except ValueError:
        raise UserError(f"{option} {text!r}: give epochs such as 80,100") from None
