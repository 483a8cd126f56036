"""Where weights are published: a folder of releases, here or behind a web server.

Its address is in ``$GAN_KD_SSD_REPO``: ``https://host/path``, ``http://...``, or ``file:/path/to/folder``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from gan_kd_ssd.util import download
from gan_kd_ssd.util.download import Patience
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.index import INDEX, MOST, Index, parse_index

VARIABLE = "GAN_KD_SSD_REPO"


class Repository(NamedTuple):
    """A repository in a folder of this machine, or below an address of a web server."""

    base: Path | str

    def source(self, file: str) -> Path | str:
        """Where a file is, as :mod:`gan_kd_ssd.util.download` takes it."""
        return self.base / file if isinstance(self.base, Path) else f"{self.base}/{file}"

    def address(self, file: str) -> str:
        """Where a file is, for messages."""
        return download.shown(self.source(file))

    def index(self, patience: Patience) -> Index:
        """What it publishes.

        Raises:
            download.Unreachable; UserError: it is no repository, or its index is damaged.
        """
        try:
            data = download.read(self.source(INDEX), MOST, patience)
        except download.NotThere as error:
            raise UserError(f"{error}: there is no repository; check ${VARIABLE}") from error
        return parse_index(data, self.address(INDEX))


def repository(address: str | None = None) -> Repository | None:
    """The repository at an address (default: that in $GAN_KD_SSD_REPO); None where none is named.

    Raises:
        UserError: it is none of http, https and file.
    """
    text = (os.environ.get(VARIABLE, "") if address is None else address).strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme in ("http", "https") and host and not (parts.query or parts.fragment):
        return Repository(text.rstrip("/"))
    if scheme == "file" and "\0" not in text:
        folder = text[len("file:") :]
        if folder.startswith("//"):  # file://host/path, written as the standard has it
            folder = url2pathname(parts.path) if host in (None, "localhost") else ""
        if folder:
            return Repository(Path(folder).expanduser())
    raise UserError(
        f"${VARIABLE} {download.shown(text)!r}: give https://host/path, http://host/path, or "
        "file:/path/to/folder"
    )
