"""What a run was: its options and what the log shows of it, under names that two runs share."""

from __future__ import annotations

from dataclasses import dataclass

from gan_kd_ssd.errors import UserError
from gan_kd_ssd.logs.arguments import command_of
from gan_kd_ssd.logs.curves import epoch_curves
from gan_kd_ssd.logs.figures import Figure, last_trained, run_figures, with_resumed
from gan_kd_ssd.logs.images import EpochSize, epoch_size
from gan_kd_ssd.logs.invariants import Invariant, check_invariants
from gan_kd_ssd.logs.log import Log, Run
from gan_kd_ssd.logs.records import Validation
from gan_kd_ssd.logs.summary import detector_of


@dataclass(frozen=True)
class Subject:
    """One run, ready to be compared or drawn."""

    name: str
    run: Run
    figures: list[Figure]
    size: EpochSize | None
    detector: str | None
    options: dict[str, object]
    classes: tuple[str, ...]
    invariants: list[Invariant]
    published: bool = False

    def curves(self, by_epoch: bool = False) -> dict:
        """See :func:`~gan_kd_ssd.logs.curves.epoch_curves`."""
        return epoch_curves(self.figures, by_epoch)

    @property
    def role(self) -> str:
        """What a reference is called: ``published``, or ``reference`` for any other log."""
        return "published" if self.published else "reference"

    @property
    def images_seen(self) -> int | None:
        """Since the run's start, by the last figure."""
        return max((f.images for f in self.figures if f.images is not None), default=None)


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
    run = with_resumed(log, run)
    figures = run_figures(run)
    options = dict(command_of(log, run).options) if run.start else {}
    classes = next((tuple(e.record.classes) for e in run.of(Validation)), ())
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
    )


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
    return value


def _agree(name: str, a, b) -> bool:
    if name == "images_per_epoch":
        return a.name == b.name if a.name and b.name else a.low <= b.high and b.low <= a.high
    if name == "classes":
        return set(a) == set(b)
    return a == b
