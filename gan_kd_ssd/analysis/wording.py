"""Numbers and text as they are printed, content as JSON, and the templates of this folder."""

from __future__ import annotations

import json
import math
from pathlib import Path


def to_json(content) -> str:
    """Format plain data as strict JSON. Numbers that are not finite become strings."""
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def _plain(content):
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, dict):
        return {_plain(str(key)): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if isinstance(content, str):
        return content.encode("utf-8", "backslashreplace").decode()
    return content


def printable(text: str) -> str:
    """Escape invalid bytes, and control characters, which could change a terminal."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def count(number: int, name: str) -> str:
    """Return a number with its noun: ``1 line``, ``2 lines``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def render(template: str, **values) -> str:
    """Fill a template of this folder. Values in HTML are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    text = not template.endswith(".html")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=not text,
        trim_blocks=text,
        lstrip_blocks=text,
        keep_trailing_newline=text,
    )
    return environment.get_template(template).render(count=count, **values)
