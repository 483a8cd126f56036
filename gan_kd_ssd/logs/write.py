"""Writers of records: the published text lines, and JSON lines."""

from __future__ import annotations

import json
import math

from gan_kd_ssd.logs import lines
from gan_kd_ssd.logs.records import (
    EVENTS,
    GAN_FIGURES,
    EpochEnd,
    Event,
    RunStart,
    Step,
    Unknown,
    Validation,
)


def _fixed(value: float | None) -> str:
    """Format a figure of a training line: three decimals, or ``nan`` if it is inactive."""
    return "nan" if value is None else f"{value:.3f}"


def _shortest(value: float | None) -> str:
    """Format a figure of a validation line: as many digits as the float needs."""
    if value is None:
        return "nan"
    # numpy 2 prints its own numbers as np.float64(...)
    return repr(value) if type(value) in (int, float) else repr(float(value))


def _percent(value: float | None) -> str:
    """Format a figure of GluonCV's COCO metric: percent with one decimal."""
    return "nan" if value is None else f"{100 * value:.1f}"


def namespace_text(namespace) -> str:
    """Format options as ``Namespace(a=1, b='x')``, sorted as argparse did before Python 3.9."""
    return f"Namespace({', '.join(f'{name}={namespace[name]!r}' for name in sorted(namespace))})"


def _trained(record: Step | EpochEnd) -> str:
    """Format the figures of a step or of a whole epoch."""
    step, figures = isinstance(record, Step), record.figures
    numbers = {n: _fixed(getattr(record, n, None)) for n in ("speed", "seconds")}
    place = {"epoch": record.epoch, "batch": getattr(record, "batch", None), **numbers}
    if record.style == "ssd_gkd":
        own = {name: _fixed(figures.get(name)) for name in lines.SSD_GKD_FIGURES}
        line = (lines.SSD_GKD_STEP if step else lines.SSD_GKD_EPOCH).format(**place, **own)
        further = {n: v for n, v in figures.items() if n not in lines.SSD_GKD_FIGURES and step}
        cosine = further.pop("cosine", None)
        if cosine is not None:
            line += lines.SSD_GKD_COSINE.format(cosine=_fixed(cosine))
        for name, value in further.items():
            line += lines.SSD_GKD_FURTHER.format(name=name, figure=_fixed(value))
        return line
    hidden = lines.JSON_ONLY_STEP if step else lines.JSON_ONLY_EPOCH
    shown = (
        f"{name}={_fixed(value)}"
        for name, value in figures.items()
        if record.style != "faster_rcnn" or name not in hidden
    )
    head = lines.STEP_HEAD if step else lines.EPOCH_HEAD
    return head.format(**place) + lines.SEPARATOR[record.style].join(shown)


def _validation(record: Validation) -> str:
    number = _percent if record.coco else _shortest
    block = [lines.VALIDATION[record.style].format(epoch=record.epoch)]
    block += [lines.COCO_HEAD, *record.summary] if record.coco else []
    block += [f"{name}={number(value)}" for name, value in record.classes.items()]
    if record.mean is not None:
        block += [lines.COCO_MEAN, ""] if record.coco else [lines.MEAN]
        block[-1] += f"={number(record.mean)}"
    return "\n".join(block)


def _event(record) -> str:
    fields = {name: value for name, value in vars(record).items() if value is not None}
    template = next(
        template
        for kind, template, fixed_fields in lines.EVENTS
        if isinstance(record, kind)
        and fixed_fields.items() <= fields.items()
        and ("{iteration}" in template) == ("iteration" in fields)
    )
    numbers = {name: _shortest(fields[name]) for name in lines.NUMBERS if name in fields}
    return template.format(**{**fields, **numbers})


_WRITERS = {
    RunStart: lambda record: namespace_text(record.namespace),
    Step: _trained,
    EpochEnd: _trained,
    Validation: _validation,
    **dict.fromkeys(EVENTS.values(), _event),
    **dict.fromkeys((Event, Unknown), lambda record: record.text),
}


def format_record(record) -> str:
    """Format a record as text lines, each with its newline, exactly as in the published logs.

    Raises:
        TypeError: ``record`` is not a record of :mod:`gan_kd_ssd.logs.records`.
    """
    if type(record) not in _WRITERS:
        raise TypeError(f"not a record of a log: {record!r}")
    return _WRITERS[type(record)](record) + "\n"


def _json_figure(value: float | None, may_be_inactive: bool = False):
    """None if inactive. JSON has no nan and no inf, so a figure that diverged becomes a string."""
    if value is None or (may_be_inactive and math.isnan(value)):
        return None
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _json_trained(record: Step | EpochEnd) -> dict:
    fields = {"kind": "epoch", "epoch": record.epoch}
    if isinstance(record, Step):
        fields = {"kind": "step", "epoch": record.epoch, "batch": record.batch}
    fields |= {"images": record.images, "phase": record.phase}
    # the ssd_gkd style has the same keys in each line, which simplifies reading
    always = (*lines.SSD_GKD_FIGURES, "cosine") if record.style == "ssd_gkd" else ()
    for name in dict.fromkeys([*always, *record.figures]):
        fields[name] = _json_figure(record.figures.get(name), name in GAN_FIGURES)
    for name in ("speed", "seconds"):
        value = getattr(record, name, None)
        if value is not None:
            fields[name] = _json_figure(value)
    return fields


def json_fields(record) -> dict:
    """The content of the JSON line of a record.

    The first key is ``kind``: run, step, epoch, validation or event. Inactive figures are None, and so
    is the AP of a class without objects. A validation by COCO's metric has its ``summary`` as well.

    Raises:
        TypeError: ``record`` is not a record of :mod:`gan_kd_ssd.logs.records`.
    """
    if isinstance(record, RunStart):
        return {"kind": "run", "namespace": dict(record.namespace), **record.info}
    if isinstance(record, (Step, EpochEnd)):
        return _json_trained(record)
    if isinstance(record, Validation):
        classes = {name: _json_figure(value, True) for name, value in record.classes.items()}
        place = {"kind": "validation", "epoch": record.epoch, "phase": record.phase}
        fields = {**place, "mAP": _json_figure(record.mean), "classes": classes}
        return {**fields, "summary": list(record.summary)} if record.coco else fields
    if isinstance(record, Unknown):
        record = Event(record.text)
    for name, kind in EVENTS.items():
        if isinstance(record, kind):
            return {"kind": "event", "event": name, **vars(record)}
    raise TypeError(f"not a record of a log: {record!r}")


def json_record(record) -> str:
    """Format a record as one line of JSON with its newline; see :func:`json_fields`.

    Raises:
        TypeError: A value has no JSON form. Paths and numpy's numbers are converted.
    """
    return json.dumps(json_fields(record), allow_nan=False, default=_plain) + "\n"


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
