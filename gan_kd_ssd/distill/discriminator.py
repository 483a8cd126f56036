"""Discriminators: one for each level, and the block that holds them (figure 2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: A discriminator for maps of any size stops halving when the short side has this many cells (ours).
POOLED_SIDE = 4


class LevelDiscriminator(mx.gluon.HybridBlock):
    """The discriminator of one level: maps (B, C, H, H) -> scores (B, 1).

    3x3 convolutions of stride 2 halve the side until it is 1, then a 1x1 convolution gives the score. A
    level of side 1 gets one 1x1 convolution in place of the halving ones. The 512 channels and the
    halving are published (figure 2). The kernel sizes, LeakyReLU(0.2) and the normalisation are
    inferred, after the DCGAN discriminator of the reference WGAN. A normalisation is likely because the
    published scores stay within about 12; in trials, 512 channels without one gave hundreds to
    thousands.

    With ``any_size``, maps (B, C, H, W) of any size are accepted: halving stops at :data:`POOLED_SIDE`
    cells, and the mean over the remaining cells precedes the last convolution (inferred). The authors
    cannot have halved down to one cell there: with one image a device, BatchNorm of a single cell is a
    constant, but the published scores of real and fake maps differ.

    Args:
        in_channels: C.
        side: H in cells; the short side if the maps have any size.
        channels: number of channels of the convolutions.
        normalisation: 'batch', 'instance' or 'none', after each convolution except the last.
        any_size: whether maps of any size are accepted.
    """

    def __init__(
        self,
        in_channels: int,
        side: int,
        channels: int = 512,
        normalisation: str = "batch",
        any_size: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        halvings = max(0, math.ceil(math.log2(side / (POOLED_SIDE if any_size else 1))))
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            with self.body.name_scope():
                for index in range(max(halvings, 1)):
                    kernel = {"kernel_size": 3, "strides": 2, "padding": 1}
                    if halvings == 0:
                        kernel = {"kernel_size": 1}
                    before = in_channels if index == 0 else channels
                    bias = normalisation == "none"
                    self.body.add(nn.Conv2D(channels, in_channels=before, use_bias=bias, **kernel))
                    if normalisation == "batch":
                        self.body.add(nn.BatchNorm(in_channels=channels))
                    elif normalisation == "instance":
                        self.body.add(nn.InstanceNorm(in_channels=channels))
                    self.body.add(nn.LeakyReLU(0.2))
                if any_size:
                    self.body.add(nn.GlobalAvgPool2D())
                self.body.add(nn.Conv2D(1, kernel_size=1, in_channels=channels, use_bias=False))

    def hybrid_forward(self, F, x):
        return F.flatten(self.body(x))


class PyramidDiscriminator(mx.gluon.HybridBlock):
    """A discriminator for each level: L maps (B, C_l, H_l, W_l) -> scores (B, L).

    Args:
        shapes: (channels, side) of each level, finest first.
        channels, normalisation, any_size: see :class:`LevelDiscriminator`.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, int]],
        channels: int,
        normalisation: str,
        any_size: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.normalisation = normalisation
        with self.name_scope():
            for index, (width, side) in enumerate(shapes):
                level = LevelDiscriminator(
                    width, side, channels, normalisation, any_size, prefix=f"level{index}_"
                )
                self.register_child(level, str(index))

    def hybrid_forward(self, F, *levels):
        scores = [level(x) for level, x in zip(self._children.values(), levels)]
        return F.concat(*scores, dim=1)

    def initialize_by_name(self, ctx: list) -> None:
        """Initialise as DCGAN, like the reference WGAN: convolutions N(0, 0.02), gamma N(1, 0.02)."""
        for name, parameter in self.collect_params().items():
            initializer = mx.init.Zero()
            if name.endswith("weight"):
                initializer = mx.init.Normal(0.02)
            elif name.endswith("gamma"):
                initializer = _NormalAroundOne()
            elif name.endswith("running_var"):
                initializer = mx.init.One()
            parameter.initialize(init=initializer, ctx=ctx)

    def clamped(self, which: str) -> list:
        """Parameters that the WGAN constraint clamps: 'conv' (convolutions only) or 'all'."""
        trained = [p for p in self.collect_params().values() if p.grad_req != "null"]
        if which == "all":
            return trained
        # Only convolutions have a weight; a normalisation has gamma and beta.
        return [p for p in trained if p.name.endswith(("weight", "bias"))]


class CriticLoss(mx.gluon.HybridBlock):
    """The discriminators' scores of real and fake maps, as one graph.

    There are two passes, so that BatchNorm sees real and fake maps separately, as in the reference WGAN.

    Args:
        discriminator: :class:`PyramidDiscriminator`.
        teacher_adapters: :class:`~gan_kd_ssd.distill.adapter.Adapters` of the teacher's maps.

    A call takes L maps of the teacher, then L detached and adapted maps of the student, and gives the
    scores of the teacher's maps and those of the student's maps, (B, L) each.
    """

    def __init__(self, discriminator, teacher_adapters, **kwargs):
        super().__init__(**kwargs)
        self.discriminator = discriminator
        self.teacher_adapters = teacher_adapters

    def hybrid_forward(self, F, *levels):
        teacher, student = levels[: len(levels) // 2], levels[len(levels) // 2 :]
        real = self.discriminator(*self.teacher_adapters(*teacher))
        return real, self.discriminator(*student)


@mx.init.register
class _NormalAroundOne(mx.init.Normal):
    """N(1, 0.02), for the scale (gamma) of a normalisation."""

    def __init__(self, sigma=0.02):
        super().__init__(sigma)

    def _init_weight(self, name, arr):
        super()._init_weight(name, arr)
        arr[:] = arr + 1

    _init_gamma = _init_weight


def clamp(parameters: Sequence, lower: float, upper: float) -> None:
    """Clip the values of parameters in place, on all devices (WGAN, arXiv 1701.07875)."""
    for parameter in parameters:
        for value in parameter.list_data():
            mx.nd.clip(value, lower, upper, out=value)
