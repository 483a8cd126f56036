"""Reading of logs: text logs, JSON lines, and the published logs by their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gan_kd_ssd.logs.jsonl import parse_json_lines, run_starts
from gan_kd_ssd.logs.log import Log, arrange
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import REFERENCES, reference
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.logs.write import namespace_text
from gan_kd_ssd.util.errors import UserError

_TEXT_LOG, _METRICS = "_train.log", "_metrics.jsonl"


def _read_text(path: str | Path) -> str:
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
    return data.decode("utf-8", "surrogateescape")


def read(path: str | Path, figures: bool = True) -> Log:
    """Parse a log, with the metadata in the JSON lines next to a text log.

    Args:
        path: A text log, a ``*_metrics.jsonl``, or ``ssd`` or ``faster_rcnn`` for a published log.
        figures: Require lines of a training log; False accepts any text.

    Raises:
        UserError: The file cannot be read, or is not the log that is required.
    """
    if str(path) in REFERENCES:
        return reference(str(path))
    text = _read_text(path)
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
        known = run_starts(metrics)
    except OSError:
        return log
    options = [namespace_text(start.namespace) for start in known]
    entries, at = [], 0
    for entry in log.entries:
        if isinstance(entry.record, RunStart):
            own = namespace_text(entry.record.namespace)
            if own in options[at:]:
                at = options.index(own, at) + 1
                entry = replace(entry, record=replace(entry.record, info=known[at - 1].info))
        entries.append(entry)
    return arrange(entries, log.source)
