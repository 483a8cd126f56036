"""One panel of a plot: its axes, ticks and lines, as shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gan_kd_ssd.analysis.canvas import FAINT, GREY, INK, Box, Line, Text, marker

#: A line with at most this many points shows each of them.
_MARKED = 40


@dataclass(frozen=True)
class Style:
    """How a run is drawn: dashes, markers and hatches tell runs apart where colours do not."""

    colour: str
    width: float = 1.6
    dash: tuple[float, ...] = ()
    marker: str = ""
    hatch: float = 0.0


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``, at most ``most`` + 1 of them."""
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low] if math.isfinite(low) else []
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * i for i in range(first, last + 1)]


def tick_labels(at: Sequence[float]) -> list[str]:
    """As many decimals as the steps between ticks need."""
    if len(at) < 2:
        return [f"{value:.4g}" for value in at]
    step = at[1] - at[0]
    for decimals in range(12):
        if abs(round(step, decimals) - step) < 1e-6 * step:
            return [f"{value:.{decimals}f}" for value in at]
    return [f"{value:.3g}" for value in at]


@dataclass
class Panel:
    """Curves over a common horizontal axis. ``left``, ``top``, ``width``, ``height`` in pixels."""

    left: float
    top: float
    width: float
    height: float
    title: str
    label: str
    x_limit: float
    curves: list[tuple[list, list, Style]] = field(default_factory=list)
    names: dict[str, tuple[float, float]] = field(default_factory=dict)
    level: float | None = None

    def add(self, xs: list[float], ys: list[float], style: Style) -> None:
        """A curve; values beyond the axis are left out."""
        kept = [(x, y) for x, y in zip(xs, ys) if x <= self.x_limit]
        if kept:
            self.curves.append(([x for x, _ in kept], [y for _, y in kept], style))

    def shapes(self) -> list:
        """Everything in the panel."""
        out: list = [Text(self.left, self.top - 8, self.title, size=13)]
        values = [y for _, ys, _ in self.curves for y in ys]
        if self.level is not None and values:
            values.append(self.level)
        bottom, right = self.top + self.height, self.left + self.width
        frame = ((self.left, self.top), (self.left, bottom), (right, bottom))
        if not values:
            middle = (self.left + self.width / 2, self.top + self.height / 2)
            out.append(Text(*middle, "not in these logs", "middle", colour=GREY))
            return [*out, Line(frame)]
        low, high = min(values), max(values)
        pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = low - (2.6 * pad if len(self.names) > 1 else pad), high + pad

        def x_of(x: float) -> float:
            return self.left + self.width * x / self.x_limit

        def y_of(y: float) -> float:
            return bottom - self.height * (y - low) / (high - low)

        out += self._grid(low, high, x_of, y_of)
        out.append(Line(frame))
        if self.level is not None:
            y = y_of(self.level)
            out.append(Line(((self.left, y), (right, y)), GREY, 1, (1.5, 2.5)))
        for xs, ys, style in self.curves:
            points = tuple((x_of(x), y_of(y)) for x, y in zip(xs, ys))
            out += line_with_marks(points, style)
        lowest = min((y for _, y in self.names.values()), default=None)
        for name, (x, y) in self.names.items():
            below = y == lowest and len(self.names) > 1
            out.append(_at_end(name, x_of(x), max(y_of(y), self.top + 18), below, right))
        return out

    def _grid(self, low, high, x_of, y_of) -> list:
        bottom, right, out = self.top + self.height, self.left + self.width, []
        across, up = ticks(0.0, self.x_limit), ticks(low, high)
        for x, text in zip(across, tick_labels(across)):
            out.append(Line(((x_of(x), self.top), (x_of(x), bottom)), FAINT))
            out.append(Text(x_of(x), bottom + 15, text, "middle", 11))
        for y, text in zip(up, tick_labels(up)):
            out.append(Line(((self.left, y_of(y)), (right, y_of(y))), FAINT))
            out.append(Text(self.left - 5, y_of(y) + 4, text, "end", 11))
        return [*out, Text(self.left + self.width / 2, bottom + 31, self.label, "middle", 11)]


def _at_end(name: str, x: float, y: float, below: bool, right: float) -> Text:
    """A curve's name beside its end, or over or under it where it ends at the right of the panel."""
    if x + 9 + 7 * len(name) < right:
        return Text(x + 9, y + (11 if below else -3), name, "start", 11, halo=True)
    return Text(right, y + (17 if below else -8), name, "end", 11, halo=True)


def line_with_marks(points: tuple, style: Style) -> list:
    """A curve of a run, with its markers where points are few."""
    shapes: list = [Line(points, style.colour, style.width, style.dash)] if len(points) > 1 else []
    if len(points) <= _MARKED:
        kind = style.marker or "circle"
        size = 3.4 if style.marker else 2.2
        shapes += [marker(kind, x, y, style.colour, size) for x, y in points]
    return shapes


def bars(left, top, width, height, title, groups) -> list:
    """Horizontal bars. ``groups``: (name, [(value or None, style), ...]) from top to bottom."""
    out: list = [Text(left, top - 8, title, size=13)]
    values = [value for _, bars_ in groups for value, _ in bars_ if value]
    if not values:
        middle = (left + width / 2, top + height / 2)
        return [*out, Text(*middle, "not in these logs", "middle", colour=GREY)]
    scale = 0.86 * width / max(values)
    room = height / len(groups)
    for number, (name, bars_) in enumerate(groups):
        y = top + number * room
        out.append(Text(left + 4, y + 13, name, size=11))
        thick = (room - 22) / len(bars_)
        for row, (value, style) in enumerate(bars_):
            if not value:
                continue
            at = y + 18 + row * thick
            box = Box(left, at, value * scale, 0.82 * thick, style.colour, style.hatch)
            out += [
                box,
                Text(left + value * scale + 5, at + 0.41 * thick + 4, f"{value:.3g}", size=11),
            ]
    return [*out, Line(((left, top), (left, top + height)), INK)]
