"""The problems of a data set: their kinds, how they are collected, and the report about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import NamedTuple

from gan_kd_ssd.data.formats.dataset import class_ids
from gan_kd_ssd.util.tables import aligned

#: What a training does about a problem, and its explanation in the report.
STOPS, LEFT_OUT, KEPT = "stops", "left out", "kept"
LEGEND = (
    "stops: a training ends with an error; left out: a training continues without the object; "
    "kept: a training uses the data as they are"
)


class Kind(NamedTuple):
    """A kind of problem. A fault spoils a training or its figures; what is no fault may be meant."""

    title: str
    effect: str
    fault: bool = True


KINDS = {
    "empty_split": Kind("split that lists no image", STOPS),
    "missing_annotation": Kind("annotation is missing", STOPS),
    "damaged_annotation": Kind("annotation is damaged", STOPS),
    "missing_image": Kind("image is missing", STOPS),
    "damaged_image": Kind("image cannot be read", STOPS),
    "size_differs": Kind("image whose size differs from the annotation", STOPS),
    "box_reversed": Kind("box that ends before it begins", LEFT_OUT),
    "box_empty": Kind("box without area", LEFT_OUT),
    "box_outside": Kind("box outside its image", LEFT_OUT),
    "box_clipped": Kind("box that exceeds its image and is clipped", KEPT),
    "unknown_class": Kind("object of an unknown class", LEFT_OUT),
    "object_without_image": Kind("object of an image that is not listed", LEFT_OUT),
    "object_twice": Kind("two objects with the same id", KEPT),
    "listed_twice": Kind("image listed twice in a split", KEPT),
    "image_in_two_splits": Kind("image in two splits", KEPT),
    "copy_in_two_splits": Kind("identical pictures in two splits", KEPT),
    "copy": Kind("identical pictures in a split", KEPT, fault=False),
    "without_objects": Kind("image without objects", KEPT, fault=False),
    "unlisted_file": Kind("file that no split lists", KEPT, fault=False),
}
_MOST_COLUMNS = 8  # the greatest number of classes with a column each


@dataclass
class Example:
    """Where a problem is: splits, a file or an entry, and details."""

    split: str
    where: str
    detail: str


@dataclass
class Finding:
    """How often a kind of problem occurs, and the first examples."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class SplitCounts:
    """Number of images, of images without objects, and of objects by class in a split."""

    images: int = 0
    without_objects: int = 0
    objects: int = 0
    classes: Counter = field(default_factory=Counter)


@dataclass
class ListedImage:
    """An image that splits list: its file, annotation, splits, and annotated width and height."""

    path: str
    where: str
    splits: list[str]
    size: tuple[int, int] | None = None


class CheckReport:
    """Collects the images and the problems of a data set.

    Args:
        title: What is checked.
        layout: 'voc' or 'coco'.
        classes: The known classes; None accepts any class.
        examples: The greatest number of examples of each kind.
    """

    def __init__(self, title: str, layout: str, classes: Sequence[str] | None, examples: int = 5):
        self.title, self.layout, self._most = title, layout, examples
        self._class_id_of = None if classes is None else class_ids(classes)
        self.splits: dict[str, SplitCounts] = {}
        self.images: list[ListedImage] = []
        self.findings: dict[str, Finding] = {}
        self.images_read = 0

    def add(self, kind: str, splits: Sequence[str], where, detail: object = "") -> None:
        """Add one problem of a kind of KINDS; ``detail`` is a text or a UserError about ``where``."""
        finding = self.findings.setdefault(kind, Finding())
        finding.count += 1
        if len(finding.examples) < self._most:
            detail = " ".join(str(detail).removeprefix(str(where)).lstrip(": ").split())
            finding.examples.append(Example(", ".join(splits), str(where), detail))

    def add_objects(self, splits: Sequence[str], where, names: Counter) -> None:
        """Count the classes of one image's objects."""
        for split in splits:
            self.splits[split].classes.update(names)
            self.splits[split].objects += sum(names.values())
            self.splits[split].without_objects += not names
        if not names:
            self.add("without_objects", splits, where)
        for name in names.elements():
            if self._class_id_of and self._class_id_of(name) is None:
                self.add("unknown_class", splits, where, name)

    @property
    def faults(self) -> int:
        """Number of problems that are faults."""
        return sum(found.count for kind, found in self.findings.items() if KINDS[kind].fault)

    def sorted_findings(self) -> list[tuple[str, Finding]]:
        """Kinds and findings in the order of KINDS."""
        return [(kind, self.findings[kind]) for kind in KINDS if kind in self.findings]

    def to_json(self) -> dict:
        """The report in plain types for ``json.dumps``."""
        splits = {
            name: {**vars(split), "classes": dict(sorted(split.classes.items()))}
            for name, split in self.splits.items()
        }
        findings = [
            {"kind": kind, **KINDS[kind]._asdict(), **asdict(finding)}
            for kind, finding in self.sorted_findings()
        ]
        head = {"data": self.title, "layout": self.layout, "images_read": self.images_read}
        return {**head, "faults": self.faults, "splits": splits, "findings": findings}


def report_text(report: CheckReport) -> str:
    """Format the report for a terminal: a table of the splits, then the problems with examples."""
    read = f", {report.images_read:,} images read" if report.images_read else ""
    lines = [f"{report.title}: {report.layout.upper()} layout{read}", "", *_split_table(report), ""]
    for kind, finding in report.sorted_findings():
        title, effect, fault = KINDS[kind]
        mark = "fault" if fault else "note"
        lines.append(f"{mark:<5}  {effect:<8}  {finding.count:>7,}  {title}")
        for example in finding.examples:
            lines.append(f"{'':26}{': '.join(filter(None, astuple(example)))}")
        if finding.count > len(finding.examples):
            lines.append(f"{'':26}… and {finding.count - len(finding.examples):,} more")
    if report.findings:
        lines.append(f"({LEGEND})")
    count = report.faults
    stopping = sum(f.count for kind, f in report.findings.items() if KINDS[kind].effect == STOPS)
    ending = f", {stopping:,} of which stop a training" if stopping else ""
    lines.append(f"{count:,} fault{'' if count == 1 else 's'}{ending}" if count else "no faults")
    return "\n".join(lines) + "\n"


def _split_table(report: CheckReport) -> list[str]:
    names = sorted({name for split in report.splits.values() for name in split.classes})
    shown = names if len(names) <= _MOST_COLUMNS else []
    rows = [["split", "images", "without objects", "objects", *(shown or ["classes"])]]
    for name, split in report.splits.items():
        counts = [split.images, split.without_objects, split.objects]
        rest = [split.classes[one] for one in shown] if shown else [len(split.classes)]
        rows.append([name, *(f"{count:,}" for count in [*counts, *rest])])
    lines = aligned(rows, right=range(1, len(rows[0]))).splitlines()
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
