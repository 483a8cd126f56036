"""A store of weights looked after: read through, and cleared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.index import FILE, INDEX, Index
from gan_kd_ssd.zoo.store import WORK, Store

#: Names of weights that are not whole yet; see :func:`gan_kd_ssd.util.download.part_name`.
_PART = re.compile(rf"\.{FILE.pattern}\.[0-9a-f]{{12}}\.part", re.ASCII)


class Checked(NamedTuple):
    """What :func:`verify` found of a file; ``damage`` is '' where it is whole."""

    file: str
    damage: str


def verify(store: Store) -> list[Checked]:
    """Read all our files in a store and compare them with what stands beside them.

    Weights with nothing beside them are held against the repository's index where it can be asked,
    else against the 8 digits in their names.
    """
    checked, seen = [], set()
    for path in store.files("json"):
        try:
            entry = store.read(path)
        except UserError as error:
            checked.append(Checked(path.name, str(error)))
            continue
        seen.add(entry.file)
        weights = store.root / entry.file
        missing = "" if weights.exists() else f"missing beside {path.name}"
        checked.append(Checked(entry.file, missing or files.damage(weights, entry.expected)))
    alone = [path for path in store.files("params") if path.name not in seen]
    index = store.index() if alone else Index({})
    checked += [Checked(path.name, _damage_alone(path, index)) for path in alone]
    return sorted(checked)


def _damage_alone(path: Path, index: Index) -> str:
    """As :func:`gan_kd_ssd.util.files.damage`, for weights without the file beside them."""
    match = FILE.fullmatch(path.name)
    entry = index.find(match["name"], match["hash"])
    if entry:
        return files.damage(path, entry.expected)
    try:
        (sha1,) = files.digests(path, ["sha1"])
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if sha1.startswith(match["hash"]) else f"sha1 {sha1}, its name says otherwise"


def purge(store: Store, chosen: set[str] | None) -> list[Path]:
    """Remove our files from a store: those of some names, or (None) all. Returns what is gone.

    GluonCV's files and any others stay; so do the empty lock files, which another process may hold.

    Raises:
        UserError: the folder is a repository of releases, or a file cannot be removed.
    """
    if (store.root / INDEX).exists():
        raise UserError(
            f"{store.root}: holds {INDEX}: it is a repository of releases, not a store; "
            "nothing was removed"
        )
    named = [
        (path, FILE.fullmatch(path.name))
        for kind in ("params", "json")
        for path in store.files(kind)
    ]
    work = store.root / WORK
    parts = sorted(work.iterdir()) if work.is_dir() else []
    named += [(path, _PART.fullmatch(path.name)) for path in parts]
    removed = []
    for path, match in named:
        if match is None or (chosen is not None and match["name"] not in chosen):
            continue
        try:
            path.unlink()
        except OSError as error:
            raise UserError(f"{path}: cannot be removed ({error.strerror})") from error
        removed.append(path)
    return removed
