"""Figures of a step, packed into a vector on the device and read from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gan_kd_ssd.distill.terms.term import Term
from gan_kd_ssd.util.mxnet import mx

#: Figures that every line of the published logs has; ``nan`` stands if no discriminator is trained.
ALWAYS_LOGGED = ("Loss_G", "Loss_D")


class Figures:
    """Packs the figures of a step into one vector for each device, and reads sums of such vectors.

    One vector crosses from the device to the host, because each read of an array waits for the device.
    A vector holds the detector's losses (means over the batch's images), then a sum and a number for
    each of its counts, then, in steps with distillation, a value for each level and figure of the terms.

    Args:
        losses: names of the detector's losses.
        counts: names of the detector's counted figures.
        terms: distillation terms.
        strides: strides of the paired levels in pixels, finest first.
    """

    def __init__(
        self,
        losses: Sequence[str],
        counts: Sequence[str] = (),
        terms: Sequence[Term] = (),
        strides: Sequence[int] = (),
    ):
        self.losses, self.counts = list(losses), list(counts)
        self._terms, self._strides = list(terms), list(strides)
        self._level_names = [name for term in terms for name in term.figures]

    def pack(self, losses: dict, counts: dict, levels: dict | None = None):
        """The vector (N,) of one device's part of a batch.

        Args:
            losses: arrays (B,) by name.
            counts: sum (1,) and number (1,) by name.
            levels: arrays (L,) by name, means over the batch's images; None without distillation.
        """
        of_losses = [losses[name].detach().sum() for name in self.losses]
        of_counts = [array for name in self.counts for array in counts[name]]
        of_levels = [levels[name] for name in self._level_names] if levels else []
        return mx.nd.concat(*of_losses, *of_counts, *of_levels, dim=0)

    @property
    def entries(self) -> list[str]:
        """Names of the entries of a vector with all levels, for messages."""
        of_counts = [f"{kind} of {name}" for name in self.counts for kind in ("sum", "number")]
        of_levels = [
            f"{name} of level {index} (stride {stride})"
            for name in self._level_names
            for index, stride in enumerate(self._strides)
        ]
        return [*self.losses, *of_counts, *of_levels]

    def of_epoch(self, sums: np.ndarray, batches: int) -> dict[str, float | None]:
        """Means over the batches of an epoch so far, from the sum (N,) of their vectors.

        Figures of :data:`ALWAYS_LOGGED` are None if no term computes them.
        """
        means = sums / batches
        figures = dict(zip(self.losses, means.tolist()))
        figures.update(dict.fromkeys(ALWAYS_LOGGED))
        rest = means[len(self.losses) + 2 * len(self.counts) :]
        if len(rest):
            rows = rest.reshape(len(self._level_names), len(self._strides)).sum(axis=1)
            of_levels = dict(zip(self._level_names, rows))
            for term in self._terms:
                scale = 1.0 / len(self._strides) if term.level_total == "mean" else 1.0
                totals = {name: float(of_levels[name]) * scale for name in term.figures}
                figures.update(term.logged(totals))
        return figures

    def counted(self, sums: np.ndarray) -> dict[str, float]:
        """The counted figures, from the sum of the vectors over which they are counted."""
        pairs = sums[len(self.losses) :][: 2 * len(self.counts)].reshape(-1, 2)
        return {name: float(s / max(n, 1e-12)) for name, (s, n) in zip(self.counts, pairs)}
