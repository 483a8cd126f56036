"""A function of two maps, compiled for all pairs of levels."""

from __future__ import annotations

from collections.abc import Callable

from gan_kd_ssd.util.mxnet import mx


class LevelGraph(mx.gluon.HybridBlock):
    """A distance of each pair of levels, as one graph.

    Args:
        distance: (F, map, map) -> (B, 1).
        adapters: applied to the student's maps, or None.

    A call takes L maps of the student, then L of the teacher, and gives distances (B, L).
    """

    def __init__(self, distance: Callable, adapters=None, **kwargs):
        super().__init__(**kwargs)
        self._distance = distance
        self.adapters = adapters

    def hybrid_forward(self, F, *levels):
        count = len(levels) // 2
        student, teacher = levels[:count], levels[count:]
        if self.adapters is not None:
            student = self.adapters(*student)
        distances = [self._distance(F, s, t) for s, t in zip(student, teacher)]
        return F.concat(*distances, dim=1)
