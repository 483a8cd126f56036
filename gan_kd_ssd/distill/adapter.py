"""Pairs of levels of student and teacher, and blocks that take the maps of all levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx


@dataclass(frozen=True)
class LevelPair:
    """A level of the student and the teacher's level of the same stride."""

    student: int  # index of the level; 0 is the finest
    teacher: int
    student_channels: int
    teacher_channels: int
    side: int  # height of the student's map in cells
    stride: int  # in pixels


def align(student, teacher) -> list[LevelPair]:
    """Pair the levels of two detectors by stride.

    VGG16's SSD-512 has 7 levels from stride 8, those of ResNet and MobileNet have 6 from stride 16: the
    teacher's finest level then has no partner and is not used (inferred; it is not known which six of
    the seven levels the authors used).

    Raises:
        UserError: the pyramids have more than one level, and fewer than two pairs are found.
    """
    sides = [[height for _, height, _ in detector.shapes] for detector in (student, teacher)]
    # SSDs have one input size, where levels of the same side have the same stride. Where images have
    # any size, two coarse levels may have the same side.
    ours, theirs = (student.strides, teacher.strides) if student.any_size else sides
    places = {key: index for index, key in enumerate(theirs)}
    pairs = []
    for index, key in enumerate(ours):
        if key in places:
            other, (channels, side, _) = places[key], student.shapes[index]
            width, stride = teacher.shapes[other][0], student.strides[index]
            pairs.append(LevelPair(index, other, channels, width, side, stride))
    if len(pairs) < min(2, max(map(len, sides))):
        raise UserError(
            f"--student {student.name} and --teacher {teacher.name}: their pyramids cannot be aligned: "
            f"the levels have sides {sides[0]} and {sides[1]}; "
            f"choose another pair or {student.size_option}"
        )
    return pairs


class Adapters(mx.gluon.HybridBlock):
    """A 1x1 convolution for each level with different (input, output) channels, the identity for others.

    The author's advice for different channels: "add a 1x1 convolution connecting to the GAN".
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
        return tuple(
            self._children.get(str(index), F.identity)(level) for index, level in enumerate(levels)
        )


class MapsGraph(mx.gluon.HybridBlock):
    """A function of the maps of two networks, compiled as one graph; takes both lists of L maps.

    Args:
        function: (F, maps of one network, maps of the other) -> arrays.
        blocks: blocks that the function calls.
    """

    def __init__(self, function: Callable, *blocks, **kwargs):
        super().__init__(**kwargs)
        self._function = function
        for block in blocks:
            self.register_child(block)
        self.hybridize(static_alloc=True)

    def hybrid_forward(self, F, *levels):
        half = len(levels) // 2
        return self._function(F, levels[:half], levels[half:])
