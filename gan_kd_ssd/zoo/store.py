"""The local store of weights: find, fetch, verify and remove them.

A store is a folder, by default GluonCV's own. It holds ``NAME-12345678.params``, named as GluonCV names
its files, and next to each file its release as ``NAME-12345678.json``. Lock files and incomplete
downloads are in its subfolder ``.gan_kd_ssd``.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gan_kd_ssd.util import download, files
from gan_kd_ssd.util.download import Patience, Unreachable
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.model_names import GLUONCV_PUBLISHES, ModelName, ours, similar, unknown
from gan_kd_ssd.zoo.releases import (
    FILE,
    INDEX,
    VARIABLE,
    Release,
    newest,
    release_of,
    repository,
    to_json,
)

_WORK = ".gan_kd_ssd"
#: Names of incomplete downloads, see :func:`gan_kd_ssd.util.download.part_name`.
_PART = re.compile(rf"\.{FILE.pattern}\.[0-9a-f]{{12}}\.part", re.ASCII)


class Fetched(NamedTuple):
    """Intact weights in a store, and their release."""

    path: Path
    release: Release


def version_of(pretrained: bool | str | None) -> str | None:
    """The version that ``pretrained=`` asks for: None for none, '' for the newest, else hex digits."""
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
    """A folder of weights, and the repository from which it is filled.

    Args:
        root: The folder (default: $MXNET_HOME/models, else ~/.mxnet/models).
        patience: Time limits and retries of downloads.
        quiet: Show neither progress nor remarks.
    """

    def __init__(
        self, root: str | Path | None = None, patience: Patience | None = None, quiet: bool = False
    ):
        self.root = Path(root).expanduser() if root else files.mxnet_home() / "models"
        self.source = repository()
        self.patience, self.quiet = patience or Patience(), quiet

    def releases(self) -> list[Release]:
        """The releases whose weights are in the store, by name and time. Weights are not verified."""
        found = []
        for path in self._files("json"):
            with contextlib.suppress(UserError):
                release = self._read(path)
                if (self.root / release.file).is_file():
                    found.append(release)
        return sorted(found, key=lambda r: (r.name, r.fields["published"]))

    def published(self) -> dict[str, list[Release]]:
        """The releases in the repository by name; none, with a remark, if it is not available."""
        try:
            return self.source.models(replace(self.patience, attempts=1)) if self.source else {}
        except UserError as error:
            self._remark(f"the repository is not available: {error}")
            return {}

    def fetch(self, name: str, version: str | None = None) -> Fetched:
        """Get the weights of a network of this zoo from the store, else from the repository.

        Without a version, the repository decides which one is the newest; if the repository is not
        available, the newest in the store is used.

        Args:
            name: A name, see :mod:`gan_kd_ssd.zoo.model_names`.
            version: First hexadecimal digits of the sha1. If it is in the store, it needs no network.

        Raises:
            UserError: No weights are published, or they are not available; says what to do.
        """
        what = ours(name)
        if what is None:
            raise unknown(name, self._known())
        here = self._local(str(what), version) if version else None
        if here and not files.damage(self.root / here.file, here.weights):
            return Fetched(self.root / here.file, here)
        release = self._newest(what, version)
        path, beside = self.root / release.file, self.root / f"{release.stem}.json"
        wrong = files.damage(path, release.weights)
        if wrong:
            self._download(release, path, wrong)
        if wrong or not beside.is_file():
            files.write_text(beside, to_json(release.fields))
        return Fetched(path, release)

    def verify(self) -> dict[str, str]:
        """Read all weights of this zoo: the damage of each file by its name, '' if it is intact.

        Weights are compared with their releases, else with the 8 digits in their names.
        """
        checked: dict[str, str] = {}
        for path in self._files("json"):
            try:
                release = self._read(path)
            except UserError as error:
                checked[path.name] = str(error)
                continue
            weights = self.root / release.file
            missing = "" if weights.exists() else f"missing next to {path.name}"
            checked[release.file] = missing or files.damage(weights, release.weights)
        for path in self._files("params"):
            if path.name not in checked:
                checked[path.name] = files.damage_by_name(path)
        return dict(sorted(checked.items()))

    def purge(self, chosen: set[str] | None) -> list[Path]:
        """Remove weights of this zoo and their incomplete downloads; return the removed files.

        Args:
            chosen: The names to remove; None removes all.

        Raises:
            UserError: The folder is a repository, or a file cannot be removed.
        """
        if (self.root / INDEX).exists():
            raise UserError(
                f"{self.root} holds {INDEX}, so it is a repository and not a store; nothing was "
                "removed"
            )
        parts = sorted((self.root / _WORK).glob(".*.part"))
        removed = []
        for path in (*self._files("params", "json"), *parts):
            match = FILE.fullmatch(path.name) or _PART.fullmatch(path.name)
            if match and (chosen is None or match["name"] in chosen):
                try:
                    path.unlink()
                except OSError as error:
                    raise UserError(f"{path}: cannot be removed ({error.strerror})") from error
                removed.append(path)
        return removed

    def _files(self, *kinds: str) -> Iterator[Path]:
        """The files of this zoo in the store, of kinds 'params' and 'json'."""
        for path in sorted(self.root.glob("*")):
            match = FILE.fullmatch(path.name)
            if match and match["kind"] in kinds and ours(match["name"]) and path.is_file():
                yield path

    def _read(self, path: Path) -> Release:
        try:
            release = release_of(json.loads(path.read_bytes()))
            if path.name == f"{release.stem}.json":
                return release
            raise ValueError(f"it describes {release.stem}")
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: damaged ({error}); fetch {path.stem} again") from error

    def _local(self, name: str, version: str | None) -> Release | None:
        return newest((r for r in self.releases() if r.name == name), version)

    def _known(self) -> list[str]:
        return [*GLUONCV_PUBLISHES, *(release.name for release in self.releases())]

    def _newest(self, what: ModelName, version: str | None) -> Release:
        """The release to fetch: the repository's, else the store's."""
        name, local = str(what), self._local(str(what), version)
        models: dict[str, list[Release]] = {}
        if self.source is not None:
            patience = replace(self.patience, attempts=1) if local else self.patience
            try:
                models = self.source.models(patience)
            except Unreachable as error:
                if local is None:
                    raise UserError(
                        f"{name}: {error}; check the network and ${VARIABLE}, or copy {name}-*.params "
                        f"and {name}-*.json from there into {self.root} by hand"
                    ) from error
                self._remark(f"{error}; using {local.file} from {self.root}")
        release = newest(models.get(name, ()), version) or local
        if release is None:
            raise self._unpublished(what, version, models)
        return release

    def _unpublished(self, what: ModelName, version: str | None, models: dict) -> UserError:
        name = str(what)
        where = self.source.address() if self.source else f"${VARIABLE} names no repository"
        if version and name in models:
            versions = ", ".join(release.version for release in models[name])
            return UserError(f"{name}: no version {version}; {where} has {versions}")
        close = similar(name, [*self._known(), *models])
        hint = f"; similar names: {', '.join(close)}" if close and what.cell is None else ""
        return UserError(
            f"{name}: no weights are published ({where}) and none are in {self.root}. The authors of "
            f"the paper published no weights: {what.advice()}{hint}"
        )

    def _download(self, release: Release, path: Path, wrong: str) -> None:
        if self.source is None:
            raise UserError(f"{path}: {wrong}; name a repository in ${VARIABLE} to fetch it again")
        download.fetch(
            self.source.source(release.file),
            path,
            release.weights,
            work=self.root / _WORK,
            patience=self.patience,
            remedy=f"check the network and ${VARIABLE}, or copy {self.source.address(release.file)} "
            f"and {self.source.address(release.stem + '.json')} by hand into {self.root}",
            quiet=self.quiet,
        )

    def _remark(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr)
