"""The published logs as derived tables (``published_logs`` beside this file), and back to the logs.

A table file holds the figures of one log by kind, each row with its line number, and the sha256 of
the original, which the records give again when they are written out.
"""

from __future__ import annotations

import json
from pathlib import Path

from gan_kd_ssd.logs.log import Entry, Log, arrange
from gan_kd_ssd.logs.records import (
    BestMap,
    EpochEnd,
    LearningRate,
    NewBest,
    RunStart,
    Saved,
    Start,
    Step,
    Validation,
)
from gan_kd_ssd.logs.write import format_record
from gan_kd_ssd.util.errors import UserError

#: The published logs by the name that ``compare --reference`` takes.
REFERENCES = {
    "ssd": "ssd_512_mobilenet1_0_resnet50_v1_voc_g_d_new.json",
    "faster_rcnn": "faster_rcnn_resnet50_resnet101_v1b_g_d_voc.json",
}
_PLAIN = {
    "starts": (Start, ("epoch",)),
    "best_maps": (BestMap, ("value",)),
    "learning_rates": (LearningRate, ("epoch", "rate", "gan")),
    "new_bests": (NewBest, ("epoch", "value", "previous", "path")),
    "saved": (Saved, ("epoch", "path")),
}


def data_file(name: str) -> Path:
    """Path of a published log's tables, which travel with the package."""
    return Path(__file__).parent / "published_logs" / name


def load_json(name: str):
    """The content of a published log's tables."""
    return json.loads(data_file(name).read_text(encoding="utf-8"))


def reference(name: str) -> Log:
    """The published log ``ssd`` or ``faster_rcnn``, from its tables."""
    return from_tables(load_json(REFERENCES[name]))


def _finite(value):
    return None if value is None or value != value else value


def _figure_names(records) -> list[str]:
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record.figures))
    return list(names)


def to_tables(log: Log, source: str, licence: str) -> dict:
    """The tables of a log: None stands for a figure that prints as nan (or, for the cosine
    figure, that the line does not have).

    Raises:
        UserError: the log has lines that records alone do not write again.
    """
    odd = [entry.line for entry in log.entries if entry.original is not None]
    odd += [entry.line for entry in log.unknown]
    if odd:
        raise UserError(f"{log.source}: line {min(odd)} does not fit into the tables")
    by_type: dict[type, list[Entry]] = {}
    for entry in log.entries:
        by_type.setdefault(type(entry.record), []).append(entry)
    steps, epochs = by_type.get(Step, []), by_type.get(EpochEnd, [])
    validations = by_type.get(Validation, [])
    namespaces: list[dict] = []
    runs = []
    for entry in by_type.get(RunStart, []):
        options = dict(entry.record.namespace)
        if options not in namespaces:
            namespaces.append(options)
        runs.append([entry.line, namespaces.index(options)])
    losses, means = _figure_names(e.record for e in steps), _figure_names(e.record for e in epochs)
    time = "speed" if epochs and epochs[0].record.speed is not None else "seconds"
    classes = list(validations[0].record.classes) if validations else []
    tables = {
        "source": source,
        "licence": licence,
        "sha256": log.sha256,
        "lines": sum(entry.count for entry in log.entries),
        "style": (steps or epochs)[0].record.style,
        "namespaces": namespaces,
        "runs": _table(["namespace"], runs),
        "steps": _table(
            ["epoch", "batch", "speed", *losses],
            [
                [e.line, e.record.epoch, e.record.batch, e.record.speed]
                + [_finite(e.record.figures.get(name)) for name in losses]
                for e in steps
            ],
        ),
        "epochs": _table(
            ["epoch", time, *means],
            [
                [e.line, e.record.epoch, getattr(e.record, time)]
                + [_finite(e.record.figures.get(name)) for name in means]
                for e in epochs
            ],
        ),
        "validations": _table(
            ["epoch", *classes, "mAP"],
            [
                [e.line, e.record.epoch]
                + [_finite(e.record.classes[name]) for name in classes]
                + [e.record.mean]
                for e in validations
            ],
        ),
    }
    for name, (kind, fields) in _PLAIN.items():
        rows = [[e.line, *(getattr(e.record, f) for f in fields)] for e in by_type.get(kind, [])]
        tables[name] = _table(list(fields), rows)
    return tables


def _table(columns: list[str], rows: list[list]) -> dict:
    return {"columns": ["line", *columns], "rows": rows}


def from_tables(tables: dict) -> Log:
    """The log of which ``tables`` hold the figures; its text is the original, to the byte."""
    style, records = tables["style"], []
    for line, index in tables["runs"]["rows"]:
        records.append((line, RunStart(tables["namespaces"][index])))
    names = tables["steps"]["columns"][4:]
    for line, epoch, batch, speed, *values in tables["steps"]["rows"]:
        figures = {n: v for n, v in zip(names, values) if v is not None or n != "cosine"}
        records.append((line, Step(epoch, batch, speed, figures, style=style)))
    time, names = tables["epochs"]["columns"][2], tables["epochs"]["columns"][3:]
    for line, epoch, seconds, *values in tables["epochs"]["rows"]:
        figures = dict(zip(names, values))
        records.append((line, EpochEnd(epoch, figures, style=style, **{time: seconds})))
    classes = tables["validations"]["columns"][2:-1]
    for line, epoch, *values, mean in tables["validations"]["rows"]:
        records.append((line, Validation(epoch, dict(zip(classes, values)), mean, style=style)))
    for name, (kind, _) in _PLAIN.items():
        records += [(row[0], kind(*row[1:])) for row in tables[name]["rows"]]
    records.sort(key=lambda pair: pair[0])
    entries = [Entry(record, at, format_record(record).count("\n")) for at, record in records]
    return arrange(entries, tables["source"])


def tables_text(tables: dict) -> str:
    """``tables`` as JSON with one row a line, so that a person and a diff can read it."""

    def compact(value) -> str:
        return json.dumps(value, allow_nan=False)

    parts = []
    for key, value in tables.items():
        if isinstance(value, dict):
            rows = ",\n   ".join(map(compact, value["rows"]))
            rows = f"[\n   {rows}\n  ]" if rows else "[]"
            text = f'{{\n  "columns": {compact(value["columns"])},\n  "rows": {rows}\n }}'
        elif isinstance(value, list):
            text = "[\n  " + ",\n  ".join(map(compact, value)) + "\n ]"
        else:
            text = compact(value)
        parts.append(f" {compact(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
