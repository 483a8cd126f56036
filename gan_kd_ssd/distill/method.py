"""The method of a training: what each phase runs, what a state holds, and the figures of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gan_kd_ssd.distill.adapter import LevelPair, align
from gan_kd_ssd.distill.figures import Figures, LevelFigures
from gan_kd_ssd.distill.settings import SGD, DistillConfig
from gan_kd_ssd.distill.step import DetectionStep, DistillationStep
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.distill.terms.base import Setup
from gan_kd_ssd.distill.trainer import make_trainer


@dataclass(frozen=True)
class Method:
    """What the training loop needs to know of the method.

    Attributes:
        steps: by name of the phase: takes a batch, gives a vector of figures for each device.
        blocks: by name, the blocks whose values a training state holds.
        trainers: by name, the trainers whose values a training state holds, the student's first.
        figures: reads the vectors of the steps.
        pairs: paired levels of student and teacher, or None without a teacher.
    """

    steps: dict[str, Callable]
    blocks: dict
    trainers: dict
    figures: Figures
    pairs: list[LevelPair] | None = None


def plain(student, ctx: Sequence, sgd: SGD, kvstore: str) -> Method:
    """Training without a teacher.

    Args:
        student: detector, initialised on ``ctx``. ctx: devices.
        sgd: settings of the optimizer. kvstore: 'device', 'local' or 'nccl'.
    """
    figures = Figures(student.loss_names, student.count_names)
    step = DetectionStep(student, ctx, sgd, kvstore, figures)
    return Method({"detection": step}, {"student": student.net}, {"student": step.trainer}, figures)


def distilled(
    student, teacher, ctx: Sequence, sgd: SGD, kvstore: str, config: DistillConfig
) -> Method:
    """Training with a teacher, in three phases.

    In phase "discriminator" the terms' own networks learn and the student learns from its detection
    losses, in phase "gan" the student learns from the terms as well, in phase "detection" it learns
    from its detection losses only.

    Args:
        student, teacher: detectors, initialised on ``ctx``. ctx: devices.
        sgd: settings of the optimizer of the detection losses. kvstore: 'device', 'local' or 'nccl'.
        config: terms and their options.

    Raises:
        UserError: the two pyramids cannot be aligned.
    """
    pairs, beta1 = align(student, teacher), config.method.beta1
    setup = Setup(pairs, list(ctx), kvstore, beta1, student.any_size)
    terms = [TERMS[name](setup, config.options[name]) for name in config.terms]
    figures = Figures(
        student.loss_names,
        student.count_names,
        [LevelFigures(term.figures, term.level_total, term.logged) for term in terms],
        [pair.stride for pair in pairs],
    )
    extra = [parameter for term in terms for parameter in term.student_parameters()]
    joint = config.update == "joint"
    detection = DetectionStep(student, ctx, sgd, kvstore, figures, extra if joint else ())
    blocks, trainers = {"student": student.net}, {"student": detection.trainer}
    for term in terms:
        blocks.update(term.blocks())
        trainers.update(term.trainers())
    trainer = None
    if not joint:
        adam = {"learning_rate": config.method.lrG, "beta1": beta1}
        trainer = make_trainer([*student.pyramid_parameters(), *extra], "adam", adam, kvstore)
        trainers["adversarial"] = trainer
    step = DistillationStep(detection, teacher, pairs, terms, trainer)
    steps = {"discriminator": partial(step, distil=False), "gan": step, "detection": detection}
    return Method(steps, blocks, trainers, figures, pairs)
