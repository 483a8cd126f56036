"""Downloads with retries, resume and checksum verification; a target appears only when complete.

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

import requests
import tenacity

from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected

PIECE = 1 << 14  # bytes read at once; a broken connection loses at most this much
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_SPARE = 1 << 20  # bytes that a download leaves free on the disk


class Failure(UserError):
    """The source did not give the file."""


class Unreachable(Failure):
    """The source gave no complete answer in any attempt."""


class NotThere(Failure):
    """The source has no such file."""


class _Transient(Exception):
    """A failure after which another attempt may succeed."""


@dataclass(frozen=True)
class Patience:
    """Time limits and retries of a download."""

    connect: float = 10.0  # seconds to wait for a connection
    read: float = 30.0  # seconds to wait for the next bytes
    attempts: int = 5
    pause: float = 1.0  # seconds before the second attempt; doubles each time, up to a minute
    sleep: Callable[[float], object] = time.sleep

    def retrying(self, source: str | Path, attempt: Callable):
        """Return the result of ``attempt()``, which is repeated after transient failures."""
        retries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Transient),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_exponential(self.pause, max=60),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retries(attempt)
        except _Transient as error:
            tries = f"{self.attempts} attempt{'s' * (self.attempts > 1)}"
            raise Unreachable(f"{shown(source)}: {error} ({tries})") from error


def shown(source: str | Path) -> str:
    """An address for messages, without its password."""
    return re.sub(r"//[^/?#]*@", "//***@", str(source))


def read(source: str | Path, most: int, patience: Patience | None = None) -> bytes:
    """Read a small file; raise a :class:`Failure` if that fails or it has over ``most`` bytes."""
    patience = patience or Patience()

    def attempt() -> bytes:
        data = b""
        with _opened(source, 0, patience) as (_, _, pieces):
            for piece in pieces:
                data += piece
                if len(data) > most:
                    raise Failure(f"{shown(source)}: larger than {most} bytes, the wrong file")
        return data

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
    """Download a file to ``path``. A file that is already there and intact is kept.

    If a digest is known, an interrupted download is resumed by the next attempt or call. If several
    processes want the same path, one downloads it and the others wait.

    Args:
        source: The address or file.
        path: The target; its folder is created.
        expected: The known digests and size of the file.
        work: The folder of the lock and of the incomplete file (default: that of ``path``).
        patience: Time limits and retries.
        remedy: Another way to get the file, for messages.
        quiet: Show neither progress nor remarks.

    Raises:
        Failure: The source does not give the expected file.
        UserError: There is no place for the file.
    """
    path, expected = Path(path), expected or Expected()
    work = files.writable_folder(Path(work or path.parent))
    files.writable_folder(path.parent)
    part = work / part_name(path.name, expected)
    with files.locked(work / f".{path.name}.lock", quiet):
        if path.exists():
            wrong = files.damage(path, expected, quiet)
            if not wrong:
                return path
            if not quiet:
                print(f"{path}: {wrong}; downloading it again", file=sys.stderr)
        try:
            _Download(source, part, path.name, expected, patience or Patience(), quiet).complete()
            files.move_into_place(part, path)
        except Failure as error:
            resumable = isinstance(error, Unreachable) and expected.digest and part.exists()
            size = part.stat().st_size if resumable else 0
            kept = f"; {size} bytes are kept, and the next call resumes from there" if size else ""
            remedy = remedy or f"try again, or get the file by hand and put it at {path}"
            raise type(error)(f"{error}{kept}; {remedy}") from error
        except OSError as error:  # of the disk: those of the source are Failures
            raise files.no_place(path, error) from error
    return path


def part_name(name: str, expected: Expected) -> str:
    """The name of an incomplete file, which differs between versions of the file."""
    return f".{name}.{(expected.digest or 'unknown')[:12]}.part"


@dataclass(frozen=True)
class _Download:
    """A download into the file ``part``, which may hold the first bytes already."""

    source: str | Path
    part: Path
    name: str
    expected: Expected
    patience: Patience
    quiet: bool

    def complete(self) -> None:
        """Make ``part`` the whole file, and verify it."""
        resumed = self.part.exists()
        self.patience.retrying(self.source, self._attempt)
        wrong = files.damage(self.part, self.expected, self.quiet, self.name)
        if wrong and resumed:  # the old part may have been of another file: start from zero
            self.part.unlink()
            self.complete()
        elif wrong:
            self.part.unlink()
            raise self._another_file(wrong)

    def _attempt(self) -> None:
        """Append what is missing to ``part``."""
        size, have = self.expected.size, 0
        if self.expected.digest and self.part.exists():
            have = self.part.stat().st_size
        if size and have >= size:
            return
        with _opened(self.source, have, self.patience) as (have, total, pieces):
            total = size if total is None else total
            if size not in (None, total):
                raise self._another_file(f"{total} bytes instead of {size}")
            if total is not None:
                files.check_space(self.part.parent, total - have, self.name, _SPARE)
            bar = files.bar(total, self.name, have, self.quiet)
            with open(self.part, "ab") as file, bar:
                file.truncate(have)
                for piece in pieces:
                    have += len(piece)
                    if total is not None and have > total:
                        raise self._another_file(f"more than {total} bytes")
                    file.write(piece)
                    bar.update(len(piece))
        if total is not None and have < total:
            raise _Transient(f"the connection ended after {have} of {total} bytes")

    def _another_file(self, wrong: str) -> Failure:
        return Failure(f"{shown(self.source)}: {wrong}: damaged, or not the expected file")


@contextlib.contextmanager
def _opened(source: str | Path, start: int, patience: Patience) -> Iterator[tuple]:
    """Open a source; yield the first byte, the size of the whole file (None if unknown) and the bytes.

    The first byte is ``start``, or 0 if the source has no later part.
    """
    if isinstance(source, Path):
        try:
            file = open(source, "rb")  # noqa: SIM115 closed below
        except OSError as error:
            raise NotThere(f"{source}: cannot be read ({error.strerror})") from error
        with file:
            blocks = iter(lambda: file.read(PIECE), b"")
            yield 0, os.fstat(file.fileno()).st_size, _pieces(source, blocks)
        return
    with _answer(source, start, patience) as answer:
        begin = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        begin = int(begin[1]) if begin else 0  # a server may send the whole file again
        if begin not in (0, start):
            raise _Transient("the server sent a part that was not requested")
        length = answer.headers.get("Content-Length", "")
        total = begin + int(length) if length.isdigit() else None
        yield begin, total, _pieces(source, answer.iter_content(PIECE))


def _answer(url: str, start: int, patience: Patience) -> requests.Response:
    """Ask for a file from byte ``start`` on, or for all of it if it is not that long."""
    headers = {"Accept-Encoding": "identity"}  # digests are of the uncompressed file
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        timeout = (patience.connect, patience.read)
        answer = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise Failure(f"{shown(url)}: no secure connection ({_cause(error)})") from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise _Transient(f"no answer ({_cause(error)})") from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise Failure(f"{shown(url)}: not a usable address ({_cause(error)})") from error
    code = answer.status_code
    if code in (200, 206):
        return answer
    answer.close()
    if start and code == 416:
        return _answer(url, 0, patience)
    said = f"the server answered {code} {answer.reason or ''}".strip()
    if code in _TRANSIENT_STATUS:
        raise _Transient(said)
    raise (NotThere if code in (404, 410) else Failure)(f"{shown(url)}: {said}")


def _pieces(source: str | Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pass the pieces on; translate what goes wrong while they are read."""
    try:
        yield from pieces
    except requests.exceptions.RequestException as error:
        raise _Transient(f"the connection broke ({_cause(error)})") from error
    except OSError as error:
        raise Failure(f"{source}: cannot be read ({error.strerror})") from error


def _cause(error: BaseException) -> str:
    """The innermost cause of an error of requests, in a few words."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    text = getattr(error, "strerror", None) or str(error)
    return shown((text.splitlines() or [type(error).__name__])[0])[:150]
