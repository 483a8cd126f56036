"""Discriminators: one for each level, and the block that holds them (figure 2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: Side in cells at which a discriminator for maps of any size stops halving (this project's choice).
POOLED_SIDE = 4
_NORMALISATIONS = {"batch": nn.BatchNorm, "instance": nn.InstanceNorm}


class LevelDiscriminator(mx.gluon.HybridBlock):
    """The discriminator of one level: maps (B, C, H, H) -> scores (B, 1).

    3x3 convolutions of stride 2 halve the side until it is 1, then a 1x1 convolution gives the score; a
    side of 1 gets one 1x1 convolution in place of the halving ones. The channels and the halving are
    published (figure 2). Kernel sizes, LeakyReLU(0.2) and normalisation are inferred, after the DCGAN
    discriminator of the reference WGAN: the published scores stay within about 12, but 512 channels
    without normalisation gave hundreds to thousands in trials.

    With ``any_size``, halving stops at :data:`POOLED_SIDE` cells of the short side, and the mean over
    the remaining cells precedes the last convolution (inferred): with one image on each device, BatchNorm of
    a single cell is a constant, but the published scores of real and fake maps differ.

    Args:
        normalisation: 'batch', 'instance' or 'none', after each convolution except the last.
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
        kernel = {"kernel_size": 3, "strides": 2, "padding": 1} if halvings else {"kernel_size": 1}
        kernel["use_bias"] = normalisation not in _NORMALISATIONS
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            with self.body.name_scope():
                for before in [in_channels, *[channels] * (halvings - 1)]:
                    self.body.add(nn.Conv2D(channels, in_channels=before, **kernel))
                    if normalisation in _NORMALISATIONS:
                        self.body.add(_NORMALISATIONS[normalisation](in_channels=channels))
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
        settings: see :class:`LevelDiscriminator`.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], *settings, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            for index, shape in enumerate(shapes):
                level = LevelDiscriminator(*shape, *settings, prefix=f"level{index}_")
                self.register_child(level, str(index))

    def hybrid_forward(self, F, *levels):
        return F.concat(*[d(level) for d, level in zip(self._children.values(), levels)], dim=1)

    def initialize_by_name(self, ctx: list) -> None:
        """Initialise as DCGAN, like the reference WGAN: convolutions N(0, 0.02), gamma N(1, 0.02)."""
        normal = mx.init.Normal(0.02)
        kinds = {"weight": normal, "gamma": normal, "var": mx.init.One()}
        for name, parameter in self.collect_params().items():
            kind = name.rpartition("_")[2]
            parameter.initialize(init=kinds.get(kind, mx.init.Zero()), ctx=ctx)
            if kind == "gamma":
                parameter.set_data(parameter.data(ctx[0]) + 1)

    def trained(self, which: str) -> list:
        """Trained parameters: 'conv' (those of the convolutions) or 'all'."""
        # Only convolutions have a weight and a bias; a normalisation has gamma and beta.
        ends = ("weight", "bias") if which == "conv" else ""
        parameters = self.collect_params().values()
        return [p for p in parameters if p.grad_req != "null" and p.name.endswith(ends)]


def clamp(parameters: Sequence, lower: float, upper: float) -> None:
    """Clip the values of parameters in place, on all devices (WGAN, arXiv 1701.07875)."""
    for parameter in parameters:
        for value in parameter.list_data():
            mx.nd.clip(value, lower, upper, out=value)
