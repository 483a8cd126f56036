"""Training methods: the steps of each phase, the state to save, and the logged figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gan_kd_ssd.distill.adapter import LevelPair, align
from gan_kd_ssd.distill.options import SGD, DistillConfig
from gan_kd_ssd.distill.step import DetectionStep, DistillationStep
from gan_kd_ssd.distill.step_figures import Figures
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.distill.terms.term import Setup
from gan_kd_ssd.logs.records import DETECTION, DISCRIMINATORS, DISTILLATION
from gan_kd_ssd.util.mxnet import mx


@dataclass(frozen=True)
class Method:
    """A training method, as the training loop uses it; its blocks and trainers are saved in the state."""

    steps: dict[
        str, Callable
    ]  # by phase: takes a batch, returns a vector of figures for each device
    blocks: dict  # by name
    trainers: dict  # by name, the student's first
    figures: Figures  # reads the vectors
    pairs: Sequence[LevelPair] = ()  # paired levels of student and teacher


def plain(student, ctx: Sequence, sgd: SGD, kvstore: str) -> Method:
    """Build the method for training without a teacher; for the arguments see :func:`distilled`."""
    figures = Figures(student.loss_names, student.count_names)
    trainer = _trainer("sgd", kvstore, student.parameters(), **vars(sgd))
    step = DetectionStep(student, ctx, trainer, figures)
    return Method({DETECTION: step}, {"student": student.net}, {"student": trainer}, figures)


def distilled(
    student, teacher, ctx: Sequence, sgd: SGD, kvstore: str, config: DistillConfig
) -> Method:
    """Build the method for training with a teacher, in three phases.

    First the terms' own networks are trained, and the student learns from its detection losses. Then the
    student also learns from the terms. Last, it learns from its detection losses only.

    Args:
        student: detector to train, initialised on ``ctx``.
        teacher: trained detector, initialised on ``ctx``.
        ctx: devices.
        sgd: settings of the optimizer of the detection losses.
        kvstore: 'device', 'local' or 'nccl'.
        config: terms and their options.

    Raises:
        UserError: the two pyramids cannot be aligned.
    """
    pairs, options = align(student, teacher), config.method
    adam = partial(_trainer, "adam", kvstore, beta1=options.beta1)
    setup = Setup(pairs, list(ctx), adam, student.any_size)
    terms = [TERMS[name](setup, config.of_term(name)) for name in config.terms]
    strides = [pair.stride for pair in pairs]
    figures = Figures(student.loss_names, student.count_names, terms, strides)
    extra = [parameter for term in terms for parameter in term.student_parameters]
    joint = extra if options.update == "joint" else []
    trainer = _trainer("sgd", kvstore, [*student.parameters(), *joint], **vars(sgd))
    # In the detection phase the terms' parameters get no gradients.
    detection = DetectionStep(student, ctx, trainer, figures, ignore_stale_grad=bool(joint))
    blocks, trainers = {"student": student.net}, {"student": trainer}
    for term in terms:
        blocks.update(term.blocks)
        trainers.update(term.trainers)
    if options.update == "separate":
        trainers["adversarial"] = adam([*student.pyramid_parameters(), *extra], options.lrG)
    step = DistillationStep(detection, teacher, pairs, terms, trainers.get("adversarial"))
    without = partial(step, distil=False)
    steps = {DISCRIMINATORS: without, DISTILLATION: step, DETECTION: detection}
    return Method(steps, blocks, trainers, figures, pairs)


def _trainer(optimizer: str, kvstore: str, parameters: Sequence, lr: float, **settings):
    """A trainer that sums gradients over devices and keeps the optimizer's state on them."""
    settings["learning_rate"] = lr
    return mx.gluon.Trainer(
        parameters, optimizer, settings, kvstore=kvstore, update_on_kvstore=False
    )
