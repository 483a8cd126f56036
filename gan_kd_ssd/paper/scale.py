"""Scales at which rows are trained: as in the paper, or small enough for a machine without a GPU.

A small scale is a JSON file such as ``matrix/tiny.json``. A row keeps its script, its kinds of networks and
its own options.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from gan_kd_ssd.config.command import FASTER_RCNN, SSD
from gan_kd_ssd.paper.rows import MATRIX, SCALE
from gan_kd_ssd.util.errors import UserError

_SPLITS = {"train", "val", "test"}


@dataclass(frozen=True)
class Scale:
    """A scale.

    Attributes:
        name: Name of the scale and of its folder.
        width: Share of the networks' channels that is kept. None is the paper's scale, which changes
            nothing.
        images: Number of generated images by split.
        options: Options by script: script -> name (underscores) -> value.
        student_options: Options by the network that a row trains, which override ``options``.
    """

    name: str
    width: float | None = None
    images: dict[str, int] = field(default_factory=dict)
    options: dict[str, dict[str, object]] = field(default_factory=dict)
    student_options: dict[str, dict[str, object]] = field(default_factory=dict)


def load(name: str) -> Scale:
    """Load a scale: ``paper``, ``tiny``, or a JSON file; UserError if it is not a valid scale."""
    if name == SCALE:
        return Scale(SCALE)
    file = MATRIX / "tiny.json" if name == "tiny" else Path(name)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        content.pop("about", None)
        scale = Scale(file.stem, **content)
        complete = set(scale.images) == _SPLITS and {SSD, FASTER_RCNN} <= set(scale.options)
        if scale.name == SCALE or scale.width is None or not complete:
            raise ValueError(f"it needs width, images and options, and a name other than {SCALE}")
        if type(scale.width) not in (int, float) or scale.width <= 0:
            raise ValueError("width is not a number above 0")
        if any(type(number) is not int or number < 1 for number in scale.images.values()):
            raise ValueError("images are not whole numbers above 0")
        options = (*scale.options.values(), *scale.student_options.values())
        if not all(isinstance(each, dict) for each in options):
            raise ValueError("options are not objects of names and values")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"--scale {name}: give paper, tiny, or a file such as {MATRIX / 'tiny.json'} ({error})"
        ) from error
    return scale
