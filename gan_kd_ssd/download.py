"""Files over HTTP: resumed, asked for again, checked, and moved into place only when whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import portalocker
import requests
from tqdm import tqdm

from gan_kd_ssd.errors import UserError

_PIECE = 1 << 16  # bytes; of a broken connection, less than this is lost
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers after which asking again may help
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds between two attempts; it doubles

_pause = time.sleep


class Expected(NamedTuple):
    """What is known of a file beforehand; None for what is not."""

    sha1: str | None = None
    sha256: str | None = None
    size: int | None = None


class _Again(Exception):
    """What may pass: asked again after a pause."""


def fetch(
    url: str,
    path: Path,
    *,
    sha1: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    attempts: int = 5,
    timeout: float = 30.0,
    quiet: bool = False,
) -> Path:
    """Download ``url`` to ``path``, whose folder is made; a file that is there and right is kept.

    Where a digest is given, what came before a break is kept beside ``path``, and the next attempt and
    the next call go on from there; the digest tells in the end whether the parts belong together.
    Several processes that ask for the same path download it once.

    Args:
        url: http or https. sha1, sha256: hexadecimal. size: bytes.
        attempts: before giving up; the pauses between them double. timeout: seconds without an answer
            or a further byte. quiet: no progress bar.

    Raises:
        UserError: it cannot be had, is another file than expected, or there is no place for it.
    """
    path, expected = Path(path), Expected(sha1, sha256, size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(path.parent, error) from error
    with locked(path.with_name(f".{path.name}.lock"), quiet):
        if path.is_file() and not damage(path, expected, quiet):
            return path
        part = path.with_name(f".{path.name}.{(sha256 or sha1 or 'unknown')[:12]}.part")
        resumed = part.exists()
        _receive(url, part, expected, attempts, timeout, quiet)
        wrong = damage(part, expected, quiet)
        if wrong and resumed:  # the first part may have been of another file
            part.unlink()
            _receive(url, part, expected, attempts, timeout, quiet)
            wrong = damage(part, expected, quiet)
        if wrong:
            part.unlink()
            raise UserError(
                f"{shown(url)}: {wrong}: it was changed on the way, or is another file there now; "
                f"get the right one by hand and put it at {path}"
            )
        _move(part, path)
    return path


def damage(path: Path, expected: Expected, quiet: bool = True) -> str:
    """How a file differs from what is expected of it; '' where it does not."""
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"{size} bytes instead of {expected.size}"
    for name, wanted in (("sha1", expected.sha1), ("sha256", expected.sha256)):
        if wanted:
            found = _digest(path, name, quiet)
            if found != wanted.lower():
                return f"{name} {found} instead of {wanted.lower()}"
    return ""


@contextlib.contextmanager
def locked(path: Path, quiet: bool = False) -> Iterator[None]:
    """Hold a lock among all processes; a process that dies gives it back.

    Raises:
        UserError: there can be no lock there.
    """
    alone = portalocker.LockFlags.EXCLUSIVE
    try:
        file = open(path, "a")  # noqa: SIM115 closed below
    except OSError as error:
        raise _no_place(path, error) from error
    with file:
        try:
            try:
                portalocker.lock(file, alone | portalocker.LockFlags.NON_BLOCKING)
            except portalocker.AlreadyLocked:
                if not quiet:
                    print(f"waiting for another process that works on {path}", file=sys.stderr)
                portalocker.lock(file, alone)
        except portalocker.LockException as error:
            raise UserError(
                f"{path}: cannot be locked ({error}); choose a folder on a disk of this machine"
            ) from error
        yield


def shown(url: str) -> str:
    """An address without a password, for messages."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all
        return url
    if parts.username is None and parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


def check_space(folder: Path, needed: int, what: str) -> None:
    """UserError where a disk has less than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {what} needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; free some "
            f"space, or choose a folder on another disk"
        )


def bar(total: int | None, text: str, initial: int = 0, quiet: bool = False) -> tqdm:
    """A progress bar in bytes, with the time left."""
    return tqdm(
        total=total,
        initial=initial,
        desc=text,
        unit="B",
        unit_scale=True,
        dynamic_ncols=True,
        disable=quiet,
        mininterval=0.2 if sys.stderr.isatty() else 10,
    )


def _receive(url, part: Path, expected: Expected, attempts: int, timeout: float, quiet) -> None:
    """Complete ``part``, which may hold the first bytes of the file."""
    for number in range(attempts):
        if number:
            _pause(min(_FIRST_PAUSE * 2 ** (number - 1), _LONGEST_PAUSE))
        try:
            return _attempt(url, part, expected, timeout, quiet)
        except _Again as error:
            reason = error
        except OSError as error:  # of the disk: those of requests have become others before
            raise _no_place(part, error) from error
    times = "once" if attempts == 1 else f"{attempts} times"
    kept = part.stat().st_size if part.exists() else 0
    remedy = (
        f"{kept} bytes are kept: ask again to go on" if kept else "check the network, ask again"
    )
    raise UserError(f"{shown(url)}: {reason} (asked {times}); {remedy}")


def _attempt(url: str, part: Path, expected: Expected, timeout: float, quiet: bool) -> None:
    known = expected.sha1 or expected.sha256
    have = part.stat().st_size if known and part.exists() else 0
    if expected.size is not None and have >= expected.size:
        if have == expected.size:
            return
        have = 0
    headers = {"Accept-Encoding": "identity"}  # the file as it is: digests are of that
    if have:
        headers["Range"] = f"bytes={have}-"
    with _answer(url, headers, timeout) as answer:
        if answer.status_code == 416:
            part.unlink(missing_ok=True)
            raise _Again("the server cannot go on where it stopped")
        _check(url, answer)
        have = have if _goes_on(answer, have) else 0
        total = _total(answer, have) or expected.size
        if expected.size is not None and total != expected.size:
            raise UserError(
                f"{shown(url)}: has {total} bytes instead of {expected.size}: it is another file"
            )
        if total:
            check_space(part.parent, total - have, part.name)
        with open(part, "ab") as file, bar(total, Path(urlsplit(url).path).name, have, quiet) as b:
            file.truncate(have)
            for piece in _pieces(answer, timeout):
                have += len(piece)
                if total and have > total:
                    raise _Again(f"more came than the {total} bytes that were announced")
                file.write(piece)
                b.update(len(piece))
    if total and have < total:
        raise _Again(f"the connection ended after {have} of {total} bytes")


def _answer(url: str, headers: dict, timeout: float) -> requests.Response:
    try:
        return requests.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise UserError(f"{shown(url)}: no secure connection ({_cause(error)})") from error
    except requests.exceptions.Timeout as error:
        raise _Again(f"no answer within {timeout:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise _Again(f"no connection ({_cause(error)})") from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise UserError(f"{shown(url)}: cannot be asked for ({_cause(error)})") from error


def _check(url: str, answer) -> None:
    code = answer.status_code
    if code in (200, 206):
        return
    said = f"the server answered {code} {answer.reason or ''}".strip()
    if code in _PASSING:
        raise _Again(said)
    raise UserError(f"{shown(url)}: {said}")


def _goes_on(answer, have: int) -> bool:
    """Whether the answer is the rest of the file; some servers send all of it again."""
    if answer.status_code != 206:
        return False
    told = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if not told or int(told[1]) != have:
        raise _Again("the server sent another part than asked for")
    return True


def _total(answer, have: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() else None


def _pieces(answer, timeout: float) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(_PIECE)
    except requests.exceptions.ConnectionError as error:  # so does requests call a read timeout
        raise _Again(f"nothing came for {timeout:g} s") from error
    except requests.exceptions.RequestException as error:
        raise _Again("the connection broke off") from error


def _digest(path: Path, name: str, quiet: bool) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    with open(path, "rb") as file, bar(path.stat().st_size, f"checking {path.name}", 0, quiet) as b:
        while block := file.read(1 << 20):
            digest.update(block)
            b.update(len(block))
    return digest.hexdigest()


def _move(part: Path, path: Path) -> None:
    """Force a file to the disk and give it its name."""
    try:
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise _no_place(path, error) from error


def _no_place(path: Path, error: OSError) -> UserError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space and ask again: it goes on from there" if full else "check the folder"
    return UserError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def _cause(error: BaseException) -> str:
    """What lies at the bottom of an error of requests, in a few words."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    text = getattr(error, "strerror", None) or str(error)
    return (text.splitlines() or [type(error).__name__])[0][:150]
