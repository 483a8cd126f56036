"""Curves of runs over the published one: losses, mAP and speed by phase, readable in grey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.analysis import canvas
from gan_kd_ssd.analysis.facts import Subject, of_one_size
from gan_kd_ssd.analysis.panel import Panel, Style, bars, line_with_marks
from gan_kd_ssd.analysis.resume import epochs_before
from gan_kd_ssd.analysis.summary import phase_speed
from gan_kd_ssd.util.errors import UserError

#: Panels by detector: title -> figures in it. mAP and speed come after them.
PANELS = {
    "ssd": {
        "Detection losses": ("CrossEntropy", "SmoothL1"),
        "Loss_D (real - fake score)": ("Loss_D",),
        "Loss_G (score of the student)": ("Loss_G",),
        "Cosine figure": ("cosine",),
    },
    "faster_rcnn": {
        "RPN losses": ("RPN_Conf", "RPN_SmoothL1"),
        "RCNN losses": ("RCNN_CrossEntropy", "RCNN_SmoothL1"),
        "Loss_D (real - fake score)": ("Loss_D",),
        "Loss_G (score of the student)": ("Loss_G",),
    },
}
PHASES = ("discriminator", "gan", "detection")
SUFFIXES = (".png", ".svg")

REFERENCE_STYLE = Style(canvas.GREY, width=2.8)
STYLES = (  # colours of Okabe and Ito, told apart by the colour-blind, from dark to light
    Style("#0072b2", 1.6, (6, 3), "circle", 5),
    Style("#d55e00", 1.6, (9, 3, 2, 3), "square", 9),
    Style("#009e73", 2.0, (2, 2.5), "triangle", 3),
    Style("#cc79a7", 1.8, (12, 4), "diamond", 14),
)
#: Headings of the blocks, where runs of several detectors are drawn.
HEADINGS = {"ssd": "SSD", "faster_rcnn": "Faster R-CNN", None: "Other losses"}
_WIDTH, _PANEL, _GAP = 1150, (306, 210), (72, 78)
_LEFT, _TOP = 62, 34


def draw(runs: Sequence[Subject], references: Sequence[Subject] = (), kind: str = "png") -> bytes:
    """The picture of ``runs`` over ``references``, as ``png`` or ``svg``.

    Each detector has a block of panels with its own runs and reference: their losses are not alike.

    Raises:
        UserError: more runs than can be told apart.
    """
    if len(runs) > len(STYLES):
        raise UserError(f"{len(runs)} logs: at most {len(STYLES)} can be told apart in one plot")
    together = of_one_size([*references, *runs])
    references, runs = together[: len(references)], together[len(references) :]
    everything = [*((one, REFERENCE_STYLE) for one in references), *zip(runs, STYLES)]
    detectors = list(dict.fromkeys(one.detector for one in [*runs, *references]))
    shapes, top = [], 0.0
    for detector in detectors:
        if len(detectors) > 1:
            top += 14
            shapes.append(canvas.Text(_LEFT, top + 12, HEADINGS[detector], size=16))
            top += 20
        here = [pair for pair in everything if pair[0].detector == detector]
        found, top = _block(top, here)
        shapes += found
    if kind == "svg":
        return canvas.svg(shapes, _WIDTH, round(top)).encode()
    return canvas.png(shapes, _WIDTH, round(top))


def _block(top: float, drawn) -> tuple[list, float]:
    """The panels of one detector and the names of its runs; where they end."""
    shapes = _panels(top, drawn)
    y = top + _TOP + 2 * _PANEL[1] + _GAP[1] + 62
    names = [Path(run.name).name for run, style in drawn if style is not REFERENCE_STYLE]
    for run, style in drawn:
        shapes += line_with_marks(((_LEFT, y - 4), (_LEFT + 52, y - 4)), style)
        name = Path(run.name).name
        if style is REFERENCE_STYLE:
            name = f"{run.role}: {name}"
        elif names.count(name) > 1:
            name = run.name
        if epochs_before(run.run):
            name += f" (from epoch {run.run.segments[0].epochs[0]} on)"
        shapes.append(canvas.Text(_LEFT + 62, y, name))
        y += 20
    return shapes, y


def kind_of(path: str) -> str:
    """``png`` or ``svg``, by the name of a file.

    Raises:
        UserError: it is neither.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"--out {path}: name a file that ends in .png or .svg")
    return suffix[1:]


class _Scale:
    """The horizontal axis: images seen, or epochs where a log does not tell the images of one.

    A short run is not squeezed to nothing: the axis ends a little after the longest of the runs.
    Where the reference has hardly begun by then, each run is drawn over its own length.
    """

    def __init__(self, drawn):
        everything = [run for run, _ in drawn]
        reference = next((run for run, style in drawn if style is REFERENCE_STYLE), None)
        runs = [run for run in everything if run is not reference]
        by_epoch = any(run.images_seen is None for run in everything)
        self._curves = {id(run): drawn_curves(run.curves(by_epoch)) for run in everything}
        longest = max(map(self._end, runs or everything)) or 1
        beyond = self._end(reference) if reference else 0
        self._units: dict[int, float] = {}
        self.limit = 1.04 * longest
        if beyond and self._begun(reference) < 2:
            self._units = {id(run): self._end(run) / 100 or 1 for run in everything}
            self.limit, self.unit = 104.0, 1
            self.label = "% of each run (their lengths are too unlike)"
            return
        about = "" if by_epoch or all(run.counts_exactly for run in everything) else " (estimated)"
        if by_epoch:
            self.unit, self.label, more = 1, "epochs", f"{beyond:,.0f}"
        elif longest >= 2e5:
            self.unit, self.label, more = 1e6, "million images seen", f"{beyond / 1e6:.3g}"
        else:
            self.unit, self.label, more = 1e3, "thousand images seen", f"{beyond / 1e3:,.0f}"
        self.label += about
        if beyond > 1.2 * self.limit:
            self.label += f" (the {reference.role} run goes on to {more})"

    def _begun(self, reference: Subject) -> int:
        """How many points of the reference's longest curve are in the panel."""
        curves = self._curves[id(reference)].values()
        return max(sum(p.images <= self.limit for p in points) for points in curves)

    def _end(self, run: Subject) -> float:
        return max((points[-1].images for points in self._curves[id(run)].values()), default=0)

    def curves(self, run: Subject, name: str):
        """The curves of a figure, one a phase: horizontal and vertical values."""
        unit = self._units.get(id(run), self.unit)
        for (known, _), points in self._curves[id(run)].items():
            if known == name:
                yield [p.images / unit for p in points], [p.value for p in points]


def drawn_curves(curves: dict) -> dict:
    """Without the last point of a curve whose epoch is not at its end, unless there is no other.

    Means since an epoch's start are larger early in it: the curve would seem to turn.
    """
    whole = {key: [p for p in points if p.whole] for key, points in curves.items()}
    return {key: whole[key] or points for key, points in curves.items()}


def _places(top: float):
    (width, height), (gap, down) = _PANEL, _GAP
    for row in range(2):
        for column in range(3):
            left = _LEFT + column * (width + gap)
            yield left, top + _TOP + row * (height + down), width, height


def _titles(drawn) -> dict[str, tuple[str, ...]]:
    """Title -> figures of the panels; of losses that are not ours, the first four by name."""
    detector = drawn[0][0].detector
    if detector in PANELS:
        return PANELS[detector]
    names = (name for run, _ in drawn for name, _ in run.curves(True))
    losses = [n for n in dict.fromkeys(names) if n != "mAP" and not n.startswith("AP ")]
    return {name: (name,) for name in losses[:4]}


def _panels(top: float, drawn) -> list:
    places, shapes, scale = list(_places(top)), [], _Scale(drawn)
    for place, (title, names) in zip(places, _titles(drawn).items()):
        panel = Panel(*place, title, scale.label, scale.limit / scale.unit)
        for run, style in drawn:
            for name in names:
                for xs, ys in scale.curves(run, name):
                    panel.add(xs, ys, style)
        if len(names) > 1:
            panel.names = _ends(drawn, names, scale, panel.x_limit)
        shapes += panel.shapes()
    shapes += _mean_ap(places[4], drawn, scale).shapes()
    measured = [(phase_speed(run.figures), style) for run, style in drawn]
    groups = [
        (phase, [(of.get(phase, {}).get("samples_per_second"), style) for of, style in measured])
        for phase in PHASES
        if any(phase in of for of, _ in measured)
    ]
    return shapes + bars(*places[5], "Speed by phase, samples/s (not compared)", groups)


def _ends(drawn, names, scale: _Scale, limit: float) -> dict[str, tuple[float, float]]:
    """Where the curves of each name end in the panel: its label stands there."""
    ends = {}
    for name in names:
        points = [
            (x, y)
            for run, _ in drawn
            for xs, ys in scale.curves(run, name)
            for x, y in zip(xs, ys)
            if x <= limit
        ]
        if points:
            ends[name] = max(points)
    return ends


def _mean_ap(place, drawn, scale: _Scale) -> Panel:
    panel = Panel(*place, "mAP", scale.label, scale.limit / scale.unit)
    for run, style in drawn:
        points = sorted(p for xs, ys in scale.curves(run, "mAP") for p in zip(xs, ys))
        panel.add([x for x, _ in points], [y for _, y in points], style)
        if points and style is REFERENCE_STYLE:
            panel.level = max(y for _, y in points)
            panel.title = f"mAP (dotted: {run.role} best, {panel.level:.4f})"
    return panel
