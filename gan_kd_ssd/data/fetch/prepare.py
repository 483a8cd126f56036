"""VOC and COCO fetched, checked, and laid out as GluonCV expects them."""

from __future__ import annotations

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

#: Base address that serves all archives instead of their own ones.
MIRROR = "GAN_KD_SSD_DATA_URL"
_DOWNLOADS = "downloads"


@dataclass(frozen=True)
class Archive:
    """One archive of a data set, and what the set must hold once it is unpacked.

    Attributes:
        url: its own address. sha1: hexadecimal. size: bytes.
        inside: the folder in it that becomes the data set's.
        split: VOC2007/trainval: a list of ``images`` ids, each with its annotation and its image; or
        folder: train2017: a folder of ``images`` images.
        files: that must be there as well.
    """

    url: str
    sha1: str
    size: int
    inside: str = ""
    split: str = ""
    folder: str = ""
    images: int = 0
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def expected(self) -> Expected:
        return Expected(sha1=self.sha1, size=self.size)


# Addresses and sha1: those that GluonCV's scripts/datasets publish. Sizes: as the servers tell them.
# Numbers of images: as the sets' own pages say.
_VOC = "http://host.robots.ox.ac.uk/pascal/VOC"
_COCO = "http://images.cocodataset.org"
SETS: dict[str, tuple[Archive, ...]] = {
    "voc": (
        Archive(
            f"{_VOC}/voc2007/VOCtrainval_06-Nov-2007.tar",
            "34ed68851bce2a36e2a223fa52c661d592c66b3c",
            460_032_000,
            inside="VOCdevkit",
            split="VOC2007/trainval",
            images=5011,
        ),
        Archive(
            f"{_VOC}/voc2007/VOCtest_06-Nov-2007.tar",
            "41a8d6e12baa5ab18ee7f8f8029b9e11805b4ef1",
            451_020_800,
            inside="VOCdevkit",
            split="VOC2007/test",
            images=4952,
        ),
        Archive(
            f"{_VOC}/voc2012/VOCtrainval_11-May-2012.tar",
            "4e443f8a2eca6b1dac8a6c57641b67dd40621a49",
            1_999_639_040,
            inside="VOCdevkit",
            split="VOC2012/trainval",
            images=11540,
        ),
    ),
    "coco": (
        Archive(
            f"{_COCO}/annotations/annotations_trainval2017.zip",
            "8551ee4bb5860311e79dace7e79cb91e432e78b3",
            252_907_541,
            files=(
                "annotations/instances_train2017.json",
                "annotations/instances_val2017.json",
            ),
        ),
        Archive(
            f"{_COCO}/zips/val2017.zip",
            "4950dc9d00dbe1c933ee0170f5797584351d2a41",
            815_585_330,
            folder="val2017",
            images=5000,
        ),
        Archive(
            f"{_COCO}/zips/train2017.zip",
            "10ad623668ab00c62c096f0ed636d6aff41faca5",
            19_336_861_798,
            folder="train2017",
            images=118_287,
        ),
    ),
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
    """Bring a data set to ``root``/``name``; what is there is left as it is. Returns the folder.

    An interrupted call is made good by the next: a download goes on where it stopped, an archive that
    was not unpacked to its end is unpacked again.

    Args:
        name: of SETS. archives: others than its own (tests).
        source: a folder with archives that are fetched already. mirror: a base address for all of them
            (default: $GAN_KD_SSD_DATA_URL). keep: do not remove downloaded archives.
        quiet: no progress bars. say: takes a line for each step. patience: with the network.

    Raises:
        UserError: an archive cannot be had, is not the right one, or there is no room.
    """
    archives = SETS[name] if archives is None else archives
    folder, mirror = (
        files.writable_folder(Path(root) / name, "--root"),
        mirror or os.environ.get(MIRROR),
    )
    with files.locked(folder / ".prepare.lock", quiet):
        todo = [archive for archive in archives if _lacks(archive, folder, say)]
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
                raise UserError(f"{path}: unpacked, and still {lacking}: is it the right archive?")
            say(f"{archive.name}: unpacked")
            if source is None and not keep:
                path.unlink()
                _remove_empty(folder / _DOWNLOADS)
    return folder


def _lacks(archive: Archive, folder: Path, say: Callable[[str], object]) -> bool:
    """Whether anything of an archive's contents is lacking, which is said."""
    lacking = missing(archive, folder)
    say(f"{archive.name}: {lacking or 'what it holds is there'}")
    return bool(lacking)


def missing(archive: Archive, folder: Path) -> str:
    """What a data set lacks of an archive's contents, in a few words; '' for nothing."""
    for name in archive.files:
        if not (folder / name).is_file():
            return f"no {name}"
    if archive.split:
        return _missing_of_split(folder, archive.split, archive.images)
    if archive.folder:
        found = sum(name.endswith(".jpg") for name in _names(folder / archive.folder))
        if found < archive.images:
            return f"{found:,} of {archive.images:,} images in {archive.folder}"
    return ""


def _missing_of_split(folder: Path, split: str, images: int) -> str:
    year, _, name = split.partition("/")
    try:
        ids = voc.read_split(folder / year, name)
    except UserError:
        return f"no {year}/ImageSets/Main/{name}.txt"
    for part, suffix in (("Annotations", ".xml"), ("JPEGImages", ".jpg")):
        there = set(_names(folder / year / part))
        found = sum(f"{image_id}{suffix}" in there for image_id in ids)
        if found < max(images, len(ids)):
            return f"{found:,} of {max(images, len(ids)):,} files of {name} in {year}/{part}"
    return ""


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in _names(folder))


def _remove_empty(folder: Path) -> None:
    """Remove the folder of downloads once no archive, and no part of one, is in it."""
    names = _names(folder)
    if all(name.endswith(".lock") for name in names):
        shutil.rmtree(folder, ignore_errors=True)


def _check_space(folder: Path, todo: Sequence[Archive], packed: bool) -> None:
    """UserError without room; the largest archive is there twice for a while: packed and unpacked."""
    sizes = [archive.size for archive in todo]
    needed = sum(sizes) + (max(sizes) if packed else 0)
    files.check_space(folder, needed - _size(folder / _DOWNLOADS), f"{folder.name} at least")


def _given(archive: Archive, source: Path, quiet: bool) -> Path:
    """The archive that is fetched already, checked."""
    path = source / archive.name
    if not path.is_file():
        raise UserError(f"--from {source}: has no {archive.name}; get it from {archive.url}")
    wrong = files.damage(path, archive.expected, quiet)
    if wrong:
        raise UserError(f"{path}: {wrong}; get it again from {archive.url}")
    return path


def _download(
    archive: Archive, folder: Path, mirror: str | None, patience: Patience | None, quiet: bool
) -> Path:
    return fetch(
        f"{mirror.rstrip('/')}/{archive.name}" if mirror else archive.url,
        folder / _DOWNLOADS / archive.name,
        archive.expected,
        patience=patience,
        remedy=f"ask again, or get {archive.name} by hand from {archive.url} or a copy of it, and name "
        "its folder with --from",
        quiet=quiet,
    )
