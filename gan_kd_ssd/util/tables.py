"""Text for people: tables with aligned columns, and whatever the terminal's encoding is."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def put(text: str) -> None:
    """Write to standard output, in UTF-8 whatever its encoding is; bad bytes of a file are shown."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def aligned(
    rows: Sequence[Sequence[str]], right: Sequence[int] = (), markdown: bool = False
) -> str:
    """A table with aligned columns, those of ``right`` to the right; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())
    if markdown:
        lines.insert(1, f"| {' | '.join('-' * width for width in widths)} |")
    return "\n".join(lines)
