"""Safe unpacking of archives: all files or none, and no file outside of the folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import bar, check_space

# Exceptions of the libraries for damaged archives; RuntimeError is for encrypted members.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class Member(NamedTuple):
    """A file in an archive: its path, its size in bytes, and a function that opens it."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, inside: str = "", quiet: bool = False) -> None:
    """Unpack a tar or zip file into an existing folder; files with the same names are replaced.

    The files appear under their names only when all of them are on the disk. Owners, modes, links and
    devices are not restored.

    Args:
        archive: The tar or zip file.
        folder: The folder to unpack into.
        inside: The folder of the archive whose content is unpacked; '' for the whole archive.

    Raises:
        UserError: The archive is missing or damaged, a member is neither a file nor a folder or
            leads out of the folder, or the disk is full.
    """
    draft, start = folder / f".unpacking-{archive.name}", PurePosixPath(inside)
    try:
        shutil.rmtree(draft, ignore_errors=True)  # left by an interrupted call
        with _members(archive) as members:
            members = [one for one in members if start in (one.path, *one.path.parents)]
            if not members:
                raise UserError(f"{archive} holds nothing in {inside or '.'}; is it the right one?")
            total = sum(member.size for member in members)
            check_space(folder, total, f"unpacking {archive.name}")
            with bar(total, f"unpacking {archive.name}", quiet=quiet) as progress:
                for member in members:
                    _write(draft / member.path.relative_to(start), member, progress.update)
        os.sync()  # once for 100,000 files, before they get their names
        _merge(draft, folder)
    except _DAMAGED as error:
        raise UserError(f"{archive} is damaged ({error}); download it again") from error
    except OSError as error:
        raise UserError(
            f"{archive}: cannot be unpacked into {folder} ({error.strerror or error}); free some "
            f"space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    """Yield the files of an archive after checking that every member is safe."""
    # A tar whose last file is a zip also looks like a zip file: test for tar first.
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            infos = file.getmembers()
            for info in infos:
                _check(archive, info.name, info.isfile() or info.isdir())
            yield [
                Member(PurePosixPath(info.name), info.size, partial(file.extractfile, info))
                for info in infos
                if info.isfile()
            ]
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            infos = [info for info in file.infolist() if not info.is_dir()]
            for info in infos:
                kind = stat.S_IFMT(info.external_attr >> 16)
                _check(archive, info.filename, kind in (0, stat.S_IFREG))
            yield [
                Member(PurePosixPath(info.filename), info.file_size, partial(file.open, info))
                for info in infos
            ]
    else:
        raise UserError(f"{archive} is neither a tar nor a zip file; download it again")


def _check(archive: Path, name: str, plain: bool) -> None:
    parts = PurePosixPath(name).parts
    windows = "\\" in name or ":" in name  # a path or a drive on Windows
    inside = parts and not (name.startswith("/") or ".." in parts or windows or "\0" in name)
    if not (plain and inside):
        why = "leads out of the folder" if plain else "is neither a file nor a folder"
        raise UserError(f"{archive}: member {name!r} {why}; nothing was unpacked, use another")


def _write(path: Path, member: Member, progress: Callable[[int], object]) -> None:
    from tqdm.utils import CallbackIOWrapper

    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(path, "wb") as file:
        shutil.copyfileobj(source, CallbackIOWrapper(progress, file, "write"), 1 << 20)
        size = file.tell()
    if size != member.size:
        raise EOFError(f"{member.path} has {size} bytes instead of {member.size}")


def _merge(draft: Path, folder: Path) -> None:
    """Move all files of one folder into another and replace files with the same names."""
    for source, _, names in os.walk(draft):
        target = folder / Path(source).relative_to(draft)
        target.mkdir(exist_ok=True)
        for name in names:
            os.replace(os.path.join(source, name), target / name)
