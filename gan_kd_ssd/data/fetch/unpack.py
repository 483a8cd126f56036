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
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import bar, check_space

_PIECE = 1 << 20
# Exceptions of the libraries for damaged archives; RuntimeError is for encrypted members.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class Member(NamedTuple):
    """A file in an archive: its name, its size in bytes, and a function that opens it."""

    name: str
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
        quiet: Show no progress bar.

    Raises:
        UserError: The archive is missing or damaged, a member is neither a file nor a folder or
            leads out of the folder, or the disk is full.
    """
    draft = folder / f".unpacking-{archive.name}"
    try:
        shutil.rmtree(draft, ignore_errors=True)  # left by an interrupted call
        with _members(archive, folder) as members:
            members = _below(members, inside)
            if not members:
                raise UserError(
                    f"{archive}: holds nothing in {inside or '.'}; is it another archive?"
                )
            total = sum(member.size for _, member in members)
            check_space(folder, total, f"unpacking {archive.name}")
            with bar(total, f"unpacking {archive.name}", quiet=quiet) as progress:
                for path, member in members:
                    _write(draft / path, member, progress.update)
        os.sync()  # once for 100,000 files, before they get their names
        _merge(draft, folder)
    except _DAMAGED as error:
        raise UserError(f"{archive}: is damaged ({error}); download it again") from error
    except OSError as error:
        raise UserError(
            f"{archive}: cannot be unpacked into {folder} ({error.strerror or error}); free some "
            f"space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _members(archive: Path, folder: Path) -> Iterator[list[Member]]:
    """Yield the files of an archive after checking that every member is safe."""
    # A tar whose last file is a zip also looks like a zip file: test for tar first.
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            infos = [_checked(archive, folder, info) for info in file]
            yield [_of_tar(file, info) for info in infos if info.isfile()]
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [_of_zip(archive, file, info) for info in file.infolist() if not info.is_dir()]
    else:
        raise UserError(f"{archive}: is neither a tar nor a zip file; download it again")


def _of_zip(archive: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _unsafe(archive, info.filename, "is not a file")
    _check_name(archive, info.filename)
    return Member(info.filename, info.file_size, lambda: file.open(info))


def _of_tar(file: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    return Member(info.name, info.size, lambda: file.extractfile(info))


def _checked(archive: Path, folder: Path, info: tarfile.TarInfo) -> tarfile.TarInfo:
    if not (info.isfile() or info.isdir()):
        raise _unsafe(archive, info.name, "is neither a file nor a folder")
    _check_name(archive, info.name)
    if hasattr(tarfile, "data_filter"):  # newer versions of Python have a check of their own
        try:
            tarfile.data_filter(info, str(folder))
        except tarfile.FilterError as error:
            raise _unsafe(archive, info.name, str(error)) from error
    return info


def _check_name(archive: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    windows = "\\" in name or ":" in name  # a path or a drive on Windows
    if not parts or name.startswith("/") or ".." in parts or windows or "\0" in name:
        raise _unsafe(archive, name, "leads out of the folder")


def _unsafe(archive: Path, name: str, why: str) -> UserError:
    return UserError(f"{archive}: member {name!r} {why}; nothing was unpacked, use another archive")


def _below(members: list[Member], inside: str) -> list[tuple[PurePosixPath, Member]]:
    """Members in the folder ``inside`` and their paths relative to it."""
    start, found = PurePosixPath(inside), []
    for member in members:
        path = PurePosixPath(member.name)
        if path.parts[: len(start.parts)] == start.parts:
            found.append((path.relative_to(start), member))
    return found


def _write(path: Path, member: Member, progress: Callable[[int], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(path, "wb") as file:
        left = member.size
        while block := source.read(_PIECE):
            left -= len(block)
            file.write(block)
            progress(len(block))
    if left:
        raise EOFError(f"{member.name} has {member.size - left} bytes instead of {member.size}")


def _merge(draft: Path, folder: Path) -> None:
    """Move all files of one folder into another and replace files with the same names."""
    for source, _, names in os.walk(draft):
        target = folder / Path(source).relative_to(draft)
        target.mkdir(exist_ok=True)
        for name in names:
            os.replace(os.path.join(source, name), target / name)
