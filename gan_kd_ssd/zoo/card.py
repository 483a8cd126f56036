"""The model card of published weights, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from gan_kd_ssd.config.distill_config import inferred_options
from gan_kd_ssd.zoo.index import Entry
from gan_kd_ssd.zoo.names import GLUONCV_PUBLISHES
from gan_kd_ssd.zoo.trained_run import Trained


def card(entry: Entry, trained: Trained, released: dict[str, tuple[str, int]]) -> str:
    """The card.

    Args:
        released: sha256 and size (bytes) of each file of the release but the card.
    """
    parts = [
        f"# {entry.name}",
        _what(entry, trained),
        _figures(entry, trained),
        _training(entry, trained),
        _use(entry),
        _files(released),
        _terms(entry, trained),
    ]
    return "\n\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value) -> str:
    """A value in a table of Markdown, on one line."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _what(entry: Entry, trained: Trained) -> str:
    what, paper = entry.what, "[arXiv 1906.08467](https://arxiv.org/abs/1906.08467)"
    if what.detector == "ssd":
        detector = f"An SSD for {what.size} x {what.size} pixels"
    else:
        short, most = entry.input_size
        detector = f"A Faster R-CNN (RoI {what.roi_mode}, sides of {short} to {most} pixels)"
    text = f"{detector} with the backbone `{what.network}`, for {len(entry.classes)} classes"
    if what.teacher is None:
        return f"{text}, trained without a teacher."
    cosine = " and cosine attention" if what.cosine else ""
    return (
        f"{text}. It learnt from a trained `{what.teacher}` by GAN knowledge distillation{cosine} "
        f"({paper}), in an implementation that is not the authors'."
    )


def _figures(entry: Entry, trained: Trained) -> str:
    rows = [("**mean (mAP)**", f"**{entry.mean_ap:.4f}**")]
    for name, value in trained.best.classes.items():
        rows.append((name, "-" if value is None or value != value else f"{value:.4f}"))
    fields = entry.fields
    lines = [
        "## How good it is",
        f"Average precision ({fields['metric']}) on {fields['evaluated_on']}, the data that also "
        f"chose the epoch ({fields['epoch']} of {fields['last_epoch']} trained):",
        _table(("class", "AP"), rows),
    ]
    cell = entry.what.cell
    if cell:
        gap = 100 * entry.mean_ap - cell.published
        lines.append(
            f"The paper's table {cell.table} has {cell.published:.1f} for this pair; these weights "
            f"have {100 * entry.mean_ap:.1f} ({gap:+.1f})."
        )
    return "\n\n".join(lines)


def _training(entry: Entry, trained: Trained) -> str:
    info = trained.info
    lines = ["## How it was trained", f"```\n{trained.command.line()}\n```"]
    lines += [f"{remark}." for remark in trained.command.remarks]
    data = [
        (role, of.get("name", "-"), of.get("images", "-"), of.get("objects", "-"))
        for role, of in info.get("data", {}).items()
    ]
    if data:
        lines.append(_table(("data", "name", "images", "objects"), data))
    teacher = info.get("teacher")
    if teacher:
        file, name = PurePath(teacher["file"]).name, entry.what.teacher_name()
        origin = ", published by GluonCV" if name in GLUONCV_PUBLISHES else ""
        lines.append(
            f"Teacher: `{file}` ({name}{origin}), mAP {teacher['mAP']:.4f} on the same validation "
            f"data, sha256 `{teacher['sha256']}`."
        )
    lines.append(
        _table(("software", "version"), sorted(info.get("versions", {}).items()))
        + f"\n\nTrained parameters: {info.get('parameters', 0):,}. "
        f"Devices: {', '.join(map(str, info.get('devices', ())))}."
    )
    return "\n\n".join(lines)


def _use(entry: Entry) -> str:
    return f"""## How to use it

With `GAN_KD_SSD_REPO` set to the address of the folder that this card is in:

```
gan-kd zoo fetch {entry.name}
python eval_voc.py --network {entry.name} --pretrained True --dataset DATA
```

```python
from gan_kd_ssd.zoo import get_model

net = get_model("{entry.name}", pretrained="{entry.version}")  # a plain GluonCV block
```"""


def _files(released: dict[str, tuple[str, int]]) -> str:
    rows = [(f"`{name}`", f"{size:,}", f"`{digest}`") for name, (digest, size) in released.items()]
    return "## Files\n\n" + _table(("file", "bytes", "sha256"), rows)


def _terms(entry: Entry, trained: Trained) -> str:
    lines = [
        "## Terms, and what is inferred",
        f"Licence of these weights: {entry.fields['licence']}. The images that they were trained on, "
        "and the weights that they started from, have terms of their own.",
    ]
    if entry.what.teacher is None:
        return "\n\n".join(lines)
    lines.append(
        "Published of the method: a discriminator for each level, the two losses, the clamp, the "
        "phases. The authors published no code and no weights; what the paper leaves open is inferred "
        "here:"
    )
    rows = [
        (words, f"`--{option.replace('_', '-')} {trained.options[option]}`")
        for option, words in inferred_options().items()
        if option in trained.options
    ]
    lines.append(_table(("inferred", "in this run"), rows))
    return "\n\n".join(lines)
