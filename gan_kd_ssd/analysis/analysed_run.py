"""A run with everything that is compared, drawn or printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.analysis.epoch_size import EpochSize, agree, epoch_size, narrower
from gan_kd_ssd.analysis.invariants import Invariant, check_invariants
from gan_kd_ssd.analysis.logged_figures import Figure, epochs_before, images_seen, run_figures
from gan_kd_ssd.analysis.summary import detector_of
from gan_kd_ssd.analysis.wording import count
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.records import EpochEnd, Step, Validation
from gan_kd_ssd.logs.resume import resumed, with_resumed
from gan_kd_ssd.util.errors import UserError


@dataclass(frozen=True)
class AnalysedRun:
    """One run of a log, together with the earlier runs of the file that it resumes.

    Attributes:
        name: The name of the log.
        size: The number of images per epoch.
        options: The options in the spelling of the training scripts.
        published: Whether the log is a published one.
        remarks: Sentences that a reader of its figures should know.
    """

    name: str
    run: Run
    figures: list[Figure]
    size: EpochSize | None
    options: dict[str, object]
    published: bool = False
    remarks: tuple[str, ...] = ()

    @cached_property
    def detector(self) -> str | None:
        """``ssd`` or ``faster_rcnn``; None if the log does not show it."""
        return detector_of(self.run)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of the first complete validation; empty without one."""
        whole = (e.record for e in self.run.of(Validation) if e.record.mean is not None)
        return next((tuple(record.classes) for record in whole), ())

    @cached_property
    def invariants(self) -> list[Invariant]:
        """The checks of this log without a reference."""
        return check_invariants(self.run, self.figures)

    @property
    def role(self) -> str:
        """The name of the run as a reference: ``published`` or ``reference``."""
        return "published" if self.published else "reference"

    @property
    def images_seen(self) -> float | None:
        """The images seen since the start of the run; None if unknown."""
        return images_seen(self.figures)

    @property
    def counts_exactly(self) -> bool:
        """Whether the images seen are counted, not estimated."""
        recorded = any(e.record.images is not None for e in self.run.of(Step, EpochEnd))
        return recorded or self.size is None or self.size.exact

    def counted(self, images: int) -> str:
        """Format a number of images of this run: ``5,011``, or ``about 5,000`` if it is an estimate."""
        if self.counts_exactly:
            return f"{images:,}"
        return f"about {round(images, 2 - len(str(images))):,}"


def run_of(log: Log, number: int | None = None) -> Run:
    """Find a run of a log by its number (from 1); the default is the last run that has figures.

    Raises:
        UserError: There is no such run.
    """
    if number is not None:
        if number > len(log.runs):
            raise UserError(f"--run {number}: {log.source} has runs 1 to {len(log.runs)}")
        return log.runs[number - 1]
    run = log.last_trained
    if run is None:
        raise UserError(f"{log.source}: the log has no figures yet: let the run train for an epoch")
    return run


def analyse(log: Log, number: int | None = None, published: bool = False) -> AnalysedRun:
    """Analyse the run that :func:`run_of` finds, together with the earlier runs that it resumes.

    Raises:
        UserError: There is no such run, or it has no figures.
    """
    run = run_of(log, number)
    if not run.trained:
        raise UserError(f"--run {number}: that run of {log.source} has no figures")
    remarks = remarks_on(log, run)
    if log.unknown:
        lines = count(len(log.unknown), "line")
        remarks += (f"{lines} not understood (`logs show` lists them)",)
    run = with_resumed(log, run)
    options = dict(command_of(log, run).options) if run.start else {}
    size, figures = epoch_size(run), run_figures(run)
    return AnalysedRun(log.source, run, figures, size, options, published, remarks)


def remarks_on(log: Log, run: Run) -> tuple[str, ...]:
    """Describe which earlier training the figures of a resumed run include."""
    before, joined = resumed(log, run), with_resumed(log, run)
    missing, found = epochs_before(joined), []
    if before is not None:
        number = log.number(before)
        found.append(f"continues run {number}: phases and mAP are those of both runs together")
    if missing:
        first = next(segment.epochs[0] for segment in joined.segments if segment.epochs)
        found.append(
            f"resumed from {run.namespace['resume']}: the file does not contain the "
            f"{count(missing, 'epoch')} before epoch {first}; they are counted nevertheless"
        )
    return tuple(found)


def with_common_size(runs: Sequence[AnalysedRun]) -> list[AnalysedRun]:
    """Count the images of runs of the same data by what all of them show about its size."""
    found = []
    for one in runs:
        size = one.size
        for other in runs:
            if size and other.size and agree(size, other.size):
                size = narrower(size, other.size)
        if size and size.span != one.size.span:
            one = replace(one, size=size, figures=run_figures(one.run, size))
        found.append(one)
    return found


#: Input sizes of GluonCV's Faster R-CNN in pixels, for runs that do not record them.
_DEFAULT_SIZES = {"short": 600, "max_size": 1000}


def disagreement(mine: AnalysedRun, reference: AnalysedRun, names: list[str]) -> str | None:
    """Describe the first of ``names`` that both runs record and on which they differ."""
    for name in names:
        a, b = _recorded(mine, name), _recorded(reference, name)
        if a is None or b is None or _agree(name, a, b):
            continue
        if name == "classes":
            return f"other classes: {len(a)} here, {len(b)} in the reference"
        return f"{name} is {a} here, {b} in the reference"
    return None


def _recorded(of: AnalysedRun, name: str):
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
        return _DEFAULT_SIZES.get(name)
    return value


def _agree(name: str, a, b) -> bool:
    if name == "images_per_epoch":
        return agree(a, b)
    if name == "classes":
        return set(a) == set(b)
    if name in ("student", "teacher"):
        return str(read_name(a)) == str(read_name(b))
    return a == b
