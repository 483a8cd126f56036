"""Content in plain forms: as JSON knows it, and numbers in words."""

from __future__ import annotations

import math


def plain(content):
    """Numbers that are not finite become strings, tuples lists, and bad bytes in text visible."""
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {plain(str(key)): plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    if isinstance(content, str):
        return content.encode("utf-8", "backslashreplace").decode()
    return content


def printable(text: str) -> str:
    """Text with control characters, which could rewrite a terminal, and bad bytes made visible."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def count(number: int, name: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"
