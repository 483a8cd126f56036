"""Where weights are published: a folder of releases, here or behind a web server.

Its address is in ``$GAN_KD_SSD_REPO``: ``https://host/path``, ``http://...``, or ``file:/path/to/folder``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from gan_kd_ssd.errors import UserError
from gan_kd_ssd.model_zoo import transfer
from gan_kd_ssd.model_zoo.index import INDEX, MOST, Index, parse_index

VARIABLE = "GAN_KD_SSD_REPO"
_PIECE = 1 << 20


class Web(NamedTuple):
    """A repository behind a web server, below ``base``."""

    base: str

    def address(self, file: str) -> str:
        """Where a file is, for messages too."""
        return transfer.shown(self._url(file))

    def _url(self, file: str) -> str:
        return f"{self.base}/{quote(file)}"

    def index(self, patience: transfer.Patience) -> Index:
        """What it publishes.

        Raises:
            transfer.Unreachable; UserError: it is no repository, or its index is damaged.
        """
        try:
            data = transfer.get(self._url(INDEX), patience, MOST)
        except transfer.NotThere as error:
            raise UserError(f"{error}: there is no repository; check ${VARIABLE}") from error
        return parse_index(data, self.address(INDEX))

    def download(
        self,
        file: str,
        part: Path,
        size: int,
        patience: transfer.Patience,
        progress: Callable[[int], None],
    ) -> None:
        """Complete ``part`` to the whole file; see :func:`transfer.download`."""
        transfer.download(self._url(file), part, size, patience, progress)


class Folder(NamedTuple):
    """A repository in a folder of this machine."""

    path: Path

    def address(self, file: str) -> str:
        """Where a file is."""
        return str(self.path / file)

    def index(self, patience: transfer.Patience) -> Index:
        """What it publishes; see :meth:`Web.index`."""
        path = self.path / INDEX
        try:
            if path.stat().st_size > MOST:
                raise UserError(f"{path}: larger than {MOST} bytes: no index")
            return parse_index(path.read_bytes(), str(path))
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}): there is no repository; check ${VARIABLE}"
            ) from error

    def download(
        self,
        file: str,
        part: Path,
        size: int,
        patience: transfer.Patience,
        progress: Callable[[int], None],
    ) -> None:
        """Copy the file to ``part``.

        Raises:
            transfer.NotThere; UserError: of another size, or no place for it.
        """
        path = self.path / file
        try:
            source = open(path, "rb")  # noqa: SIM115 closed below
        except OSError as error:
            raise transfer.NotThere(f"{path}: cannot be read ({error.strerror})") from error
        with source:
            found = os.fstat(source.fileno()).st_size
            if found != size:
                raise UserError(
                    f"{path}: has {found} bytes, {size} in the index: it is another file"
                )
            try:
                with open(part, "wb") as copy:
                    while piece := source.read(_PIECE):
                        copy.write(piece)
                        progress(copy.tell())
            except OSError as error:
                raise transfer.no_place(part, error) from error


def repository(address: str | None = None) -> Web | Folder | None:
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
        return Web(text.rstrip("/"))
    if scheme == "file" and "\0" not in text:
        folder = text[len("file:") :]
        if folder.startswith("//"):  # file://host/path, written as the standard has it
            folder = url2pathname(parts.path) if host in (None, "localhost") else ""
        if folder:
            return Folder(Path(folder).expanduser())
    raise UserError(
        f"${VARIABLE} {transfer.shown(text)!r}: give https://host/path, http://host/path, or "
        "file:/path/to/folder"
    )
