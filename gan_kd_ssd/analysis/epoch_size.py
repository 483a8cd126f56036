"""The number of images per epoch, which distinguishes VOC 07 from VOC 07+12 if a log does not."""

from __future__ import annotations

from dataclasses import dataclass

from gan_kd_ssd.logs.log import Run
from gan_kd_ssd.logs.records import EpochEnd, Step, Validation

#: Images of the training splits. For COCO, those with at least one box, as GluonCV loads them.
TRAINING_SPLITS = {
    "VOC 07 trainval": 5011,
    "VOC 07+12 trainval": 16551,
    "COCO 2017 train": 117266,
}


@dataclass(frozen=True)
class EpochSize:
    """The number of images per epoch, as far as a log shows it.

    Attributes:
        low: Least possible number; ``high`` is the greatest.
        batches: Least and greatest number of batches.
        name: The known split, if only one fits.
    """

    low: int
    high: int
    batches: tuple[int, int]
    name: str | None = None

    @property
    def span(self) -> tuple[int, int]:
        """Least and greatest number of images; both equal those of the known split."""
        known = TRAINING_SPLITS.get(self.name)
        return (known, known) if known else (self.low, self.high)

    @property
    def exact(self) -> bool:
        """Whether the number is known."""
        return self.span[0] == self.span[1]

    @property
    def images(self) -> int:
        """The number to count with: the middle of the range."""
        return sum(self.span) // 2

    def __str__(self) -> str:
        few, many = self.batches
        batches = f"{few} batches" if few == many else f"{few} to {many} batches"
        low, high = self.span
        number = str(low) if self.exact else f"{low} to {high}"
        return f"{number} ({self.name}; {batches})" if self.name else f"{number} ({batches})"


def agree(a: EpochSize, b: EpochSize) -> bool:
    """Whether two runs may have the same number of images per epoch."""
    return a.span[0] <= b.span[1] and b.span[0] <= a.span[1]


def narrower(a: EpochSize, b: EpochSize) -> EpochSize:
    """The number of images per epoch of two runs that :func:`agree`."""
    low, high = max(a.span[0], b.span[0]), min(a.span[1], b.span[1])
    return EpochSize(low, high, a.batches, a.name or b.name)


def epoch_size(run: Run) -> EpochSize | None:
    """Find the number of images per epoch; None without a batch size, or if nothing shows the number.

    It comes from the metadata of the run, else from counts of images in its records, else from the
    last batch of its complete epochs.
    """
    options = run.namespace
    batch, interval = options.get("batch_size"), options.get("log_interval")
    if type(batch) is not int or batch < 1:
        return None
    known = _known_splits(options.get("dataset"))
    recorded = _recorded(run, batch, known)
    if recorded:
        return recorded
    seen: list[int] = []
    for segment in run.segments:
        last = {entry.record.epoch: entry.record.batch for entry in segment.of(Step)}
        ended = {entry.record.epoch for entry in segment.of(EpochEnd, Validation)}
        final = max(last, default=0)
        seen += [n + 1 for epoch, n in last.items() if epoch < final or epoch in ended]
    if not seen:
        return None
    few = max(seen)
    many = few + (interval - 1 if isinstance(interval, int) and interval > 0 else 0)
    # images that do not fill a batch are kept for the next epoch, which may have one batch more
    return _named((few - 1) * batch + 1, (many + 1) * batch - 1, (few, many), known)


def _recorded(run: Run, batch: int, known: dict[str, int]) -> EpochSize | None:
    """The size by the metadata of the run, or by the images that its epochs count."""
    data = run.metadata.get("data")
    train = data.get("train") if isinstance(data, dict) else None
    images = train.get("images") if isinstance(train, dict) else None
    if type(images) is int and images > 0:
        return _named(images, images, (images // batch, images // batch), known)
    ends = [e.record for e in run.of(EpochEnd) if e.record.images is not None]
    sizes = {b.images - a.images for a, b in zip(ends, ends[1:]) if b.epoch == a.epoch + 1}
    if not sizes:
        return None
    few, many = min(sizes), max(sizes)
    # images that do not fill a batch are kept for the next epoch, which may have one batch more
    low, high = sorted((many - batch + 1, few + batch - 1))
    return _named(low, high, (few // batch, many // batch), known)


def _known_splits(dataset) -> dict[str, int]:
    """The splits that a data set of this name can be."""
    prefix = "COCO" if dataset == "coco" else "VOC"
    known = {name: n for name, n in TRAINING_SPLITS.items() if name.startswith(prefix)}
    return known if dataset in ("voc", "voc07", "voc0712", "coco") else {}


def _named(low: int, high: int, batches: tuple[int, int], known: dict[str, int]) -> EpochSize:
    names = [name for name, images in known.items() if low <= images <= high]
    return EpochSize(low, high, batches, names[0] if len(names) == 1 else None)
