"""Cosine attention: the distance between the attention maps of student and teacher.

The authors' log prints a "cosine_length_loss_metric" that neither the paper nor their answers define.
The definition here is this project's: one minus the cosine similarity of the spatial attention maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.distill.terms.term import LevelTerm, register
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.option_fields import FIXED, decimal


def attention(F, level):
    """Spatial attention map of a level, not normalised (arXiv 1612.03928): (B, C, H, W) -> (B, H W)."""
    return F.flatten(F.sum(F.square(level), axis=1))


def cosine_distance(F, a, b):
    """1 - cosine similarity of the rows of a and b: (B, D), (B, D) -> (B, 1)."""
    # The constants keep the gradient finite for a map that is zero everywhere (distance 1).
    norms = [F.sqrt(F.sum(F.square(x), axis=1) + 1e-20) for x in (a, b)]
    return F.expand_dims(1 - F.sum(a * b, axis=1) / (norms[0] * norms[1]), axis=1)


@dataclass(frozen=True)
class CosineOptions:
    """The options of cosine attention."""

    cosine_attention: float = decimal(
        0.0,
        "weight of the cosine distance between attention maps (1 if WEIGHT is omitted); the published log "
        "contains such a figure, but its definition is inferred",
        nargs="?",
        const=1.0,
        metavar="WEIGHT",
        resume=FIXED,
        inferred="weight and definition of the cosine attention",
    )


@register
class CosineAttention(LevelTerm):
    """The cosine distance between attention maps; 0 for a single cell, unless a map is zero."""

    name = "cosine"
    summary = "the cosine distance between attention maps (weight: --cosine-attention)"
    options_type = CosineOptions
    figures = ("cosine",)
    weight_option = "cosine_attention"

    @classmethod
    def check(cls, options: CosineOptions, chosen: Sequence[str]) -> None:
        if tuple(chosen) == ("cosine",) and not options.cosine_attention:
            raise UserError(
                "--distill cosine: the term has no weight; give one, such as --cosine-attention 1.0"
            )

    def distance(self, F, student, teacher):
        return cosine_distance(F, attention(F, student), attention(F, teacher))
