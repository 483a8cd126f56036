"""Releases of trained weights, and the repositories that publish them.

A repository is a folder, local or behind a web server, with an index: JSON of the form
``{"format": 1, "models": {NAME: [RELEASE, ...]}}``, the newest release last. The JSON of one release is
also written next to its weights, as ``NAME-12345678.json``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import url2pathname

from gan_kd_ssd.util import download
from gan_kd_ssd.util.download import Patience
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected
from gan_kd_ssd.zoo.model_names import ModelName, ours

INDEX = "index.json"
VARIABLE = "GAN_KD_SSD_REPO"  # the environment variable with the address of the repository
_FORMAT = 1
_LARGEST_INDEX = 16 << 20  # bytes
#: File names in a store: the name and 8 hexadecimal digits of the sha1, as GluonCV's.
FILE = re.compile(r"(?P<name>[a-z0-9_.]+)-(?P<hash>[0-9a-f]{8})\.(?P<kind>params|json)", re.ASCII)


@dataclass(frozen=True)
class Release:
    """One version of a network's weights."""

    fields: dict  # the JSON of the release, as :func:`release_of` checked it
    name: str  # in the zoo
    weights: Expected
    classes: list[str]  # foreground classes
    input_size: tuple[
        int, ...
    ]  # side of an SSD; short and longest side of a Faster R-CNN; in pixels
    mean_ap: float  # mAP on the validation data that chose the weights, 0 to 1

    @property
    def version(self) -> str:
        """8 hexadecimal digits."""
        return self.weights.sha1[:8]

    @property
    def stem(self) -> str:
        """The beginning of the names of all files of the release."""
        return f"{self.name}-{self.version}"

    @property
    def file(self) -> str:
        return f"{self.stem}.params"

    @property
    def what(self) -> ModelName:
        return ours(self.name)

    @property
    def sizes(self) -> dict:
        """Settings of a Faster R-CNN that its name does not contain; empty for an SSD."""
        if self.what.is_ssd:
            return {}
        sides = dict(zip(("short", "max_size"), self.input_size))
        return {**sides, "norm_layer": self.fields.get("norm_layer")}


def to_json(content) -> str:
    """Indented JSON that ends with a newline."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _is_text(value, pattern: str = ".+") -> bool:
    return isinstance(value, str) and value.isprintable() and bool(re.fullmatch(pattern, value))


def _are_sides(value) -> bool:
    sides = value if isinstance(value, list) else [value]
    return len(sides) <= 2 and all(type(side) is int and 0 < side < 1 << 16 for side in sides)


#: The fields of a release that are used here, and a check of each.
_CHECKS = {
    "name": lambda v: _is_text(v) and ours(v) is not None and str(ours(v)) == v,
    "sha1": lambda v: _is_text(v, "[0-9a-f]{40}"),
    "sha256": lambda v: _is_text(v, "[0-9a-f]{64}"),
    "size": lambda v: type(v) is int and v > 0,
    "classes": lambda v: isinstance(v, list) and v and all(map(_is_text, v)),
    "data_shape": _are_sides,
    "mAP": lambda v: type(v) in (int, float) and 0 <= v <= 1,
    "published": _is_text,
    "norm_layer": lambda v: v in (None, "bn"),
}


def release_of(fields) -> Release:
    """Read the JSON of a release; raise a ValueError if a field is missing or wrong.

    The names of its files follow from its name and sha1, so that an index cannot name a file outside
    its folder.
    """
    if not isinstance(fields, dict):
        raise ValueError("not a release")
    for key, is_right in _CHECKS.items():
        if not is_right(fields.get(key)):
            raise ValueError(f"{key} {fields.get(key)!r:.80}")
    shape = fields["data_shape"]
    release = Release(
        fields,
        fields["name"],
        Expected(fields["sha1"], fields["sha256"], fields["size"]),
        fields["classes"],
        tuple(shape) if isinstance(shape, list) else (shape,),
        float(fields["mAP"]),
    )
    if len(release.input_size) != (1 if release.what.is_ssd else 2):
        raise ValueError(f"data_shape {shape!r}")
    if fields.get("file") != release.file:
        raise ValueError(f"file {fields.get('file')!r:.80} instead of {release.file}")
    return release


def newest(releases: Iterable[Release], version: str | None = None) -> Release | None:
    """The last release, or the last one whose sha1 begins with ``version``."""
    found = [r for r in releases if r.weights.sha1.startswith(version or "")]
    return found[-1] if found else None


def parse_index(data: bytes, where: str) -> dict[str, list[Release]]:
    """Read the releases by name, the newest last; raise a UserError if the index is damaged."""
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"not an index of format {_FORMAT}")
        models = {name: list(map(release_of, found)) for name, found in content["models"].items()}
        if any(release.name != name for name, found in models.items() for release in found):
            raise ValueError("a release under another name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{where}: the index is damaged ({reason}) and was not used: publish into it again, or "
            f"name another repository by ${VARIABLE}"
        ) from error
    return models


def index_json(models: dict[str, list[Release]]) -> str:
    """The JSON of an index."""
    fields = {name: [release.fields for release in models[name]] for name in sorted(models)}
    return to_json({"format": _FORMAT, "models": fields})


@dataclass(frozen=True)
class Repository:
    """A repository: a folder on this machine, or an address of a web server."""

    base: Path | str

    def source(self, file: str) -> Path | str:
        """Where a file is, as :func:`gan_kd_ssd.util.download.fetch` takes it."""
        return self.base / file if isinstance(self.base, Path) else f"{self.base}/{file}"

    def address(self, file: str = INDEX) -> str:
        """Where a file is, for messages."""
        return download.shown(self.source(file))

    def models(self, patience: Patience) -> dict[str, list[Release]]:
        """Read the index. Raises :class:`download.Unreachable` if the server does not answer."""
        try:
            data = download.read(self.source(INDEX), _LARGEST_INDEX, patience)
        except download.NotThere as error:
            raise UserError(f"{error}: there is no repository; check ${VARIABLE}") from error
        return parse_index(data, self.address())


def repository() -> Repository | None:
    """The repository in $GAN_KD_SSD_REPO, None without an address."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[^/?#\[])[^?#\[]*", text, re.IGNORECASE):
        return Repository(text.rstrip("/"))
    local = re.fullmatch(r"file:(//(?:localhost)?(?=/))?([^\0]+)", text)
    if local:
        folder = url2pathname(local[2]) if local[1] else local[2]  # with //: as in RFC 8089
        if not folder.startswith("//"):
            return Repository(Path(folder).expanduser())
    elif "\0" not in text and Path(text).expanduser().is_dir():
        return Repository(Path(text).expanduser())
    raise UserError(
        f"${VARIABLE} {download.shown(text)!r}: give a folder, https://host/path, http://host/path or "
        "file:/path/to/folder"
    )
