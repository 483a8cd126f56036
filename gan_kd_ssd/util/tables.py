"""Tables as text, and printing in UTF-8."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from textwrap import fill


def put(text: str) -> None:
    """Write to standard output in UTF-8, whatever the terminal's encoding; escape invalid bytes."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def aligned(
    rows: Iterable[Sequence[str]],
    right: Iterable[int] = (),
    markdown: bool = False,
    widest: int | None = None,
) -> str:
    """Format a table with aligned columns, without a newline at its end.

    Args:
        rows: The rows of cells; the first row is the head.
        right: Indices of the columns that are aligned to the right, such as numbers.
        markdown: Return a GitHub Markdown table instead of plain text.
        widest: Wrap longer cells of plain text, except in the last column.
    """
    import tabulate

    tabulate.PRESERVE_WHITESPACE = True  # indented cells stay indented
    tabulate.MIN_PADDING = 0
    cells = [[str(cell) for cell in row] for row in rows]
    right = set(right)
    sides = ["right" if column in right else "left" for column in range(len(cells[0]))]
    if not markdown:
        if widest is not None:
            cells = [[*(fill(cell, widest) for cell in row[:-1]), row[-1]] for row in cells]
        return tabulate.tabulate(cells, tablefmt="plain", colalign=sides, disable_numparse=True)
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    empty = [""] * len(head)  # tabulate refuses ``colalign`` for a table without rows
    text = tabulate.tabulate(
        body or [empty], head, tablefmt="pipe", colalign=sides, disable_numparse=True
    )
    return text if body else text.rpartition("\n")[0]
