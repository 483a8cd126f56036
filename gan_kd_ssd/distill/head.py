"""Initialisation of the student's predictors from the trained teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from gan_kd_ssd.distill.adapter import LevelPair
from gan_kd_ssd.util.mxnet import mx


def inherit_head(student, teacher, pairs: Sequence[LevelPair]) -> list[str]:
    """Copy parts of the teacher's head to the student, where the shapes agree; return their names.

    In the caption of figure 1 the student's maps feed the head of the trained teacher. The shapes of the
    published SSD pair agree on levels 3 to 6 of 6, those of the published Faster R-CNN pair everywhere.
    The first losses of both published logs are lower than those from scratch, which supports the copy
    (inferred).
    """
    copied = []
    ours = student.head_parts([pair.student for pair in pairs])
    theirs = teacher.head_parts([pair.teacher for pair in pairs])
    for (name, targets), (_, sources) in zip(ours, theirs):
        targets, sources = _values(targets), _values(sources)
        if targets and [p.shape for p in targets] == [p.shape for p in sources]:
            for target, source in zip(targets, sources):
                target.set_data(source.data(source.list_ctx()[0]))
            copied.append(name)
    return copied


def _values(blocks) -> list:
    """Parameters and running statistics of blocks, without constants such as anchors."""
    parameters = [p for block in blocks for p in block.collect_params().values()]
    return [p for p in parameters if not isinstance(p, mx.gluon.Constant)]
