"""Network names and detector kinds.

This module is the only reader of network names, and the only place that decides whether a network, a
run or a log belongs to an SSD or to a Faster R-CNN. It imports no MXNet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

DetectorKind = Literal["ssd", "faster_rcnn"]
KINDS: tuple[DetectorKind, ...] = ("ssd", "faster_rcnn")

#: Backbones of GluonCV's Faster R-CNNs. No SSD is built on them, so the name decides the kind.
FASTER_RCNN_BACKBONES = ("resnet50_v1b", "resnet101_v1d")
#: Split-attention backbones. GluonCV has them only as Faster R-CNN with FPN and trained BatchNorm.
SPLIT_ATTENTION = ("resnest50", "resnest101", "resnest269")

#: Pattern of a backbone as GluonCV spells it, with the optional width of a thin or a narrow one.
BACKBONE = (
    r"(?:mobilenet(?:v2_)?\d\.\d+(?:_lite)?|resnet\d+_v[12][a-z]?(?:_0\.\d+)?|resnest\d+|vgg16_atrous)"
    r"(?:_w0\.\d+)?"
)
_DATASET = r"(?:_(?P<dataset>voc|coco|custom))?"
_PATTERNS = {
    "ssd": re.compile(rf"(?:ssd_(?P<data_shape>\d+)_)?(?P<backbone>.+?){_DATASET}"),
    "faster_rcnn": re.compile(
        rf"(?:faster_rcnn_)?(?P<fpn>fpn_)?(?:syncbn_|bn_)?(?P<backbone>.+?){_DATASET}"
    ),
}
#: File names spell 'mobilenet1.0' as 'mobilenet1_0'.
_UNDERSCORE = re.compile(r"^(mobilenet(?:v2_)?\d|resnet\d+_v1_0)_(\d+)(?=_|$)")
_THIN = re.compile(r"resnet(10|18)_v1_(0\.\d+)")
_NARROW = re.compile(r".+_w(0\.\d+)")

#: Options and losses that only one kind of detector has: those of the published logs and of this project.
_MARKS: dict[DetectorKind, set[str]] = {
    "faster_rcnn": {"Teacher_param_path", "use_fpn", "roi_mode", "RPN_Conf", "RCNN_CrossEntropy"},
    "ssd": {"data_shape", "CrossEntropy"},
}


@dataclass(frozen=True)
class NetworkName:
    """A network name, parsed by :func:`read_name`."""

    kind: DetectorKind
    #: The backbone as GluonCV spells it, with the width of a thin or a narrow one, such as 'mobilenet1.0',
    #: 'resnet10_v1_0.25' or 'resnet50_v1_w0.25'. Not checked to exist.
    backbone: str
    fpn: bool = False  # whether a Faster R-CNN has a feature pyramid
    data_shape: int | None = None  # side of an SSD's input in pixels, if the name contains it
    dataset: str | None = None  # 'voc', 'coco' or 'custom', if the name contains it

    def __str__(self) -> str:
        """The short name that the options of the scripts take: 'mobilenet1.0', 'fpn_resnet50_v1b'."""
        return f"fpn_{self.backbone}" if self.fpn else self.backbone

    @property
    def base(self) -> str:
        """The full-width backbone of a narrow backbone; for all others, the backbone itself."""
        return self.backbone.rpartition("_w")[0] if self.width else self.backbone

    @property
    def width(self) -> float | None:
        """Fraction of GluonCV's channels in a narrow backbone; None for all other backbones."""
        match = _NARROW.fullmatch(self.backbone)
        return (float(match[1]) or None) if match else None

    @property
    def thin(self) -> tuple[int, float] | None:
        """Number of layers and width of a thin ResNet ('resnet10_v1_0.25'); None for all others."""
        match = _THIN.fullmatch(self.backbone)
        return (int(match[1]), float(match[2])) if match else None

    @property
    def has_imagenet(self) -> bool:
        """Whether GluonCV publishes ImageNet weights; False for thin and narrow backbones."""
        return self.thin is None and self.width is None


def read_name(text: str, kind: DetectorKind | None = None) -> NetworkName:
    """Parse a network name in any accepted spelling.

    Short names ('mobilenet1.0', 'fpn_resnet50_v1b'), GluonCV's full names ('ssd_512_mobilenet1.0_voc',
    'faster_rcnn_fpn_resnet50_v1b_coco') and those of files ('mobilenet1_0') are accepted; upper and
    lower case are the same.

    ``kind`` is given if the context decides it. By default the name decides: a prefix, or a backbone
    that only Faster R-CNN has. Any other short name is that of an SSD.
    """
    name = str(text).strip().lower()
    kind = kind or _kind_of_name(name)
    match = _PATTERNS[kind].fullmatch(name)
    if match is None:  # an empty name, or one of several lines
        return NetworkName(kind, name)
    found = match.groupdict()
    backbone, dataset = _UNDERSCORE.sub(r"\1.\2", found["backbone"]), found["dataset"]
    if kind == "faster_rcnn":
        fpn = bool(found["fpn"]) or backbone in SPLIT_ATTENTION
        return NetworkName(kind, backbone, fpn, dataset=dataset)
    shape = found["data_shape"]
    return NetworkName(kind, backbone, data_shape=int(shape) if shape else None, dataset=dataset)


def _kind_of_name(name: str) -> DetectorKind:
    if name.startswith(("faster_rcnn_", "fpn_")):
        return "faster_rcnn"
    if name.startswith("ssd_"):
        return "ssd"
    base = read_name(name, "faster_rcnn").base
    return "faster_rcnn" if base in (*FASTER_RCNN_BACKBONES, *SPLIT_ATTENTION) else "ssd"


def kind_of(
    run: str | Mapping, metadata: Mapping | None = None, losses: Iterable[str] = ()
) -> DetectorKind | None:
    """The kind of detector of a network or of a run; None if it is unknown.

    Runs of this project record it as ``detector`` in their metadata. For older runs and published logs
    it follows from their options, then from the names of their losses, then from the network's name.

    Args:
        run: a network name, or the options of a run (its Namespace).
        metadata: further metadata of the run.
        losses: names of the figures that the run logged.
    """
    if isinstance(run, str):
        return read_name(run).kind
    recorded = (metadata or {}).get("detector")
    if recorded in KINDS:
        return recorded
    for names in (set(run), set(losses)):
        for kind, marks in _MARKS.items():
            if names & marks:
                return kind
    network = run.get("student") or run.get("network")
    return read_name(network).kind if network else None
