"""A parsed log: its entries in order, grouped into runs and segments."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gan_kd_ssd.logs.records import EpochEnd, RunStart, Start, Step, Unknown, Validation
from gan_kd_ssd.logs.write import format_record

#: Records that have figures.
FIGURES = (Step, EpochEnd, Validation)


@dataclass(frozen=True)
class Entry:
    """A record and its place in the file.

    Attributes:
        line: The first line of the record, counted from 1.
        count: The number of its lines.
        original: The unchanged lines of a text log; None for a record that comes from JSON lines.
    """

    record: object
    line: int
    count: int = 1
    original: str | None = None

    def text(self) -> str:
        """The lines of the entry in the text log."""
        return format_record(self.record) if self.original is None else self.original


@dataclass(frozen=True)
class Segment:
    """Entries of one run in which epochs and batches only increase."""

    entries: tuple[Entry, ...]

    def of(self, *types) -> Iterator[Entry]:
        """The entries whose record has one of ``types``."""
        return (entry for entry in self.entries if isinstance(entry.record, types))

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line (from 1) in the file."""
        last = self.entries[-1]
        return self.entries[0].line, last.line + last.count - 1

    @property
    def epochs(self) -> tuple[int, int] | None:
        """First and last epoch that has figures; None if there is none."""
        numbers = [entry.record.epoch for entry in self.of(*FIGURES)]
        return (min(numbers), max(numbers)) if numbers else None

    @property
    def style(self) -> str | None:
        """The style of the segment's figures; None if there are none."""
        return next((entry.record.style for entry in self.of(*FIGURES)), None)


@dataclass(frozen=True)
class Run:
    """Everything from one ``Namespace(...)`` line, the start, to the next.

    The start is None if the log has no such line.
    """

    start: Entry | None
    segments: tuple[Segment, ...]

    @property
    def namespace(self) -> dict[str, object]:
        """The options of the run; empty if the log does not record them."""
        return dict(self.start.record.namespace) if self.start else {}

    @property
    def metadata(self) -> dict[str, object]:
        """What JSON lines record about the run besides its options; empty without JSON lines."""
        return dict(self.start.record.info) if self.start else {}

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line (from 1) in the file."""
        first = self.start.line if self.start else self.segments[0].lines[0]
        return first, self.segments[-1].lines[1] if self.segments else first

    @property
    def trained(self) -> bool:
        """Whether the run has figures. Most starts in the published Faster R-CNN log have none."""
        return any(segment.epochs for segment in self.segments)

    def of(self, *types) -> Iterator[Entry]:
        """The entries of all segments whose record has one of ``types``."""
        return (entry for segment in self.segments for entry in segment.of(*types))


@dataclass(frozen=True)
class Log:
    """A whole file.

    Attributes:
        source: The name of the file, for messages.
        original: The content of a file of JSON lines; None for a text log.
    """

    source: str
    entries: tuple[Entry, ...]
    runs: tuple[Run, ...]
    original: str | None = None

    def text(self) -> str:
        """The text log. That of a parsed text log equals the file to the byte."""
        return "".join(entry.text() for entry in self.entries)

    def number(self, run: Run) -> int:
        """The position of ``run`` in the file, from 1."""
        return 1 + next(i for i, one in enumerate(self.runs) if one is run)

    @property
    def last_trained(self) -> Run | None:
        """The last run that has figures, which is the run that a file is about."""
        return next((run for run in reversed(self.runs) if run.trained), None)

    @property
    def unknown(self) -> list[Entry]:
        """The entries that were not understood, without blank lines."""
        found = [entry for entry in self.entries if isinstance(entry.record, Unknown)]
        return [entry for entry in found if entry.record.text.strip()]

    @property
    def sha256(self) -> str:
        """The checksum of the file."""
        return hashlib.sha256(encode(self.original or self.text())).hexdigest()


def encode(text: str) -> bytes:
    """Return the bytes of a log's text. Bytes that were not UTF-8 are restored."""
    return text.encode("utf-8", "surrogateescape")


def position(record) -> tuple[float, float, int]:
    """The position of a record of figures in its training, to be compared with others."""
    if isinstance(record, Step):
        return record.epoch, record.batch, 0
    return record.epoch, math.inf, int(isinstance(record, Validation))


def arrange(entries: Iterable[Entry], source: str = "", original: str | None = None) -> Log:
    """Group entries into runs, each of which begins with a RunStart, and into segments."""
    entries = tuple(entries)
    starts = [i for i, entry in enumerate(entries) if isinstance(entry.record, RunStart)]
    before = entries[: starts[0]] if starts else entries
    runs = []
    if any(isinstance(entry.record, (Start, *FIGURES)) for entry in before):
        runs.append(Run(None, _segments(before)))
    for begin, end in zip(starts, [*starts[1:], len(entries)]):
        runs.append(Run(entries[begin], _segments(entries[begin + 1 : end])))
    return Log(source, entries, tuple(runs), original)


def _segments(entries: tuple[Entry, ...]) -> tuple[Segment, ...]:
    """Split where epochs or batches go back."""
    begins, before = [0], (-1, -1, 0)
    for index, entry in enumerate(entries):
        if not isinstance(entry.record, FIGURES):
            continue
        here = position(entry.record)
        again = here <= before and not isinstance(entry.record, Validation)
        if again or here[0] < before[0]:
            begins.append(index)
        before = here
    ends = [*begins[1:], len(entries)]
    return tuple(Segment(entries[a:b]) for a, b in zip(begins, ends) if b > a)
