"""What there is: the names as a table, and all about one of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from gan_kd_ssd.util.tables import aligned
from gan_kd_ssd.zoo import names
from gan_kd_ssd.zoo.index import Entry, Index
from gan_kd_ssd.zoo.names import Name
from gan_kd_ssd.zoo.store import Store


@dataclass(frozen=True)
class Row:
    """A line of the list.

    Attributes:
        paper: mAP in the paper's tables, percent. ours: of the newest weights, percent.
        weights: 'here', 'published' (in the repository), or 'none'.
    """

    name: str
    student: str
    teacher: str | None
    data: str
    paper: float | None
    ours: float | None
    weights: str

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def rows(store: Store) -> list[Row]:
    """The paper's networks, then all others whose weights are published or here."""
    here = {entry.name: entry for entry in store.entries()}  # the newest of each name
    index = store.index()
    every = dict.fromkeys([*names.paper_names(), *sorted({*index.models, *here})])
    return [_row(name, here, index) for name in every]


def _row(name: str, here: dict[str, Entry], index: Index) -> Row:
    what, published = names.ours(name), index.find(name)
    entry = published or here.get(name)
    return Row(
        name,
        f"{what.network}, {what.size} px" if what.size else f"{what.network}, RoI {what.roi_mode}",
        f"{what.teacher}, cosine" if what.cosine else what.teacher,
        what.data,
        what.cell.published if what.cell else None,
        round(100 * entry.mean_ap, 2) if entry else None,
        "here" if name in here else "published" if published else "none",
    )


def table(found: list[Row]) -> str:
    """The list for a terminal."""
    lines = [("name", "student", "teacher", "data", "paper", "ours", "weights")]
    for row in found:
        figures = ["-" if value is None else f"{value:.1f}" for value in (row.paper, row.ours)]
        lines.append((row.name, row.student, row.teacher or "-", row.data, *figures, row.weights))
    remark = "paper, ours: mAP in percent, of the paper's tables and of the weights"
    return f"{aligned(lines, right=(4, 5))}\n{remark}\n"


def facts(store: Store, text: str) -> dict:
    """All about a name, for JSON.

    Raises:
        UserError: it is nobody's.
    """
    what = names.ours(text)
    if what is None:
        return _of_gluoncv(text)
    name, index = str(what), store.index()
    cell, teacher = what.cell, what.teacher_name()
    versions: dict[str, dict] = {}
    for entry in index.models.get(name, ()):
        versions[entry.stem] = {"published": store.source.address(entry.file), **_version(entry)}
    for entry in store.entries():
        if entry.name == name:
            versions.setdefault(entry.stem, _version(entry))["here"] = str(store.root / entry.file)
    return {
        "name": name,
        "what": _what(what),
        "paper": cell and {"table": cell.table, "mAP": cell.published},
        "teacher": teacher and {"name": teacher, "weights": _whose(teacher)},
        "command": what.command().line(),
        "versions": list(versions.values()),
        "hint": _hint(what),
    }


def _of_gluoncv(name: str) -> dict:
    from gluoncv import model_zoo

    everything = list(model_zoo.get_model_list())
    if name not in everything:
        raise names.unknown(name, [*names.paper_names(), *everything])
    what = "a network of GluonCV's zoo; get_model and fetch hand the name on to it"
    return {"name": name, "what": what, "versions": []}


def _what(what: Name) -> str:
    kind = f"SSD for {what.size} pixels" if what.size else f"Faster R-CNN, RoI {what.roi_mode}"
    kind += ", FPN" if what.fpn else ""
    text = f"{kind}, backbone {what.student}, trained on {what.data}"
    if what.teacher is None:
        return f"{text}, without a teacher"
    return f"{text} by GAN-KD from {what.teacher}" + (" with cosine attention" * what.cosine)


def _whose(teacher: str) -> str:
    if teacher in names.GLUONCV_PUBLISHES:
        return "GluonCV publishes them"
    return "to be trained: its file goes into --teacher-params"


def _hint(what: Name) -> str | None:
    """Where a name is none of the paper's and differs by cosine attention alone from one that is."""
    if what.cell or what.teacher is None:
        return None
    other = replace(what, cosine=not what.cosine)
    if other.cell is None:
        return None
    return f"the paper's is {other}: {'with' if other.cosine else 'without'} cosine attention"


def _version(entry: Entry) -> dict:
    keys = ("file", "size", "sha1", "sha256", "mAP", "evaluated_on", "metric", "epoch", "command")
    return {key: entry.fields.get(key) for key in keys}


def facts_text(found: dict) -> str:
    """:func:`facts` for a terminal."""
    lines = [found["name"], f"  {found['what']}"]
    if found.get("hint"):
        lines.append(f"  {found['hint']}")
    if found.get("paper"):
        lines.append(f"  paper: table {found['paper']['table']}, mAP {found['paper']['mAP']:.1f}")
    if found.get("teacher"):
        lines.append(f"  teacher: {found['teacher']['name']}; {found['teacher']['weights']}")
    if found.get("command"):
        lines.append(f"  trained by: {found['command']}")
    if "command" in found and not found["versions"]:
        lines.append("  weights: none are published, nor here; none of the paper exist")
    for version in found["versions"]:
        lines.append(f"  weights: {version['file']}, {version['size']:,} bytes")
        lines.append(
            f"    mAP {version['mAP']:.4f} ({version['metric']}) on {version['evaluated_on']}"
        )
        lines += [f"    {key}: {version[key]}" for key in ("sha256", "command") if version[key]]
        lines += [f"    {key}: {version[key]}" for key in ("published", "here") if key in version]
    return "\n".join(lines) + "\n"
