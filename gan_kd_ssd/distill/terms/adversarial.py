"""The adversarial term: a discriminator for each level tells the teacher's maps from the student's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.distill.terms.term import PairedMaps, Setup, Term, register
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import FIXED, FREE, count, decimal, finite, option


@dataclass(frozen=True)
class AdversarialOptions:
    """The options of the adversarial term."""

    lrD: float = decimal(0.0005, "learning rate of the discriminators (Adam)", resume=FREE)
    clamp_lower: float = option(
        -0.03, "lower bound of the clamped discriminator parameters", type=finite, resume=FIXED
    )
    clamp_upper: float = option(
        0.03, "upper bound of the clamped discriminator parameters", type=finite, resume=FIXED
    )
    clamp: str = option(
        "conv",
        "clamped parameters of the discriminators: conv clamps the convolutions, all also clamps BatchNorm "
        "(inferred from the size of the published scores: conv for SSD, all for Faster R-CNN)",
        choices=("conv", "all"),
        resume=FIXED,
        inferred="clamped parameters of the discriminators",
    )
    levels: str = option(
        "mean",
        "how the scores of the levels are combined (inferred from the size of the published scores)",
        choices=("mean", "sum"),
        resume=FIXED,
        inferred="how the scores of the levels are combined",
    )
    adversarial_weight: float = decimal(
        1.0,
        "weight of the adversarial loss (the paper has no weight); with --update separate it has little "
        "effect, because Adam is invariant to the scale of the loss: use --lrG instead",
        resume=FIXED,
    )
    d_norm: str = option(
        "batch",
        "normalisation in the discriminators (inferred from the published scores)",
        choices=("batch", "instance", "none"),
        resume=FIXED,
        inferred="normalisation in the discriminators",
    )
    d_channels: int = count(512, "number of discriminator channels (published)", resume=FIXED)
    adapter: str = option(
        "student",
        "network whose feature maps are adapted, by a 1x1 convolution, to the number of channels of the "
        "other network (the convolution is published, the choice of the network is inferred)",
        choices=("student", "teacher"),
        resume=FIXED,
        inferred="network whose maps the 1x1 convolution adapts",
    )

    def __post_init__(self) -> None:
        if self.clamp_lower >= self.clamp_upper:
            raise UserError(
                f"--clamp-lower {self.clamp_lower} is not below --clamp-upper {self.clamp_upper}: "
                "give the lower bound first, such as -0.03 and 0.03"
            )


@register
class Adversarial(Term):
    """A Wasserstein GAN with the student's pyramid as the generator (arXiv 1906.08467, section 3).

    A step first updates the discriminators, and the adapters on the teacher's side with them. The student
    then minimises the updated discriminators' score of its maps, as in the reference WGAN.
    """

    name = "gan"
    summary = "the paper's adversarial loss, which also logs the cosine distance"
    options_type = AdversarialOptions
    figures = ("Loss_D_real", "Loss_D_fake", "Loss_G")
    companions = ("cosine",)

    def __init__(self, setup: Setup, options: AdversarialOptions):
        from gan_kd_ssd.distill.adapter import Adapters, MapsGraph
        from gan_kd_ssd.distill.discriminator import PyramidDiscriminator
        from gan_kd_ssd.util.mxnet import mx

        super().__init__(setup, options)
        self.level_total = options.levels
        to_teacher = options.adapter == "student"
        widths = [(pair.student_channels, pair.teacher_channels) for pair in setup.pairs]
        shapes = [(width[to_teacher], pair.side) for width, pair in zip(widths, setup.pairs)]
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
        self.student_adapters.hybridize(static_alloc=True)
        self.critic = MapsGraph(self._scores, self.discriminator, self.teacher_adapters)

        of_teacher = list(self.teacher_adapters.collect_params().values())
        self.clamped = self.discriminator.trained(options.clamp) + of_teacher
        self.trainer = setup.adam(self.discriminator.trained("all") + of_teacher, options.lrD)
        self.trainers = {"discriminators": self.trainer}
        self.student_parameters = list(self.student_adapters.collect_params().values())
        self.blocks = {
            "discriminator": self.discriminator,
            "student_adapters": self.student_adapters,
            "teacher_adapters": self.teacher_adapters,
        }

    def _scores(self, F, teacher, student):
        # Two passes, so that BatchNorm sees real and fake maps separately, as in the reference WGAN.
        real = self.discriminator(*self.teacher_adapters(*teacher))
        return real, self.discriminator(*student)

    def begin(self, maps: Sequence[PairedMaps], images: int) -> list[tuple]:
        """Update the discriminators; returns the student's adapted maps and both networks' scores."""
        from gan_kd_ssd.distill.discriminator import clamp
        from gan_kd_ssd.util.mxnet import mx

        clamp(self.clamped, self.options.clamp_lower, self.options.clamp_upper)
        begun = []
        for student, teacher, _ in maps:
            with mx.autograd.record():
                adapted = self.student_adapters(*student) if self.student_parameters else student
                real, fake = self.critic(*teacher, *[level.detach() for level in adapted])
                loss = self._over_levels(real - fake) / images
            loss.backward()
            begun.append((adapted, real, fake))
        self.trainer.step(1)
        return begun

    def measure(self, maps: PairedMaps, begun: tuple) -> dict:
        # Separate from the critic's graph: this one is only differentiated with respect to the student's
        # maps, so that the gradients of the discriminators are not computed.
        adapted, real, fake = begun
        return {"Loss_D_real": real, "Loss_D_fake": fake, "Loss_G": self.discriminator(*adapted)}

    def loss(self, figures: dict):
        return self.options.adversarial_weight * self._over_levels(figures["Loss_G"])

    def logged(self, totals: dict[str, float]) -> dict[str, float]:
        return {**totals, "Loss_D": totals["Loss_D_real"] - totals["Loss_D_fake"]}

    def _over_levels(self, scores):
        """Sum over images of the scores' sum or mean over levels: (B, L) -> (1,)."""
        total = scores.sum()
        return total / len(self.setup.pairs) if self.options.levels == "mean" else total
