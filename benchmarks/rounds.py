"""Timing of several functions in turn, so that other load of the machine affects all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from gan_kd_ssd.util.tables import aligned


def measure(kinds: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind in each round, by name. A first round, which compiles, is not counted."""
    from gan_kd_ssd.util.mxnet import mx

    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds + 1):
        for name, run in kinds.items():
            mx.nd.waitall()
            start = time.perf_counter()
            run()
            mx.nd.waitall()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds: dict[str, list[float]], published: dict[str, float] | None = None) -> str:
    """A table of medians in ms, their ratios to the first kind, and published ratios."""
    first = statistics.median(next(iter(seconds.values())))
    rows = [["", "ms", "ratio", *(["published"] if published else [])]]
    for name, values in seconds.items():
        middle = statistics.median(values)
        row = [name, f"{1000 * middle:.1f}", f"{middle / first:.2f}"]
        if published:
            row.append(f"{published[name]:.2f}" if name in published else "")
        rows.append(row)
    return aligned(rows, right=(1, 2, 3))
