"""One run against another: every figure at the same number of images, mAP, invariants."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean

from gan_kd_ssd.analysis.argument_rows import Argument, compare_arguments
from gan_kd_ssd.analysis.curves import LinesOfEpochs, Point, value_at
from gan_kd_ssd.analysis.facts import Subject, disagreement, of_one_size
from gan_kd_ssd.analysis.figures import ACTIVE, DIVERGED
from gan_kd_ssd.analysis.plain import count
from gan_kd_ssd.analysis.summary import mean_ap
from gan_kd_ssd.analysis.tolerances import settings, tolerance
from gan_kd_ssd.logs.records import GAN_FIGURES

WITHIN, OUTSIDE = "within", "outside"
NOT_COMPARABLE, NO_REFERENCE = "not comparable", "no reference"

EXIT_WITHIN, EXIT_OUTSIDE, EXIT_NOT_COMPARABLE = 0, 1, 3


@dataclass(frozen=True)
class Row:
    """A figure on both sides. ``why``: the reason of the verdict, or where the figure is from."""

    group: str
    name: str
    mine: float | None
    reference: float | None
    gap: float | None
    allowed: float | None
    verdict: str
    why: str = ""


@dataclass(frozen=True)
class Comparison:
    """The outcome. ``origins``: of the tolerances that were used, name -> origin."""

    mine: str
    reference: str
    remarks: list[str]
    arguments: list[Argument]
    rows: list[Row]
    origins: dict[str, str]

    @property
    def exit_code(self) -> int:
        """1 if any row is outside, 3 if none is within but for the invariants, else 0."""
        if any(row.verdict == OUTSIDE for row in self.rows):
            return EXIT_OUTSIDE
        within = any(row.verdict == WITHIN and row.group != "invariants" for row in self.rows)
        return EXIT_WITHIN if within else EXIT_NOT_COMPARABLE

    @property
    def verdict(self) -> str:
        """The exit code in words."""
        return {0: WITHIN, 1: OUTSIDE, 3: NOT_COMPARABLE}[self.exit_code]

    def as_dict(self) -> dict:
        """For JSON."""
        return {**asdict(self), "verdict": self.verdict, "exit_code": self.exit_code}


def compare(mine: Subject, reference: Subject, last: int = 5) -> Comparison:
    """Compare two runs.

    Args:
        last: how many epochs the means of losses and of the last mAP count.
    """
    arguments = compare_arguments(mine, reference)
    mine, reference = of_one_size([mine, reference])
    need = settings()["must_agree"]
    blocked = {
        "all": disagreement(mine, reference, need["all"]),
        "mAP": disagreement(mine, reference, need["mAP"]),
        "adversarial": disagreement(mine, reference, need["adversarial"]),
    }
    rows = _losses(mine, reference, blocked, last)
    rows += _mean_ap(mine, reference, blocked, last)
    rows += _classes(mine, reference, blocked)
    rows += _invariants(mine)
    origins = {}
    for row in rows:
        if row.allowed is not None:
            name = "mAP" if row.group == "mAP" else row.name.split(" in phase ")[0]
            origins[name.split(" ")[0]] = tolerance(name, mine.detector).origin
    remarks = [*mine.remarks, *(f"reference: {remark}" for remark in reference.remarks)]
    return Comparison(mine.name, reference.name, remarks, arguments, rows, origins)


def _judge(
    group: str, name: str, mine: float, reference: float, detector, why: str, slack: float = 0.0
) -> Row:
    limit = tolerance("mAP" if group == "mAP" else name.split(" in phase ")[0], detector)
    gap = mine - reference
    if limit is None:
        return Row(group, name, mine, reference, gap, None, NOT_COMPARABLE, "no tolerance is known")
    allowed = limit.allowed(reference) + slack
    verdict = WITHIN if abs(gap) <= allowed else OUTSIDE
    return Row(group, name, mine, reference, gap, allowed, verdict, why)


def _losses(mine: Subject, reference: Subject, blocked: dict, last: int) -> list[Row]:
    # where no side tells how many images it has seen, count epochs
    by_epoch = mine.images_seen is None and reference.images_seen is None
    if mine.images_seen is None and not by_epoch:
        told = "batch_size" in mine.run.namespace
        why = "no whole epoch with step lines" if told else "its options tell no batch size"
        why += ", so its images cannot be counted"
        return [Row("losses", "losses", None, None, None, None, NOT_COMPARABLE, why), *_lost(mine)]
    ours, theirs = mine.lines(by_epoch), reference.lines(by_epoch)
    phases = {f.phase for f in mine.figures if f.kind != "validation"}
    known = {f.name for f in reference.figures if f.state == ACTIVE}
    rows = []
    for name, phase in [*ours, *(key for key in theirs if key not in ours)]:
        if _is_map(name) or phase not in phases:
            continue
        label, epochs = f"{name} in phase {phase}", ours.get((name, phase), [])
        mean = fmean(lines[-1].value for lines in epochs[-last:]) if epochs else None
        pairs = _pairs(epochs, theirs.get((name, phase), []), reference, by_epoch)
        stop = blocked["all"] or (blocked["adversarial"] if name in GAN_FIGURES else None)
        if name not in known:
            rows.append(Row("losses", label, mean, None, None, None, NO_REFERENCE))
        elif stop or not pairs:
            why = stop or _why_apart(label, epochs, theirs, (name, phase), by_epoch)
            rows.append(Row("losses", label, mean, None, None, None, NOT_COMPARABLE, why))
        else:
            rows.append(_loss_row(label, pairs, last, mine.detector))
    for phase in dict.fromkeys(p for n, p in theirs if p not in phases and not _is_map(n)):
        why = "this run has no such phase"
        label = f"losses in phase {phase}"
        rows.append(Row("losses", label, None, None, None, None, NOT_COMPARABLE, why))
    return rows + _lost(mine)


def _pairs(epochs, others, reference: Subject, by_epoch: bool) -> list[tuple[Point, float]]:
    """Of each epoch of ours, one line with the reference's value after as many images.

    It is the last line of which the reference's same epoch tells the value; where it tells none,
    the last of a whole epoch, between whole epochs of the reference.
    """
    reach = reference.size.images if reference.size else 1
    curve = [lines[-1] for lines in others if lines[-1].whole]
    same_epoch = LinesOfEpochs([] if by_epoch else others)
    pairs = []
    for lines in epochs:
        # two counts of the same images may differ by a batch
        found = ((p, same_epoch.value_at(p.images, 0.02 * reach)) for p in reversed(lines))
        pair = next((pair for pair in found if pair[1] is not None), None)
        if pair is None and lines[-1].whole:
            pair = (lines[-1], value_at(curve, lines[-1].images, reach))
        if pair is not None and pair[1] is not None:
            pairs.append(pair)
    return pairs


def _is_map(name: str) -> bool:
    return name == "mAP" or name.startswith("AP ")


def _why_apart(label: str, epochs, theirs: dict, key, by_epoch: bool) -> str:
    if not epochs:
        return "not in this log"
    if not theirs:
        return "the images of the reference cannot be counted"
    if key not in theirs:
        return f"the reference has no {label}"
    if not any(lines[-1].whole for lines in epochs):
        return "no line of the reference after as many images of an epoch"
    unit = "epoch" if by_epoch else "image"
    return f"no epoch of this phase after as many {unit}s in the reference"


def _loss_row(label: str, pairs: list[tuple[Point, float]], last: int, detector) -> Row:
    tail = pairs[-last:]
    a, b = fmean(p.value for p, _ in tail), fmean(value for _, value in tail)
    first, final = tail[0][0], tail[-1][0]
    span = f"epoch {first.epoch}" + (f"..{final.epoch}" if final is not first else "")
    row = _judge("losses", label, a, b, detector, f"{span}, line {final.line}")
    early = _first_outside(label, pairs, detector)
    if row.verdict == OUTSIDE and early is not None:
        why = f"{row.why}; outside since epoch {early.epoch}, line {early.line}"
        return Row(**{**asdict(row), "why": why})
    return row


def _first_outside(label: str, pairs, detector) -> Point | None:
    """The first point after which every point is outside."""
    limit, found = tolerance(label.split(" in phase ")[0], detector), None
    for point, value in reversed(pairs):
        if limit is None or abs(point.value - value) <= limit.allowed(value):
            break
        found = point
    return found


def _lost(mine: Subject) -> list[Row]:
    """A row for each figure that diverged, whatever the reference says."""
    lost: dict[str, list] = {}
    for f in mine.figures:
        if f.state == DIVERGED:
            lost.setdefault(f"{f.name} in phase {f.phase}", []).append(f)
    return [
        Row(
            "losses",
            name,
            fs[0].value,
            None,
            None,
            None,
            OUTSIDE,
            f"diverged: {fs[0].value} in line {fs[0].line}",
        )
        for name, fs in lost.items()
    ]


def _mean_ap(mine: Subject, reference: Subject, blocked: dict, last: int) -> list[Row]:
    ours, theirs = mean_ap(mine.figures, last), mean_ap(reference.figures, last)
    if ours is None:
        return [Row("mAP", "mAP", None, None, None, None, NOT_COMPARABLE, "no validation yet")]
    if theirs is not None:  # a mean of as many on both sides
        few = min(ours["counted"], theirs["counted"])
        ours, theirs = mean_ap(mine.figures, few), mean_ap(reference.figures, few)
    names = {
        "best": f"epoch {ours['best_epoch']}, line {ours['best_line']}",
        "last": f"epoch {ours['last_epoch']}",
        "mean_of_last": f"last {count(ours['counted'], 'validation')}",
    }
    stop = blocked["all"] or blocked["mAP"] or _too_early(mine, reference)
    rows = []
    for key, where in names.items():
        label = f"mAP {key.replace('_', ' ')}"
        if theirs is None:
            rows.append(Row("mAP", label, ours[key], None, None, None, NO_REFERENCE))
        elif stop:
            a, b = ours[key], theirs[key]
            rows.append(Row("mAP", label, a, b, None, None, NOT_COMPARABLE, stop))
        else:
            rows.append(_judge("mAP", label, ours[key], theirs[key], mine.detector, where))
    return rows + _map_so_far(mine, reference, blocked)


def _too_early(mine: Subject, reference: Subject) -> str | None:
    found = [f for f in reference.figures if f.name == "mAP" and f.images is not None]
    if not found or mine.images_seen is None:
        return None
    needed = max(found, key=lambda f: f.value).images
    if mine.images_seen >= settings()["images_seen"]["at_least"] * needed:
        return None
    seen, later = mine.counted(mine.images_seen), reference.counted(needed)
    return f"{seen} images seen, the reference's best is after {later}"


def _map_so_far(mine: Subject, reference: Subject, blocked: dict) -> list[Row]:
    """The last validation against the reference's after as many images."""
    found = [f for f in mine.figures if f.name == "mAP" and f.state == ACTIVE and f.images]
    if not found or reference.size is None or blocked["all"] or blocked["mAP"]:
        return []
    here = found[-1]
    curve = [p for (n, _), ps in reference.curves().items() if n == "mAP" for p in ps]
    curve.sort(key=lambda p: p.images)
    reach = reference.size.images
    there = value_at(curve, here.images, reach)
    label = f"mAP after {mine.counted(here.images)} images"
    if there is None:
        why = "the reference has no validation there"
        return [Row("mAP", label, here.value, None, None, None, NOT_COMPARABLE, why)]
    # while the reference still rises, a part of an epoch more or less is no difference
    around = [value_at(curve, here.images + step, reach) for step in (-reach, reach)]
    slack = max((abs(value - there) for value in around if value is not None), default=0.0)
    why = f"line {here.line}; allowed: what the reference changes in an epoch, as well"
    return [_judge("mAP", label, here.value, there, mine.detector, why, slack)]


def _best_classes(of: Subject) -> dict[str, float]:
    found = [f for f in of.figures if f.name == "mAP" and f.state == ACTIVE]
    if not found:
        return {}
    best = max(found, key=lambda f: f.value)
    here = [f for f in of.figures if f.line == best.line and f.name.startswith("AP ")]
    return {f.name: f.value for f in here if f.state == ACTIVE}


def _classes(mine: Subject, reference: Subject, blocked: dict) -> list[Row]:
    ours, theirs = _best_classes(mine), _best_classes(reference)
    stop = blocked["all"] or blocked["mAP"] or _too_early(mine, reference)
    rows = []
    for name, value in ours.items():
        if name not in theirs:
            rows.append(Row("classes", name, value, None, None, None, NO_REFERENCE))
        elif stop:
            why = stop
            rows.append(Row("classes", name, value, theirs[name], None, None, NOT_COMPARABLE, why))
        else:
            where = "at the best mAP"
            rows.append(_judge("classes", name, value, theirs[name], mine.detector, where))
    return rows


def _invariants(mine: Subject) -> list[Row]:
    rows = []
    for check in mine.invariants:
        verdict = {None: NOT_COMPARABLE, True: WITHIN, False: OUTSIDE}[check.holds]
        why = check.detail + (f", first in line {check.line}" if check.line else "")
        rows.append(Row("invariants", check.name, None, None, None, None, verdict, why))
    return rows
