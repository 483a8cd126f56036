"""Files from a web server or a folder: gone on with, asked for again, checked, and there when whole.

A source is an http or https address, or the ``Path`` of a file on this machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import requests

from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected

#: Bytes that are read at once; a connection that breaks off loses at most so many.
PIECE = 1 << 14
#: Answers after which asking again may help.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_PAUSE = 60.0  # seconds between two attempts
_SPARE = 1 << 20  # bytes that are left free on the disk beside a download

Result = TypeVar("Result")


class Failure(UserError):
    """The other side did not give what it was asked for."""


class Unreachable(Failure):
    """The other side could not be asked, or did not answer to the end."""


class NotThere(Failure):
    """The other side answered that it has no such file."""


class _Again(Exception):
    """What may pass: asked again after a pause."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what; seconds.

    Attributes:
        connect: until there is a connection. read: until there is a further piece.
        attempts: to ask before giving up. pause: before the second one; it doubles with each.
    """

    connect: float = 10.0
    read: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    sleep: Callable[[float], object] = time.sleep

    def retrying(self, source: str | Path, attempt: Callable[[], Result]) -> Result:
        """What ``attempt`` returns, once nothing stands in its way; :class:`Unreachable` in the end."""
        for number in range(self.attempts):
            if number:
                self.sleep(min(self.pause * 2 ** (number - 1), _LONGEST_PAUSE))
            try:
                return attempt()
            except _Again as error:
                reason = error
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        raise Unreachable(f"{shown(source)}: {reason} (asked {times})")


def shown(source: str | Path) -> str:
    """An address without a password, for messages."""
    return re.sub(r"//[^/?#]*@", "//***@", str(source))


def read(source: str | Path, most: int, patience: Patience | None = None) -> bytes:
    """A small file, at most ``most`` bytes.

    Raises:
        Unreachable, NotThere; Failure: refused, or larger.
    """
    patience = patience or Patience()

    def attempt() -> bytes:
        data = bytearray()
        with _opened(source, 0, patience) as body:
            for piece in body.pieces:
                data += piece
                if len(data) > most:
                    raise Failure(f"{shown(source)}: larger than {most} bytes: not such a file")
        return bytes(data)

    return patience.retrying(source, attempt)


def fetch(
    source: str | Path,
    path: Path,
    expected: Expected | None = None,
    *,
    work: Path | None = None,
    patience: Patience | None = None,
    remedy: str = "",
    quiet: bool = False,
) -> Path:
    """Bring a file to ``path``, whose folder is made; a file that is there and right is kept.

    Where a digest is given, what came before a break is kept, and the next attempt and the next call go
    on from there; the digest tells in the end whether the parts belong together. Several processes that
    ask for the same path bring it once.

    Args:
        expected: what is known of it. work: folder of the lock and of what is not whole yet (default:
            that of ``path``). patience: with the network. remedy: what else a user can do to have the
            file, for messages. quiet: no progress bar, no remarks.

    Raises:
        Unreachable; NotThere; Failure: refused, or another file than expected. UserError: there is no
            place for it.
    """
    path, expected = Path(path), expected or Expected()
    work = files.writable_folder(Path(work or path.parent))
    files.writable_folder(path.parent)
    with files.locked(work / f".{path.name}.lock", quiet):
        if path.exists():
            wrong = files.damage(path, expected, quiet)
            if not wrong:
                return path
            if not quiet:
                print(f"{path}: {wrong}; it is fetched again", file=sys.stderr)
        part = work / part_name(path.name, expected)
        remedy = remedy or f"ask again, or get it by hand and put it at {path}"
        _Download(source, path, part, expected, patience or Patience(), quiet).bring(remedy)
    return path


def part_name(name: str, expected: Expected) -> str:
    """What a file is called until it is whole: a part of another version has another name."""
    return f".{name}.{(expected.digest or 'unknown')[:12]}.part"


@dataclass(frozen=True)
class _Download:
    """One call of :func:`fetch`, while it holds the lock; ``part`` may hold the file's first bytes."""

    source: str | Path
    path: Path
    part: Path
    expected: Expected
    patience: Patience
    quiet: bool

    def bring(self, remedy: str) -> None:
        """Bring the file to ``path``; what fails is told with the remedy."""
        try:
            self._complete()
            files.move_into_place(self.part, self.path)
        except Failure as error:
            raise type(error)(f"{error}{self._kept(error)}; {remedy}") from error
        except OSError as error:  # of the disk: the source's have become others before
            raise files.no_place(self.path, error) from error

    def _kept(self, error: Failure) -> str:
        """How much of the file there is for the next call, in words."""
        size = self.part.stat().st_size if self.part.exists() else 0
        if not (size and self.expected.digest and isinstance(error, Unreachable)):
            return ""
        return f"; {size} bytes are kept, and gone on from"

    def _complete(self) -> None:
        """Make ``part`` the whole file."""
        resumed = self.part.exists()
        while True:
            self.patience.retrying(self.source, self._attempt)
            wrong = files.damage(self.part, self.expected, self.quiet, self.path.name)
            if not wrong:
                return
            self.part.unlink()
            if not resumed:
                raise Failure(
                    f"{shown(self.source)}: {wrong}: it was changed on the way, or is another file "
                    "there now"
                )
            resumed = False  # the first part may have been of another file: all of it once more

    def _attempt(self) -> None:
        size, have = self.expected.size, 0
        if self.expected.digest and self.part.exists():
            have = self.part.stat().st_size
        if size is not None:
            if have >= size > 0:  # nothing to ask for: its digest tells what it is
                return
            files.check_space(self.part.parent, size - have, self.path.name, _SPARE)
        with _opened(self.source, have, self.patience) as body:
            have, total = self._write(body), body.total
        total = size if total is None else total
        if total is not None and have < total:
            raise _Again(f"the connection ended after {have} of {total} bytes")

    def _write(self, body: _Body) -> int:
        """Write what comes; returns the bytes that are there then."""
        size, have, total = self.expected.size, body.start, body.total
        if total is None:
            total = size
        elif size is None:
            files.check_space(self.part.parent, total - have, self.path.name, _SPARE)
        elif size != total:
            raise Failure(
                f"{shown(self.source)}: has {total} bytes instead of {size}: it is another file"
            )
        bar = files.bar(total, self.path.name, have, self.quiet)
        with open(self.part, "ab") as file, bar as progress:
            file.truncate(have)
            for piece in body.pieces:
                have += len(piece)
                if total is not None and have > total:
                    raise Failure(
                        f"{shown(self.source)}: longer than {total} bytes: it is another file"
                    )
                file.write(piece)
                progress.update(len(piece))
        return have


class _Body(NamedTuple):
    """What a source gives: pieces from byte ``start`` on of ``total`` bytes (None: not told)."""

    start: int
    total: int | None
    pieces: Iterator[bytes]


@contextlib.contextmanager
def _opened(source: str | Path, start: int, patience: Patience) -> Iterator[_Body]:
    """A source from byte ``start`` on, or from its beginning where it cannot give that."""
    if isinstance(source, Path):
        try:
            file = open(source, "rb")  # noqa: SIM115 closed below
        except OSError as error:
            raise NotThere(f"{source}: cannot be read ({error.strerror})") from error
        with file:
            total = os.fstat(file.fileno()).st_size
            yield _Body(file.seek(start), total, _pieces_of_file(file, source))
        return
    answer = _answer(source, start, patience)
    if start and answer.status_code == 416:  # it has not so many
        answer.close()
        answer = _answer(source, 0, patience)
    with answer:
        _check_status(source, answer)
        yield _Body(*_told(answer, start), _pieces(answer, patience))


def _pieces_of_file(file, source: Path) -> Iterator[bytes]:
    try:
        while piece := file.read(PIECE):
            yield piece
    except OSError as error:
        raise Failure(f"{source}: cannot be read ({error.strerror})") from error


def _answer(url: str, start: int, patience: Patience) -> requests.Response:
    """Ask for a file from byte ``start`` on; errors that may pass are :class:`_Again`."""
    headers = {"Accept-Encoding": "identity"}  # the file as it is: digests are of that
    if start:
        headers["Range"] = f"bytes={start}-"
    timeout = (patience.connect, patience.read)
    try:
        return requests.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise Failure(f"{shown(url)}: no secure connection ({_cause(error)})") from error
    except requests.exceptions.ConnectTimeout as error:
        raise _Again(f"no connection within {patience.connect:g} s") from error
    except requests.exceptions.Timeout as error:
        raise _Again(f"no answer within {patience.read:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise _Again(f"no connection ({_cause(error)})") from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise Failure(f"{shown(url)}: cannot be asked for ({_cause(error)})") from error


def _check_status(url: str, answer: requests.Response) -> None:
    """Raise for an answer that is not the file."""
    code = answer.status_code
    if code in (200, 206):
        return
    said = f"the server answered {code} {answer.reason or ''}".strip()
    if code in _PASSING:
        raise _Again(said)
    raise (NotThere if code in (404, 410) else Failure)(f"{shown(url)}: {said}")


def _told(answer: requests.Response, asked: int) -> tuple[int, int | None]:
    """The byte that an answer begins with, and the size of the file (None: not told).

    Some servers send all of the file again; another part than ``asked`` for is of no use.
    """
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else None
    if answer.status_code != 206:
        return 0, size
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not told or int(told[1]) != asked:
        raise _Again("the server sent another part than asked for")
    if told[2] != "*":
        return asked, int(told[2])
    return asked, None if size is None else asked + size


def _pieces(answer: requests.Response, patience: Patience) -> Iterator[bytes]:
    """The body of an answer, piece by piece."""
    try:
        yield from answer.iter_content(PIECE)
    except requests.exceptions.RequestException as error:
        if type(error) is requests.exceptions.ConnectionError:  # so it calls a read timeout
            raise _Again(f"nothing came for {patience.read:g} s") from error
        raise _Again("the connection broke off") from error


def _cause(error: BaseException) -> str:
    """What lies at the bottom of an error of requests, in a few words."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    text = getattr(error, "strerror", None) or str(error)
    return shown((text.splitlines() or [type(error).__name__])[0])[:150]
