"""Writers of records: the published text lines, and JSON lines."""

from __future__ import annotations

import json
import math
from functools import singledispatch

from gan_kd_ssd.logs import lines
from gan_kd_ssd.logs.records import (
    EVENTS,
    GAN_FIGURES,
    BestMap,
    EpochEnd,
    Event,
    LearningRate,
    NewBest,
    RunStart,
    Saved,
    Start,
    Step,
    Unknown,
    Validation,
)

_SSD_GKD_NAMES = (*lines.SSD_GKD_FIGURES, "cosine")


def fixed(value: float | None) -> str:
    """Format a figure of a training line: three decimals, or ``nan`` if it is inactive."""
    return "nan" if value is None else f"{value:.3f}"


def shortest(value: float | None) -> str:
    """Format a figure of a validation line: as many digits as the float needs."""
    if value is None:
        return "nan"
    # numpy 2 prints its own numbers as np.float64(...)
    return repr(value) if type(value) in (int, float) else repr(float(value))


def percent(value: float | None) -> str:
    """Format a figure of GluonCV's COCO metric: percent with one decimal."""
    return "nan" if value is None else f"{100 * value:.1f}"


def namespace_text(namespace) -> str:
    """Format options as ``Namespace(a=1, b='x')``, sorted as argparse did before Python 3.9."""
    return f"Namespace({', '.join(f'{name}={namespace[name]!r}' for name in sorted(namespace))})"


@singledispatch
def format_record(record) -> str:
    """Format a record as text lines, each with its newline, exactly as in the published logs.

    Raises:
        TypeError: ``record`` is not a record of :mod:`gan_kd_ssd.logs.records`.
    """
    raise TypeError(f"not a record of a log: {record!r}")


@format_record.register
def _(record: RunStart) -> str:
    return namespace_text(record.namespace) + "\n"


def _figures(record, json_only: tuple[str, ...]) -> str:
    hidden = json_only if record.style == "faster_rcnn" else ()
    shown = (f"{n}={fixed(v)}" for n, v in record.figures.items() if n not in hidden)
    return lines.SEPARATOR[record.style].join(shown)


def _ssd_gkd(template: str, record, **fields) -> str:
    figures = {name: fixed(record.figures.get(name)) for name in lines.SSD_GKD_FIGURES}
    return template.format(epoch=record.epoch, speed=fixed(record.speed), **figures, **fields)


@format_record.register
def _(record: Step) -> str:
    if record.style == "ssd_gkd":
        line = _ssd_gkd(lines.SSD_GKD_STEP, record, batch=record.batch)
        cosine = record.figures.get("cosine")
        line += "" if cosine is None else lines.SSD_GKD_COSINE.format(cosine=fixed(cosine))
        for name, value in record.figures.items():
            if name not in _SSD_GKD_NAMES:
                line += lines.SSD_GKD_FURTHER.format(name=name, figure=fixed(value))
        return line + "\n"
    head = lines.STEP_HEAD.format(epoch=record.epoch, batch=record.batch, speed=fixed(record.speed))
    return head + _figures(record, lines.JSON_ONLY_STEP) + "\n"


@format_record.register
def _(record: EpochEnd) -> str:
    if record.style == "ssd_gkd":
        return _ssd_gkd(lines.SSD_GKD_EPOCH, record) + "\n"
    head = lines.EPOCH_HEAD.format(epoch=record.epoch, seconds=fixed(record.seconds))
    return head + _figures(record, lines.JSON_ONLY_EPOCH) + "\n"


@format_record.register
def _(record: Validation) -> str:
    block = [lines.VALIDATION[record.style].format(epoch=record.epoch)]
    if record.coco:
        block += [lines.COCO_HEAD, *record.summary]
        block += [f"{name}={percent(value)}" for name, value in record.classes.items()]
        if record.mean is not None:
            block += [lines.COCO_MEAN, f"={percent(record.mean)}"]
        return "\n".join(block) + "\n"
    block += [f"{name}={shortest(value)}" for name, value in record.classes.items()]
    if record.mean is not None:
        block.append(f"{lines.MEAN}={shortest(record.mean)}")
    return "\n".join(block) + "\n"


@format_record.register(Start)
@format_record.register(BestMap)
@format_record.register(LearningRate)
@format_record.register(NewBest)
@format_record.register(Saved)
def _(record) -> str:
    fields = {name: value for name, value in vars(record).items() if value is not None}
    template = next(
        template
        for kind, template, fixed_fields in lines.EVENTS
        if isinstance(record, kind)
        and fixed_fields.items() <= fields.items()
        and ("{iteration}" in template) == ("iteration" in fields)
    )
    numbers = {name: shortest(fields[name]) for name in lines.NUMBERS if name in fields}
    return template.format(**{**fields, **numbers}) + "\n"


@format_record.register(Event)
@format_record.register(Unknown)
def _(record) -> str:
    return record.text + "\n"


def _json_figure(name: str, value: float | None):
    """None if inactive. JSON has no nan and no inf, so a figure that diverged becomes a string."""
    if value is None or (math.isnan(value) and name in GAN_FIGURES):
        return None
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _json_figures(record) -> dict:
    names = list(record.figures)
    if record.style == "ssd_gkd":  # the same keys in each line, for the reader's convenience
        names = list(dict.fromkeys([*_SSD_GKD_NAMES, *names]))
    figures = {name: _json_figure(name, record.figures.get(name)) for name in names}
    return {"images": record.images, "phase": record.phase, **figures}


@singledispatch
def json_fields(record) -> dict:
    """The content of the JSON line of a record.

    The first key is ``kind``: run, step, epoch, validation or event. Inactive figures are None, and so
    is the AP of a class without objects. A validation by COCO's metric has its ``summary`` as well.
    """
    name = next(name for name, kind in EVENTS.items() if isinstance(record, kind))
    return {"kind": "event", "event": name, **vars(record)}


@json_fields.register
def _(record: RunStart) -> dict:
    return {"kind": "run", "namespace": dict(record.namespace), **record.info}


@json_fields.register
def _(record: Step) -> dict:
    place = {"kind": "step", "epoch": record.epoch, "batch": record.batch}
    return {**place, **_json_figures(record), "speed": _json_figure("speed", record.speed)}


@json_fields.register
def _(record: EpochEnd) -> dict:
    fields = {"kind": "epoch", "epoch": record.epoch, **_json_figures(record)}
    for name in ("speed", "seconds"):
        value = getattr(record, name)
        if value is not None:
            fields[name] = _json_figure(name, value)
    return fields


@json_fields.register
def _(record: Validation) -> dict:
    classes = {
        name: None if value is None or math.isnan(value) else float(value)
        for name, value in record.classes.items()
    }
    place = {"kind": "validation", "epoch": record.epoch, "phase": record.phase}
    fields = {**place, "mAP": _json_figure("mAP", record.mean), "classes": classes}
    return {**fields, "summary": list(record.summary)} if record.coco else fields


@json_fields.register
def _(record: Unknown) -> dict:
    return json_fields(Event(record.text))


def json_record(record) -> str:
    """Format a record as one line of JSON with its newline; see :func:`json_fields`.

    Raises:
        TypeError: A value has no JSON form. Paths and numpy's numbers are converted.
    """
    return json.dumps(json_fields(record), allow_nan=False, default=_plain) + "\n"


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
