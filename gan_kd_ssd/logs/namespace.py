"""The parser of ``Namespace(...)`` lines, which evaluates no code."""

from __future__ import annotations

import ast
import re
import warnings

_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_FLAT = rf"""[\[({{](?:{_STRING}|[^][(){{}}'"])*[\])}}]"""
_NESTED = rf"""[\[({{](?:{_STRING}|{_FLAT}|[^][(){{}}'"])*[\])}}]"""
_VALUE = rf"""{_STRING}|{_NESTED}|<[^<>]*>|[^,(){{}}'"\[\]<>]+"""
_OPTION = re.compile(rf"\s*(\w+)=({_VALUE})(?:,|\Z)")


class Verbatim(str):
    """A value that is not a plain literal, as it was printed (``<function main at 0x7f>``)."""

    def __repr__(self) -> str:
        return str(self)


def parse_namespace(text: str) -> dict[str, object] | None:
    """Parse ``Namespace(a=1, b='x')``.

    Returns:
        The options in the order of the line, or None if the line is incomplete. Values are str, int,
        float, bool, None, and lists, tuples and dicts of them with one level of nesting. Any other
        value is a :class:`Verbatim`.
    """
    if not (text.startswith("Namespace(") and text.endswith(")")):
        return None
    options: dict[str, object] = {}
    at, end = len("Namespace("), len(text) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # raised for text such as 1and2
        while at < end:
            option = _OPTION.match(text, at, end)
            if not option:
                return None
            options[option[1]] = _literal(option[2].strip())
            at = option.end()
    return options


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Verbatim(text)
