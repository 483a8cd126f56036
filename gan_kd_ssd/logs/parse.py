"""The parser of text logs.

The parser is strict: it understands a line only as a whole, and keeps any other line as
:class:`~gan_kd_ssd.logs.records.Unknown`. Nothing is lost: :meth:`Log.text` equals the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from string import Formatter

from gan_kd_ssd.logs import lines
from gan_kd_ssd.logs.log import Entry, Log, arrange
from gan_kd_ssd.logs.namespace import parse_namespace
from gan_kd_ssd.logs.records import (
    BestMap,
    EpochEnd,
    LearningRate,
    NewBest,
    RunStart,
    Saved,
    Step,
    Unknown,
    Validation,
)
from gan_kd_ssd.logs.write import format_record

_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|nan|inf)"


def _number(text: str) -> float:
    """Parse a number. ``0`` stays an int, so that ``current best [0]`` is printed as it was."""
    return int(text) if text.isdigit() and len(text) < 16 else float(text)


#: Pattern and parser of the fields of templates. Every other field is a figure.
_FIELDS = {
    **dict.fromkeys(("epoch", "batch", "iteration"), (r"[0-9]{1,9}", int)),
    **dict.fromkeys(lines.NUMBERS, (_NUMBER, _number)),
    "path": (r"\S.*", str),
    "further": (  # a damaged line may repeat its own fields
        r"(?: (?!train_student_|cosine_length_|Loss_(?:[DG]|D_real|D_fake)=)"
        rf"[A-Za-z]\w*={_NUMBER}\.)*",
        str,
    ),
}
_FIGURE = (_NUMBER, float)


def _pattern(template: str, optional: str = "") -> re.Pattern:
    """Compile a template of :mod:`gan_kd_ssd.logs.lines`, with another one that may follow."""
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(re.escape(literal))
        if name is not None:
            parts.append(f"(?P<{name}>{_FIELDS.get(name, _FIGURE)[0]})")
    if optional:
        parts.append(f"(?:{_pattern(optional).pattern})?(?P<further>{_FIELDS['further'][0]})")
    return re.compile("".join(parts))


def _values(match: re.Match) -> dict:
    found = {name: text for name, text in match.groupdict().items() if text is not None}
    return {name: _FIELDS.get(name, _FIGURE)[1](text) for name, text in found.items()}


_EVENTS = [(kind, _pattern(template), fixed) for kind, template, fixed in lines.EVENTS]
#: Records of training, with the whole line of the ssd_gkd style and the beginning of the others'.
_TRAINED = (
    (Step, _pattern(lines.SSD_GKD_STEP, lines.SSD_GKD_COSINE), _pattern(lines.STEP_HEAD)),
    (EpochEnd, _pattern(lines.SSD_GKD_EPOCH), _pattern(lines.EPOCH_HEAD)),
)
_GKD_VALIDATION = _pattern(lines.VALIDATION["ssd_gkd"].rstrip())
_VALIDATION = _pattern(lines.VALIDATION["ssd"].rstrip())
_VALUE = re.compile(_NUMBER)

#: Beginnings of the lines of a training log. A logger may put a prefix before them.
_BEGINNINGS = ("Namespace(", "Start training from [", "[Epoch ", "best_map is ")
# INFO:root:  |  2019-06-20 12:00:00,123 - INFO -  |  [12:00:00] x.py:10:
_PREFIX = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL|\d:\d\d).*[\s:\]>-]")
_MOST_PREFIX = 200


def _unprefixed(line: str) -> tuple[str, str]:
    """Split a line into the logger's prefix ("" if there is none) and the rest."""
    if line.startswith(_BEGINNINGS):
        return "", line
    if line.startswith("\ufeff"):  # a byte order mark at the start of the file
        return line[0], line[1:]
    at = min((found for found in map(line.find, _BEGINNINGS) if found > 0), default=-1)
    if 0 < at <= _MOST_PREFIX and _PREFIX.search(line[:at]):
        return line[:at], line[at:]
    return "", line


def _named(text: str) -> tuple[str, str] | None:
    """Split ``tv monitor=0.5`` into name and number. The name may contain an equals sign."""
    name, _, value = text.rpartition("=")
    return (name, value) if name.strip() and _VALUE.fullmatch(value) else None


def _figures(text: str) -> tuple[dict[str, float], str] | None:
    """Parse ``a=1.000,b=2.000`` into figures and the style that prints them in this way."""
    style = "ssd" if ", " in text or "," not in text else "faster_rcnn"
    figures = {}
    for part in text.split(lines.SEPARATOR[style]):
        pair = _named(part)
        if pair is None:
            return None
        figures[pair[0]] = float(pair[1])
    return figures, style


def _trained(body: str) -> Step | EpochEnd | None:
    """Parse the line of a step or of the end of an epoch."""
    for record, whole, head in _TRAINED:
        match = whole.fullmatch(body)
        if match:
            place, figures = _values(match), {}
            further = place.pop("further", "").split()
            for name in (*lines.SSD_GKD_FIGURES, "cosine"):
                if name in place:
                    figures[name] = place.pop(name)
            for item in further:
                name, _, value = item[:-1].partition("=")
                figures[name] = float(value)
            return record(**place, figures=figures)
        match = head.match(body)
        found = match and _figures(body[match.end() :])
        if found:
            return record(**_values(match), figures=found[0], style=found[1])
    return None


def parse_line(body: str):
    """Parse one line without prefix and newline; None if it is unknown.

    Validation blocks have several lines: see :func:`parse`.
    """
    if body.startswith("Namespace("):
        options = parse_namespace(body)
        return None if options is None else RunStart(options)
    for kind, pattern, fixed in _EVENTS:
        match = pattern.fullmatch(body)
        if match:
            return kind(**_values(match), **fixed)
    return _trained(body)


def _validation(raw: list[str], at: int, style: str) -> tuple[Validation, int] | None:
    """Parse the validation block at line ``at`` (from 0); return it with its number of lines."""
    prefix, body = _unprefixed(raw[at].rstrip("\r\n"))
    body = body.rstrip()
    match = _GKD_VALIDATION.fullmatch(body)
    if match:
        style = "ssd_gkd"
    elif style == "ssd_gkd":  # GluonCV's validation block, after lines of the ssd_gkd style
        style = "ssd"
    match = match or _VALIDATION.fullmatch(body)
    if match is None:
        return None
    classes: dict[str, float] = {}
    summary: list[str] = []
    mean, coco, next_is_mean, last = None, False, False, at
    for index in range(at + 1, len(raw)):
        body = raw[index].rstrip("\r\n")
        if prefix and body.startswith(prefix):
            body = body[len(prefix) :]
        found = _named(body)
        if body == lines.COCO_HEAD and index == at + 1:
            coco = True
        elif coco and not classes and body.lstrip("= ").startswith("Average "):
            summary.append(body)
        elif coco and body == lines.COCO_MEAN:
            next_is_mean = True
        elif next_is_mean and re.fullmatch(f"={_NUMBER}", body):
            mean = float(body[1:]) / 100
        elif found is None or body.startswith(_BEGINNINGS) or _cut(raw[index], body):
            break
        elif found[0] == lines.MEAN:
            mean = _number(found[1])
        else:
            name, value = found
            classes[name] = float(value) / 100 if coco else _number(value)
        last = index
        if mean is not None:
            break
    place = {**_values(match), "style": style}
    record = Validation(**place, classes=classes, mean=mean, coco=coco, summary=tuple(summary))
    return record, last - at + 1


def _digits(number: str) -> int:
    """Count the significant digits of a printed number. A float has 15 to 17."""
    return len(re.sub(r"[eE].*|[^0-9]", "", number).lstrip("0"))


def _cut(raw_line: str, body: str) -> bool:
    """Whether the file may end within this line: no newline, and digits may be missing."""
    return not raw_line.endswith("\n") and _digits(body.rsplit("=", 1)[-1]) < 15


def _whole(record, body: str) -> bool:
    """Whether a last line without newline is certainly complete."""
    if isinstance(record, (Step, EpochEnd)):
        return format_record(record) == body + "\n"
    if isinstance(record, (BestMap, LearningRate)):
        return _digits(body.rsplit(" ", 1)[-1]) >= 15
    if isinstance(record, (Saved, NewBest)):
        return body.endswith(".params")
    return True


def _entries(text: str) -> Iterator[Entry]:
    raw = list(StringIO(text, newline="\n"))  # str.splitlines() would also split at form feeds
    style, at = "ssd", 0
    while at < len(raw):
        _, body = _unprefixed(raw[at].rstrip("\r\n"))
        ended, count = raw[at].endswith("\n"), 1
        record = parse_line(body)
        if record is None and "Validation:" in body:
            record, count = _validation(raw, at, style) or (None, 1)
        elif record is not None and not ended and not _whole(record, body):
            record = None
        if isinstance(record, (Step, EpochEnd)):
            style = record.style
        record = record or Unknown(raw[at].rstrip("\r\n"), cut=not ended)
        yield Entry(record, at + 1, count, "".join(raw[at : at + count]))
        at += count


def parse(text: str, source: str = "") -> Log:
    """Parse a text log. Damaged lines cause no error; they become Unknown."""
    return arrange(_entries(text), source)
