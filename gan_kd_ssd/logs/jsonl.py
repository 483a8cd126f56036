"""The parser of the JSON lines of training runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

from gan_kd_ssd.logs.log import Entry, Log, arrange
from gan_kd_ssd.logs.records import EVENTS, EpochEnd, RunStart, Step, Unknown, Validation

#: Beginning of the line of a RunStart.
_RUN = '{"kind": "run"'
_NOT_FIGURES = ("kind", "epoch", "batch", "images", "phase", "speed", "seconds")


def _count(value) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"not a count: {value!r}")
    return value


def _figure(value) -> float:
    """Parse a figure: null if inactive, a string if it diverged."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"not a figure: {value!r}")
    return float(value)


def _number(value) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"not a number: {value!r}")
    return value


def _text(value) -> str:
    if not isinstance(value, str):
        raise ValueError(f"not a text: {value!r}")
    return value


def _flag(value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"not true or false: {value!r}")
    return value


def _phase(fields: dict) -> str | None:
    phase = fields.get("phase")
    return None if phase is None else _text(phase)


#: Parser of each field of an event. A field of another name is a KeyError.
_EVENT_FIELDS = {
    "epoch": _count,
    "iteration": lambda value: None if value is None else _count(value),
    "value": _number,
    "previous": _number,
    "rate": _number,
    "gan": _flag,
    "path": _text,
    "text": _text,
}


def _style(figures: dict) -> str:
    if {"CrossEntropy", "SmoothL1", "Loss_D_real"} <= figures.keys():
        return "ssd_gkd"
    return "ssd" if "CrossEntropy" in figures else "faster_rcnn"


def _step_or_epoch(fields: dict):
    figures = {name: _figure(v) for name, v in fields.items() if name not in _NOT_FIGURES}
    style = _style(figures)
    if figures.get("cosine") is not None and math.isnan(figures["cosine"]):
        del figures["cosine"]
    images = fields.get("images")
    common = {
        "figures": figures,
        "images": None if images is None else _count(images),
        "phase": _phase(fields),
        "style": style,
    }
    epoch = _count(fields["epoch"])
    if fields["kind"] == "step":
        return Step(epoch, _count(fields["batch"]), _figure(fields["speed"]), **common)
    times = {name: _figure(fields[name]) for name in ("speed", "seconds") if name in fields}
    return EpochEnd(epoch, **common, **times)


def record_from_json(fields: dict, style: str = "ssd_gkd"):
    """Return the record whose :func:`~gan_kd_ssd.logs.write.json_fields` are ``fields``.

    Raises:
        KeyError, TypeError, ValueError: There is no such record.
    """
    kind = fields["kind"]
    if kind == "run":
        info = {name: v for name, v in fields.items() if name not in ("kind", "namespace")}
        return RunStart(dict(fields["namespace"]), info)
    if kind in ("step", "epoch"):
        return _step_or_epoch(fields)
    if kind == "validation":
        classes = {str(name): _figure(value) for name, value in fields["classes"].items()}
        mean, coco = _figure(fields["mAP"]), "summary" in fields
        summary = tuple(map(_text, fields["summary"])) if coco else ()
        epoch, phase = _count(fields["epoch"]), _phase(fields)
        return Validation(epoch, classes, mean, phase, style, coco, summary)
    if kind == "event":
        rest = {name: v for name, v in fields.items() if name not in ("kind", "event")}
        return EVENTS[fields["event"]](**{n: _EVENT_FIELDS[n](v) for n, v in rest.items()})
    raise ValueError(f"unknown kind {kind!r}")


def parse_json_lines(text: str, source: str = "") -> Log:
    """Parse the text of a ``*_metrics.jsonl``. Lines that are not understood become Unknown."""
    entries, style = [], "ssd_gkd"
    *whole, last = text.split("\n")
    for number, line in enumerate([*whole, last] if last else whole, start=1):
        record = _record(line, style) or Unknown(line, cut=number > len(whole))
        if isinstance(record, (Step, EpochEnd)):
            style = record.style
        entries.append(Entry(record, number))
    return arrange(entries, source, text)


def _record(line: str, style: str = "ssd_gkd"):
    try:
        return record_from_json(json.loads(line.lstrip("\ufeff")), style)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def run_starts(path: Path) -> list[RunStart]:
    """The starts of the runs in a ``*_metrics.jsonl``. Other lines are skipped unparsed, for speed."""
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        starts = (_record(line) for line in lines if line.lstrip("\ufeff").startswith(_RUN))
        return [start for start in starts if start is not None]
