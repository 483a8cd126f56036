"""Files that a run leaves: parameters for GluonCV, and the whole state of a training.

Every file is written beside its name, forced to the disk, and renamed: what stood there before stays
until the new one is whole.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

STATE_FORMAT = 1
_META = "meta.json"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """:func:`gan_kd_ssd.util.files.write_atomically`, for what MXNet writes as well."""
    files.write_atomically(path, write, (OSError, mx.MXNetError))


def save_parameters(net, path: Path) -> None:
    """Write a network's parameters as plain GluonCV reads them (``load_parameters``)."""

    def write(temporary: Path) -> None:
        net.save_parameters(str(temporary))
        # MXNet's writer can lose what a full disk refused at the last moment: read the file again.
        expected = {key: p.shape for key, p in net._collect_params_with_prefix().items()}
        found = {key: value.shape for key, value in mx.nd.load(str(temporary)).items()}
        if found != expected:
            raise OSError(None, "the file came out incomplete")

    write_atomically(path, write)


def block_arrays(block) -> dict[str, np.ndarray]:
    """All values of a block by structural name; one a device for those that differ (running means)."""
    arrays = {}
    for name, parameter in block._collect_params_with_prefix().items():
        copies = parameter.list_data()
        for device, value in enumerate(copies if parameter.grad_req == "null" else copies[:1]):
            arrays[f"{name}@{device}"] = value.asnumpy()
    return arrays


def restore_block(block, arrays: dict[str, np.ndarray]) -> None:
    """Put values of :func:`block_arrays` back, on every device.

    Raises:
        KeyError, ValueError: names or shapes of another network.
    """
    parameters = block._collect_params_with_prefix()
    expected = {f"{name}@0" for name in parameters}
    if expected != {key for key in arrays if key.endswith("@0")}:
        raise KeyError("parameters of another network")
    for name, parameter in parameters.items():
        for device, value in enumerate(parameter.list_data()):
            kept = arrays.get(f"{name}@{device}", arrays[f"{name}@0"])
            if kept.shape != value.shape:
                raise ValueError(f"{name} has shape {value.shape}, there it has {kept.shape}")
            # Not value[:] = kept: it fails for arrays that oneDNN holds in a layout of its own.
            mx.nd.array(kept, ctx=value.context, dtype=kept.dtype).copyto(value)


def trainer_arrays(trainer) -> tuple[dict[str, np.ndarray], dict]:
    """State of a trainer's optimizer: arrays, and the counts of its updates (plain types)."""
    arrays = {}
    for index, state in trainer._updaters[0].states.items():
        parts = state if isinstance(state, (tuple, list)) else [state]
        for part, value in enumerate(parts):
            if value is not None:
                arrays[f"{index}.{part}.{len(parts)}"] = value.asnumpy()
    optimizer = trainer.optimizer
    counts = {str(k): v for k, v in optimizer._all_index_update_counts.get(0, {}).items()}
    return arrays, {"num_update": optimizer.num_update, "updates": counts}


def restore_trainer(trainer, arrays: dict[str, np.ndarray], counts: dict) -> None:
    """Put the state of :func:`trainer_arrays` back, on every device."""
    states: dict[int, dict[int, np.ndarray]] = {}
    lengths = {}
    for key, value in arrays.items():
        index, part, length = (int(text) for text in key.split("."))
        states.setdefault(index, {})[part] = value
        lengths[index] = length
    updates = {int(k): v for k, v in counts["updates"].items()}
    for updater, ctx in zip(trainer._updaters, trainer._contexts):
        for index, parts in states.items():
            values = [mx.nd.array(parts[i], ctx=ctx) for i in range(lengths[index])]
            updater.states[index] = values[0] if len(values) == 1 else tuple(values)
            updater.states_synced[index] = True
    optimizer = trainer.optimizer
    optimizer.num_update = counts["num_update"]
    for ctx in trainer._contexts:
        optimizer._all_index_update_counts[ctx.device_id] = dict(updates)


def save_state(path: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write a training state: arrays by name and plain facts, as a zip of .npy files and JSON."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.writestr(_META, json.dumps({"format": STATE_FORMAT, **meta}))
            for name, value in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)

    write_atomically(path, write)


def is_state(path: Path) -> bool:
    """Whether a file to resume from is a training state rather than parameters alone.

    Raises:
        UserError: there is no such file.
    """
    if not path.is_file():
        raise UserError(f"--resume {path}: no such file; give PREFIX_state.zip or a .params file")
    return zipfile.is_zipfile(path)


def load_state(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and facts of a training state; nothing in the file is executed.

    Raises:
        UserError: missing, damaged, or of another format.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            meta = json.loads(archive.read(_META))
            if meta.get("format") != STATE_FORMAT:
                raise UserError(
                    f"--resume {path}: format {meta.get('format')}, this version reads {STATE_FORMAT}"
                )
            for name in archive.namelist():
                if name != _META:
                    with archive.open(name) as file:
                        value = np.lib.format.read_array(file, allow_pickle=False)
                    arrays[name[: -len(".npy")]] = value
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        raise UserError(f"--resume {path}: not a whole training state ({error})") from error
    return arrays, meta


def group(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays below ``prefix/``, without it."""
    start = len(prefix) + 1
    return {key[start:]: value for key, value in arrays.items() if key.startswith(prefix + "/")}
