"""What the entries of a step's vector mean, and the figures that a log prints of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Figures that have one value a level, in the order of a step's vector.
LEVEL_FIGURES = ("Loss_D_real", "Loss_D_fake", "Loss_G", "cosine")


class Figures:
    """Reads sums of the vectors of steps.

    A vector holds the detector's losses (means over the batch's images), then a sum and a number for
    each of its counts, then, with a GAN, a value a level for each of :data:`LEVEL_FIGURES`.

    Args:
        losses, counts: names, of the detector. strides: of the levels with a discriminator, pixels.
        levels: 'mean' or 'sum' over levels; the cosine distance is always the mean.
    """

    def __init__(
        self,
        losses: Sequence[str],
        counts: Sequence[str] = (),
        strides: Sequence[int] = (),
        levels: str = "mean",
    ):
        self.losses, self.counts = list(losses), list(counts)
        self._strides, self._levels = list(strides), levels

    @property
    def entries(self) -> list[str]:
        """Names of the entries of a vector with all levels, for messages."""
        names = list(self.losses)
        for name in self.counts:
            names += [f"sum of {name}", f"number of {name}"]
        for name in LEVEL_FIGURES:
            names += [
                f"{name} of level {index} (stride {s})" for index, s in enumerate(self._strides)
            ]
        return names

    def of_epoch(self, sums: np.ndarray, batches: int) -> dict[str, float]:
        """Means over the batches of an epoch so far, from the sum (N,) of their vectors.

        The detector's losses, then Loss_G and Loss_D, None in vectors without levels (the published
        logs print nan there); with levels, Loss_D_real, Loss_D_fake and cosine follow.
        """
        means = sums / batches
        figures = dict(zip(self.losses, means.tolist()))
        rest = means[len(self.losses) + 2 * len(self.counts) :]
        figures.update({"Loss_G": None, "Loss_D": None})
        if len(rest):
            scale = 1.0 / len(self._strides)
            rows = rest.reshape(len(LEVEL_FIGURES), len(self._strides)).sum(axis=1)
            found = {
                name: float(row) * (scale if self._levels == "mean" or name == "cosine" else 1.0)
                for name, row in zip(LEVEL_FIGURES, rows)
            }
            figures["Loss_G"] = found["Loss_G"]
            figures["Loss_D"] = found["Loss_D_real"] - found["Loss_D_fake"]
            figures.update(found)
        return figures

    def counted(self, sums: np.ndarray) -> dict[str, float]:
        """Figures that are counted, from the sum of the vectors they are counted over."""
        start = len(self.losses)
        pairs = sums[start : start + 2 * len(self.counts)].reshape(-1, 2)
        return {name: float(s / max(n, 1e-12)) for name, (s, n) in zip(self.counts, pairs)}
