"""Comparison of a run with a reference: arguments, losses, mAP, APs and invariants.

Figures are compared after the same number of images.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from enum import Enum
from statistics import fmean

from gan_kd_ssd.analysis.analysed_run import AnalysedRun, disagreement, with_common_size
from gan_kd_ssd.analysis.compare_arguments import Argument, compare_arguments
from gan_kd_ssd.analysis.curves import Key, LinesOfEpochs, epoch_lines, value_at
from gan_kd_ssd.analysis.logged_figures import (
    ACTIVE,
    CLASS_AP,
    DIVERGED,
    LOSS,
    MAP,
    Figure,
    counted_by_epoch,
)
from gan_kd_ssd.analysis.summary import mean_ap
from gan_kd_ssd.analysis.tolerances import Tolerance, settings, tolerance
from gan_kd_ssd.analysis.wording import count
from gan_kd_ssd.logs.records import GAN_FIGURES, Validation


class Verdict(Enum):
    """The outcome for a row, and for the whole comparison."""

    WITHIN = "within"
    OUTSIDE = "outside"
    NOT_COMPARABLE = "not comparable"
    NO_REFERENCE = "no reference"


EXIT_CODES = {Verdict.WITHIN: 0, Verdict.OUTSIDE: 1, Verdict.NOT_COMPARABLE: 3}

#: Groups of rows, in their order. The first three hold figures of both runs.
LOSSES, MEAN_AP, CLASSES, INVARIANTS = "losses", "mAP", "classes", "invariants"


@dataclass(frozen=True)
class ComparedRow:
    """One figure of both runs.

    Attributes:
        name: What is compared, such as a loss, ``best mAP`` or a class.
        why: The reason of the verdict, or where the figure comes from.
        phase: The phase of a loss.
        allowed: The largest gap that is within the tolerance.
    """

    group: str
    name: str
    verdict: Verdict
    why: str = ""
    phase: str | None = None
    mine: float | None = None
    reference: float | None = None
    allowed: float | None = None

    @property
    def label(self) -> str:
        """The name for display, such as ``Loss_D in phase gan``."""
        if self.group == CLASSES:
            return f"AP {self.name}"
        return f"{self.name} in phase {self.phase}" if self.phase else self.name

    @property
    def gap(self) -> float | None:
        """The difference to the reference; None if either figure is missing."""
        known = self.mine is not None and self.reference is not None
        return self.mine - self.reference if known else None


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: the names of both logs, and what was found.

    ``origins`` says where each tolerance that was used comes from, by its name.
    """

    mine: str
    reference: str
    remarks: list[str]
    arguments: list[Argument]
    rows: list[ComparedRow]
    origins: dict[str, str]

    @property
    def verdict(self) -> Verdict:
        """Outside if any row is; else within, if any row but the invariants is."""
        if any(row.verdict is Verdict.OUTSIDE for row in self.rows):
            return Verdict.OUTSIDE
        compared = [row for row in self.rows if row.group != INVARIANTS]
        within = any(row.verdict is Verdict.WITHIN for row in compared)
        return Verdict.WITHIN if within else Verdict.NOT_COMPARABLE

    @property
    def exit_code(self) -> int:
        """The exit code of ``logs compare``."""
        return EXIT_CODES[self.verdict]

    @property
    def counts(self) -> str:
        """The number of rows with each verdict, such as ``12 within, 1 outside``."""
        counts = Counter({Verdict.WITHIN: 0})
        counts.update(row.verdict for row in self.rows)
        return ", ".join(f"{number} {verdict.value}" for verdict, number in counts.items())

    def as_dict(self) -> dict:
        """The content for JSON."""
        rows = [
            {**asdict(r), "name": r.label, "gap": r.gap, "verdict": r.verdict.value}
            for r in self.rows
        ]
        arguments = [{**asdict(a), "name": a.label} for a in self.arguments]
        outcome = {"verdict": self.verdict.value, "exit_code": self.exit_code}
        return {**asdict(self), "arguments": arguments, "rows": rows, **outcome}


def compare(mine: AnalysedRun, reference: AnalysedRun, last: int = 5) -> Comparison:
    """Compare two runs. The ``last`` epochs and validations are averaged."""
    arguments = compare_arguments(mine, reference)
    remarks = [*mine.remarks, *(f"reference: {remark}" for remark in reference.remarks)]
    comparer = _Comparer(*with_common_size([mine, reference]), last)
    rows = [*comparer.losses(), *comparer.mean_ap(), *comparer.classes(), *_invariants(mine)]
    origins = {limit.name: limit.origin for limit in comparer.used}
    return Comparison(mine.name, reference.name, remarks, arguments, rows, origins)


def _invariants(mine: AnalysedRun) -> list[ComparedRow]:
    verdicts = {None: Verdict.NOT_COMPARABLE, True: Verdict.WITHIN, False: Verdict.OUTSIDE}
    rows = []
    for check in mine.invariants:
        where = f", first in line {check.line}" if check.line else ""
        rows.append(
            ComparedRow(INVARIANTS, check.name, verdicts[check.holds], check.detail + where)
        )
    return rows


class _Comparer:
    """Compares the figures of two runs, and remembers the tolerances that it used."""

    def __init__(self, mine: AnalysedRun, reference: AnalysedRun, last: int):
        self.mine, self.reference, self.last = mine, reference, last
        self.used: list[Tolerance] = []
        need = settings()["must_agree"]
        self.blocked = disagreement(mine, reference, need["all"])
        self.blocked_losses = disagreement(mine, reference, need["adversarial"])
        self.blocked_map = self.blocked or disagreement(mine, reference, need["mAP"])

    def _judge(self, row: ComparedRow, kind: str, slack: float = 0.0) -> ComparedRow:
        """Give a row with both figures its verdict; ``slack`` is added to its tolerance."""
        limit = tolerance(kind, row.name, self.mine.detector)
        if limit is None:
            return replace(row, verdict=Verdict.NOT_COMPARABLE, why="no tolerance is known")
        self.used.append(limit)
        allowed = limit.allowed(row.reference) + slack
        within = abs(row.mine - row.reference) <= allowed
        verdict = Verdict.WITHIN if within else Verdict.OUTSIDE
        return replace(row, allowed=allowed, verdict=verdict)

    def losses(self) -> list[ComparedRow]:
        """A row for each loss and phase, and one for each loss that diverged."""
        mine, reference, by_epoch = self.mine.figures, self.reference.figures, False
        if self.mine.images_seen is None and self.reference.images_seen is None:
            mine, reference, by_epoch = counted_by_epoch(mine), counted_by_epoch(reference), True
        elif self.mine.images_seen is None:
            known = "batch_size" in self.mine.run.namespace
            why = "no complete epoch has step lines" if known else "the log records no batch size"
            why += ", so its images cannot be counted"
            return [
                ComparedRow(LOSSES, "losses", Verdict.NOT_COMPARABLE, why),
                *self._diverged(),
            ]
        ours, theirs = _losses_of(mine), _losses_of(reference)
        phases = {f.place.phase for f in mine if f.place.record is not Validation}
        known = {f.name for f in reference if f.kind == LOSS and f.state == ACTIVE}
        rows = [
            self._loss(key, ours.get(key, []), theirs, key.name in known, by_epoch)
            for key in dict.fromkeys([*ours, *theirs])
            if key.phase in phases
        ]
        rows += [
            ComparedRow(
                LOSSES, "losses", Verdict.NOT_COMPARABLE, "this run has no such phase", phase
            )
            for phase in dict.fromkeys(key.phase for key in theirs if key.phase not in phases)
        ]
        return rows + self._diverged()

    def _loss(self, key: Key, epochs, theirs: dict, known: bool, by_epoch: bool) -> ComparedRow:
        mean = fmean(lines[-1].value for lines in epochs[-self.last :]) if epochs else None
        row = ComparedRow(LOSSES, key.name, Verdict.NO_REFERENCE, phase=key.phase, mine=mean)
        if not known:
            return row
        pairs = self._pairs(epochs, theirs.get(key, []), by_epoch)
        stop = self.blocked or (self.blocked_losses if key.name in GAN_FIGURES else None)
        if stop or not pairs:
            why = stop or _why_no_pairs(row.label, epochs, theirs, key, by_epoch)
            return replace(row, verdict=Verdict.NOT_COMPARABLE, why=why)
        tail = pairs[-self.last :]
        first, final = tail[0][0].place, tail[-1][0].place
        span = f"epoch {first.epoch}" + (f"..{final.epoch}" if final is not first else "")
        means = {"mine": fmean(f.value for f, _ in tail), "reference": fmean(v for _, v in tail)}
        row = self._judge(replace(row, why=f"{span}, line {final.line}", **means), LOSS)
        if row.verdict is Verdict.OUTSIDE and (left := self._first_outside(key.name, pairs)):
            since = f"outside since epoch {left.place.epoch}, line {left.place.line}"
            return replace(row, why=f"{row.why}; {since}")
        return row

    def _pairs(self, epochs, others, by_epoch: bool) -> list[tuple[Figure, float]]:
        """For each epoch, one of its figures with the value of the reference after as many images.

        It is the last line for which the same epoch of the reference has a value. If there is none, it
        is the last line of a complete epoch, compared with complete epochs of the reference.
        """
        size = self.reference.size
        reach = size.images if size else 1
        curve = [lines[-1] for lines in others if lines[-1].place.whole]
        same_epoch = LinesOfEpochs([] if by_epoch else others)
        pairs = []
        for lines in epochs:
            # two counts of the same images may differ by a batch
            found = ((f, same_epoch.value_at(f.place.images, 0.02 * reach)) for f in lines[::-1])
            pair = next((pair for pair in found if pair[1] is not None), None)
            if pair is None and lines[-1].place.whole:
                pair = (lines[-1], value_at(curve, lines[-1].place.images, reach))
            if pair is not None and pair[1] is not None:
                pairs.append(pair)
        return pairs

    def _first_outside(self, name: str, pairs) -> Figure | None:
        """The first figure after which every figure is outside."""
        limit, found = tolerance(LOSS, name, self.mine.detector), None
        for figure, value in reversed(pairs):
            if abs(figure.value - value) <= limit.allowed(value):
                break
            found = figure
        return found

    def _diverged(self) -> list[ComparedRow]:
        """A row for each figure that diverged, independent of the reference."""
        first: dict[Key, Figure] = {}
        for f in self.mine.figures:
            if f.state == DIVERGED:
                first.setdefault(Key(f.kind, f.label, f.place.phase), f)
        rows = []
        for key, f in first.items():
            why = f"diverged: {f.value} in line {f.place.line}"
            rows.append(
                ComparedRow(LOSSES, key.name, Verdict.OUTSIDE, why, key.phase, mine=f.value)
            )
        return rows

    def mean_ap(self) -> list[ComparedRow]:
        """The best, the last and the mean of the last mAPs, and the mAP after as many images."""
        ours = mean_ap(self.mine.figures, self.last)
        theirs = mean_ap(self.reference.figures, self.last)
        if ours is None:
            return [ComparedRow(MEAN_AP, "mAP", Verdict.NOT_COMPARABLE, "no validation yet")]
        if theirs is not None:  # the means are of as many validations
            few = min(ours.counted, theirs.counted)
            ours, theirs = (mean_ap(run.figures, few) for run in (self.mine, self.reference))
        best, last = ours.best.place, ours.last.place
        where = {
            "mAP best": f"epoch {best.epoch}, line {best.line}",
            "mAP last": f"epoch {last.epoch}",
            "mAP mean of last": f"last {count(ours.counted, 'validation')}",
        }
        values = (
            (of.best.value, of.last.value, of.mean_of_last) if of else (None,) * len(where)
            for of in (ours, theirs)
        )
        rows = (
            ComparedRow(MEAN_AP, name, Verdict.NO_REFERENCE, why) for name, why in where.items()
        )
        rows = [self._final(row, *pair, MAP) for row, *pair in zip(rows, *values)]
        return rows + self._map_so_far()

    def _final(
        self, row: ComparedRow, mine: float, reference: float | None, kind: str
    ) -> ComparedRow:
        """Compare a figure that depends on the whole training."""
        row = replace(row, mine=mine, reference=reference)
        if reference is None:
            return replace(row, why="")
        stop = self.blocked_map or self._too_early()
        if stop:
            return replace(row, verdict=Verdict.NOT_COMPARABLE, why=stop)
        return self._judge(row, kind)

    def _too_early(self) -> str | None:
        validations = [f for f in self.reference.figures if f.kind == MAP]
        found = [f for f in validations if f.place.images is not None]
        seen = self.mine.images_seen
        if not found or seen is None:
            return None
        needed = max(found, key=lambda f: f.value).place.images
        if seen >= settings()["images_seen"]["at_least"] * needed:
            return None
        later = self.reference.counted(needed)
        return f"{self.mine.counted(seen)} images seen, the reference's best is after {later}"

    def _map_so_far(self) -> list[ComparedRow]:
        """Compare the last validation with the reference after as many images."""
        found = [f for f in self.mine.figures if f.kind == MAP and f.state == ACTIVE]
        found = [f for f in found if f.place.images]
        if not found or self.reference.size is None or self.blocked_map:
            return []
        here = found[-1].place
        lines = epoch_lines([f for f in self.reference.figures if f.kind == MAP]).values()
        curve = sorted((e[-1] for of in lines for e in of), key=lambda f: f.place.images)
        reach = self.reference.size.images
        there = value_at(curve, here.images, reach)
        name = f"mAP after {self.mine.counted(here.images)} images"
        row = ComparedRow(
            MEAN_AP, name, Verdict.NOT_COMPARABLE, mine=found[-1].value, reference=there
        )
        if there is None:
            return [replace(row, why="the reference has no validation after as many images")]
        # while the reference still rises, a fraction of an epoch makes a difference
        around = [value_at(curve, here.images + step, reach) for step in (-reach, reach)]
        slack = max((abs(value - there) for value in around if value is not None), default=0.0)
        why = f"line {here.line}; the reference's change within the epoch is added to the tolerance"
        return [self._judge(replace(row, why=why), MAP, slack)]

    def classes(self) -> list[ComparedRow]:
        """The AP of each class at the best mAP of each run."""
        theirs, rows = _best_classes(self.reference), []
        for name, value in _best_classes(self.mine).items():
            row = ComparedRow(CLASSES, name, Verdict.NO_REFERENCE, "at the best mAP")
            rows.append(self._final(row, value, theirs.get(name), CLASS_AP))
        return rows


def _losses_of(figures: list[Figure]) -> dict[Key, list[list[Figure]]]:
    return epoch_lines([f for f in figures if f.kind == LOSS])


def _why_no_pairs(label: str, epochs, theirs: dict, key: Key, by_epoch: bool) -> str:
    if not epochs:
        return "not in this log"
    if not theirs:
        return "the images of the reference cannot be counted"
    if key not in theirs:
        return f"the reference has no {label}"
    if not any(lines[-1].place.whole for lines in epochs):
        return "the reference has no line at the same part of an epoch"
    unit = "epoch" if by_epoch else "image"
    return f"the reference has no epoch of this phase after as many {unit}s"


def _best_classes(of: AnalysedRun) -> dict[str, float]:
    found = [f for f in of.figures if f.kind == MAP and f.state == ACTIVE]
    if not found:
        return {}
    line = max(found, key=lambda f: f.value).place.line
    here = [f for f in of.figures if f.kind == CLASS_AP and f.place.line == line]
    return {f.name: f.value for f in here if f.state == ACTIVE}
