"""Records as the published text lines, and as JSON lines."""

from __future__ import annotations

import json
import math
from functools import singledispatch

from gan_kd_ssd.logs import lines
from gan_kd_ssd.logs.records import (
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


def fixed(value: float | None) -> str:
    """A figure as the training lines print it: three decimals, ``nan`` where it is inactive."""
    return "nan" if value is None else f"{value:.3f}"


def shortest(value: float | None) -> str:
    """A figure as the validation lines print it: all digits that the float needs."""
    if value is None:
        return "nan"
    # numpy's numbers would print as np.float64(...) from numpy 2 on
    return repr(value) if type(value) in (int, float) else repr(float(value))


def percent(value: float | None) -> str:
    """A figure of GluonCV's COCO metric: percent with one decimal."""
    return "nan" if value is None else f"{100 * value:.1f}"


def namespace_text(namespace) -> str:
    """``Namespace(a=1, b='x')``, sorted by name as argparse printed it before Python 3.9."""
    return f"Namespace({', '.join(f'{name}={namespace[name]!r}' for name in sorted(namespace))})"


@singledispatch
def format_record(record) -> str:
    """The text lines of ``record``, each with its newline, to the byte of the published logs.

    Raises:
        TypeError: ``record`` is not one of :mod:`gan_kd_ssd.logs.records`.
    """
    raise TypeError(f"not a record of a log: {record!r}")


@format_record.register
def _(record: RunStart) -> str:
    return namespace_text(record.namespace) + "\n"


@format_record.register
def _(record: Start) -> str:
    return lines.START.format(epoch=record.epoch) + "\n"


def _figures(record, json_alone: tuple[str, ...]) -> str:
    hidden = json_alone if record.style == "faster_rcnn" else ()
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
        return (
            line
            + (lines.SSD_GKD_COSINE.format(cosine=fixed(cosine)) if cosine is not None else "")
            + "".join(
                lines.SSD_GKD_FURTHER.format(name=name, figure=fixed(value))
                for name, value in record.figures.items()
                if name not in (*lines.SSD_GKD_FIGURES, "cosine")
            )
            + "\n"
        )
    head = lines.STEP_HEAD.format(epoch=record.epoch, batch=record.batch, speed=fixed(record.speed))
    return head + _figures(record, lines.JSON_ALONE_STEP) + "\n"


@format_record.register
def _(record: EpochEnd) -> str:
    if record.style == "ssd_gkd":
        return _ssd_gkd(lines.SSD_GKD_EPOCH, record) + "\n"
    head = lines.EPOCH_HEAD.format(epoch=record.epoch, seconds=fixed(record.seconds))
    return head + _figures(record, lines.JSON_ALONE_EPOCH) + "\n"


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


@format_record.register
def _(record: BestMap) -> str:
    return lines.BEST_MAP.format(value=shortest(record.value)) + "\n"


@format_record.register
def _(record: LearningRate) -> str:
    template = lines.GAN_LEARNING_RATE if record.gan else lines.LEARNING_RATE
    if record.iteration is not None:
        template = lines.WARM_UP_RATE
    return (
        template.format(epoch=record.epoch, iteration=record.iteration, rate=shortest(record.rate))
        + "\n"
    )


@format_record.register
def _(record: NewBest) -> str:
    return (
        lines.NEW_BEST.format(
            epoch=record.epoch,
            value=shortest(record.value),
            previous=shortest(record.previous),
            path=record.path,
        )
        + "\n"
    )


@format_record.register
def _(record: Saved) -> str:
    return lines.SAVED.format(epoch=record.epoch, path=record.path) + "\n"


@format_record.register(Event)
@format_record.register(Unknown)
def _(record) -> str:
    return record.text + "\n"


def _json_figure(name: str, value: float | None):
    """None where inactive; JSON knows no nan or inf, so a figure that diverged becomes a string."""
    if value is None or (math.isnan(value) and name in GAN_FIGURES):
        return None
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _json_figures(record) -> dict:
    names = list(record.figures)
    if record.style == "ssd_gkd":  # always the same keys, so that a reader need not guess
        always = (*lines.SSD_GKD_FIGURES, "cosine")
        names = [*always, *(name for name in names if name not in always)]
    return {name: _json_figure(name, record.figures.get(name)) for name in names}


def json_fields(record) -> dict:
    """What the JSON line of ``record`` holds: ``kind`` (run, step, epoch, validation, event) first.

    Figures that are inactive are None; so is the AP of a class without objects. A validation by
    COCO's metric has the lines of its ``summary`` as well.
    """
    if isinstance(record, RunStart):
        return {"kind": "run", "namespace": dict(record.namespace), **record.info}
    if isinstance(record, Step):
        return {
            "kind": "step",
            "epoch": record.epoch,
            "batch": record.batch,
            "images": record.images,
            "phase": record.phase,
            **_json_figures(record),
            "speed": _json_figure("speed", record.speed),
        }
    if isinstance(record, EpochEnd):
        time = {"speed": record.speed, "seconds": record.seconds}
        return {
            "kind": "epoch",
            "epoch": record.epoch,
            "images": record.images,
            "phase": record.phase,
            **_json_figures(record),
            **{
                name: _json_figure(name, value) for name, value in time.items() if value is not None
            },
        }
    if isinstance(record, Validation):
        classes = {
            name: None if value is None or math.isnan(value) else float(value)
            for name, value in record.classes.items()
        }
        fields = {
            "kind": "validation",
            "epoch": record.epoch,
            "phase": record.phase,
            "mAP": _json_figure("mAP", record.mean),
            "classes": classes,
        }
        return {**fields, "summary": list(record.summary)} if record.coco else fields
    if isinstance(record, (Event, Unknown)):
        return {"kind": "event", "event": "text", "text": record.text}
    names = {
        Start: "start",
        BestMap: "best_map",
        LearningRate: "learning_rate",
        NewBest: "new_best",
        Saved: "saved",
    }
    return {"kind": "event", "event": names[type(record)], **vars(record)}


def json_record(record) -> str:
    """One JSON object in one line, with its newline: see :func:`json_fields`.

    Raises:
        TypeError: a value has no JSON form (paths and numpy's numbers are converted).
    """
    return json.dumps(json_fields(record), allow_nan=False, default=_plain) + "\n"


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
