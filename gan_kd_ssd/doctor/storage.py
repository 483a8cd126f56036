"""Checks of processors, memory and disk space, and of the data and weights of the published runs."""

from __future__ import annotations

import shutil
from pathlib import Path

from gan_kd_ssd.doctor import FAIL, OK, WARN, Check, probe
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import damage_by_name, mxnet_home, writable_folder

_GB = 1e9
#: A published Faster R-CNN step on one image of 600 x 800 pixels took 3.2 GB (measured on a CPU).
_LEAST_MEMORY = 4 * _GB
#: VOC 2007 and 2012 with their archives. COCO 2017 needs about ten times as much.
_LEAST_DOWNLOADS = 6 * _GB
#: Weights and training states of a run. A state of the published SSD run holds three optimizers.
_LEAST_RUN = 1 * _GB
_CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
_DATA_SETS = {"voc": "VOC 2007, 2012", "coco": "COCO 2017"}
#: GluonCV's weights that the published SSD run uses.
_WEIGHTS = {
    "teacher weights": ("ssd_512_resnet50_v1_voc", "teacher of the published SSD run"),
    "backbone weights": ("mobilenet1.0", "initial weights of its student"),
}


def checks() -> list[Check]:
    """Checks of the machine, of each data set and of each weights file."""
    import psutil

    home, facts = mxnet_home(), probe.run("data")
    usable = len(psutil.Process().cpu_affinity())
    return [
        Check("processors", OK, f"{usable} of {psutil.cpu_count()} usable"),
        memory(),
        _folder("downloads", home, _LEAST_DOWNLOADS, "set MXNET_HOME to another folder"),
        _folder("runs", Path.cwd(), _LEAST_RUN, "work in another folder or set --save-prefix"),
        *(data_set(name, home, facts) for name in _DATA_SETS),
        *(_weights(home / "models", title, *item) for title, item in _WEIGHTS.items()),
    ]


def memory(limits: tuple[str, ...] = _CONTAINER_LIMITS) -> Check:
    """Check the free memory, and the limit of a container from the first existing file of ``limits``."""
    import psutil

    sizes = psutil.virtual_memory()
    free, found = sizes.available, f"{sizes.available / _GB:.1f} of {sizes.total / _GB:.1f} GB free"
    for file in filter(Path.exists, map(Path, limits)):
        limit = file.read_text().strip()
        if limit.isdigit() and int(limit) < sizes.total:
            free = min(free, int(limit))
            found += f", {int(limit) / _GB:.1f} GB allowed in this container"
        break
    if free < _LEAST_MEMORY:
        remedy = "use a smaller --batch-size and fewer --num-workers"
        return Check("memory", WARN, found, remedy)
    return Check("memory", OK, found)


def _folder(name: str, folder: Path, least: float, remedy: str) -> Check:
    """Check that a folder is writable and has enough free space."""
    try:
        writable_folder(folder, create=False)
    except UserError as error:
        return Check(name, FAIL, str(error).partition(";")[0], remedy)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{folder}: {free / _GB:.1f} GB free"
    if free < least:
        return Check(name, WARN, found, f"free some space ({least / _GB:.0f} GB), or {remedy}")
    return Check(name, OK, found)


def data_set(name: str, home: Path, facts: dict) -> Check:
    """The check of a data set, from the facts of :func:`gan_kd_ssd.doctor.probe.data_facts`."""
    title, folder = _DATA_SETS[name], home / "datasets" / name
    missing = facts.get("error") or "; ".join(facts.get(name, ()))
    if folder.is_dir() and not missing:
        return Check(title, OK, f"{folder}: complete")
    found = f"{folder}: {missing if folder.is_dir() else 'no such folder'}"
    remedy = f"run `gan-kd data prepare {name}`, or train on your own images"
    return Check(title, WARN, found, remedy)


def _weights(folder: Path, title: str, network: str, use: str) -> Check:
    """Check that GluonCV's file of a network is present and intact."""
    file = min(folder.glob(f"{network}-{'[0-9a-f]' * 8}.params"), default=None)
    if file is None:
        remedy = "it is downloaded on first use; without a network connection, copy it there"
        return Check(title, WARN, f"{network} is not in {folder} ({use})", remedy)
    wrong = damage_by_name(file)
    if wrong:
        return Check(title, WARN, f"{file}: {wrong}", "delete it, so that it is downloaded again")
    return Check(title, OK, f"{file}, {use}")
