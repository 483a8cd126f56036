"""Plots of runs over a reference: losses, mAP, and speed by phase.

Runs differ in colour, line style, marker and hatch, so that they are distinct in grey print, too. Only
``gan-kd logs plot`` imports this module, because it imports matplotlib.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gan_kd_ssd.analysis.analysed_run import AnalysedRun, with_common_size
from gan_kd_ssd.analysis.curves import epoch_lines, points_of
from gan_kd_ssd.analysis.logged_figures import (
    INACTIVE,
    LOSS,
    MAP,
    Figure,
    counted_by_epoch,
    epochs_before,
)
from gan_kd_ssd.analysis.summary import phase_speed
from gan_kd_ssd.analysis.wording import printable
from gan_kd_ssd.util.errors import UserError

#: Title and vertical axis of the panel of each loss, in the order of the panels.
LOSS_PANELS = {
    "CrossEntropy": ("Classification loss (CrossEntropy)", "loss"),
    "SmoothL1": ("Box loss (SmoothL1)", "loss"),
    "RPN_Conf": ("RPN objectness loss (RPN_Conf)", "loss"),
    "RPN_SmoothL1": ("RPN box loss (RPN_SmoothL1)", "loss"),
    "RCNN_CrossEntropy": ("RCNN class loss (RCNN_CrossEntropy)", "loss"),
    "RCNN_SmoothL1": ("RCNN box loss (RCNN_SmoothL1)", "loss"),
    "Loss_D": ("Discriminator loss (Loss_D)", "score of teacher - student"),
    "Loss_G": ("Generator loss (Loss_G)", "score of the student"),
    "cosine": ("Attention loss (cosine)", "loss"),
}
#: How many losses of other names are drawn.
_MOST_OTHER_LOSSES = 4
PHASES = ("discriminator", "gan", "detection")
#: Headings, if runs of several detectors are drawn.
HEADINGS = {"ssd": "SSD", "faster_rcnn": "Faster R-CNN", None: "Other losses"}


@dataclass(frozen=True)
class Style:
    """The style of a run, in terms of matplotlib. The bars of the reference have no hatch."""

    colour: str
    width: float
    line: object
    marker: str
    hatch: str


REFERENCE_STYLE = Style("#8a8a8a", 2.6, "-", "", "")
STYLES = (  # dark colours of Okabe and Ito, which colour-blind readers can tell apart
    Style("#0072b2", 1.4, (0, (6, 2)), "o", "////"),
    Style("#d55e00", 1.4, (0, (7, 2, 1.5, 2)), "s", "...."),
    Style("#000000", 1.2, (0, (1.5, 1.5)), "^", "xxxx"),
    Style("#009e73", 1.6, "-", "D", "----"),
)
_PANEL = 3.5, 2.7  # inches
_MARKERS = 9  # per curve


@dataclass(frozen=True)
class _Drawn:
    """A run with its style and the figures to draw."""

    run: AnalysedRun
    style: Style
    figures: list[Figure]

    def curves(self, kind: str, name: str) -> list[list[Figure]]:
        """The curves of a figure, one per phase."""
        here = [f for f in self.figures if (f.kind, f.name) == (kind, name)]
        return [points_of(epochs) for epochs in epoch_lines(here).values()]

    @cached_property
    def end(self) -> float:
        """The horizontal position of its last point."""
        points = [lines[-1] for epochs in epoch_lines(self.figures).values() for lines in epochs]
        return max((f.place.images for f in points), default=0)

    @cached_property
    def end_of_gan(self) -> float | None:
        """The horizontal position at which the GAN stage ended; None if that is not in the log."""
        trained = [f.place for f in self.figures if f.kind == LOSS and f.place.images is not None]
        ends = {place.phase == "gan": place.images for place in trained}
        if set(ends) != {True, False} or ends[False] < ends[True]:
            return None
        return ends[True]


def draw(
    runs: Sequence[AnalysedRun], references: Sequence[AnalysedRun] = (), kind: str = "png"
) -> bytes:
    """Draw the :func:`picture` of runs over references as ``png`` or ``svg``."""
    out = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "gan-kd"}):
        warnings.simplefilter("ignore", UserWarning)  # a name may have characters the font lacks
        metadata = {"Date": None} if kind == "svg" else None
        picture(runs, references).savefig(out, format=kind, dpi=110, metadata=metadata)
    return out.getvalue()


def picture(runs: Sequence[AnalysedRun], references: Sequence[AnalysedRun] = ()) -> Picture:
    """Draw runs over references. Runs of each detector have their own block of panels.

    Raises:
        UserError: There are more runs than styles.
    """
    if len(runs) > len(STYLES):
        raise UserError(f"{len(runs)} logs: a plot shows at most {len(STYLES)} of them")
    together = with_common_size([*references, *runs])
    styles = [*[REFERENCE_STYLE] * len(references), *STYLES]
    blocks: dict[str | None, list] = {run.detector: [] for run in [*runs, *references]}
    for run, style in zip(together, styles):
        blocks[run.detector].append((run, style))
    made = [_Block(HEADINGS[name] if len(blocks) > 1 else "", of) for name, of in blocks.items()]
    heights = [block.height for block in made]
    figure = Picture((max(block.width for block in made), sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(made), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, block in zip(parts, made):
        block.draw(part)
    return figure


class _Block:
    """The panels of the runs of one detector, above their legend."""

    def __init__(self, heading: str, runs: Sequence[tuple[AnalysedRun, Style]]):
        by_epoch = any(run.images_seen is None for run, _ in runs)
        self.heading = heading
        self.drawn = [
            _Drawn(run, style, counted_by_epoch(run.figures) if by_epoch else run.figures)
            for run, style in runs
        ]
        self.axis = _HorizontalAxis(self.drawn, by_epoch)
        self.losses = self._losses()
        panels = len(self.losses) + 2
        self.rows = 1 if panels <= 3 else 2
        self.columns = math.ceil(panels / self.rows)
        self.width = _PANEL[0] * self.columns
        self.height = _PANEL[1] * self.rows + 0.25 * (len(self.drawn) + 2 + bool(heading))

    def _losses(self) -> list[str]:
        """The losses that any run has; of other names, the first few."""
        figures = (f for one in self.drawn for f in one.figures)
        names = {f.name: None for f in figures if f.kind == LOSS and f.state != INACTIVE}
        known = [name for name in LOSS_PANELS if name in names]
        return known or list(names)[:_MOST_OTHER_LOSSES]

    def draw(self, part: SubFigure) -> None:
        """Draw the panels and the legend."""
        if self.heading:
            part.suptitle(self.heading, x=0.01, ha="left", fontweight="bold")
        losses, cells = len(self.losses), self.rows * self.columns
        # mAP takes a cell that is left over
        numbers = [*range(losses), *[losses] * (cells - losses - 1), losses + 1]
        rows = [numbers[at : at + self.columns] for at in range(0, cells, self.columns)]
        *panels, mean_ap, speed = part.subplot_mosaic(rows).values()
        for name, axes in zip(self.losses, panels):
            title, label = LOSS_PANELS.get(name, (name, "loss"))
            self._curves(axes, LOSS, name, printable(title), label)
        self._mean_ap(mean_ap)
        self._speed(speed)
        self._legend(part)

    def _curves(self, axes: Axes, kind: str, name: str, title: str, label: str) -> None:
        _describe(axes, title, self.axis.label, label)
        axes.set_xlim(0, self.axis.limit)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.grid(color="#e4e4e4", linewidth=0.7)
        axes.set_axisbelow(True)
        empty = True
        for number, one in enumerate(self.drawn):
            curves = one.curves(kind, name)
            if kind == MAP:  # validations are one curve over all phases
                curves = [sorted((f for of in curves for f in of), key=lambda f: f.place.images)]
            for points in curves:
                empty &= not self._curve(axes, one, points, number)
            end = one.end_of_gan
            if end is not None and self.axis.x(one, end) <= self.axis.limit:
                axes.axvline(self.axis.x(one, end), color=one.style.colour, lw=0.9, ls=":")
        if empty:
            place = {"transform": axes.transAxes, "ha": "center"}
            axes.text(0.5, 0.5, "no figures", color="#595959", **place)

    def _curve(self, axes: Axes, one: _Drawn, points: list[Figure], number: int) -> bool:
        """Draw a curve up to the end of the axis; return whether it has any points."""
        drawn = [(self.axis.x(one, f.place.images), f.value) for f in points]
        drawn = [(x, y) for x, y in drawn if x <= self.axis.limit]
        if not drawn:
            return False
        step = max(1, len(drawn) // _MARKERS)
        axes.plot(
            *zip(*drawn),
            color=one.style.colour,
            lw=one.style.width,
            ls=one.style.line,
            marker=one.style.marker or ("o" if len(drawn) == 1 else None),
            markersize=4,
            # markers of different runs stand at different points
            markevery=(min(number * step // len(self.drawn), len(drawn) - 1), step),
        )
        return True

    def _mean_ap(self, axes: Axes) -> None:
        title = "Validation mAP"
        for one in self.drawn:
            values = [f.value for points in one.curves(MAP, MAP) for f in points]
            if values and one.style is REFERENCE_STYLE:
                best = max(values)
                title += f" (dotted: {one.run.role} best, {best:.4f})"
                axes.axhline(best, color=one.style.colour, lw=1, ls=":")
        self._curves(axes, MAP, MAP, title, "mAP")

    def _speed(self, axes: Axes) -> None:
        title = "Training speed by phase (not compared)"
        _describe(axes, title, "phase", "samples per second")
        speeds = [phase_speed(one.run.figures) for one in self.drawn]
        phases = [phase for phase in PHASES if any(phase in of for of in speeds)]
        width = 0.8 / len(self.drawn)
        for number, (one, of) in enumerate(zip(self.drawn, speeds)):
            known = [(i, of[p].samples_per_second) for i, p in enumerate(phases) if p in of]
            known = [(i, value) for i, value in known if value is not None]
            plain = one.style is REFERENCE_STYLE
            bars = axes.bar(
                [i + width * (number - (len(self.drawn) - 1) / 2) for i, _ in known],
                [value for _, value in known],
                width=0.9 * width,
                color=one.style.colour if plain else "white",
                edgecolor=one.style.colour,
                hatch=one.style.hatch,
            )
            axes.bar_label(bars, fmt="%.3g", fontsize=8)
        axes.set_xticks(range(len(phases)), phases)
        axes.set_xlim(-0.5, max(len(phases), 1) - 0.5)
        axes.margins(y=0.12)

    def _legend(self, part: SubFigure) -> None:
        names = self._names()
        lines = [
            Line2D([], [], color=of.colour, lw=of.width, ls=of.line, marker=of.marker)
            for of in (one.style for one in self.drawn)
        ]
        if any(one.end_of_gan is not None for one in self.drawn):
            lines.append(Line2D([], [], color="#595959", lw=0.9, ls=":"))
            names.append("vertical line: end of the GAN stage")
        look = {"fontsize": 9, "frameon": False, "handlelength": 6, "numpoints": 2}
        legend = part.legend(lines, names, loc="outside lower left", **look)
        for text in legend.get_texts():
            text.set_parse_math(False)

    def _names(self) -> list[str]:
        own = [one for one in self.drawn if one.style is not REFERENCE_STYLE]
        short = [Path(one.run.name).name for one in own]
        names = []
        for one in self.drawn:
            name = Path(one.run.name).name
            if one not in own:
                name = f"{one.run.role}: {name}"
            elif short.count(name) > 1:
                name = one.run.name
            if epochs_before(one.run.run):
                name += f" (from epoch {one.run.run.segments[0].epochs[0]} on)"
            # matplotlib leaves out names that begin with an underscore
            names.append(printable(f" {name}" if name.startswith("_") else name))
        return names


def _describe(axes: Axes, title: str, horizontal: str, vertical: str) -> None:
    axes.set_title(title, fontsize=9.5, parse_math=False)
    axes.set_xlabel(horizontal, fontsize=9)
    axes.set_ylabel(vertical, fontsize=9)
    axes.tick_params(labelsize=8)


class _HorizontalAxis:
    """Images seen, or epochs if any log does not show its images.

    The axis ends a little after the longest run, because a long reference would squeeze a short run.
    If the reference has hardly begun there, each run is drawn over its own length.
    """

    def __init__(self, drawn: Sequence[_Drawn], by_epoch: bool):
        reference = next((one for one in drawn if one.style is REFERENCE_STYLE), None)
        own = [one for one in drawn if one is not reference] or drawn
        longest = max(one.end for one in own) or 1
        beyond = reference.end if reference else 0
        self.relative = bool(beyond) and self._begun(reference, 1.04 * longest) < 2
        if self.relative:
            self.unit, self.limit = 1.0, 104.0
            self.label = "% of each run (lengths differ too much)"
            return
        if by_epoch:
            self.unit, self.label = 1.0, "epochs"
        elif longest >= 2e5:
            self.unit, self.label = 1e6, "million images seen"
        else:
            self.unit, self.label = 1e3, "thousand images seen"
        self.limit = 1.04 * longest / self.unit
        if not by_epoch and not all(one.run.counts_exactly for one in drawn):
            self.label += " (estimated)"
        if beyond > 1.2 * 1.04 * longest:
            more = beyond / self.unit
            more = f"{more:,.0f}" if more >= 100 else f"{more:.3g}"
            self.label += f"\n(the {reference.run.role} run has {more})"

    @staticmethod
    def _begun(reference: _Drawn, limit: float) -> int:
        """The number of points up to the limit in the longest curve of the reference."""
        curves = epoch_lines(reference.figures).values()
        return max(sum(f.place.images <= limit for f in points_of(of)) for of in curves)

    def x(self, one: _Drawn, images: float) -> float:
        """The horizontal position of a figure of a run."""
        if self.relative:
            return 100 * images / (one.end or 1)
        return images / self.unit
