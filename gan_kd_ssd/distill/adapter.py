"""Which levels of teacher and student face each other, and 1x1 convolutions where channels differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx


@dataclass(frozen=True)
class LevelPair:
    """A level of the student and the teacher's level of the same stride.

    Indices count from 0, the finest; channels are those of the maps; side is in cells.
    """

    student: int
    teacher: int
    student_channels: int
    teacher_channels: int
    side: int
    stride: int


def align(student, teacher) -> list[LevelPair]:
    """Pair the levels of two detectors by stride, which for an SSD's one input size is by side.

    VGG16's SSD-512 has 7 levels from stride 8, the ResNet and MobileNet ones 6 from stride 16: the
    teacher's finest level then has no partner and is left out (inferred; which six of the seven the
    authors used is not known).

    Args:
        student, teacher: detectors with ``shapes`` (C, H, W), ``strides``, ``name`` and ``size_option``.

    Raises:
        UserError: fewer than two levels pair, of pyramids that have more than one.
    """
    by_stride = student.any_size  # sides of coarse levels may be the same there
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
            f"--student {student.name} and --teacher {teacher.name}: their pyramids cannot be aligned "
            f"at these sizes (levels of side {[h for _, h, _ in student.shapes]} and "
            f"{[h for _, h, _ in teacher.shapes]}); choose another pair or {student.size_option}"
        )
    return pairs


class Adapters(mx.gluon.HybridBlock):
    """One 1x1 convolution a level where channels differ, nothing where they agree.

    The author to a reader whose channels differed: "add a 1x1 convolution connecting to the GAN".

    Args:
        channels: (in, out) channels of each level.
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
