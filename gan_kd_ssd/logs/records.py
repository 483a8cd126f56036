"""What happened in a training run: one record type for each thing that a log tells.

The training loop makes these records; :mod:`gan_kd_ssd.logs.write` prints them as the published
text lines and as JSON lines, and :mod:`gan_kd_ssd.logs.parse` reads them back from both.

Figures are dicts, name -> number, in the order in which they are printed. ``None`` and ``nan``
both print as ``nan``, as an empty metric of the published logs does: a figure that is not active
in this phase may be left out, be None, or be nan. The styles differ in punctuation alone:

- ``ssd_gkd``: the published SSD log. Figures ``Loss_D``, ``Loss_G``, ``Loss_D_real``,
  ``Loss_D_fake``, ``CrossEntropy``, ``SmoothL1``, and ``cosine``; a step without ``cosine`` (or
  with None) has no such field in its line, as in the published detection-only stage.
- ``faster_rcnn``: the published Faster R-CNN log and GluonCV's own. Any names, printed in the
  order of the dict: published ones are ``RPN_Conf``, ``RPN_SmoothL1``, ``RCNN_CrossEntropy``,
  ``RCNN_SmoothL1``, ``RPNAcc``, ``RPNL1Loss``, ``RCNNAcc``, ``RCNNL1Loss``, ``Loss_G``, ``Loss_D``.
  Figures that the published lines lack may be there too; they go into the JSON line alone:
  ``Loss_D_real``, ``Loss_D_fake`` and ``cosine``, and of an :class:`EpochEnd` the four from
  ``RPNAcc`` to ``RCNNL1Loss`` as well.
- ``ssd``: GluonCV's own SSD log. Any names; its script prints ``CrossEntropy``, ``SmoothL1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STYLES = ("ssd_gkd", "faster_rcnn", "ssd")

#: Figures that exist only while discriminators are trained; nan means inactive in other phases.
GAN_FIGURES = ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake", "cosine")

Figures = Mapping[str, "float | None"]


@dataclass(frozen=True)
class RunStart:
    """A run begins: its options, name -> value.

    ``info`` goes into the JSON line alone (versions, git revision, sha256 of the teacher's file,
    mAP of the teacher, ...).
    """

    namespace: Mapping[str, object]
    info: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """``Start training from [Epoch 1]``."""

    epoch: int


@dataclass(frozen=True)
class Step:
    """The figures after batch ``batch`` (0-based) of an epoch; ``speed`` in samples/s.

    ``images`` (seen since the run's start) and ``phase`` ("discriminator", "gan", "detection") are
    for the JSON line: the text line has no place for them.
    """

    epoch: int
    batch: int
    speed: float
    figures: Figures
    images: int | None = None
    phase: str | None = None
    style: str = "ssd_gkd"


@dataclass(frozen=True)
class EpochEnd:
    """The figures of a whole epoch.

    ``ssd_gkd`` prints ``speed`` (samples/s) and never the cosine figure; the other styles print
    ``seconds``, the epoch's training time.
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
    """Average precision of each class, in the classes' order, and their mean (0 to 1).

    ``mean`` is None where the log breaks off before the line of the mean. ``coco``: GluonCV's
    COCO block, which prints percents and begins with the lines of ``summary``.
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
    """``best_map is 0.78``: the best mAP so far, as the published SSD script prints it."""

    value: float


@dataclass(frozen=True)
class LearningRate:
    """A learning rate was set: the student's, or (``gan``) those of the adversarial updates.

    ``iteration`` is given in GluonCV's warm-up lines alone.
    """

    epoch: int
    rate: float
    gan: bool = False
    iteration: int | None = None


@dataclass(frozen=True)
class NewBest:
    """Faster R-CNN: this epoch's mAP is the best; ``previous`` is the best before (0 at first)."""

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
    """Anything else worth a line, in one line of text."""

    text: str


@dataclass(frozen=True)
class Unknown:
    """A line that the parser does not know, as it stands; ``cut``: the file breaks off in it."""

    text: str
    cut: bool = False
