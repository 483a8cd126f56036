"""Checkpoints: parameter files for GluonCV, and training states.

Every file is written under a temporary name, flushed to the disk and renamed, so that an earlier file
stays until the new one is complete.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan_kd_ssd.distill.method import Method
from gan_kd_ssd.engine import training_arrays
from gan_kd_ssd.engine.divergence import check_finite
from gan_kd_ssd.engine.figure_sums import FigureSums
from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.engine.progress import Progress
from gan_kd_ssd.engine.runlog import RunLog
from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

STATE_FORMAT = 1
_META = "meta.json"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """:func:`gan_kd_ssd.util.files.write_atomically` that handles MXNet's errors as well."""
    files.write_atomically(path, write, (OSError, mx.MXNetError))


def save_parameters(net, path: Path) -> None:
    """Write the parameters of a network for ``load_parameters`` of plain GluonCV."""

    def write(temporary: Path) -> None:
        net.save_parameters(str(temporary))
        # MXNet's writer can miss that a full disk refused its last bytes: read the file again.
        expected = {key: p.shape for key, p in net._collect_params_with_prefix().items()}
        found = {key: value.shape for key, value in mx.nd.load(str(temporary)).items()}
        if found != expected:
            raise OSError(None, "the file is incomplete")

    write_atomically(path, write)


def save_state(path: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write a training state: NumPy's archive of arrays with ``meta.json`` in it."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_META, json.dumps({"format": STATE_FORMAT, **meta}))

    write_atomically(path, write)


def is_state(path: Path) -> bool:
    """Whether a file to resume from is a training state; otherwise it holds parameters only.

    Raises:
        UserError: there is no such file.
    """
    if not path.is_file():
        raise UserError(f"--resume {path}: no such file; give PREFIX_state.zip or a .params file")
    return zipfile.is_zipfile(path)


def load_state(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read the arrays and the metadata of a training state; no code in the file is executed.

    Raises:
        UserError: the file is missing, damaged or of another format.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            meta = json.loads(archive[_META])
            if meta.get("format") != STATE_FORMAT:
                raise UserError(
                    f"--resume {path}: format {meta.get('format')}, this version reads {STATE_FORMAT}"
                )
            arrays = {name: archive[name] for name in archive.files if name != _META}
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        raise UserError(f"--resume {path}: not a complete training state ({error})") from error
    return arrays, meta


class Checkpoints(Hook):
    """Saves the best parameters, the parameters of each interval, and the state of the training.

    The state holds everything that the rest of the run depends on. Random numbers are not part of it:
    order, augmentation and MXNet's seed follow from the run's seed, the epoch and the batch.

    Args:
        log: the run's log.
        saved: epochs after which parameters are saved.
        method: blocks and trainers of the state; the block "student" is the saved network.
        sums: figures of the steps.
        fixed: values that a resumed run must share with this run.
        reported: values whose changes a resumed run reports.
    """

    def __init__(
        self,
        log: RunLog,
        saved: range,
        method: Method,
        sums: FigureSums,
        fixed: dict,
        reported: dict,
    ):
        self._log, self._saved, self._method, self._sums = log, saved, method, sums
        self._fixed, self._reported = fixed, reported

    def after_validation(self, training, evaluation) -> None:
        if evaluation.mean_ap > training.progress.best_map:
            save_parameters(self._method.blocks["student"], self._log.best)
            line = f"{training.progress.epoch:04d}:\t{evaluation.mean_ap:.4f}\n"
            self._log.append("best_map.log", line)

    def save(self, training, epoch: int, mean_ap: float) -> None:
        """Write the files of an interval; the state is last, so that a killed run repeats the epoch."""
        if epoch in self._saved:
            path = Path(f"{self._log.prefix}_{epoch:04d}_{mean_ap:.4f}.params")
            save_parameters(self._method.blocks["student"], path)
            training.call("after_save", epoch, path)
        if epoch in self._saved or epoch == training.phases[-1].last:
            self.save_state(training.progress)

    def save_state(self, progress: Progress) -> None:
        """Write the state of the training; no state with a number that is not finite is written."""
        self._sums.read(progress)
        groups, counts = {}, {}
        for name, block in self._method.blocks.items():
            groups[f"blocks/{name}"] = training_arrays.block_arrays(block)
        for name, trainer in self._method.trainers.items():
            groups[f"trainers/{name}"], counts[name] = training_arrays.trainer_arrays(trainer)
        arrays = {
            f"{group}/{key}": v for group, found in groups.items() for key, v in found.items()
        }
        check_finite(arrays, self._log.state)
        meta = {"progress": progress.to_json(), "trainers": counts}
        save_state(
            self._log.state, arrays, {**meta, "fixed": self._fixed, "options": self._reported}
        )

    def keep(self, progress: Progress) -> str:
        """Write the state of an interrupted training; returns how to continue it, for the message."""
        self.save_state(progress)
        return (
            f" at epoch {progress.epoch}, batch {progress.batch}; continue with the same command and "
            f"--resume {self._log.state}"
        )

    def restore(self, path: Path) -> Progress:
        """Restore the state that was written to ``path``; returns where to continue.

        Raises:
            UserError: the file is damaged, or its run had another network or other data.
        """
        arrays, meta = load_state(path)

        def group(prefix: str) -> dict[str, np.ndarray]:
            found = (key for key in arrays if key.startswith(f"{prefix}/"))
            return {key[len(prefix) + 1 :]: arrays[key] for key in found}

        try:
            self._check_options(path, meta)
            for name, block in self._method.blocks.items():
                training_arrays.restore_block(block, group(f"blocks/{name}"))
            for name, trainer in self._method.trainers.items():
                training_arrays.restore_trainer(
                    trainer, group(f"trainers/{name}"), meta["trainers"][name]
                )
            return Progress.from_json(meta["progress"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"--resume {path}: the file belongs to another network or is damaged ({error})"
            ) from error

    def _check_options(self, path: Path, meta: dict) -> None:
        for name, value in self._fixed.items():
            if meta["fixed"][name] != value:
                raise UserError(
                    f"--resume {path}: the state was written with {name.replace('_', '-')} "
                    f"{meta['fixed'][name]!r}, but this run has {value!r}; use the same value"
                )
        for name, value in self._reported.items():
            before = meta["options"].get(name, value)
            if before != value:
                self._log.say(f"resumed with {name} {value!r}, before {before!r}")
