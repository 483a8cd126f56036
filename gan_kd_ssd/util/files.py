"""File-system helpers: atomic writes, checksums, writable folders, free space and locks."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:
    from tqdm import tqdm

_BLOCK = 1 << 20  # bytes read at once


def mxnet_home() -> Path:
    """The folder in which GluonCV keeps weights and data sets: $MXNET_HOME, else ~/.mxnet."""
    return Path(os.environ.get("MXNET_HOME") or "~/.mxnet").expanduser()


def write_atomically(
    path: Path, write: Callable[[Path], object], failures: tuple[type[Exception], ...] = (OSError,)
) -> None:
    """Call ``write(temporary)``, flush the file to the disk and rename it to ``path``.

    Args:
        path: The file to create or replace.
        write: Writes the whole content to the path it is given.
        failures: Exceptions of ``write`` that mean that the file cannot be written.

    Raises:
        UserError: The file cannot be written (full disk, no permission); ``path`` is unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        move_into_place(temporary, path)
    except failures as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        kept = "; the previous file is kept" if path.exists() else ""
        raise UserError(
            f"{path}: cannot be written ({reason}){kept}; free some space or choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, see :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def move_into_place(temporary: Path, path: Path) -> None:
    """Flush a file to the disk and rename it, so that the name survives a power failure."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def writable_folder(folder: Path, option: str = "", create: bool = True) -> Path:
    """Check that files can be created in a folder, by creating one: permission bits may mislead.

    Args:
        folder: The folder, which is returned.
        option: The option that named the folder, for the message.
        create: Create the folder and its parents. Otherwise the nearest parent that exists is
            checked and nothing is created.

    Raises:
        UserError: The folder cannot be created or written.
    """
    folder = Path(folder)
    checked = folder.absolute()
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            checked = next(path for path in (checked, *checked.parents) if path.exists())
        with tempfile.TemporaryFile(dir=checked):
            pass
    except OSError as error:
        raise UserError(
            f"{option} {folder}: cannot be written ({error.strerror}); choose another folder".strip()
        ) from error
    return folder


class Expected(NamedTuple):
    """The known properties of a file: hexadecimal digests and size in bytes; None if unknown."""

    sha1: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def digest(self) -> str | None:
        """The strongest known digest."""
        return self.sha256 or self.sha1


def damage(path: Path, expected: Expected, quiet: bool = True, name: str = "") -> str:
    """Describe how a file differs from what is expected, '' if it does not. Reads the file once.

    The expected digests may be cut to their first digits. A progress bar shows ``name``.
    """
    wanted = {"sha1": expected.sha1, "sha256": expected.sha256}
    wanted = {kind: digest.lower() for kind, digest in wanted.items() if digest}
    try:
        size = path.stat().st_size
        if expected.size not in (None, size):
            return f"{size} bytes instead of {expected.size}"
        with bar(size, f"checking {name or path.name}", quiet=quiet or not wanted) as progress:
            found = digests(path, wanted, progress.update)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    for (kind, digest), own in zip(wanted.items(), found):
        if not own.startswith(digest):
            return f"{kind} {own} instead of {digest}"
    return ""


def damage_by_name(path: Path) -> str:
    """As :func:`damage`, for ``NAME-12345678.params``, whose name holds the beginning of its sha1."""
    wrong = damage(path, Expected(sha1=path.stem[-8:]))
    return f"damaged or renamed: {wrong}" if wrong else ""


def digests(
    path: Path,
    names: Iterable[str] = ("sha1", "sha256"),
    progress: Callable[[int], object] = lambda size: None,
) -> tuple[str, ...]:
    """Compute hexadecimal digests of a file by these hash functions. Reads the file once.

    ``progress`` is called with the number of bytes of each block.
    """
    found = [hashlib.new(name, usedforsecurity=False) for name in names]
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            for digest in found:
                digest.update(block)
            progress(len(block))
    return tuple(digest.hexdigest() for digest in found)


@contextlib.contextmanager
def locked(path: Path, quiet: bool = False, busy: str = "") -> Iterator[None]:
    """Hold an exclusive lock on a file. The lock of a process that dies is released.

    Args:
        path: The lock file. It is created and stays.
        quiet: Do not report on stderr that another process is waited for.
        busy: Raise a UserError with this message instead of waiting for another process.

    Raises:
        UserError: The file cannot be created or locked, or (with ``busy``) is locked already.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if busy:
                raise UserError(busy) from None
            if not quiet:
                print(f"waiting for another process that uses {path}", file=sys.stderr)
            lock.acquire()
    except NotImplementedError as error:
        raise UserError(
            f"{path}: cannot be locked ({error}); choose a folder on a local disk"
        ) from error
    except OSError as error:
        raise no_place(path, error) from error
    try:
        yield
    finally:
        lock.release()


def check_space(folder: Path, needed: int, what: str, spare: int = 0) -> None:
    """Raise a UserError if a disk has less than ``needed`` + ``spare`` free bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed + spare:
        raise UserError(
            f"{folder}: {what} needs {_in_words(needed)}, {_in_words(free)} are free; free some space "
            "or choose a folder on another disk"
        )


def _in_words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def no_place(path: Path, error: OSError) -> UserError:
    """The error for a download or lock file that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free some space and run the command again to resume" if full else "check the folder"
    return UserError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def bar(total: int | None, text: str, initial: int = 0, quiet: bool = False) -> tqdm:
    """A progress bar that counts bytes and shows the remaining time."""
    from tqdm import tqdm

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
