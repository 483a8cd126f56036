"""Bytes over HTTP, for a network that stalls, breaks off and comes back."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from gan_kd_ssd.errors import UserError

#: Bytes that are read at once; a connection that breaks off loses at most so many.
PIECE = 1 << 14
#: Answers after which asking again may help.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class Unreachable(UserError):
    """The other side could not be asked, or did not answer to the end."""


class NotThere(UserError):
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
    pause: float = 0.5
    sleep: Callable[[float], None] = time.sleep

    def retrying(self, url: str, attempt: Callable[[], None]) -> None:
        """Call ``attempt`` until nothing of it may pass; raise :class:`Unreachable` in the end."""
        for number in range(self.attempts):
            if number:
                self.sleep(self.pause * 2 ** (number - 1))
            try:
                return attempt()
            except _Again as error:
                reason = error
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        raise Unreachable(f"{shown(url)}: {reason} (asked {times})")


def shown(url: str) -> str:
    """An address without a password, for messages."""
    return re.sub(r"//[^/?#]*@", "//***@", url)


def get(url: str, patience: Patience, most: int) -> bytes:
    """A small file, at most ``most`` bytes.

    Raises:
        Unreachable, NotThere; UserError: refused, or larger.
    """
    pieces: list[bytes] = []

    def attempt() -> None:
        pieces.clear()
        with _answer(url, patience) as answer:
            _check(url, answer)
            total = 0
            for piece in _pieces(answer, patience):
                total += len(piece)
                if total > most:
                    raise UserError(f"{shown(url)}: larger than {most} bytes: not such a file")
                pieces.append(piece)

    patience.retrying(url, attempt)
    return b"".join(pieces)


def download(
    url: str, part: Path, size: int, patience: Patience, progress: Callable[[int], None]
) -> None:
    """Complete ``part``, which may hold the first bytes of the file, to ``size`` bytes.

    A server that cannot send the rest alone sends all of it anew.

    Args:
        progress: called with the number of bytes that are there.

    Raises:
        Unreachable: what came is kept in ``part``. NotThere. UserError: refused, of another size, or
            no place for it.
    """

    def attempt() -> None:
        have = part.stat().st_size if part.exists() else 0
        if have > size:
            part.unlink()
            have = 0
        if have == size:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        with _answer(url, patience, headers) as answer:
            if answer.status_code == 416:
                part.unlink(missing_ok=True)
                raise _Again("the server cannot go on where it stopped")
            _check(url, answer)
            start = have if _goes_on(answer, have, size) else 0
            with _opened(part, start) as file:
                have = _write(url, file, start, size, _pieces(answer, patience), progress)
        if have < size:
            raise _Again(f"the connection ended after {have} of {size} bytes")

    progress(part.stat().st_size if part.exists() else 0)
    patience.retrying(url, attempt)
    progress(size)


def _goes_on(answer, have: int, size: int) -> bool:
    """Whether the answer is the rest of the file: some servers send all of it, or another part."""
    if answer.status_code != 206:
        return False
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not told or int(told[1]) != have or told[2] not in ("*", str(size)):
        raise _Again("the server sent another part than asked for")
    return True


def _opened(part: Path, start: int):
    """The partial file, cut to ``start`` bytes, to write after them."""
    try:
        file = open(part, "ab")  # noqa: SIM115 the caller closes it
        file.truncate(start)
    except OSError as error:
        raise no_place(part, error) from error
    return file


def _write(url: str, file, have: int, size: int, pieces, progress) -> int:
    """Write what comes; returns the bytes that are there then."""
    for piece in pieces:
        have += len(piece)
        if have > size:
            raise UserError(
                f"{shown(url)}: longer than the {size} bytes in the index: it is another file"
            )
        try:
            file.write(piece)
        except OSError as error:
            raise no_place(Path(file.name), error) from error
        progress(have)
    return have


def no_place(path: Path, error: OSError) -> UserError:
    """The error for a file that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free some space and ask again: it goes on from there" if full else "check the folder"
    return UserError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def _answer(url: str, patience: Patience, headers: dict | None = None):
    """Ask; errors that may pass are :class:`_Again`."""
    try:
        return requests.get(
            url,
            headers={"Accept-Encoding": "identity", **(headers or {})},
            stream=True,
            timeout=(patience.connect, patience.read),
        )
    except requests.exceptions.SSLError as error:
        raise UserError(f"{shown(url)}: no secure connection ({_cause(error)})") from error
    except requests.exceptions.ConnectTimeout as error:
        raise _Again(f"no connection within {patience.connect:g} s") from error
    except requests.exceptions.Timeout as error:
        raise _Again(f"no answer within {patience.read:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise _Again(f"no connection ({_cause(error)})") from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise UserError(f"{shown(url)}: cannot be asked for ({_cause(error)})") from error


def _pieces(answer, patience: Patience):
    """The body of an answer, piece by piece."""
    try:
        yield from answer.iter_content(PIECE)
    except requests.exceptions.ChunkedEncodingError as error:
        raise _Again("the connection broke off") from error
    except requests.exceptions.ConnectionError as error:  # so does requests call a read timeout
        raise _Again(f"nothing came for {patience.read:g} s") from error
    except requests.exceptions.RequestException as error:
        raise _Again(_cause(error)) from error


def _check(url: str, answer) -> None:
    """Raise for an answer that is not the file."""
    code = answer.status_code
    if code in (200, 206):
        return
    said = f"the server answered {code} {answer.reason or ''}".strip()
    if code in _PASSING:
        raise _Again(said)
    if code in (404, 410):
        raise NotThere(f"{shown(url)}: {said}")
    raise UserError(f"{shown(url)}: {said}")


def _cause(error: BaseException) -> str:
    """What lies below an error of requests, in a few words."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        below = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(below, BaseException):
            below = error.__cause__ or error.__context__
        if below is None:
            break
        error = below
    number = getattr(error, "errno", None)
    text = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
    return (text.splitlines() or [type(error).__name__])[0][:150]
