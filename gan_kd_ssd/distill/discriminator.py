"""One discriminator a level, and the pyramid discriminator that holds them (figure 2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_kd_ssd.util.mxnet import mx

nn = mx.gluon.nn

#: Normalisations that a discriminator can have; the published one is not known, see
#: :class:`LevelDiscriminator`.
NORMALISATIONS = ("batch", "instance", "none")

#: Cells of the short side at which a discriminator for maps of any size stops halving (ours).
POOLED_SIDE = 4


class LevelDiscriminator(mx.gluon.HybridBlock):
    """Scores the maps of one level: (B, C, H, H) -> (B, 1).

    Stride-2 3x3 convolutions halve the side until it is 1, then a 1x1 convolution gives the score; a
    level of side 1 gets one 1x1 convolution in place of the halving ones. 512 channels and the halving
    are published (figure 2); kernel sizes, LeakyReLU(0.2) and the normalisation are inferred, after the
    reference WGAN's DCGAN discriminator. Why normalised: the published scores stay within about 12,
    and in trials 512 channels without normalisation gave hundreds to thousands.

    Maps of any size, (B, C, H, W), are read by a stack that stops halving at :data:`POOLED_SIDE` cells
    and takes the mean over what is left before the last convolution (inferred). Halving on to one cell
    cannot be what the authors did there: with one image a device, BatchNorm of a single cell is a
    constant, while the published scores of real and fake maps differ.

    Args:
        in_channels: C. side: H, in cells; of maps of any size, that of the short side.
        channels: width of the convolutions. any_size: see above.
        normalisation: 'batch', 'instance' or 'none', after each convolution but the last.
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
    """A discriminator for each level: levels (B, C_l, H_l, H_l) -> scores (B, L).

    Args:
        shapes: (channels, side) of each level, finest first. channels, normalisation, any_size: see
            :class:`LevelDiscriminator`.
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
        """DCGAN's first values, as in the reference WGAN: convolutions N(0, 0.02), gamma N(1, 0.02)."""
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
        """Parameters that the WGAN constraint clamps: 'conv' (the convolutions) or 'all' trained ones."""
        trained = [p for p in self.collect_params().values() if p.grad_req != "null"]
        if which == "all":
            return trained
        # Convolutions are the layers with a weight; a normalisation has gamma and beta.
        return [p for p in trained if p.name.endswith(("weight", "bias"))]


@mx.init.register
class _NormalAroundOne(mx.init.Normal):
    """N(1, 0.02), for the scales of a normalisation."""

    def __init__(self, sigma=0.02):
        super().__init__(sigma)

    def _init_weight(self, name, arr):
        super()._init_weight(name, arr)
        arr[:] = arr + 1

    _init_gamma = _init_weight


def clamp(parameters: Sequence, lower: float, upper: float) -> None:
    """Clip the values of parameters in place, on all their devices (WGAN, arXiv 1701.07875)."""
    for parameter in parameters:
        for value in parameter.list_data():
            mx.nd.clip(value, lower, upper, out=value)
