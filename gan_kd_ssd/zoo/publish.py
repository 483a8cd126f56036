"""A training run made into a release: files named after their content, a card, a line of the index."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import numpy as np

from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from gan_kd_ssd.zoo import zoo_networks as networks
from gan_kd_ssd.zoo.card import card
from gan_kd_ssd.zoo.index import INDEX, Entry, Index, entry_of, parse_index
from gan_kd_ssd.zoo.names import Name
from gan_kd_ssd.zoo.trained_run import Trained, checked_name, find

#: What of a run is released beside its weights: kind -> key in the index.
_BESIDE = {"train.log": "log", "metrics.jsonl": "metrics"}

#: What the option --metric of a run stands for; a run without it has the published one.
_METRICS = {
    "voc07": "VOC07, IoU 0.5",
    "voc12": "VOC12, IoU 0.5",
    "coco": "COCO, IoU 0.5 to 0.95",
}


def publish(
    run: str | Path, to: str | Path, name: str | None = None, licence: str | None = None
) -> Entry:
    """Release the best weights of a run into a folder, as the newest version of their name.

    The folder serves them at once, as ``GAN_KD_SSD_REPO=file:FOLDER`` or through any web server. The
    index is written last: who reads it finds every file whole. Publishing the same run again changes
    nothing but the time.

    Args:
        run: prefix of a run's files, its ``.params`` file or its folder. name: where the one that
            follows from the run's options is not meant. licence: of the weights, a line for the card.

    Raises:
        UserError: the run is incomplete, the name does not fit, the weights are not of that network,
            or the folder cannot be written.
    """
    trained = find(str(run))
    what = checked_name(trained, name) if name else trained.name
    weights = trained.file("best.params")
    sides = _check_weights(trained, what)
    folder = files.writable_folder(Path(to).expanduser(), "--to")
    with files.locked(folder / f".{INDEX}.lock"):
        index = _index(folder)
        entry = entry_of(_fields(trained, what, sides, licence, files.digests(weights)))
        released = _copy(trained, entry, folder)
        if released[entry.file] != (entry.sha256, entry.size):
            raise UserError(f"{weights}: is being written; publish the run when it has ended")
        files.write_text(folder / f"{entry.stem}.md", card(entry, trained, released))
        files.write_text(folder / f"{entry.stem}.json", entry.text())
        files.write_text(folder / INDEX, index.with_entry(entry).text())
    return entry


def _copy(trained: Trained, entry: Entry, folder: Path) -> dict[str, tuple[str, int]]:
    """Copy a run's files under their names in a release; returns sha256 and size of each."""
    names = {"best.params": entry.file, **{kind: f"{entry.stem}_{kind}" for kind in _BESIDE}}
    released = {}
    for kind, file in names.items():
        source, target = trained.file(kind), folder / file
        files.write_atomically(target, lambda copy, s=source: shutil.copyfile(s, copy))
        released[file] = (*files.digests(target, ["sha256"]), target.stat().st_size)
    return released


def _index(folder: Path) -> Index:
    """The folder's index, an empty one in a new folder."""
    path = folder / INDEX
    return parse_index(path.read_bytes(), str(path)) if path.exists() else Index({}, str(path))


def _check_weights(trained: Trained, what: Name) -> tuple[int, ...]:
    """Load the weights into their network; returns its input size, as in :class:`Entry`.

    Raises:
        UserError: they are another network's, damaged, or not finite.
    """
    weights, options = trained.file("best.params"), trained.options
    settings = {}
    if what.detector == "faster_rcnn":
        settings = {key: options.get(key) for key in ("short", "max_size", "norm_layer")}
    detector = networks.build(what, classes=trained.info["classes"], **settings)
    detector.load(weights, [mx.cpu()], option="publish")
    for name, value in mx.nd.load(str(weights)).items():
        if not np.isfinite(value.asnumpy()).all():
            raise UserError(f"{weights}: {name} holds a number that is not finite; train it again")
    return (what.size,) if what.detector == "ssd" else (detector.short, detector.max_size)


def _fields(
    trained: Trained,
    what: Name,
    sides: tuple[int, ...],
    licence: str | None,
    sums: tuple[str, str],
) -> dict:
    """What the index holds of the release."""
    info, best = trained.info, trained.best
    stem = f"{what}-{sums[0][:8]}"
    teacher, metric = info.get("teacher"), trained.options.get("metric") or "voc07"
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "name": str(what),
        "file": f"{stem}.params",
        "sha1": sums[0],
        "sha256": sums[1],
        "size": trained.file("best.params").stat().st_size,
        "network": what.network,
        "data_shape": sides[0] if what.detector == "ssd" else list(sides),
        "norm_layer": trained.options.get("norm_layer"),
        "classes": info["classes"],
        "parameters": info.get("parameters"),
        "teacher": teacher and {"network": what.teacher, **_without_folder(teacher)},
        "mAP": best.mean,
        "class_mAP": {k: None if v is None or v != v else v for k, v in best.classes.items()},
        "metric": _METRICS.get(metric, str(metric)),
        "evaluated_on": str(info.get("data", {}).get("val", {}).get("name", "validation data")),
        "epoch": best.epoch,
        "last_epoch": trained.last_epoch,
        "command": trained.command.line(),
        "namespace": trained.options,
        "versions": info.get("versions", {}),
        "licence": " ".join((licence or "not stated by their publisher").split()),
        "card": f"{stem}.md",
        **{key: f"{stem}_{kind}" for kind, key in _BESIDE.items()},
        "published": now.isoformat(timespec="microseconds"),
    }


def _without_folder(teacher: dict) -> dict:
    """The teacher's facts without the folders of the machine that trained it."""
    return {**teacher, "file": Path(teacher["file"]).name}
