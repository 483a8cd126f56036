"""Open a log from disk: a text log, or JSON lines, told apart by their first character."""

from __future__ import annotations

from pathlib import Path

from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.log import Log
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.util.errors import UserError


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a log.

    Raises:
        UserError: it cannot be read, or is not text.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: name a log file in it (*_train.log)") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot read the log ({reason}): check the path") from None
    if b"\0" in data:
        raise UserError(f"{path} is not a text file: name a training log (*_train.log)")
    return data


def read(path: str | Path, figures: bool = True) -> Log:
    """Parse the log at ``path``: a text log or a ``*_metrics.jsonl``.

    Args:
        figures: ask for a training log; False takes any text.

    Raises:
        UserError: it cannot be read, is not text, or (with ``figures``) holds no line of a
            training log.
    """
    text = read_bytes(path).decode("utf-8", "surrogateescape")
    is_json = text.startswith(("{", "\ufeff{"))
    log = parse_json_lines(text, str(path)) if is_json else parse(text, str(path))
    if figures and not log.runs:
        raise UserError(
            f"{path}: none of its {len(log.entries)} lines is one of a training log: "
            "name a log of train_ssd_gkd.py, train_faster_rcnn_gkd.py or GluonCV's scripts"
        )
    return log
