"""What the student learns from the teacher besides the labels: adversarial score and cosine attention."""

from __future__ import annotations

from gan_kd_ssd.util.mxnet import mx


def attention(F, level):
    """Spatial attention map of a level: (B, C, H, W) -> (B, H W), sum over channels of squares.

    The definition of Zagoruyko and Komodakis (arXiv 1612.03928), not normalised.
    """
    return F.flatten(F.sum(F.square(level), axis=1))


def cosine_distance(F, a, b):
    """1 - cosine similarity of the rows of a and b: (B, D), (B, D) -> (B, 1)."""
    # The constants keep the gradient finite for a map that is zero everywhere (distance 1).
    norms = [F.sqrt(F.sum(F.square(x), axis=1) + 1e-20) for x in (a, b)]
    return F.expand_dims(1 - F.sum(a * b, axis=1) / (norms[0] * norms[1]), axis=1)


class StudentTerms(mx.gluon.HybridBlock):
    """The distillation terms of L_G for one device's images, as one graph.

    Its own graph, though it shares the discriminators' parameters with :class:`CriticLoss`: it is only
    ever differentiated with respect to the student's levels, so that the discriminators' gradients,
    which the student's update has no use for, are not computed.

    Args of a call: adapted student levels, student levels, teacher levels, each finest first:
    3 L arrays (B, C_l, H_l, W_l). Returns scores (B, L) of the adapted maps, and the cosine distances
    (B, L) between the student's and the teacher's attention maps; a level of one
    cell has distance 0 unless it is dead.

    The authors' log prints a "cosine_length_loss_metric" that neither paper nor answers define: the
    cosine distance between attention maps is ours.
    """

    def __init__(self, discriminator, **kwargs):
        super().__init__(**kwargs)
        self.discriminator = discriminator

    def hybrid_forward(self, F, *levels):
        count = len(levels) // 3
        student, teacher = levels[count : 2 * count], levels[2 * count :]
        distances = [
            cosine_distance(F, attention(F, s), attention(F, t)) for s, t in zip(student, teacher)
        ]
        return self.discriminator(*levels[:count]), F.concat(*distances, dim=1)


class CriticLoss(mx.gluon.HybridBlock):
    """The discriminators' scores of real and fake maps, as one graph.

    Args of a call: teacher levels, then student levels (detached, adapted), 2 L arrays.
    Returns scores of the teacher's and of the student's maps, (B, L) each. Two passes, so that
    BatchNorm sees real and fake maps apart, as in the reference WGAN.
    """

    def __init__(self, discriminator, teacher_adapters, **kwargs):
        super().__init__(**kwargs)
        self.discriminator = discriminator
        self.teacher_adapters = teacher_adapters

    def hybrid_forward(self, F, *levels):
        teacher, student = levels[: len(levels) // 2], levels[len(levels) // 2 :]
        real = self.discriminator(*self.teacher_adapters(*teacher))
        return real, self.discriminator(*student)
