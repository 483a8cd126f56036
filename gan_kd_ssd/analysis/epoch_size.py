"""How many images an epoch has, which tells VOC 07 from VOC 07+12 where a log does not."""

from __future__ import annotations

from dataclasses import dataclass

from gan_kd_ssd.logs.log import Run
from gan_kd_ssd.logs.records import EpochEnd, Step, Validation

#: Images of the training splits (for COCO: those with at least one box, as GluonCV loads them).
TRAINING_SPLITS = {
    "VOC 07 trainval": 5011,
    "VOC 07+12 trainval": 16551,
    "COCO 2017 train": 117266,
}


@dataclass(frozen=True)
class EpochSize:
    """Images an epoch: between ``low`` and ``high``; ``name`` where one known split fits alone."""

    low: int
    high: int
    batches: tuple[int, int]
    name: str | None = None

    @property
    def span(self) -> tuple[int, int]:
        """Least and greatest number of images; both are the known split's."""
        known = TRAINING_SPLITS.get(self.name)
        return (known, known) if known else (self.low, self.high)

    @property
    def exact(self) -> bool:
        """Whether it is one number."""
        return self.span[0] == self.span[1]

    @property
    def images(self) -> int:
        """The one number to count with: of a range, the middle."""
        return sum(self.span) // 2

    def __str__(self) -> str:
        few, many = self.batches
        batches = f"{few} batches" if few == many else f"{few} to {many} batches"
        low, high = self.span
        number = str(low) if self.exact else f"{low} to {high}"
        return f"{number} ({self.name}; {batches})" if self.name else f"{number} ({batches})"


def agree(a: EpochSize, b: EpochSize) -> bool:
    """Whether two runs may have the same images an epoch."""
    return a.span[0] <= b.span[1] and b.span[0] <= a.span[1]


def narrower(a: EpochSize, b: EpochSize) -> EpochSize:
    """The images an epoch of two runs that :func:`agree`, as far as both together tell."""
    low, high = max(a.span[0], b.span[0]), min(a.span[1], b.span[1])
    return EpochSize(low, high, a.batches, a.name or b.name)


def counted(images: int, exact: bool) -> str:
    """A number of images for a person: ``5,011``, or ``about 5,000`` where it is an estimate."""
    return f"{images:,}" if exact else f"about {round(images, 2 - len(str(images))):,}"


def epoch_size(run: Run) -> EpochSize | None:
    """Images an epoch of a run, from the last batch that its whole epochs print.

    None where there is no whole epoch, no step line, or no ``batch_size``.
    """
    options = run.namespace
    batch, interval = options.get("batch_size"), options.get("log_interval")
    if type(batch) is not int or batch < 1:
        return None
    exact = _exact(run, batch)
    if exact:
        return exact
    known = _known_splits(options.get("dataset"))
    last: dict[tuple[int, int], int] = {}
    whole = set()
    for number, segment in enumerate(run.segments):
        steps = [entry.record for entry in segment.of(Step)]
        for step in steps:
            last[number, step.epoch] = step.batch
        final = max((step.epoch for step in steps), default=0)
        whole |= {(number, step.epoch) for step in steps if step.epoch < final}
        whole |= {(number, e.record.epoch) for e in segment.of(EpochEnd, Validation)}
    seen = [batch_index + 1 for key, batch_index in last.items() if key in whole]
    if not seen:
        return None
    few = max(seen)
    many = few + (interval - 1 if isinstance(interval, int) and interval > 0 else 0)
    # images that do not fill a batch are kept for the next epoch: it may have one batch more
    return _named((few - 1) * batch + 1, (many + 1) * batch - 1, (few, many), known)


def _exact(run: Run, batch: int) -> EpochSize | None:
    """From JSON lines, which count images."""
    ends = [e.record for e in run.of(EpochEnd) if e.record.images is not None]
    known = _known_splits(run.namespace.get("dataset"))
    data = run.start.record.info.get("data")
    train = data.get("train") if isinstance(data, dict) else None
    told = train.get("images") if isinstance(train, dict) else None
    if type(told) is int and told > 0:
        return _named(told, told, (told // batch, told // batch), known)
    steps = {b.images - a.images for a, b in zip(ends, ends[1:]) if b.epoch == a.epoch + 1}
    if not steps:
        return None
    few, many = min(steps), max(steps)
    # what does not fill a batch is kept for the next epoch: it may have one batch more
    low, high = sorted((many - batch + 1, few + batch - 1))
    return _named(low, high, (few // batch, many // batch), known)


def _known_splits(dataset) -> dict[str, int]:
    """The splits that a data set of this name may be; any other is told by its number alone."""
    prefix = "COCO" if dataset == "coco" else "VOC"
    known = {name: n for name, n in TRAINING_SPLITS.items() if name.startswith(prefix)}
    return known if dataset in ("voc", "voc07", "voc0712", "coco") else {}


def _named(low: int, high: int, batches: tuple[int, int], known: dict[str, int]) -> EpochSize:
    names = [name for name, images in known.items() if low <= images <= high]
    return EpochSize(low, high, batches, names[0] if len(names) == 1 else None)
