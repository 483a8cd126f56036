"""The parser of the JSON lines of training runs."""

from __future__ import annotations

import json
import math
from io import StringIO
from pathlib import Path

from gan_kd_ssd.logs.log import Entry, Log, arrange
from gan_kd_ssd.logs.records import EVENTS, EpochEnd, RunStart, Step, Unknown, Validation

#: Beginning of the line of a RunStart.
_RUN = '{"kind": "run"'


def _figure(value) -> float:
    """Parse a figure: null if inactive, a string if it diverged."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"not a figure: {value!r}")
    return float(value)


def _one_of(*types):
    """Return the parser of a field that has one of ``types``. Without float, an int is not negative."""

    def parse(value):
        if type(value) not in types or (float not in types and type(value) is int and value < 0):
            raise ValueError(f"unexpected value: {value!r}")
        return value

    return parse


_text, _optional = _one_of(str), type(None)
#: Parsers of the fields of records that are not figures.
_FIELDS = {
    **dict.fromkeys(("epoch", "batch"), _one_of(int)),
    **dict.fromkeys(("images", "iteration"), _one_of(int, _optional)),
    "phase": _one_of(str, _optional),
    **dict.fromkeys(("speed", "seconds"), _figure),
    **dict.fromkeys(("value", "previous", "rate"), _one_of(int, float)),
    "gan": _one_of(bool),
    **dict.fromkeys(("path", "text"), _text),
}


_NOT_FIGURES = ("epoch", "batch", "images", "phase", "speed", "seconds")


def _parsed(fields: dict) -> dict:
    return {name: _FIELDS[name](value) for name, value in fields.items()}


def _trained(record: type, fields: dict) -> Step | EpochEnd:
    own = {n: fields[n] for n in _NOT_FIGURES if n in fields and n in record.__dataclass_fields__}
    figures = {name: _figure(v) for name, v in fields.items() if name not in _NOT_FIGURES}
    style = "ssd" if "CrossEntropy" in figures else "faster_rcnn"
    if {"CrossEntropy", "SmoothL1", "Loss_D_real"} <= figures.keys():
        style = "ssd_gkd"
    if math.isnan(figures.get("cosine", 0.0)):
        del figures["cosine"]
    return record(**_parsed(own), figures=figures, style=style)


def record_from_json(fields: dict, style: str = "ssd_gkd"):
    """Return the record whose :func:`~gan_kd_ssd.logs.write.json_fields` are ``fields``.

    Args:
        style: The style of the run, which the line of a validation does not contain.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: There is no such record.
    """
    rest = dict(fields)
    kind = rest.pop("kind")
    if kind == "run":
        return RunStart(dict(rest.pop("namespace")), rest)
    if kind in ("step", "epoch"):
        return _trained(Step if kind == "step" else EpochEnd, rest)
    if kind == "validation":
        place = _parsed({name: rest[name] for name in ("epoch", "phase") if name in rest})
        classes = {str(name): _figure(value) for name, value in rest["classes"].items()}
        coco, summary = "summary" in rest, tuple(map(_text, rest.get("summary", ())))
        return Validation(
            **place,
            classes=classes,
            mean=_figure(rest["mAP"]),
            style=style,
            coco=coco,
            summary=summary,
        )
    if kind == "event":
        return EVENTS[rest.pop("event")](**_parsed(rest))
    raise ValueError(f"unknown kind {kind!r}")


def parse_json_lines(text: str, source: str = "") -> Log:
    """Parse the text of a ``*_metrics.jsonl``. Lines that are not understood become Unknown."""
    entries, style = [], "ssd_gkd"
    for number, line in enumerate(StringIO(text, newline="\n"), start=1):
        body = line.removesuffix("\n")
        record = _record(body, style) or Unknown(body, cut=body == line)
        if isinstance(record, (Step, EpochEnd)):
            style = record.style
        entries.append(Entry(record, number))
    return arrange(entries, source, text)


def _record(line: str, style: str = "ssd_gkd"):
    try:
        return record_from_json(json.loads(line.lstrip("\ufeff")), style)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def run_starts(path: Path) -> list[RunStart]:
    """The starts of the runs in a ``*_metrics.jsonl``. Other lines are skipped unparsed, for speed.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        starts = (_record(line) for line in lines if line.lstrip("\ufeff").startswith(_RUN))
        return [start for start in starts if start is not None]
