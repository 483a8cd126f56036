"""Reader of one annotation file in VOC's XML format."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException, DTDForbidden
from defusedxml.ElementTree import fromstring

from gan_kd_ssd.util.errors import UserError


class Object(NamedTuple):
    """One ``<object>``: box as x0, y0, x1, y1 (pixels, 0-based), and its :func:`box_fault`."""

    name: str
    box: tuple[float, float, float, float]
    difficult: int
    fault: str | None


class Annotation(NamedTuple):
    """The content of one annotation file: width and height in pixels, file name or '', objects."""

    size: tuple[int, int]
    filename: str
    objects: list[Object]


def box_fault(box, width: float, height: float) -> str | None:
    """Return why a box cannot be used, one of ``dataset.BOX_FAULTS``, or None if it can.

    The rule is that of GluonCV's VOCDetection: 0 <= x0 < width and x0 < x1 <= width, and the same
    for y. A box with several faults is named reversed before empty before outside.
    """
    x0, y0, x1, y1 = box
    if x1 < x0 or y1 < y0:
        return "reversed"
    if x1 == x0 or y1 == y0:
        return "empty"
    if 0 <= x0 < width and 0 <= y0 < height and x1 <= width and y1 <= height:
        return None
    return "outside"


def read_annotation(path: Path) -> Annotation:
    """Read one annotation file and convert its 1-based boxes to 0-based ones.

    Raises:
        UserError: The file is missing, is not XML, declares a document type or entities, or lacks a
            size, a name or a box.
    """
    root = _parse(path)
    size = root.find("size")
    if size is None:
        raise UserError(f"{path} has no <size>; add the image's <width> and <height>")
    width, height = _number(size, "width", path), _number(size, "height", path)
    if width < 1 or height < 1:
        raise UserError(f"{path}: <size> is {width:g}x{height:g}; give the image's size in pixels")
    objects = [_object(element, width, height, path) for element in root.iter("object")]
    filename = (root.findtext("filename") or "").strip()
    return Annotation((int(width), int(height)), filename, objects)


def _parse(path: Path) -> Element:
    try:
        return fromstring(path.read_bytes(), forbid_dtd=True)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such annotation file; add it or remove its id from the list of the split"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except DTDForbidden:
        raise UserError(
            f"{path} declares a document type, which could expand entities; remove <!DOCTYPE …>"
        ) from None
    except DefusedXmlException:
        raise UserError(f"{path} declares or uses XML entities; remove them") from None
    except (ParseError, LookupError, ValueError) as error:
        raise UserError(f"{path}: not well-formed XML ({error}); correct or remove it") from error


def _object(element: Element, width: float, height: float, path: Path) -> Object:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise UserError(f"{path}: an <object> has no <name>; add it or remove the object")
    bounds = element.find("bndbox")
    if bounds is None:
        raise UserError(f"{path}: the object {name} has no <bndbox>; add it or remove the object")
    box = tuple(_number(bounds, tag, path) - 1 for tag in ("xmin", "ymin", "xmax", "ymax"))
    difficult = (element.findtext("difficult") or "").strip() == "1"
    return Object(name, box, int(difficult), box_fault(box, width, height))


def _number(element: Element, tag: str, path: Path) -> float:
    text = element.findtext(tag)
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        given = "is missing" if text is None else f"is {text.strip()!r}, not a number"
        raise UserError(f"{path}: <{tag}> of <{element.tag}> {given}; correct the file")
    return number
