"""The files in which a run tells what happens: the published text lines, and JSON lines."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.errors import UserError
from gan_kd_ssd.logs.write import format_record, json_record


class RunLog:
    """Appends records to ``{prefix}_train.log`` and ``{prefix}_metrics.jsonl``.

    Args:
        prefix: of both files; its folder is made at the first record. quiet: do not print the lines.

    Raises:
        UserError: the files cannot be written.
    """

    def __init__(self, prefix: str, quiet: bool = False):
        self.prefix, self.quiet = prefix, quiet
        self.paths = Path(f"{prefix}_train.log"), Path(f"{prefix}_metrics.jsonl")
        self._files: list = []

    def write(self, record) -> None:
        """Append a record to both files, and print its text unless quiet."""
        texts = format_record(record), json_record(record)
        try:
            if not self._files:  # nothing is left behind by a run that never began
                self.paths[0].parent.mkdir(parents=True, exist_ok=True)
                self._files = [path.open("a", encoding="utf-8") for path in self.paths]
            for file, text in zip(self._files, texts):
                file.write(text if text.endswith("\n") else text + "\n")
                file.flush()
        except OSError as error:
            raise UserError(
                f"--save-prefix {self.prefix}: the log cannot be written ({error.strerror}); free some "
                "space and go on with --resume, or choose another place"
            ) from error
        self.say(texts[0].rstrip("\n"))

    def say(self, text: str) -> None:
        """Print a line that is in no file, past the progress bar."""
        if not self.quiet:
            tqdm.write(text)

    def close(self) -> None:
        for file in self._files:
            file.close()


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what computes: Python, MXNet, GluonCV, numpy, and this package's git revision."""
    from importlib import metadata

    from gan_kd_ssd import __version__
    from gan_kd_ssd.backend import mx

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
