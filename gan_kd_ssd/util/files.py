"""Files on the disk: whole or not at all, what they should be, with room, and one process at a time.

Importing this needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:
    from tqdm import tqdm

_BLOCK = 1 << 20  # bytes that are read at once
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def mxnet_home() -> Path:
    """Where GluonCV keeps weights and data sets: $MXNET_HOME, else ~/.mxnet."""
    return Path(os.environ.get("MXNET_HOME") or "~/.mxnet").expanduser()


def write_atomically(
    path: Path, write: Callable[[Path], None], failures: tuple[type[Exception], ...] = (OSError,)
) -> None:
    """Call ``write(temporary)``, force it to the disk and rename it to ``path``.

    Args:
        failures: exceptions of ``write`` that mean that there is no place for the file.

    Raises:
        UserError: it could not be written (a full disk, no permission); ``path`` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        move_into_place(temporary, path)
    except failures as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        kept = "; the file that was there is kept" if path.exists() else ""
        raise UserError(
            f"{path}: cannot be written ({reason}){kept}; free some space, or choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """:func:`write_atomically` for a text, in UTF-8."""
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def move_into_place(temporary: Path, path: Path) -> None:
    """Force a file to the disk and give it its name, which stands after a power cut as well."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(folder: Path, option: str = "") -> Path:
    """Make a folder, and those above it, where it is not there.

    Args:
        option: what named it, for the message.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{option} {folder}: cannot be made ({error.strerror}); choose another folder".lstrip()
        ) from error
    return folder


class Expected(NamedTuple):
    """What is known of a file beforehand: hexadecimal digests, bytes; None for what is not."""

    sha1: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def digest(self) -> str | None:
        """The better of the digests that are known."""
        return self.sha256 or self.sha1


def damage(path: Path, expected: Expected, quiet: bool = True, name: str = "") -> str:
    """How a file differs from what is expected of it; '' where it does not. It is read once.

    Args:
        quiet: no progress bar. name: of the file, for that.
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
        if own != digest:
            return f"{kind} {own} instead of {digest}"
    return ""


def digests(
    path: Path,
    names: Iterable[str] = ("sha1", "sha256"),
    progress: Callable[[int], object] = lambda size: None,
) -> tuple[str, ...]:
    """Hexadecimal digests of a file, which is read once, in the order of their names.

    Args:
        progress: called with the number of bytes of each block.
    """
    found = [hashlib.new(name, usedforsecurity=False) for name in names]
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            for digest in found:
                digest.update(block)
            progress(len(block))
    return tuple(digest.hexdigest() for digest in found)


@contextlib.contextmanager
def locked(path: Path, quiet: bool = False) -> Iterator[None]:
    """Hold the lock of a file, alone among all processes; a process that dies gives it back.

    Raises:
        UserError: there can be no lock there.
    """
    import portalocker

    alone = portalocker.LockFlags.EXCLUSIVE
    try:
        file = open(path, "a")  # noqa: SIM115 closed below
    except OSError as error:
        raise no_place(path, error) from error
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


def check_space(folder: Path, needed: int, what: str, spare: int = 0) -> None:
    """UserError where a disk has less than ``needed`` bytes, and ``spare`` ones beside them, free."""
    free = shutil.disk_usage(folder).free
    if free < needed + spare:
        raise UserError(
            f"{folder}: {what} needs {_bytes(needed)}, {_bytes(free)} are free; free some space, or "
            "choose a folder on another disk"
        )


def _bytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def no_place(path: Path, error: OSError) -> UserError:
    """The error for a file that cannot be written, and that asking again completes."""
    full = error.errno in _NO_ROOM
    remedy = "free some space and ask again: it goes on from there" if full else "check the folder"
    return UserError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def bar(total: int | None, text: str, initial: int = 0, quiet: bool = False) -> tqdm:
    """A progress bar in bytes, with the time left."""
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
