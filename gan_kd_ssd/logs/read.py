"""Reading of logs: text logs, JSON lines, and the published logs by their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gan_kd_ssd.logs.jsonl import parse_json_lines, run_starts
from gan_kd_ssd.logs.log import Entry, Log, arrange
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import REFERENCES, reference
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.logs.write import namespace_text
from gan_kd_ssd.util.errors import UserError

_TEXT_LOG, _METRICS = "_train.log", "_metrics.jsonl"


def read_bytes(path: str | Path) -> bytes:
    """Return the bytes of a log.

    Raises:
        UserError: The file cannot be read or is not text.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name a log file in it (*{_TEXT_LOG})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path}: cannot read the log ({reason}): check the path, or name a published log "
            f"({' or '.join(REFERENCES)})"
        ) from None
    if b"\0" in data:
        raise UserError(f"{path} is not a text file: name a training log (*{_TEXT_LOG})")
    return data


def read(path: str | Path, figures: bool = True) -> Log:
    """Parse a log.

    The metadata of a text log's runs is read from the JSON lines next to it, if they exist.

    Args:
        path: A text log, a ``*_metrics.jsonl``, or ``ssd`` or ``faster_rcnn`` for a published log.
        figures: Require lines of a training log; False accepts any text.

    Raises:
        UserError: The file cannot be read, is not text, or (with ``figures``) has no line of a
            training log.
    """
    if str(path) in REFERENCES:
        return reference(str(path))
    text = read_bytes(path).decode("utf-8", "surrogateescape")
    if text.startswith(("{", "\ufeff{")):
        log = parse_json_lines(text, str(path))
    else:
        log = _with_metadata(parse(text, str(path)))
    if figures and not log.runs:
        raise UserError(
            f"{path}: none of its {len(log.entries)} lines is a line of a training log: "
            "name a log of train_ssd_gkd.py, train_faster_rcnn_gkd.py or GluonCV's scripts"
        )
    return log


def _with_metadata(log: Log) -> Log:
    """Add the metadata in the JSON lines of the same runs, which are recognised by their options."""
    metrics = Path(log.source.removesuffix(_TEXT_LOG) + _METRICS)
    if not log.source.endswith(_TEXT_LOG) or not metrics.is_file():
        return log
    try:
        known = [(namespace_text(start.namespace), start.info) for start in run_starts(metrics)]
    except OSError:
        return log
    entries: list[Entry] = []
    for entry in log.entries:
        if isinstance(entry.record, RunStart):
            options = namespace_text(entry.record.namespace)
            at = next((i for i, (other, _) in enumerate(known) if other == options), None)
            if at is not None:
                entry = replace(entry, record=replace(entry.record, info=known[at][1]))
                del known[: at + 1]
        entries.append(entry)
    return arrange(entries, log.source)
