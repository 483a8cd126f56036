"""A picture as a list of shapes, written as SVG, or as PNG with Pillow.

Plots of logs need lines, text and bars alone; without matplotlib, whose import takes most of a
second, they are there at once.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

#: The PNG is drawn larger and then reduced: Pillow's lines have no soft edges.
_OVERSAMPLING, _PNG_SCALE = 2, 1.5

_HALO = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"'
INK, GREY, FAINT = "#1a1a1a", "#595959", "#e4e4e4"

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Through ``points`` (pixels, y down); ``dash``: lengths of dash, gap, dash, ..."""

    points: tuple[Point, ...]
    colour: str = INK
    width: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True)
class Text:
    """With its baseline at y; ``anchor``: start, middle or end of the text is at x.

    ``halo``: white around the letters, for text over lines.
    """

    x: float
    y: float
    text: str
    anchor: str = "start"
    size: float = 12.0
    colour: str = INK
    halo: bool = False


@dataclass(frozen=True)
class Polygon:
    """Filled."""

    points: tuple[Point, ...]
    fill: str


@dataclass(frozen=True)
class Box:
    """A bar: filled, or white with an edge and slanted lines ``hatch`` pixels apart."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    hatch: float = 0.0


Shape = "Line | Text | Polygon | Box"


def marker(kind: str, x: float, y: float, colour: str, size: float = 3.2) -> Polygon:
    """A small ``circle``, ``square``, ``triangle`` or ``diamond``."""
    corners, turn = {"circle": (12, 0), "square": (4, 45), "triangle": (3, -90)}.get(kind, (4, 0))
    angles = [math.radians(turn + 360 * i / corners) for i in range(corners)]
    around = tuple((x + size * math.cos(a), y + size * math.sin(a)) for a in angles)
    return Polygon(around, colour)


def hatch_lines(box: Box) -> Iterator[tuple[Point, Point]]:
    """The slanted lines of a box, cut at its edges."""
    reach = box.width + box.height
    at = box.hatch
    while at < reach:
        a = (box.x + min(at, box.width), box.y + max(0.0, at - box.width))
        b = (box.x + max(0.0, at - box.height), box.y + min(at, box.height))
        yield a, b
        at += box.hatch


def edges(box: Box) -> tuple[Point, ...]:
    """The corners of a box, closed."""
    x, y, right, low = box.x, box.y, box.x + box.width, box.y + box.height
    return ((x, y), (right, y), (right, low), (x, low), (x, y))


def svg(shapes: Sequence, width: int, height: int) -> str:
    """The picture as an SVG document."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="DejaVu Sans, Verdana, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for shape in shapes:
        if isinstance(shape, Line):
            parts.append(_svg_line(shape))
        elif isinstance(shape, Text):
            parts.append(
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}"'
                f' text-anchor="{shape.anchor}" fill="{shape.colour}"{_HALO * shape.halo}>'
                f"{escape(_printable(shape.text))}</text>"
            )
        elif isinstance(shape, Polygon):
            parts.append(f'<polygon points="{_path(shape.points)}" fill="{shape.fill}"/>')
        else:
            fill = "#ffffff" if shape.hatch else shape.colour
            parts.append(
                f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}"'
                f' height="{shape.height:.1f}" fill="{fill}" stroke="{shape.colour}"/>'
            )
            if shape.hatch:
                parts += [_svg_line(Line(ends, shape.colour, 0.8)) for ends in hatch_lines(shape)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _printable(text: str) -> str:
    """Without control characters and bytes that were not UTF-8, which neither picture can hold."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in text)


def _path(points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg_line(line: Line) -> str:
    dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in line.dash)}"' if line.dash else ""
    return (
        f'<polyline points="{_path(line.points)}" fill="none" stroke="{line.colour}"'
        f' stroke-width="{line.width:g}" stroke-linejoin="round"{dash}/>'
    )


def png(shapes: Sequence, width: int, height: int) -> bytes:
    """The picture as PNG."""
    from PIL import Image, ImageDraw, ImageFont

    scale = _PNG_SCALE * _OVERSAMPLING
    image = Image.new("RGB", (round(width * scale), round(height * scale)), "#ffffff")
    draw = ImageDraw.Draw(image)
    fonts: dict[float, object] = {}

    def line(shape: Line) -> None:
        points = [(x * scale, y * scale) for x, y in shape.points]
        wide = max(1, round(shape.width * scale))
        for piece in dashes(points, [d * scale for d in shape.dash]):
            draw.line(piece, fill=shape.colour, width=wide, joint="curve")

    for shape in shapes:
        if isinstance(shape, Line):
            line(shape)
        elif isinstance(shape, Text):
            if shape.size not in fonts:
                fonts[shape.size] = ImageFont.load_default(shape.size * scale)
            draw.text(
                (shape.x * scale, shape.y * scale),
                _printable(shape.text),
                shape.colour,
                fonts[shape.size],
                anchor={"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor],
                stroke_width=round(1.5 * scale) if shape.halo else 0,
                stroke_fill="#ffffff",
            )
        elif isinstance(shape, Polygon):
            draw.polygon([(x * scale, y * scale) for x, y in shape.points], fill=shape.fill)
        else:
            corners = [(x * scale, y * scale) for x, y in edges(shape)]
            draw.polygon(corners, fill="#ffffff" if shape.hatch else shape.colour)
            line(Line(edges(shape), shape.colour))
            for ends in hatch_lines(shape) if shape.hatch else ():
                line(Line(ends, shape.colour, 0.8))
    out = io.BytesIO()
    image.reduce(_OVERSAMPLING).save(out, "PNG", compress_level=6)
    return out.getvalue()


def dashes(points: list[Point], lengths: list[float]) -> Iterator[list[Point]]:
    """The pieces of a dashed line (of a whole one where there are no lengths)."""
    if not lengths:
        yield points
        return
    at, left, piece = 0, lengths[0], [points[0]]
    for (x, y), (to_x, to_y) in zip(points, points[1:]):
        whole = math.hypot(to_x - x, to_y - y)
        done = 0.0
        while whole - done > left:
            done += left
            share = done / whole
            here = (x + share * (to_x - x), y + share * (to_y - y))
            if at % 2 == 0:
                yield [*piece, here]
            piece = [here]
            at += 1
            left = lengths[at % len(lengths)]
        left -= whole - done
        piece.append((to_x, to_y))
    if at % 2 == 0 and len(piece) > 1:
        yield piece
