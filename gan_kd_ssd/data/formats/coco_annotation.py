"""Reader of one annotation file in COCO's JSON format. Segmentations are dropped."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gan_kd_ssd.util.errors import UserError

_LISTS = ("images", "annotations", "categories")


class ImageEntry(NamedTuple):
    """One entry of "images": width and height in pixels; ``url`` is its coco_url or ''."""

    id: int | str
    size: tuple[int, int]
    file_name: str
    url: str


class ObjectEntry(NamedTuple):
    """One entry of "annotations"."""

    id: int | str
    image_id: int | str
    category_id: int | str
    box: tuple[float, float, float, float]  # x, y, width, height in pixels, 0-based
    area: float  # in pixels
    crowd: bool  # the box covers a group of objects
    ignore: bool  # GluonCV does not train on it


def load(path: Path) -> dict[str, list]:
    """Load the lists of a file, with unchecked entries; raise a UserError if it is damaged."""
    try:
        data = json.loads(path.read_bytes(), object_hook=_without_segmentation)
    except FileNotFoundError:
        raise UserError(f"{path}: no such annotation file; put it there") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # syntax, encoding, or nested too deeply
        raise UserError(f"{path} is not JSON ({error}); fetch the file again") from error
    for name in _LISTS:
        if not isinstance(data, dict) or not isinstance(data.get(name), list):
            raise UserError(
                f'{path} has no list "{name}"; a file in COCO\'s format has {", ".join(_LISTS)}'
            )
    return {name: data[name] for name in _LISTS}


def parse_image(entry, path: Path) -> ImageEntry:
    """Parse one entry of "images"; raise a UserError if it has no id, size or file name."""
    where = _where(entry, "image", path)
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise UserError(f'{where} has no "file_name"; give the name of its file')
    size = entry.get("width"), entry.get("height")
    for key, value in zip(("width", "height"), size):
        if not _is_number(value):
            raise UserError(f'{where}: its "{key}" is {value!r}, not a number; correct it')
    if any(value < 1 or value != int(value) for value in size):
        raise UserError(
            f"{where} is {size[0]:g}x{size[1]:g} pixels; give its width and height in whole pixels"
        )
    url = entry.get("coco_url")
    return ImageEntry(entry["id"], tuple(map(int, size)), name, url if _is_text(url) else "")


def parse_category(entry, path: Path) -> tuple[int | str, str]:
    """Parse id and name of one entry of "categories"; raise a UserError if one is missing."""
    where = _where(entry, "category", path)
    if not _is_text(entry.get("name")):
        raise UserError(f'{where} has no "name"; give the name of the class')
    return entry["id"], entry["name"].strip()


def parse_object(entry, path: Path) -> ObjectEntry:
    """Parse one entry of "annotations"; raise a UserError if it has no ids or no box."""
    where = _where(entry, "annotation", path)
    for key in ("image_id", "category_id"):
        if not _is_id(entry.get(key)):
            raise UserError(f'{where} has no "{key}"; correct it or remove it')
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise UserError(f'{where} has no "bbox" of four numbers; correct it or remove it')
    area = entry.get("area", box[2] * box[3])
    if not _is_number(area):
        raise UserError(f'{where}: its "area" is {area!r}, not a number; correct it or omit it')
    ids = (entry[key] for key in ("id", "image_id", "category_id"))
    flags = (entry.get(key) in (1, True) for key in ("iscrowd", "ignore"))
    return ObjectEntry(*ids, tuple(map(float, box)), float(area), *flags)


def _without_segmentation(entry: dict) -> dict:
    # Outlines are most of COCO's files and are not used: dropping them while parsing saves memory.
    entry.pop("segmentation", None)
    return entry


def _where(entry, kind: str, path: Path) -> str:
    if not isinstance(entry, Mapping) or not _is_id(entry.get("id")):
        raise UserError(f'{path}: an {kind} entry has no "id"; correct it or remove it')
    return f"{path}: {kind} {entry['id']}"


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_id(value) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())
