"""What a repository publishes: the entries of its index, each a version of a network's weights.

The index is JSON, ``{"format": 1, "models": {NAME: [ENTRY, ...]}}``, the newest version last. An entry
holds what :class:`Entry` names; whatever else it holds is kept. The same JSON of one entry stands beside
its weights, in the repository and in a local store: ``NAME-12345678.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected
from gan_kd_ssd.zoo.names import Name, ours

INDEX = "index.json"
FORMAT = 1
#: Greatest size of an index or entry that is read, bytes.
MOST = 16 << 20
#: Names of weights in a store: name and 8 hex digits of the sha1, as GluonCV's.
FILE = re.compile(r"(?P<name>[a-z0-9_.]+)-(?P<hash>[0-9a-f]{8})\.(?P<kind>params|json)", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One version of a network's weights, checked; ``fields`` is all that its JSON holds.

    Attributes:
        name: of the zoo. sha1, sha256: of the file. size: of the file, bytes.
        classes: foreground classes. mean_ap: on the data that chose the weights, 0 to 1.
        input_size: one side of an SSD's square input, or the short and the greatest side of a Faster
            R-CNN's, pixels. published: when, ISO 8601 in UTC. norm_layer: 'bn' of a Faster R-CNN whose
            BatchNorm was trained, else None.
    """

    name: str
    sha1: str
    sha256: str
    size: int
    classes: list[str]
    mean_ap: float
    input_size: tuple[int, ...]
    published: str
    norm_layer: str | None
    fields: dict

    @property
    def version(self) -> str:
        """8 hex digits."""
        return self.sha1[:8]

    @property
    def stem(self) -> str:
        """The names of all its files begin with it."""
        return f"{self.name}-{self.version}"

    @property
    def file(self) -> str:
        return f"{self.stem}.params"

    @property
    def expected(self) -> Expected:
        """What the weights' file has to be."""
        return Expected(self.sha1, self.sha256, self.size)

    @property
    def what(self) -> Name:
        """What the name says."""
        return ours(self.name)

    def text(self) -> str:
        """As JSON, for the file beside the weights."""
        return json.dumps(self.fields, indent=1, ensure_ascii=False) + "\n"


def entry_of(fields) -> Entry:
    """Check what an index or a file beside weights says of a version.

    Its file must have the one name that follows from name and hash: nothing in an index can lead out
    of a folder.

    Raises:
        ValueError: it is not an entry.
    """
    if not isinstance(fields, dict):
        raise ValueError("not an entry")
    name = _text(fields, "name")
    what = ours(name)
    if what is None or str(what) != name:
        raise ValueError(f"{name[:80]!r} is no name of this zoo")
    sha1, sha256 = _hex(fields, "sha1", 40), _hex(fields, "sha256", 64)
    size, mean_ap, norm_layer = fields.get("size"), fields.get("mAP"), fields.get("norm_layer")
    if type(size) is not int or not 0 < size < 1 << 40:
        raise ValueError(f"size {size!r:.80}")
    if type(mean_ap) not in (int, float) or not 0 <= mean_ap <= 1:
        raise ValueError(f"mAP {mean_ap!r:.80}")
    if norm_layer not in (None, "bn"):
        raise ValueError(f"norm_layer {norm_layer!r:.80}")
    entry = Entry(
        *(name, sha1, sha256, size, _classes(fields), float(mean_ap), _sides(fields, what)),
        published=_text(fields, "published"),
        norm_layer=norm_layer,
        fields=fields,
    )
    if fields.get("file") != entry.file:
        raise ValueError(f"file {fields.get('file')!r:.80} instead of {entry.file}")
    return entry


def _classes(fields: dict) -> list[str]:
    classes = fields.get("classes")
    if not isinstance(classes, list) or not classes or not all(map(_printable, classes)):
        raise ValueError("classes are not a list of names")
    return list(classes)


def _sides(fields: dict, what: Name) -> tuple[int, ...]:
    shape = fields.get("data_shape")
    sides = shape if isinstance(shape, list) else [shape]
    if len(sides) != (1 if what.detector == "ssd" else 2) or not all(
        type(side) is int and 0 < side < 1 << 16 for side in sides
    ):
        raise ValueError(f"data_shape {shape!r:.80}")
    return tuple(sides)


def _printable(text) -> bool:
    return isinstance(text, str) and bool(text) and text.isprintable()


def _text(fields: dict, key: str) -> str:
    if not _printable(fields.get(key)):
        raise ValueError(f"{key} {fields.get(key)!r:.80}")
    return fields[key]


def _hex(fields: dict, key: str, digits: int) -> str:
    text = fields.get(key)
    if not isinstance(text, str) or not re.fullmatch(rf"[0-9a-f]{{{digits}}}", text, re.ASCII):
        raise ValueError(f"{key} {text!r:.80}")
    return text


@dataclass(frozen=True)
class Index:
    """Versions by name, the newest last. ``where`` it was read from is for messages."""

    models: dict[str, list[Entry]]
    where: str = ""

    def find(self, name: str, version: str | None = None) -> Entry | None:
        """The newest version of a network, or the one whose sha1 begins with ``version``."""
        found = [e for e in self.models.get(name, ()) if e.sha1.startswith(version or "")]
        return found[-1] if found else None

    def entries(self) -> Iterable[Entry]:
        """All versions."""
        return (entry for versions in self.models.values() for entry in versions)

    def with_entry(self, entry: Entry) -> Index:
        """The index with a version as the newest of its name."""
        before = [e for e in self.models.get(entry.name, ()) if e.sha1 != entry.sha1]
        models = {**self.models, entry.name: [*before, entry]}
        return Index(dict(sorted(models.items())), self.where)

    def text(self) -> str:
        """As JSON."""
        models = {name: [e.fields for e in found] for name, found in self.models.items()}
        return json.dumps({"format": FORMAT, "models": models}, indent=1, ensure_ascii=False) + "\n"


def parse_index(data: bytes, where: str) -> Index:
    """Read and check an index.

    Raises:
        UserError: it is damaged, or of a later format; names ``where``.
    """
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or not isinstance(content.get("models"), dict):
            raise ValueError("not an index")
        if content.get("format") != FORMAT:
            raise ValueError(f"format {content.get('format')!r:.80}, this version reads {FORMAT}")
        models = {}
        for name, versions in content["models"].items():
            if not isinstance(versions, list):
                raise ValueError(f"{name[:80]!r} has no list of versions")
            models[name] = [entry_of(fields) for fields in versions]
            if any(entry.name != name for entry in models[name]):
                raise ValueError(f"a version of another name under {name[:80]!r}")
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{where}: the index is damaged ({reason}); nothing was taken from it: publish into it "
            "again, or name another repository by $GAN_KD_SSD_REPO"
        ) from error
    return Index(models, where)
