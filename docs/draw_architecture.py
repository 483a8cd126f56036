"""Draw ``architecture.svg``: the packages of gan_kd_ssd as boxes, and who imports whom.

Usage: ``python docs/draw_architecture.py``. The layers come from the imports themselves, so that the picture
cannot be wrong; ``tests/test_architecture.py`` checks that the file is up to date.
"""

from __future__ import annotations

import ast
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "gan_kd_ssd"
#: Horizontal places of the boxes, chosen so that few lines cross; the vertical ones follow from the imports.
COLUMNS = {
    **{"cli": 2, "demo": 0.6, "doctor": 0, "export": 1.5, "zoo": 3, "engine": 1.5, "paper": 3},
    **{"evaluation": 1, "analysis": 3, "config": 2, "logs": 3.6, "detectors": 1, "distill": 2.3},
    **{"data": 0.4, "util": 2},
}


def imports() -> dict[str, set[str]]:
    """The packages that each package imports, lazily or not; single modules count as packages."""
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        room = _room(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        if room in ("__init__", "__main__"):
            continue
        targets = found.setdefault(room, set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "gan_kd_ssd" and len(parts) > 1 and parts[1] != "__version__":
                    targets.add(_room(parts))
    return {room: targets - {room} for room, targets in found.items()}


def _room(parts) -> str:
    return parts[1] if len(parts) > 1 else "__init__"


def layers(graph: dict[str, set[str]]) -> list[list[str]]:
    """The packages by layer, the lowest first: a package stands above all that it imports.

    Raises:
        ValueError: packages import each other in a circle.
    """
    height: dict[str, int] = {}
    while len(height) < len(graph):
        ready = [room for room in graph if room not in height and graph[room] <= height.keys()]
        if not ready:
            raise ValueError(f"a circle of imports: {sorted(set(graph) - set(height))}")
        for room in ready:
            height[room] = 1 + max((height[other] for other in graph[room]), default=-1)
    for room in sorted(
        graph, key=height.get, reverse=True
    ):  # as close to its importers as possible
        importers = [height[other] for other in graph if room in graph[other]]
        height[room] = min(importers, default=max(height.values()) + 1) - 1
    rows: list[list[str]] = [[] for _ in range(max(height.values()) + 1)]
    for room in sorted(height):
        rows[height[room]].append(room)
    return rows


def svg() -> str:
    """The picture as SVG."""
    graph = imports()
    rows = layers(graph)
    width, box, high, gap = 860, 130, 34, 74
    places = {}
    for level, row in enumerate(reversed(rows)):
        for index, room in enumerate(row):
            places[room] = (90 + 180 * COLUMNS.get(room, index), 30 + level * gap)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {len(rows) * gap + 10}" '
        'font-family="sans-serif" font-size="15">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for room in sorted(graph):
        x0, y0 = places[room]
        for other in sorted(_direct(graph, room)):
            x1, y1 = places[other]
            lines.append(
                f'<path d="M{x0:.0f},{y0 + high / 2:.0f} C{x0:.0f},{y0 + 60:.0f} {x1:.0f},{y1 - 60:.0f} '
                f'{x1:.0f},{y1 - high / 2:.0f}" fill="none" stroke="#8a8f98" stroke-width="1.2"/>'
            )
    for room, (x, y) in sorted(places.items()):
        lines.append(
            f'<rect x="{x - box / 2:.0f}" y="{y - high / 2:.0f}" width="{box}" height="{high}" rx="6" '
            f'fill="#eef3fa" stroke="#35517a"/><text x="{x:.0f}" y="{y + 5:.0f}" '
            f'text-anchor="middle">{room}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _direct(graph: dict[str, set[str]], room: str) -> set[str]:
    """Imports of a package that do not follow from its other imports: fewer arrows, same order."""
    indirect: set[str] = set()
    for other in graph[room]:
        indirect |= _below(graph, other)
    return graph[room] - indirect


def _below(graph: dict[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    for other in graph[room]:
        found |= {other} | _below(graph, other)
    return found


if __name__ == "__main__":
    (DOCS / "architecture.svg").write_text(svg(), encoding="utf-8")
