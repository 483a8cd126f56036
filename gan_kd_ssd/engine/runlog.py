"""Log files of a run: text lines in the published format, and JSON lines."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tqdm import tqdm

from gan_kd_ssd.logs.write import format_record, json_record
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import writable_folder


class RunLog:
    """Appends records to ``{prefix}_train.log`` and ``{prefix}_metrics.jsonl``.

    The folder of the files is created with the first record. A folder that cannot be written is a UserError.
    """

    def __init__(self, prefix: str, quiet: bool = False):
        self.prefix, self.quiet = prefix, quiet
        self.best, self.state = Path(f"{prefix}_best.params"), Path(f"{prefix}_state.zip")
        writable_folder(Path(prefix).parent, "--save-prefix", create=False)

    def write(self, record) -> None:
        """Append a record to both files and print its text unless quiet."""
        text = format_record(record)
        self.append("train.log", text)
        self.append("metrics.jsonl", json_record(record).rstrip("\n") + "\n")
        self.say(text.rstrip("\n"))

    def append(self, name: str, text: str) -> None:
        """Append whole lines to ``{prefix}_{name}``; an error leaves the file as it was before."""
        path = Path(f"{self.prefix}_{name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                if end:  # a killed run may have left an unfinished line
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
                f"{path}: cannot be written ({error.strerror}); free some space and continue with "
                "--resume, or choose another --save-prefix"
            ) from error

    def say(self, text: str) -> None:
        """Print a line above the progress bar; it is not written to a file."""
        if not self.quiet:
            tqdm.write(text)
