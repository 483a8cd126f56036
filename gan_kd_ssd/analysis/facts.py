"""What a run was: its options and what the log shows of it, under names that two runs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.analysis.curves import Key, Point, epoch_curves, epoch_lines
from gan_kd_ssd.analysis.epoch_size import EpochSize, agree, counted, epoch_size, narrower
from gan_kd_ssd.analysis.figures import Figure, last_trained, run_figures
from gan_kd_ssd.analysis.invariants import Invariant, check_invariants
from gan_kd_ssd.analysis.plain import count
from gan_kd_ssd.analysis.remarks import remarks_on
from gan_kd_ssd.analysis.resume import with_resumed
from gan_kd_ssd.analysis.summary import detector_of
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.records import EpochEnd, Step, Validation
from gan_kd_ssd.util.errors import UserError


@dataclass(frozen=True)
class Subject:
    """One run, ready to be compared or drawn. ``remarks``: what its figures should be read with."""

    name: str
    run: Run
    figures: list[Figure]
    size: EpochSize | None
    detector: str | None
    options: dict[str, object]
    classes: tuple[str, ...]
    invariants: list[Invariant]
    published: bool = False
    remarks: tuple[str, ...] = ()

    def curves(self, by_epoch: bool = False) -> dict[Key, list[Point]]:
        """See :func:`~gan_kd_ssd.analysis.curves.epoch_curves`."""
        return epoch_curves(self.figures, by_epoch)

    def lines(self, by_epoch: bool = False) -> dict[Key, list[list[Point]]]:
        """See :func:`~gan_kd_ssd.analysis.curves.epoch_lines`."""
        return epoch_lines(self.figures, by_epoch)

    @property
    def role(self) -> str:
        """What a reference is called: ``published``, or ``reference`` for any other log."""
        return "published" if self.published else "reference"

    @property
    def images_seen(self) -> int | None:
        """Since the run's start, by the last figure."""
        return max((f.images for f in self.figures if f.images is not None), default=None)

    @property
    def counts_exactly(self) -> bool:
        """Whether images seen are no estimate: counted by JSON lines, or of an epoch of known size."""
        told = any(e.record.images is not None for e in self.run.of(Step, EpochEnd))
        return told or self.size is None or self.size.exact

    def counted(self, images: int) -> str:
        """A number of images of this run for a person: ``5,011``, or ``about 5,000``."""
        return counted(images, self.counts_exactly)


def run_of(log: Log, number: int | None) -> Run:
    """The ``number``-th run (1-based) of a log, or the last with figures.

    Raises:
        UserError: there is no such run.
    """
    if number is not None:
        if number > len(log.runs):
            raise UserError(f"--run {number}: {log.source} has runs 1 to {len(log.runs)}")
        return log.runs[number - 1]
    run = last_trained(log)
    if run is None:
        raise UserError(f"{log.source}: no figures in it yet: let the run train for an epoch")
    return run


def subject(log: Log, number: int | None = None, published: bool = False) -> Subject:
    """The run of ``log`` to look at: the ``number``-th (1-based), else the last with figures.

    A run that resumes an earlier one of the same file goes with it.

    Raises:
        UserError: there is no such run, or it has no figures.
    """
    run = run_of(log, number)
    if not run.trained:
        raise UserError(f"--run {number}: that run of {log.source} has no figures")
    remarks = remarks_on(log, run)
    if log.unknown:
        remarks += (f"not understood: {count(len(log.unknown), 'line')} (show lists them)",)
    run = with_resumed(log, run)
    figures = run_figures(run)
    options = dict(command_of(log, run).options) if run.start else {}
    whole = (e.record for e in run.of(Validation) if e.record.mean is not None)
    classes = next((tuple(record.classes) for record in whole), ())
    return Subject(
        log.source,
        run,
        figures,
        epoch_size(run),
        detector_of(run),
        options,
        classes,
        check_invariants(run, figures),
        published,
        remarks,
    )


def of_one_size(subjects: Sequence[Subject]) -> list[Subject]:
    """The runs, each counted by what those whose images an epoch agree tell of them together."""
    found = []
    for one in subjects:
        size = one.size
        for other in subjects:
            if size is not None and other.size is not None and agree(size, other.size):
                size = narrower(size, other.size)
        changed = size is not None and size.span != one.size.span
        figures = run_figures(one.run, size) if changed else one.figures
        found.append(replace(one, size=size, figures=figures) if changed else one)
    return found


#: GluonCV's Faster R-CNNs take images of these sides, in pixels, where the options do not tell.
_ZOO_SIZES = {"short": 600, "max_size": 1000}


def disagreement(mine: Subject, reference: Subject, names: list[str]) -> str | None:
    """The first of ``names`` on which two runs differ, in words. What one does not tell passes."""
    for name in names:
        a, b = _told(mine, name), _told(reference, name)
        if a is None or b is None or _agree(name, a, b):
            continue
        if name == "classes":
            return f"other classes: {len(a)} here, {len(b)} in the reference"
        return f"{name} is {a} here, {b} in the reference"
    return None


def _told(of: Subject, name: str):
    if name == "detector":
        return of.detector
    if name == "images_per_epoch":
        return of.size
    if name == "classes":
        return of.classes or None
    value = of.options.get(name)
    if value is None and name == "distill" and "lrD" in of.options:
        return "gan"
    if value is None and of.detector == "faster_rcnn":
        return _ZOO_SIZES.get(name)
    return value


def _agree(name: str, a, b) -> bool:
    if name == "images_per_epoch":
        return agree(a, b)
    if name == "classes":
        return set(a) == set(b)
    if name in ("student", "teacher"):
        return str(read_name(a)) == str(read_name(b))
    return a == b
