"""Starting the student's predictors from the teacher's trained ones."""

from __future__ import annotations

from collections.abc import Sequence

from gan_kd_ssd.distill.adapter import LevelPair


def inherit_head(student, teacher, pairs: Sequence[LevelPair]) -> list[int]:
    """Copy the teacher's class and box predictors to the student where their shapes agree.

    Figure 1's caption has the student feed the head of the trained teacher; with the published pair the
    shapes agree on levels 3 to 6 of 6. The first losses of both published logs are lower than from
    scratch, which supports it (inferred).

    Args:
        student, teacher: initialised detectors. pairs: which levels face each other.

    Returns:
        The student's levels, from 0, whose predictors were copied.
    """
    copied = []
    for pair in pairs:
        for name in ("class_predictors", "box_predictors"):
            sources = getattr(teacher.net, name)[pair.teacher].collect_params().values()
            targets = getattr(student.net, name)[pair.student].collect_params().values()
            both = list(zip(sources, targets))
            if any(source.shape != target.shape for source, target in both):
                break
            for source, target in both:
                target.set_data(source.data(source.list_ctx()[0]))
        else:
            copied.append(pair.student)
    return copied
