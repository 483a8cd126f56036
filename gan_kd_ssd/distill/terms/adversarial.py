"""The adversarial term: a discriminator for each level tells the teacher's maps from the student's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.distill.options import FREE, Options, option
from gan_kd_ssd.distill.terms.base import PairedMaps, Setup, Term, register
from gan_kd_ssd.util.errors import UserError


@dataclass(frozen=True)
class AdversarialOptions(Options):
    """Options of :class:`Adversarial`."""

    lrD: float = option(
        0.0005,
        "learning rate of the discriminators (Adam)",
        at_least=0,
        resume=FREE,
        trainer="discriminators",
    )
    clamp_lower: float = option(-0.03, "lower bound of the discriminators' clamped parameters")
    clamp_upper: float = option(0.03, "upper bound of the discriminators' clamped parameters")
    clamp: str = option(
        "conv",
        "parameters that are clamped: conv, the convolutions, or all, BatchNorm's as well; inferred from "
        "the size of the published scores: conv for SSD, all for Faster R-CNN",
        choices=("conv", "all"),
        inferred="parameters of the discriminators that are clamped",
    )
    levels: str = option(
        "mean",
        "aggregation of the per-level scores; inferred from the size of the published scores",
        choices=("mean", "sum"),
        inferred="aggregation of the per-level scores",
    )
    adversarial_weight: float = option(
        1.0,
        "factor of the adversarial loss (published: none); Adam is independent of its scale, so with "
        "--update separate --lrG sets the strength",
        at_least=0,
    )
    d_norm: str = option(
        "batch",
        "normalisation in the discriminators; inferred from the published scores",
        choices=("batch", "instance", "none"),
        inferred="normalisation in the discriminators",
    )
    d_channels: int = option(
        512, "number of channels of the discriminators (published)", at_least=1
    )
    adapter: str = option(
        "student",
        "network whose maps a 1x1 convolution brings to the other's number of channels; the convolution "
        "is published, its side is inferred",
        choices=("student", "teacher"),
        inferred="network whose maps the 1x1 convolution adapts",
    )

    def check(self, chosen: Sequence[str]) -> None:
        if self.clamp_lower >= self.clamp_upper:
            raise UserError(
                f"--clamp-lower {self.clamp_lower} is not below --clamp-upper {self.clamp_upper}: "
                "give the lower bound first, such as -0.03 and 0.03"
            )


@dataclass(frozen=True)
class _Begun:
    """One device's adapted maps of the student, and the scores of the discriminators' update."""

    adapted: Sequence
    real: object
    fake: object


@register
class Adversarial(Term):
    """A Wasserstein GAN whose generator is the student's pyramid (arXiv 1906.08467, section 3).

    A step first updates the discriminators on the scores of both networks' maps. The student then
    minimises the updated discriminators' score of its maps, as in the reference WGAN. Adapters on the
    teacher's side belong to the discriminators: they are trained and clamped with them, on the same
    loss.
    """

    name = "gan"
    summary = "adversarial loss, the paper's method; the cosine distance is measured as well"
    options_type = AdversarialOptions
    figures = ("Loss_D_real", "Loss_D_fake", "Loss_G")
    companions = ("cosine",)

    def __init__(self, setup: Setup, options: AdversarialOptions):
        from gan_kd_ssd.distill.adapter import Adapters
        from gan_kd_ssd.distill.discriminator import CriticLoss, PyramidDiscriminator
        from gan_kd_ssd.distill.trainer import make_trainer
        from gan_kd_ssd.util.mxnet import mx

        super().__init__(setup, options)
        self.level_total = options.levels
        to_teacher = options.adapter == "student"
        widths = [(pair.student_channels, pair.teacher_channels) for pair in setup.pairs]
        shapes = [
            (teacher if to_teacher else student, pair.side)
            for (student, teacher), pair in zip(widths, setup.pairs)
        ]
        self.discriminator = PyramidDiscriminator(
            shapes, options.d_channels, options.d_norm, setup.any_size, prefix="discriminator_"
        )
        same = [(0, 0)] * len(widths)
        self.student_adapters = Adapters(widths if to_teacher else same, prefix="student_adapter_")
        self.teacher_adapters = Adapters(
            same if to_teacher else [(t, s) for s, t in widths], prefix="teacher_adapter_"
        )
        self.discriminator.initialize_by_name(setup.ctx)
        for adapters in (self.student_adapters, self.teacher_adapters):
            adapters.initialize(mx.init.Xavier(), ctx=setup.ctx)
        self.critic = CriticLoss(self.discriminator, self.teacher_adapters)
        for block in (self.student_adapters, self.critic):
            block.hybridize(static_alloc=True)

        critics = [self.discriminator, self.teacher_adapters]
        trained = [p for b in critics for p in b.collect_params().values() if p.grad_req != "null"]
        adam = {"learning_rate": options.lrD, "beta1": setup.beta1}
        self.trainer = make_trainer(trained, "adam", adam, setup.kvstore)
        self.clamped = self.discriminator.clamped(options.clamp)
        self.clamped += list(self.teacher_adapters.collect_params().values())

    def blocks(self) -> dict:
        return {
            "discriminator": self.discriminator,
            "student_adapters": self.student_adapters,
            "teacher_adapters": self.teacher_adapters,
        }

    def trainers(self) -> dict:
        return {"discriminators": self.trainer}

    def student_parameters(self) -> list:
        return list(self.student_adapters.collect_params().values())

    def begin(self, maps: Sequence[PairedMaps], images: int) -> list[_Begun]:
        """Update the discriminators on the maps of a batch."""
        from gan_kd_ssd.distill.discriminator import clamp
        from gan_kd_ssd.util.mxnet import mx

        adapted = [self._adapt(of_device.student) for of_device in maps]
        clamp(self.clamped, self.options.clamp_lower, self.options.clamp_upper)
        begun = []
        for of_device, fakes in zip(maps, adapted):
            with mx.autograd.record():
                real, fake = self.critic(*of_device.teacher, *[level.detach() for level in fakes])
                loss = self._over_levels(real - fake) / images
            loss.backward()
            begun.append(_Begun(fakes, real, fake))
        self.trainer.step(1)
        return begun

    def measure(self, maps: PairedMaps, begun: _Begun) -> dict:
        # The discriminators' own graph, apart from the critic's: it is only differentiated with respect
        # to the student's maps, so that the gradients of the discriminators are not computed.
        scores = self.discriminator(*begun.adapted)
        return {"Loss_D_real": begun.real, "Loss_D_fake": begun.fake, "Loss_G": scores}

    def loss(self, figures: dict):
        return self.options.adversarial_weight * self._over_levels(figures["Loss_G"])

    def logged(self, totals: dict[str, float]) -> dict[str, float]:
        return {**totals, "Loss_D": totals["Loss_D_real"] - totals["Loss_D_fake"]}

    def _adapt(self, levels: Sequence) -> Sequence:
        """The student's maps with the discriminators' numbers of channels."""
        from gan_kd_ssd.util.mxnet import mx

        if not self.student_parameters():
            return levels
        with mx.autograd.record():
            return self.student_adapters(*levels)

    def _over_levels(self, scores):
        """Sum over images of the scores' sum or mean over levels: (B, L) -> (1,)."""
        total = scores.sum()
        return total / len(self.setup.pairs) if self.options.levels == "mean" else total
