"""Releases of trained weights, and the repositories that publish them.

A repository is a folder, local or behind a web server, with an index: JSON of the form
``{"format": 1, "models": {NAME: [RELEASE, ...]}}``, the newest release last. The JSON of one release is
also written beside its weights, as ``NAME-12345678.json``.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from gan_kd_ssd.util import download
from gan_kd_ssd.util.download import Patience
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected
from gan_kd_ssd.zoo.names import ModelName, ours

INDEX = "index.json"
VARIABLE = "GAN_KD_SSD_REPO"  # the environment variable with the address of the repository
_FORMAT = 1
_LARGEST_INDEX = 16 << 20  # bytes
#: File names in a store: the name and 8 hexadecimal digits of the sha1, as GluonCV's.
FILE = re.compile(r"(?P<name>[a-z0-9_.]+)-(?P<hash>[0-9a-f]{8})\.(?P<kind>params|json)", re.ASCII)


@dataclass(frozen=True)
class Release:
    """One version of a network's weights.

    Attributes:
        name: The name in the zoo.
        weights: Digests and size of the weights file.
        classes: Foreground classes.
        input_size: Side of an SSD's square input, or the short and the longest side of a Faster
            R-CNN's input, in pixels.
        mean_ap: mAP on the validation data that chose the weights, 0 to 1.
        published: Time of publication, ISO 8601 in UTC.
        norm_layer: 'bn' for a Faster R-CNN with trained BatchNorm, else None.
        fields: The whole JSON of the release.
    """

    name: str
    weights: Expected
    classes: list[str]
    input_size: tuple[int, ...]
    mean_ap: float
    published: str
    norm_layer: str | None
    fields: dict

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
        """Name of the weights file."""
        return f"{self.stem}.params"

    @property
    def what(self) -> ModelName:
        """The parsed name."""
        return ours(self.name)

    def json(self) -> str:
        return to_json(self.fields)


def to_json(content) -> str:
    """Indented JSON that ends with a newline."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _is_number(value, low, high, *types) -> bool:
    return type(value) in types and low <= value <= high


def _are_sides(value) -> bool:
    sides = value if isinstance(value, list) else [value]
    return len(sides) <= 2 and all(_is_number(side, 1, 65535, int) for side in sides)


#: Fields of a release that are used here, and the check of each.
_CHECKS = {
    "name": lambda v: _is_text(v) and ours(v) is not None and str(ours(v)) == v,
    "sha1": lambda v: _is_text(v) and re.fullmatch("[0-9a-f]{40}", v),
    "sha256": lambda v: _is_text(v) and re.fullmatch("[0-9a-f]{64}", v),
    "size": lambda v: _is_number(v, 1, 1 << 40, int),
    "classes": lambda v: isinstance(v, list) and v and all(map(_is_text, v)),
    "data_shape": _are_sides,
    "mAP": lambda v: _is_number(v, 0, 1, int, float),
    "published": _is_text,
    "norm_layer": lambda v: v in (None, "bn"),
}


def release_of(fields) -> Release:
    """Read the JSON of a release.

    The names of its files follow from its name and sha1, so that an index cannot name a file outside
    its folder.

    Raises:
        ValueError: A field is missing or wrong.
    """
    if not isinstance(fields, dict):
        raise ValueError("not a release")
    for key, is_right in _CHECKS.items():
        if not is_right(fields.get(key)):
            raise ValueError(f"{key} {fields.get(key)!r:.80}")
    shape = fields["data_shape"]
    release = Release(
        fields["name"],
        Expected(fields["sha1"], fields["sha256"], fields["size"]),
        list(fields["classes"]),
        tuple(shape) if isinstance(shape, list) else (shape,),
        float(fields["mAP"]),
        fields["published"],
        fields.get("norm_layer"),
        fields,
    )
    if len(release.input_size) != (1 if release.what.is_ssd else 2):
        raise ValueError(f"data_shape {shape!r}")
    if fields.get("file") != release.file:
        raise ValueError(f"file {fields.get('file')!r:.80} instead of {release.file}")
    return release


@dataclass(frozen=True)
class Index:
    """The releases of a repository by name, the newest last. ``where`` is its address."""

    models: dict[str, list[Release]]
    where: str = ""

    def find(self, name: str, version: str | None = None) -> Release | None:
        """The newest release of a network, or the one whose sha1 begins with ``version``."""
        found = [r for r in self.models.get(name, ()) if r.weights.sha1.startswith(version or "")]
        return found[-1] if found else None

    def with_release(self, release: Release) -> Index:
        """The index with a release as the newest of its name."""
        others = self.models.get(release.name, ())
        others = [other for other in others if other.weights.sha1 != release.weights.sha1]
        models = {**self.models, release.name: [*others, release]}
        return Index(dict(sorted(models.items())), self.where)

    def json(self) -> str:
        models = {name: [r.fields for r in releases] for name, releases in self.models.items()}
        return to_json({"format": _FORMAT, "models": models})


def parse_index(data: bytes, where: str) -> Index:
    """Read an index; raise a UserError that names ``where`` if it is damaged."""
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"not an index of format {_FORMAT}")
        models = {}
        for name, releases in content["models"].items():
            models[name] = [release_of(fields) for fields in releases]
            if any(release.name != name for release in models[name]):
                raise ValueError(f"a release of another name under {name[:80]!r}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{where}: the index is damaged ({reason}) and was not used: publish into it again, or "
            f"name another repository by ${VARIABLE}"
        ) from error
    return Index(models, where)


@dataclass(frozen=True)
class Repository:
    """A repository: a folder on this machine, or an address of a web server."""

    base: Path | str

    def source(self, file: str) -> Path | str:
        """Where a file is, as :func:`gan_kd_ssd.util.download.fetch` takes it."""
        return self.base / file if isinstance(self.base, Path) else f"{self.base}/{file}"

    def address(self, file: str) -> str:
        """Where a file is, for messages."""
        return download.shown(self.source(file))

    def index(self, patience: Patience) -> Index:
        """Read the index.

        Raises:
            download.Unreachable: The server does not answer.
            UserError: There is no repository, or its index is damaged.
        """
        try:
            data = download.read(self.source(INDEX), _LARGEST_INDEX, patience)
        except download.NotThere as error:
            raise UserError(f"{error}: there is no repository; check ${VARIABLE}") from error
        return parse_index(data, self.address(INDEX))


def repository(address: str | None = None) -> Repository | None:
    """The repository at an address (default: $GAN_KD_SSD_REPO); None without an address.

    Raises:
        UserError: The address is neither a folder nor of the form http, https or file.
    """
    text = (os.environ.get(VARIABLE, "") if address is None else address).strip()
    if not text:
        return None
    folder = Path(text).expanduser()
    if "\0" not in text and folder.is_dir():
        return Repository(folder)
    try:
        parts = urlsplit(text)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme in ("http", "https") and host and not (parts.query or parts.fragment):
        return Repository(text.rstrip("/"))
    if scheme == "file" and "\0" not in text:
        folder = text[len("file:") :]
        if folder.startswith("//"):  # file://host/path, as in RFC 8089
            folder = url2pathname(parts.path) if host in (None, "localhost") else ""
        if folder:
            return Repository(Path(folder).expanduser())
    raise UserError(
        f"${VARIABLE} {download.shown(text)!r}: give a folder, https://host/path, "
        "http://host/path or file:/path/to/folder"
    )
