"""Listing of the zoo: all names as a table, and the details of one name."""

from __future__ import annotations

from dataclasses import replace

from gan_kd_ssd.util.tables import aligned
from gan_kd_ssd.zoo.model_names import GLUONCV_PUBLISHES, ModelName, full_name, ours, paper_names
from gan_kd_ssd.zoo.releases import newest
from gan_kd_ssd.zoo.store import Store

#: Fields of a release that ``show`` prints.
_SHOWN = ("file", "size", "sha1", "sha256", "mAP", "evaluated_on", "metric", "epoch", "command")


def rows(store: Store) -> list[dict]:
    """The paper's networks, then all others whose weights are published or in the store.

    ``row`` is the name in ``gan-kd experiments list``; ``paper`` and ``ours`` are mAP in percent;
    ``weights`` is 'here', 'published' or 'none'.
    """
    here = {release.name: release for release in store.releases()}  # the newest of each name
    models, found = store.published(), []
    for name in dict.fromkeys([*paper_names(), *sorted({*models, *here})]):
        what, published = ours(name), newest(models.get(name, ()))
        release = published or here.get(name)
        detail = f"{what.size} px" if what.is_ssd else f"RoI {what.roi_mode}"
        found.append(
            {
                "name": name,
                "row": what.row.name if what.row else None,
                "student": f"{what.network}, {detail}",
                "teacher": f"{what.teacher}, cosine" if what.cosine else what.teacher,
                "data": what.data,
                "paper": what.cell.published if what.cell else None,
                "ours": round(100 * release.mean_ap, 2) if release else None,
                "weights": "here" if name in here else "published" if published else "none",
            }
        )
    return found


def table(found: list[dict]) -> str:
    """The rows for a terminal. What a name says itself is left to the JSON."""
    columns = ("name", "row", "paper", "ours", "weights")
    lines = [columns]
    for row in found:
        cells = [row[column] for column in columns]
        lines.append([f"{c:.1f}" if isinstance(c, float) else c or "-" for c in cells])
    return (
        f"{aligned(lines, right=(2, 3))}\n\nrow: the name in `gan-kd experiments list`\n"
        "paper, ours: mAP in percent in the paper's tables and of the newest weights\n"
    )


def facts(store: Store, text: str) -> dict:
    """Everything about a name, for JSON; raise a UserError for an unknown name."""
    name = full_name(text)
    what = ours(name)
    if what is None:
        from gan_kd_ssd.zoo.networks import check_gluoncv_name

        check_gluoncv_name(name)
        description = "a network of GluonCV's zoo; get_model and fetch pass the name to GluonCV"
        return {"name": name, "what": description, "versions": []}
    name, models = str(what), store.published()
    cell, teacher = what.cell, what.teacher_name()
    versions: dict[str, dict] = {}
    for release in models.get(name, ()):
        versions[release.stem] = {
            "published": store.source.address(release.file),
            **{key: release.fields.get(key) for key in _SHOWN},
        }
    for release in store.releases():
        if release.name == name:
            fields = {key: release.fields.get(key) for key in _SHOWN}
            here = {"here": str(store.root / release.file)}
            versions.setdefault(release.stem, fields).update(here)
    by_gluoncv = teacher in GLUONCV_PUBLISHES
    weights = "published by GluonCV" if by_gluoncv else "to be trained first (--teacher-params)"
    return {
        "name": name,
        "row": what.row.name if what.row else None,
        "what": _description(what),
        "paper": cell and {"table": cell.table, "mAP": cell.published},
        "teacher": teacher and {"name": teacher, "weights": weights},
        "command": what.command().line(),
        "versions": list(versions.values()),
        "hint": _hint(what),
    }


def _description(what: ModelName) -> str:
    kind = f"SSD, {what.size} x {what.size} pixels" if what.is_ssd else "Faster R-CNN"
    kind += ", FPN" if what.network.fpn else ""
    kind += f", RoI {what.roi_mode}" if what.roi_mode else ""
    text = f"{kind}, backbone {what.student}, trained on {what.data}"
    if what.teacher is None:
        return f"{text} without a teacher"
    return f"{text} by GAN-KD from {what.teacher}" + (" with cosine attention" * what.cosine)


def _hint(what: ModelName) -> str | None:
    """For a name that differs from one of the paper's only in cosine attention."""
    other = replace(what, cosine=not what.cosine)
    if what.cell or what.teacher is None or other.cell is None:
        return None
    return f"the paper has {other}: {'with' if other.cosine else 'without'} cosine attention"


def facts_text(found: dict) -> str:
    """:func:`facts` for a terminal."""
    lines = [found["name"]]
    for title, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        if value and title not in ("name", "versions"):
            lines.append(f"  {title}: {value}")
    for version in found["versions"]:
        lines.append("  weights:")
        lines += [f"    {key}: {value}" for key, value in version.items() if value is not None]
    if "command" in found and not found["versions"]:
        lines.append("  weights: none are published or stored locally")
    return "\n".join(lines) + "\n"
