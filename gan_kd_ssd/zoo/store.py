"""Weights on this machine: found, fetched once for all processes, checked, removed.

A store is a folder, GluonCV's own by default: ``NAME-12345678.params``, as GluonCV names its files, with
``NAME-12345678.json`` beside it, which says what is in it. Locks and files that are not whole yet are in
the folder ``.gan_kd_ssd`` below it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gan_kd_ssd.util import download, files
from gan_kd_ssd.util.download import Patience, Unreachable
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo import index as indexes
from gan_kd_ssd.zoo import names
from gan_kd_ssd.zoo.index import Entry, Index
from gan_kd_ssd.zoo.repository import VARIABLE, Repository, repository

WORK = ".gan_kd_ssd"


class Fetched(NamedTuple):
    """Weights that are here and whole."""

    path: Path
    entry: Entry


def default_root() -> Path:
    """Where GluonCV keeps weights: $MXNET_HOME/models, else ~/.mxnet/models."""
    return files.mxnet_home() / "models"


def version_of(pretrained: bool | str | None) -> str | None:
    """What ``pretrained=`` asks for: None is nothing, '' the newest version, else 8 to 40 hex digits."""
    if not pretrained:
        return None
    if pretrained is True:
        return ""
    text = str(pretrained).lower()
    if 8 <= len(text) <= 40 and not text.strip("0123456789abcdef"):
        return text
    raise UserError(
        f"pretrained={pretrained!r}: give True, False, or 8 hexadecimal digits of a version"
    )


class Store:
    """A folder of weights, and the repository that it is filled from.

    Args:
        root: the folder (default: :func:`default_root`). source: the repository (default: that of
            $GAN_KD_SSD_REPO). patience: with the network. quiet: no progress bar, no remarks.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        source: Repository | None = None,
        patience: Patience | None = None,
        quiet: bool = False,
    ):
        self.root = Path(root).expanduser() if root else default_root()
        self.source = source or repository()
        self.patience, self.quiet = patience or Patience(), quiet

    # What is here

    def entries(self) -> list[Entry]:
        """The versions that are here with their weights, by name, then by time; not read through."""
        found = []
        for path in self.files("json"):
            with contextlib.suppress(UserError):
                entry = self.read(path)
                if (self.root / entry.file).is_file():
                    found.append(entry)
        return sorted(found, key=lambda entry: (entry.name, entry.published))

    def files(self, kind: str) -> Iterator[Path]:
        """Our files of a kind, 'params' or 'json'; GluonCV's are not ours."""
        try:
            found = sorted(path for path in self.root.iterdir() if path.is_file())
        except OSError:
            return
        for path in found:
            match = indexes.FILE.fullmatch(path.name)
            if match and match["kind"] == kind and names.ours(match["name"]):
                yield path

    def read(self, path: Path) -> Entry:
        """What a file beside weights says of them; UserError if it is damaged."""
        try:
            entry = indexes.entry_of(json.loads(path.read_bytes()))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: damaged ({error}); fetch {path.stem} again") from error
        if path.name != f"{entry.stem}.json":
            raise UserError(f"{path}: is of {entry.stem}; fetch {path.stem} again")
        return entry

    def _local(self, name: str, version: str | None) -> Entry | None:
        """The newest version here, or the one that is asked for."""
        found = [e for e in self.entries() if e.name == name and e.sha1.startswith(version or "")]
        return found[-1] if found else None

    def index(self) -> Index:
        """The repository's index, an empty one where it cannot be had, which is said."""
        if self.source is None:
            return Index({})
        try:
            return self.source.index(replace(self.patience, attempts=1))
        except UserError as error:
            self._remark(f"the repository cannot be asked: {error}")
            return Index({})

    # Fetching

    def fetch(self, name: str, version: str | None = None) -> Fetched:
        """Weights of a network of ours, from here, else from the repository.

        A version that is here is taken without the network. Without one, the repository is asked for
        its newest, and the newest here is taken where it cannot be asked.

        Args:
            name: see :mod:`~gan_kd_ssd.zoo.names`. version: first hex digits of the sha1.

        Raises:
            UserError: nothing is published, or it cannot be had; says what to do.
        """
        what = names.ours(name)
        if what is None:
            raise names.unknown(name, self._known())
        name = str(what)
        here = self._local(name, version) if version else None
        if here and not files.damage(self.root / here.file, here.expected):
            return Fetched(self.root / here.file, here)
        entry = self._published(what, version)
        path, beside = self.root / entry.file, self.root / f"{entry.stem}.json"
        wrong = files.damage(path, entry.expected)
        if wrong:
            self._bring(entry, path, wrong)
        if wrong or not beside.is_file():
            files.write_text(beside, entry.text())
        return Fetched(path, entry)

    def _known(self) -> list[str]:
        """Names to choose from, for a message: those that are at hand."""
        return [*names.paper_names(), *names.GLUONCV_PUBLISHES, *(e.name for e in self.entries())]

    def _published(self, what: names.Name, version: str | None) -> Entry:
        """The version to fetch: the repository's, or one that is here."""
        name, local = str(what), self._local(str(what), version)
        if self.source is None:
            if local is None:
                raise self._nothing(what, version, Index({}))
            return local
        patience = replace(self.patience, attempts=1) if local else self.patience
        try:
            index = self.source.index(patience)
        except Unreachable as error:
            if local is None:
                raise UserError(
                    f"{name}: {error}; check the network and ${VARIABLE}, or copy {name}-*.params and "
                    f"{name}-*.json from there into {self.root} by hand"
                ) from error
            self._remark(f"{error}; {local.file}, which is here, is taken")
            return local
        entry = index.find(name, version) or local
        if entry is None:
            raise self._nothing(what, version, index)
        return entry

    def _nothing(self, what: names.Name, version: str | None, index: Index) -> UserError:
        """The error for weights that nobody publishes: what trains them."""
        name = str(what)
        if version and index.find(name):
            versions = ", ".join(entry.version for entry in index.models[name])
            return UserError(f"{name}: no version {version}; {index.where} has {versions}")
        where = index.where or f"no repository is named in ${VARIABLE}"
        known = {*self._known(), *index.models} - {name}
        close = names.close(name, known) if what.cell is None else []
        return UserError(
            f"{name}: no weights are published ({where}), nor are any in {self.root}; no weights of "
            f"the paper exist: {what.advice()}"
            + (f"; names that are close: {', '.join(close)}" if close else "")
        )

    def _bring(self, entry: Entry, path: Path, wrong: str) -> None:
        """Bring a version to ``path``; another process that is at it is waited for."""
        if self.source is None:
            raise UserError(f"{path}: {wrong}; name a repository in ${VARIABLE} to fetch it again")
        download.fetch(
            self.source.source(entry.file),
            path,
            entry.expected,
            work=self.root / WORK,
            patience=self.patience,
            remedy=self._by_hand(entry),
            quiet=self.quiet,
        )

    def _by_hand(self, entry: Entry) -> str:
        return (
            f"check the network and ${VARIABLE}, or fetch {self.source.address(entry.file)} and "
            f"{self.source.address(entry.stem + '.json')} by hand into {self.root}"
        )

    def _remark(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr)
