"""Timing of several functions in turn, round after round, so that other load affects all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def measure(kinds: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind, by name, one figure a round; a first round, which compiles, is not counted."""
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
    """Medians in ms and as multiples of the first kind, and published multiples beside them."""
    published = published or {}
    first = statistics.median(next(iter(seconds.values())))
    width = max(map(len, seconds))
    lines = [f"{'':<{width}}  {'ms':>9}  {'ratio':>6}" + ("  published" if published else "")]
    for name, values in seconds.items():
        middle = statistics.median(values)
        line = f"{name:<{width}}  {1000 * middle:>9.1f}  {middle / first:>6.2f}"
        lines.append(line + (f"  {published[name]:>9.2f}" if name in published else ""))
    return "\n".join(lines)
