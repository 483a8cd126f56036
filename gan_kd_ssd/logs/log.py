"""A log as it was read: entries in their order, arranged into runs and segments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gan_kd_ssd.logs.records import EpochEnd, RunStart, Start, Step, Unknown, Validation
from gan_kd_ssd.logs.write import format_record

_FIGURES = (Step, EpochEnd, Validation)


@dataclass(frozen=True)
class Entry:
    """A record and where it stands: ``line`` (1-based) is its first of ``count`` lines.

    ``original`` is the text in the file, kept only where the writer would print the record
    otherwise: fewer digits, another order of options, a last line without its line end.
    """

    record: object
    line: int
    count: int = 1
    prefix: str = ""
    newline: str = "\n"
    original: str | None = None

    @classmethod
    def of(cls, record, line: int, original: str, count: int = 1, prefix: str = "") -> Entry:
        """The entry that writes ``original`` again."""
        newline = "\r\n" if original.endswith("\r\n") else "\n"
        entry = cls(record, line, count, prefix, newline)
        if entry.text() == original:
            return entry
        return cls(record, line, count, prefix, newline, original)

    def text(self) -> str:
        """The entry's lines as they stand in the file."""
        if self.original is not None:
            return self.original
        text = self.prefix + format_record(self.record)
        return text if self.newline == "\n" else text.replace("\n", self.newline)


@dataclass(frozen=True)
class Segment:
    """Entries of one run in which epochs and batches only go forward."""

    entries: tuple[Entry, ...]

    def of(self, *types) -> Iterator[Entry]:
        """The entries whose record has one of ``types``."""
        return (entry for entry in self.entries if isinstance(entry.record, types))

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line (1-based) in the file."""
        last = self.entries[-1]
        return self.entries[0].line, last.line + last.count - 1

    @property
    def epochs(self) -> tuple[int, int] | None:
        """First and last epoch with a figure, None without any."""
        numbers = [entry.record.epoch for entry in self.of(*_FIGURES)]
        return (min(numbers), max(numbers)) if numbers else None

    @property
    def style(self) -> str | None:
        """The style of the segment's figures, None without any."""
        return next((entry.record.style for entry in self.of(*_FIGURES)), None)


@dataclass(frozen=True)
class Run:
    """What belongs to one ``Namespace(...)`` line; ``start`` is None where the log has none."""

    start: Entry | None
    segments: tuple[Segment, ...]

    @property
    def namespace(self) -> dict[str, object]:
        """The run's options; empty where the log has no such line."""
        return dict(self.start.record.namespace) if self.start else {}

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line (1-based) in the file."""
        first = self.start.line if self.start else self.segments[0].lines[0]
        return first, self.segments[-1].lines[1] if self.segments else first

    @property
    def trained(self) -> bool:
        """Whether there is any figure: most starts of the published Faster R-CNN log have none."""
        return any(segment.epochs for segment in self.segments)

    def of(self, *types) -> Iterator[Entry]:
        """The entries of all segments whose record has one of ``types``."""
        return (entry for segment in self.segments for entry in segment.of(*types))


@dataclass(frozen=True)
class Log:
    """A whole file. ``preamble``: what stands before the first run.

    ``original`` is the file's text where it is not :meth:`text`: that of JSON lines.
    """

    source: str
    entries: tuple[Entry, ...]
    preamble: tuple[Entry, ...]
    runs: tuple[Run, ...]
    original: str | None = None

    def text(self) -> str:
        """The file again, to the byte; JSON lines become the text log of the same run."""
        return "".join(entry.text() for entry in self.entries)

    def number(self, run: Run) -> int:
        """Which run of the file ``run`` is, from 1."""
        return 1 + next(i for i, one in enumerate(self.runs) if one is run)

    @property
    def unknown(self) -> list[Entry]:
        """The entries that were not understood; blank lines are not counted."""
        return [
            entry
            for entry in self.entries
            if isinstance(entry.record, Unknown) and entry.record.text.strip()
        ]

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return hashlib.sha256(encode(self.original or self.text())).hexdigest()


def encode(text: str) -> bytes:
    """Bytes of a log's text; bytes that were not UTF-8 come out as they went in."""
    return text.encode("utf-8", "surrogateescape")


class _Position:
    """How far a segment has come, to see where epochs or batches go back."""

    def __init__(self):
        self.at = (-1, -1.0)

    def goes_back(self, record) -> bool:
        """Move on to ``record``; True if it lies before what was seen."""
        ended = float("inf")
        if isinstance(record, Step):
            here, back = (record.epoch, record.batch), (record.epoch, record.batch) <= self.at
        elif isinstance(record, EpochEnd):
            here, back = (record.epoch, ended), (record.epoch, ended) <= self.at
        else:
            here, back = (record.epoch, ended), record.epoch < self.at[0]
        self.at = here
        return back


def arrange(entries: Iterable[Entry], source: str = "", original: str | None = None) -> Log:
    """Put entries into runs (one a RunStart) and segments (a new one where epochs go back)."""
    entries = tuple(entries)
    starts = [i for i, entry in enumerate(entries) if isinstance(entry.record, RunStart)]
    first = starts[0] if starts else len(entries)
    preamble, runs = entries[:first], []
    if any(isinstance(entry.record, (Start, *_FIGURES)) for entry in preamble):
        runs.append(Run(None, _segments(preamble)))
        preamble = ()
    for begin, end in zip(starts, [*starts[1:], len(entries)]):
        runs.append(Run(entries[begin], _segments(entries[begin + 1 : end])))
    return Log(source, entries, preamble, tuple(runs), original)


def _segments(entries: tuple[Entry, ...]) -> tuple[Segment, ...]:
    begins, position = [0], _Position()
    for index, entry in enumerate(entries):
        if isinstance(entry.record, _FIGURES) and position.goes_back(entry.record):
            begins.append(index)
    ends = [*begins[1:], len(entries)]
    return tuple(Segment(entries[a:b]) for a, b in zip(begins, ends) if b > a)
