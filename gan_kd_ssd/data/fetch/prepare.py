"""Downloads VOC and COCO, verifies them, and lays them out as GluonCV expects."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.data.fetch.unpack import unpack
from gan_kd_ssd.data.formats import voc
from gan_kd_ssd.util import files
from gan_kd_ssd.util.download import Patience, fetch
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected

#: Environment variable with the base address of a server that has copies of all archives.
MIRROR = "GAN_KD_SSD_DATA_URL"
_DOWNLOADS = "downloads"


@dataclass(frozen=True)
class Archive:
    """One archive, and what the data set must hold once the archive is unpacked.

    Attributes:
        size: Bytes.
        inside: The folder of the archive whose content becomes the data set's.
        split: A list of ``images`` ids, each with an annotation and an image (VOC2007/trainval).
        folder: A folder of ``images`` images (train2017).
        files: Further files.
    """

    url: str
    sha1: str
    size: int
    inside: str = ""
    split: str = ""
    folder: str = ""
    images: int = 0
    files: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def expected(self) -> Expected:
        return Expected(sha1=self.sha1, size=self.size)


# Addresses and digests are published in GluonCV's scripts/datasets, sizes by the servers, numbers of
# images by the pages of the data sets.
SETS: dict[str, list[Archive]] = {
    name: [Archive(**archive) for archive in archives]
    for name, archives in json.loads(
        Path(__file__).with_name("archives.json").read_text("utf-8")
    ).items()
}


def prepare(
    name: str,
    root: Path,
    *,
    archives: Sequence[Archive] | None = None,
    source: Path | None = None,
    mirror: str | None = None,
    keep: bool = False,
    quiet: bool = False,
    say: Callable[[str], object] = print,
    patience: Patience | None = None,
) -> Path:
    """Download and unpack what is missing of a data set in ``root``/``name``; return that folder.

    The next call completes an interrupted one: it resumes a download and repeats an unfinished
    unpacking.

    Args:
        name: A name of SETS.
        root: The folder of the data sets.
        archives: The archives (default: those of SETS).
        source: A folder with downloaded archives, which are used instead of the network.
        mirror: The base address of a server with copies (default: $GAN_KD_SSD_DATA_URL).
        keep: Keep downloaded archives.
        say: Called with a line about each step.

    Raises:
        UserError: An archive cannot be downloaded or is the wrong one, or the disk is full.
    """
    archives = SETS[name] if archives is None else archives
    folder = files.writable_folder(Path(root) / name, "--root")
    mirror = mirror or os.environ.get(MIRROR)
    with files.locked(folder / ".prepare.lock", quiet):
        todo = []
        for archive in archives:
            lacking = missing(archive, folder)
            say(f"{archive.name}: {lacking or 'already complete'}")
            todo += [archive] if lacking else []
        if todo:
            _check_space(folder, todo, packed=source is None)
        for archive in todo:
            if source is None:
                path = _download(archive, folder, mirror, patience, quiet)
            else:
                path = _given(archive, Path(source).expanduser(), quiet)
            unpack(path, folder, archive.inside, quiet)
            lacking = missing(archive, folder)
            if lacking:
                raise UserError(f"{path} was unpacked, but has {lacking}; is it the right archive?")
            say(f"{archive.name}: unpacked")
            if source is None and not keep:
                path.unlink()
    downloads = folder / _DOWNLOADS
    if all(name.endswith(".lock") for name in _names(downloads)):  # no archives and no parts
        shutil.rmtree(downloads, ignore_errors=True)
    return folder


def missing(archive: Archive, folder: Path) -> str:
    """Describe which content of an archive is missing from a data set; '' if none is."""
    for name in archive.files:
        if not (folder / name).is_file():
            return f"no {name}"
    if archive.folder:
        found = sum(name.endswith(".jpg") for name in _names(folder / archive.folder))
        if found < archive.images:
            return f"{found:,} of {archive.images:,} images in {archive.folder}"
    if archive.split:
        year, _, name = archive.split.partition("/")
        try:
            ids = voc.read_split(folder / year, name)
        except UserError:
            return f"no {year}/ImageSets/Main/{name}.txt"
        needed = max(archive.images, len(ids))
        for part, suffix in (("Annotations", ".xml"), ("JPEGImages", ".jpg")):
            there = set(_names(folder / year / part))
            found = sum(f"{image_id}{suffix}" in there for image_id in ids)
            if found < needed:
                return f"{found:,} of {needed:,} files of {name} in {year}/{part}"
    return ""


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _check_space(folder: Path, todo: Sequence[Archive], packed: bool) -> None:
    sizes = [archive.size for archive in todo]
    needed = sum(sizes) + (max(sizes) if packed else 0)  # the largest one packed and unpacked
    downloads = folder / _DOWNLOADS
    there = sum((downloads / name).stat().st_size for name in _names(downloads))
    files.check_space(folder, needed - there, f"{folder.name} at least")


def _given(archive: Archive, source: Path, quiet: bool) -> Path:
    path = source / archive.name
    if not path.is_file():
        raise UserError(f"--from {source} has no {archive.name}; download it from {archive.url}")
    wrong = files.damage(path, archive.expected, quiet)
    if wrong:
        raise UserError(f"{path}: {wrong}; download it again from {archive.url}")
    return path


def _download(
    archive: Archive, folder: Path, mirror: str | None, patience: Patience | None, quiet: bool
) -> Path:
    return fetch(
        f"{mirror.rstrip('/')}/{archive.name}" if mirror else archive.url,
        folder / _DOWNLOADS / archive.name,
        archive.expected,
        patience=patience,
        remedy=f"run the command again, or download {archive.name} by hand from {archive.url} or a copy "
        "and give its folder with --from",
        quiet=quiet,
    )
