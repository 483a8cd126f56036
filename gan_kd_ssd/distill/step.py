"""One iteration: the student's detection losses, the discriminators, the adversarial term.

Nothing here waits for a device: every figure stays an array until the training loop reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.distill.adapter import Adapters, align
from gan_kd_ssd.distill.discriminator import PyramidDiscriminator, clamp
from gan_kd_ssd.distill.losses import CriticLoss, StudentTerms
from gan_kd_ssd.util.mxnet import mx

autograd, gluon, nd = mx.autograd, mx.gluon, mx.nd


@dataclass(frozen=True)
class DistillOptions:
    """How the student is distilled; the command line's ``--help`` says what is published."""

    update: str = "separate"  # or 'joint'
    levels: str = "mean"  # or 'sum': how the scores of the levels become one
    adversarial_weight: float = 1.0
    cosine_weight: float = 0.0  # 0: the distance is still measured
    clamp: str = "conv"  # or 'all'
    clamp_lower: float = -0.03
    clamp_upper: float = 0.03
    normalisation: str = "batch"
    channels: int = 512
    adapter: str = (
        "student"  # or 'teacher': whose maps the 1x1 convolutions bring to the other's width
    )
    lr_d: float = 0.0005
    lr_g: float = 0.0005
    beta1: float = 0.5


def make_trainer(parameters, optimizer: str, settings: dict, kvstore: str):
    """A trainer that sums gradients over devices and keeps its optimizer's state on them."""
    return gluon.Trainer(parameters, optimizer, settings, kvstore=kvstore, update_on_kvstore=False)


class DetectionStep:
    """A plain iteration: forward, the detector's losses, one SGD step.

    Args:
        student: detector, initialised on ``ctx``.
        ctx: devices; a batch is split over them and gradients are summed.
        settings: of SGD: learning_rate, momentum, wd.
        kvstore: 'device', 'local' or 'nccl'.
        extra_parameters: trained beside the student's, with gradients that the caller writes.
    """

    def __init__(self, student, ctx: Sequence, settings: dict, kvstore: str, extra_parameters=()):
        self.student, self.ctx = student, list(ctx)
        parameters = [*student.parameters(), *extra_parameters]
        self.trainer = make_trainer(parameters, "sgd", settings, kvstore)
        # Outside the GAN stage nobody writes the extra parameters' gradients: they stay as they are.
        self.ignore_stale_grad = bool(extra_parameters)

    def __call__(self, batch) -> list:
        """Train on a batch, as the detector's ``parts`` takes it.

        Returns a vector for each device, whose sum over devices has the figures of the batch, as
        :class:`~gan_kd_ssd.distill.figures.Figures` reads them.
        """
        figures = []
        for part in self.student.parts(batch, self.ctx):
            _levels, losses, counts = self.student.forward(part)
            autograd.backward(losses)
            figures.append(self.vector(losses, counts))
        self.trainer.step(1, self.ignore_stale_grad)  # the losses are normalised already
        return figures

    @staticmethod
    def vector(losses, counts, *more):
        """One vector of the losses' sums, the counts, and more vectors."""
        return nd.concat(*[loss.detach().sum() for loss in losses], *counts, *more, dim=0)


class GanStep:
    """A GAN-KD iteration: discriminators, then the student on detection and distillation losses.

    The student runs forward once; its maps serve its detection losses, the discriminators' fake samples
    and the adversarial term. The teacher runs in inference mode, without gradients.

    Args:
        student, teacher: detectors, initialised on ``ctx``.
        ctx, settings, kvstore: as for :class:`DetectionStep`.
        options: :class:`DistillOptions`.

    Raises:
        UserError: the two pyramids cannot be aligned.
    """

    def __init__(self, student, teacher, ctx, settings, kvstore, options: DistillOptions):
        self.teacher, self.ctx, self.options = teacher, list(ctx), options
        self.pairs = align(student, teacher)
        to_teacher = options.adapter == "student"
        shapes = [
            (pair.teacher_channels if to_teacher else pair.student_channels, pair.side)
            for pair in self.pairs
        ]
        self.discriminator = PyramidDiscriminator(
            shapes,
            options.channels,
            options.normalisation,
            student.any_size,
            prefix="discriminator_",
        )
        widths = [(pair.student_channels, pair.teacher_channels) for pair in self.pairs]
        same = [(0, 0)] * len(widths)
        self.student_adapters = Adapters(widths if to_teacher else same, prefix="student_adapter_")
        self.teacher_adapters = Adapters(
            same if to_teacher else [(t, s) for s, t in widths], prefix="teacher_adapter_"
        )
        self.discriminator.initialize_by_name(self.ctx)
        for adapters in (self.student_adapters, self.teacher_adapters):
            adapters.initialize(mx.init.Xavier(), ctx=self.ctx)
        self.critic = CriticLoss(self.discriminator, self.teacher_adapters)
        self.terms = StudentTerms(self.discriminator)
        for block in (self.student_adapters, self.critic, self.terms):
            block.hybridize(static_alloc=True)

        self.adapter_parameters = list(self.student_adapters.collect_params().values())
        joint = options.update == "joint"
        self.detection = DetectionStep(
            student, ctx, settings, kvstore, self.adapter_parameters if joint else ()
        )
        adam = {"beta1": options.beta1}
        self.trainer_g = None
        if not joint:
            self.adversarial_parameters = [*student.pyramid_parameters(), *self.adapter_parameters]
            self.trainer_g = make_trainer(
                self.adversarial_parameters,
                "adam",
                {"learning_rate": options.lr_g, **adam},
                kvstore,
            )
        # Adapters on the teacher's side belong to the discriminators: they are trained with them, on
        # the same loss, and clamped with them.
        critics = [self.discriminator, self.teacher_adapters]
        trained = [p for b in critics for p in b.collect_params().values() if p.grad_req != "null"]
        self.trainer_d = make_trainer(
            trained, "adam", {"learning_rate": options.lr_d, **adam}, kvstore
        )
        self.clamped = self.discriminator.clamped(options.clamp)
        self.clamped += list(self.teacher_adapters.collect_params().values())

    def blocks(self) -> dict:
        """Blocks with parameters of the GAN's own, by name: what a training state holds."""
        return {
            "discriminator": self.discriminator,
            "student_adapters": self.student_adapters,
            "teacher_adapters": self.teacher_adapters,
        }

    def trainers(self) -> dict:
        """Trainers by name, the student's first."""
        trainers = {"student": self.detection.trainer, "discriminators": self.trainer_d}
        if self.trainer_g:
            trainers["adversarial"] = self.trainer_g
        return trainers

    def __call__(self, batch, adversarial: bool = True) -> list:
        """Train on a batch; a vector for each device, whose sum has the figures of the batch.

        Without ``adversarial`` the discriminators learn and the student trains on its detection losses
        alone; its score and the cosine distances are measured all the same.

        The vectors hold levels as well, means over the batch's images, see
        :class:`~gan_kd_ssd.distill.figures.Figures`. Loss_G is the score of the student's maps after
        the discriminators' step, as in the reference WGAN.
        """
        parts = self.detection.student.parts(batch, self.ctx)
        size = sum(len(part[0]) for part in parts)
        real_levels = [self._teacher_levels(part[0]) for part in parts]
        forwards = [self.detection.student.forward(part) for part in parts]
        student = [self._student_levels(levels) for levels, _, _ in forwards]

        clamp(self.clamped, self.options.clamp_lower, self.options.clamp_upper)
        critic_scores = []
        for real, (_, adapted) in zip(real_levels, student):
            with autograd.record():
                scores = self.critic(*real, *[level.detach() for level in adapted])
                loss = self._over_levels(scores[0] - scores[1]) / size
            loss.backward()
            critic_scores.append(scores)
        self.trainer_d.step(1)

        figures = []
        later = []
        for device, (levels, losses, counts) in enumerate(forwards):
            leaves, adapted = student[device]
            with autograd.record():
                scores, distances = self.terms(*adapted, *leaves, *real_levels[device])
                loss = self._term_loss(scores, distances) / size
            of_levels = [a.sum(axis=0) / size for a in (*critic_scores[device], scores, distances)]
            figures.append(self.detection.vector(losses, counts, *of_levels))
            if not adversarial:
                autograd.backward(losses)
                continue
            at = [*leaves, *[p.data(self.ctx[device]) for p in self.adapter_parameters]]
            gradients = autograd.grad(loss, at)
            later.append(self._student_backward(device, levels, losses, gradients))
        self.detection.trainer.step(1, not adversarial and self.detection.ignore_stale_grad)
        if self.trainer_g and adversarial:
            for device, gradients in enumerate(later):
                self._write_gradients(self.adversarial_parameters, gradients, device)
            self.trainer_g.step(1)
        return figures

    def _teacher_levels(self, x):
        levels = self.teacher.pyramid(x)
        return [levels[pair.teacher] for pair in self.pairs]

    def _student_levels(self, levels):
        """The student's paired maps as leaves of a graph of their own, and their adapted form."""
        leaves = [levels[pair.student].detach() for pair in self.pairs]
        for leaf in leaves:
            leaf.attach_grad()
        with autograd.record():
            adapted = self.student_adapters(*leaves) if self.adapter_parameters else leaves
        return leaves, adapted

    def _over_levels(self, scores):
        """Sum over images of the scores' sum or mean over levels: (B, L) -> (1,)."""
        total = scores.sum()
        return total / len(self.pairs) if self.options.levels == "mean" else total

    def _term_loss(self, scores, distances):
        loss = self.options.adversarial_weight * self._over_levels(scores)
        if self.options.cosine_weight:
            loss = loss + self.options.cosine_weight * distances.sum() / len(self.pairs)
        return loss

    def _student_backward(self, device, levels, losses, gradients):
        """The student's gradients on one device, from those at its levels.

        Joint: one backward pass carries both, into the parameters' gradients. Separate: the
        adversarial gradients are returned, the detection losses' are in the parameters: both are of
        the same weights, whatever order the two updates come in.
        """
        count = len(self.pairs)
        heads = [levels[pair.student] for pair in self.pairs]
        at_levels, at_adapters = gradients[:count], gradients[count:]
        if self.trainer_g is None:
            autograd.backward(losses + heads, [None] * len(losses) + at_levels)
            self._write_gradients(self.adapter_parameters, at_adapters, device)
            return None
        ctx = self.ctx[device]
        weights = [p.data(ctx) for p in self.adversarial_parameters[: -len(at_adapters) or None]]
        adversarial = autograd.grad(heads, weights, at_levels, retain_graph=True)
        autograd.backward(losses)
        return [*adversarial, *at_adapters]

    def _write_gradients(self, parameters, gradients, device):
        ctx = self.ctx[device]
        for parameter, gradient in zip(parameters, gradients):
            gradient.copyto(parameter.grad(ctx))
            parameter.data(ctx)._fresh_grad = True  # the trainer would call it stale
