"""Detection of diverged trainings: a number that is not finite stops the training."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.engine.hooks import Hook
from gan_kd_ssd.engine.training_arrays import block_arrays
from gan_kd_ssd.util.errors import UserError

#: Steps that may be queued on the devices before the loop waits for the oldest one. This keeps the
#: devices busy and bounds the memory of the queued batches.
STEPS_IN_FLIGHT = 2


class FiniteFigures(Hook):
    """Stops at the first batch with a figure that is not finite; ``entries`` name a step's figures."""

    def __init__(self, entries: Sequence[str], state_path: Path):
        self._entries, self._state_path = entries, state_path
        self._in_flight: deque = deque()

    def after_step(self, training, vectors) -> None:
        self._in_flight.append((training.progress.batch - 1, vectors))
        if len(self._in_flight) > STEPS_IN_FLIGHT:
            self._check_oldest(training.progress.epoch)

    def after_epoch(self, training) -> None:
        while self._in_flight:
            self._check_oldest(training.progress.epoch)

    def _check_oldest(self, epoch: int) -> None:
        """Name the figures of the oldest queued step that are not finite; waits for the step."""
        batch, vectors = self._in_flight.popleft()
        figures = np.sum([vector.asnumpy() for vector in vectors], axis=0)
        broken = [name for name, v in zip(self._entries, figures) if not np.isfinite(v)]
        if broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            what = f"epoch {epoch}, batch {batch}: not finite: {', '.join(broken[:3])}{more}"
            raise _diverged(what, self._state_path)


class FiniteWeights(Hook):
    """Stops at the end of an epoch if a value of the student is not finite."""

    def __init__(self, net, state_path: Path):
        self._net, self._state_path = net, state_path

    def after_epoch(self, training) -> None:
        check_finite(block_arrays(self._net), self._state_path)


def check_finite(arrays: Mapping[str, np.ndarray], state_path: Path) -> None:
    """Raise :class:`UserError` for an array with a number that is not finite."""
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise _diverged(f"{name} holds a number that is not finite", state_path)


def _diverged(what: str, state_path: Path) -> UserError:
    exists = state_path.exists()
    kept = f"the last good state is {state_path}" if exists else "no state was saved before"
    return UserError(f"{what}: the training has diverged; {kept}; lower --lr, --lrD or --lrG")
