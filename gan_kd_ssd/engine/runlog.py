"""The files in which a run tells what happens: the published text lines, and JSON lines."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.logs.write import format_record, json_record
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import digests


class RunLog:
    """Appends records to ``{prefix}_train.log`` and ``{prefix}_metrics.jsonl``.

    Args:
        prefix: of both files; their folder is made at the first record. quiet: do not print the lines.

    Raises:
        UserError: at once if there is no place for the files, or by :meth:`write`.
    """

    def __init__(self, prefix: str, quiet: bool = False):
        self.prefix, self.quiet = prefix, quiet
        folder = Path(prefix).parent.absolute()
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UserError(
                f"--save-prefix {prefix}: {folder} cannot be written; choose another place"
            )

    def write(self, record) -> None:
        """Append a record to both files, whole or not at all, and print its text unless quiet."""
        text = format_record(record)
        self.append("train.log", text)
        self.append("metrics.jsonl", json_record(record).rstrip("\n") + "\n")
        self.say(text.rstrip("\n"))

    def append(self, name: str, text: str) -> None:
        """Append lines to ``{prefix}_{name}``, on a line of their own, whole or not at all."""
        path = Path(f"{self.prefix}_{name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                if end:  # what was killed in the middle of a line left no line end
                    file.seek(end - 1)
                    text = text if file.read(1) == b"\n" else "\n" + text
                data = text.encode()
                try:
                    if file.write(data) != len(data):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); free some space and go on with --resume, "
                "or choose another --save-prefix"
            ) from error

    def say(self, text: str) -> None:
        """Print a line that is in no file, past the progress bar."""
        if not self.quiet:
            tqdm.write(text)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    return digests(path, ["sha256"])[0]


def prefix_of(params: str | Path) -> str:
    """The --save-prefix of the run that wrote a ``.params`` file, by the file's name."""
    return re.sub(r"_(best|\d{4,}_(\d\.\d+|nan))\.params$", "", str(params))


def run_beside(params: Path) -> dict:
    """Facts of the run that a ``.params`` file is of, from what stands beside it; {} without that.

    A run leaves them in ``PREFIX_metrics.jsonl``, where the last of several runs counts, the model zoo in
    ``NAME-12345678.json``: "namespace", "classes" and more, as :mod:`gan_kd_ssd.engine.build` writes them.
    """
    prefix = prefix_of(params)
    for path, read in (
        (f"{prefix}_metrics.jsonl", _last_run),
        (re.sub(r"\.params$", "", str(params)) + ".json", lambda file: file.read()),
    ):
        try:
            with open(path, encoding="utf-8") as file:
                return dict(json.loads(read(file)))
        except (OSError, ValueError, TypeError):
            continue
    return {}


def _last_run(file) -> str:
    """The last line of JSON lines that begins a run; the first line where none does."""
    found = file.readline()
    for line in file:
        if line.startswith('{"kind": "run"'):
            found = line
    return found


def classes_beside(params: Path) -> list[str] | None:
    """Classes that a ``.params`` file is for, from what stands beside it; None without that.

    A parameter file tells how many classes there are, not which.
    """
    try:
        return list(run_beside(params)["classes"])
    except (KeyError, TypeError):
        return None


def check_classes(params: Path, classes: Sequence[str], option: str) -> None:
    """UserError where a ``.params`` file is known to be trained on other classes, or in another order."""
    trained_on = classes_beside(params)
    if trained_on is not None and trained_on != list(classes):
        raise UserError(
            f"{option} {params}: was trained on the classes {', '.join(trained_on)}, these are "
            f"{', '.join(classes)}: give --classes as it was trained, or another file"
        )


def versions() -> dict[str, str]:
    """Versions of what computes: Python, MXNet, GluonCV, numpy, and this package's git revision."""
    from importlib import metadata

    from gan_kd_ssd import __version__
    from gan_kd_ssd.util.mxnet import mx

    return {
        "gan_kd_ssd": __version__,
        "git": _git_revision() or "unknown",
        "python": platform.python_version(),
        "mxnet": mx.__version__,
        "gluoncv": metadata.version("gluoncv"),
        "numpy": metadata.version("numpy"),
    }


def _git_revision() -> str | None:
    """Revision of this checkout, with '-dirty' where it was changed; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        answer = subprocess.run(
            command, cwd=folder, env={**os.environ, "LC_ALL": "C"}, capture_output=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode().strip() if answer.returncode == 0 else None
