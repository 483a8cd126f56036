"""The method of a training: what each phase runs, what a state holds, and the figures of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gan_kd_ssd.distill.adapter import LevelPair, align
from gan_kd_ssd.distill.figures import Figures
from gan_kd_ssd.distill.options import SGD, DistillConfig
from gan_kd_ssd.distill.step import DetectionStep, DistillationStep
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.distill.terms.term import Setup
from gan_kd_ssd.logs.records import DETECTION, DISCRIMINATORS, DISTILLATION


@dataclass(frozen=True)
class Method:
    """What the training loop needs to know of the method.

    Attributes:
        steps: by name of the phase: takes a batch, gives a vector of figures for each device.
        blocks: by name, the blocks whose values a training state holds.
        trainers: by name, the trainers whose values a training state holds, the student's first.
        figures: reads the vectors of the steps.
        pairs: paired levels of student and teacher; empty without a teacher.
    """

    steps: dict[str, Callable]
    blocks: dict
    trainers: dict
    figures: Figures
    pairs: Sequence[LevelPair] = ()


def plain(student, ctx: Sequence, sgd: SGD, kvstore: str) -> Method:
    """Training without a teacher; see :class:`~gan_kd_ssd.distill.step.DetectionStep`."""
    figures = Figures(student.loss_names, student.count_names)
    step = DetectionStep(student, ctx, sgd, kvstore, figures)
    return Method({DETECTION: step}, {"student": student.net}, {"student": step.trainer}, figures)


def distilled(
    student, teacher, ctx: Sequence, sgd: SGD, kvstore: str, config: DistillConfig
) -> Method:
    """Training with a teacher, in three phases.

    First the terms' own networks learn and the student learns from its detection losses, then the
    student learns from the terms as well, and last it learns from its detection losses only.

    Args:
        student, teacher: detectors, initialised on ``ctx``. ctx: devices.
        sgd: settings of the optimizer of the detection losses. kvstore: 'device', 'local' or 'nccl'.
        config: terms and their options.

    Raises:
        UserError: the two pyramids cannot be aligned.
    """
    pairs, options = align(student, teacher), config.method
    setup = Setup(pairs, list(ctx), kvstore, options.beta1, student.any_size)
    terms = [TERMS[name](setup, config.of_term(name)) for name in config.terms]
    strides = [pair.stride for pair in pairs]
    figures = Figures(student.loss_names, student.count_names, terms, strides)
    extra = [parameter for term in terms for parameter in term.student_parameters]
    joint = options.update == "joint"
    detection = DetectionStep(student, ctx, sgd, kvstore, figures, extra if joint else ())
    blocks, trainers = {"student": student.net}, {"student": detection.trainer}
    for term in terms:
        blocks.update(term.blocks)
        trainers.update(term.trainers)
    trainer = None
    if not joint:
        trainer = setup.adam([*student.pyramid_parameters(), *extra], options.lrG)
        trainers["adversarial"] = trainer
    step = DistillationStep(detection, teacher, pairs, terms, trainer)
    steps = {
        DISCRIMINATORS: partial(step, distil=False),
        DISTILLATION: step,
        DETECTION: detection,
    }
    return Method(steps, blocks, trainers, figures, pairs)
