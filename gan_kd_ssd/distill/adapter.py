"""Pairs of levels of student and teacher, and 1x1 convolutions for pairs with different channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx


@dataclass(frozen=True)
class LevelPair:
    """A level of the student and the teacher's level of the same stride.

    Attributes:
        student, teacher: indices of the levels; 0 is the finest.
        student_channels, teacher_channels: channels of the maps.
        side: height of the student's map in cells.
        stride: stride of the student's level in pixels.
    """

    student: int
    teacher: int
    student_channels: int
    teacher_channels: int
    side: int
    stride: int


def align(student, teacher) -> list[LevelPair]:
    """Pair the levels of two detectors by stride.

    SSDs have one input size, so there levels of the same side have the same stride. VGG16's SSD-512 has
    7 levels from stride 8, those of ResNet and MobileNet have 6 from stride 16: the teacher's finest
    level then has no partner and is not used (inferred; it is not known which six of the seven levels
    the authors used).

    Args:
        student, teacher: detectors.

    Raises:
        UserError: the pyramids have more than one level, and fewer than two pairs are found.
    """
    by_stride = student.any_size  # two coarse levels may have the same side there
    keys = teacher.strides if by_stride else [height for _, height, _ in teacher.shapes]
    places = {key: index for index, key in enumerate(keys)}
    pairs = []
    for index, (channels, height, _) in enumerate(student.shapes):
        stride = student.strides[index]
        key = stride if by_stride else height
        if key in places:
            other = places[key]
            teacher_channels = teacher.shapes[other][0]
            pairs.append(LevelPair(index, other, channels, teacher_channels, height, stride))
    if len(pairs) < min(2, max(len(student.shapes), len(teacher.shapes))):
        raise UserError(
            f"--student {student.name} and --teacher {teacher.name}: their pyramids cannot be aligned: "
            f"the levels have sides {[h for _, h, _ in student.shapes]} and "
            f"{[h for _, h, _ in teacher.shapes]}; choose another pair or {student.size_option}"
        )
    return pairs


class Adapters(mx.gluon.HybridBlock):
    """A 1x1 convolution for each level whose channels differ, the identity for the others.

    The author's advice for different channels: "add a 1x1 convolution connecting to the GAN".

    Args:
        channels: input and output channels of each level.
    """

    def __init__(self, channels: Sequence[tuple[int, int]], **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            for index, (before, after) in enumerate(channels):
                if before != after:
                    prefix = f"level{index}_"
                    layer = mx.gluon.nn.Conv2D(after, 1, in_channels=before, prefix=prefix)
                    self.register_child(layer, str(index))

    def hybrid_forward(self, F, *levels):
        layers = self._children
        return tuple(
            layers[str(index)](level) if str(index) in layers else F.identity(level)
            for index, level in enumerate(levels)
        )
