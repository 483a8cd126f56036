"""Records of what happened in a training run, one type for each kind of line in a log.

The training loop makes records. :mod:`gan_kd_ssd.logs.write` prints them as the published text lines
and as JSON lines; :mod:`gan_kd_ssd.logs.parse` and :mod:`gan_kd_ssd.logs.jsonl` read them back.

Figures are dicts from name to number, in the order of printing. ``None`` and ``nan`` both print as
``nan``, as an empty metric does in the published logs: a figure that is inactive in a phase may be
missing, None or nan. There are three styles, which differ in their punctuation:

- ``ssd_gkd``: the published SSD log. Its figures are ``Loss_D``, ``Loss_G``, ``Loss_D_real``,
  ``Loss_D_fake``, ``CrossEntropy``, ``SmoothL1`` and ``cosine``. The line of a step without ``cosine``
  (or with None) has no such field, as in the published detection-only stage.
- ``faster_rcnn``: the published Faster R-CNN log and GluonCV's. It takes figures of any name. Only the
  JSON line contains the figures that :mod:`gan_kd_ssd.logs.lines` lists as such.
- ``ssd``: GluonCV's SSD log. It takes figures of any name; GluonCV's script prints ``CrossEntropy``
  and ``SmoothL1``.

Only JSON lines contain ``images``, the images seen since the start of the run, and ``phase``, which is
"discriminator", "gan" or "detection".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STYLES = ("ssd_gkd", "faster_rcnn", "ssd")

#: Names of the phases in JSON lines. In the distillation phase the student learns from the distillation
#: terms, whichever run; it has the published name of the first of them.
DISCRIMINATORS, DISTILLATION, DETECTION = "discriminator", "gan", "detection"

#: Figures that exist only while discriminators are trained. In other phases, nan means inactive.
GAN_FIGURES = ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake", "cosine")

Figures = Mapping[str, "float | None"]


@dataclass(frozen=True)
class RunStart:
    """The options of a run, and the metadata that only the JSON line contains."""

    namespace: Mapping[str, object]
    info: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """``Start training from [Epoch 1]``."""

    epoch: int


@dataclass(frozen=True)
class Step:
    """Figures after one batch (counted from 0) of an epoch, and the speed in samples per second."""

    epoch: int
    batch: int
    speed: float
    figures: Figures
    images: int | None = None
    phase: str | None = None
    style: str = "ssd_gkd"


@dataclass(frozen=True)
class EpochEnd:
    """Figures of a whole epoch.

    The ``ssd_gkd`` style prints ``speed`` (samples per second) and omits the cosine figure. The other
    styles print ``seconds``, the training time of the epoch.
    """

    epoch: int
    figures: Figures
    speed: float | None = None
    seconds: float | None = None
    images: int | None = None
    phase: str | None = None
    style: str = "ssd_gkd"


@dataclass(frozen=True)
class Validation:
    """Average precision of each class, in the order of the classes, and their mean (0 to 1).

    Attributes:
        mean: The mAP; None if the log ends before it.
        coco: Whether this is the block of GluonCV's COCO metric, which is printed in percent and
            begins with the lines of ``summary``.
    """

    epoch: int
    classes: Figures
    mean: float | None
    phase: str | None = None
    style: str = "ssd_gkd"
    coco: bool = False
    summary: tuple[str, ...] = ()


@dataclass(frozen=True)
class BestMap:
    """``best_map is 0.78``: the best mAP so far, as in the published SSD log."""

    value: float


@dataclass(frozen=True)
class LearningRate:
    """A change of the student's learning rate or (``gan``) of the adversarial learning rates.

    Only GluonCV's warm-up lines have an ``iteration``.
    """

    epoch: int
    rate: float
    gan: bool = False
    iteration: int | None = None


@dataclass(frozen=True)
class NewBest:
    """A new best mAP of a Faster R-CNN; ``previous`` is the best mAP before (0 at first)."""

    epoch: int
    value: float
    previous: float
    path: str


@dataclass(frozen=True)
class Saved:
    """``[Epoch 0] Saving parameters to x_0000_0.3850.params``."""

    epoch: int
    path: str


@dataclass(frozen=True)
class Event:
    """A message of one line."""

    text: str


@dataclass(frozen=True)
class Unknown:
    """A line that the parser does not know, unchanged; ``cut`` if the file ends within it."""

    text: str
    cut: bool = False


#: Records that the JSON lines call events, by their name there.
EVENTS = {
    "start": Start,
    "best_map": BestMap,
    "learning_rate": LearningRate,
    "new_best": NewBest,
    "saved": Saved,
    "text": Event,
}
