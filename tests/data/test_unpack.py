"""Unpacking of archives: no file outside of the folder, all files or none."""

import shutil
import stat
import tarfile
from collections import namedtuple

import pytest

from gan_kd_ssd.data.fetch.unpack import unpack
from gan_kd_ssd.util.errors import UserError
from helpers.archives import make_tar, make_zip

FILES = {"VOCdevkit/VOC2007/a.txt": b"one" * 5000, "VOCdevkit/VOC2007/sub/b.txt": b"two"}


MAKE = {"a.tar": make_tar, "a.zip": make_zip}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(match, archive, folder, **more):
    """Nothing has changed in the folder, or outside of it."""
    before = contents(folder.parent)
    with pytest.raises(UserError, match=match) as caught:
        unpack(archive, folder, quiet=True, **more)
    assert contents(folder.parent) == before and not list(folder.glob(".unpacking*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", MAKE)
def test_the_files_of_an_archive_arrive_without_the_folder_they_are_in(tmp_path, folder, name):
    archive = MAKE[name](tmp_path / name, FILES)
    unpack(archive, folder, "VOCdevkit", quiet=True)
    assert contents(folder) == {name[len("VOCdevkit/") :]: data for name, data in FILES.items()}


@pytest.mark.parametrize("name", MAKE)
def test_a_second_archive_adds_to_the_first_and_replaces_what_both_have(tmp_path, folder, name):
    (folder / "VOC2007").mkdir()
    (folder / "VOC2007" / "a.txt").write_bytes(b"old")
    (folder / "VOC2007" / "mine.txt").write_bytes(b"kept")
    unpack(MAKE[name](tmp_path / name, FILES), folder, "VOCdevkit", quiet=True)
    found = contents(folder)
    assert found["VOC2007/a.txt"] == b"one" * 5000 and found["VOC2007/mine.txt"] == b"kept"


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(
    "member", ["/etc/passwd", "../out.txt", "a/../../out.txt", "a\\..\\out.txt", "c:/out.txt"]
)
def test_a_name_that_leads_out_is_refused_with_everything_else(tmp_path, folder, name, member):
    archive = MAKE[name](tmp_path / name, {"good.txt": b"x", member: b"bad"})
    assert repr(member) in refused("leads out of the folder", archive, folder)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, folder, kind):
    changes = {"type": kind, "linkname": "good.txt", "size": 0}
    archive = make_tar(tmp_path / "a.tar", {"b": b""}, changes)
    assert "'b'" in refused("neither a file nor a folder", archive, folder)


def test_links_in_a_zip_are_refused(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", {"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777)
    assert "'link'" in refused("is neither a file", archive, folder)


def test_modes_and_owners_are_not_taken_over(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar", FILES, {"mode": 0o4777, "uid": 12345})
    unpack(archive, folder, quiet=True)
    found = (folder / "VOCdevkit" / "VOC2007" / "a.txt").stat()
    assert found.st_mode & 0o7111 == 0 and found.st_uid == folder.stat().st_uid


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("length", [0, 100, 600, 0.47, 0.83])
def test_an_archive_cut_short_is_refused(tmp_path, folder, name, length):
    files = {f"{i}.txt": bytes(range(256)) * 9 for i in range(9)}
    archive = MAKE[name](tmp_path / name, files)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: length if length >= 1 else int(len(whole) * length)])
    assert str(archive) in refused("damaged|neither a tar nor a zip", archive, folder)


def test_a_changed_byte_in_a_zip_is_found(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"abcdefgh" * 500})
    data = bytearray(archive.read_bytes())
    data[40] ^= 255
    archive.write_bytes(data)
    refused("damaged", archive, folder)


def test_a_zip_that_promises_more_than_it_holds_is_refused(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"abcdefgh" * 500})
    data = bytearray(archive.read_bytes())
    size = data.index(b"PK\x01\x02") + 24  # of the member unpacked, in the central directory
    data[size : size + 4] = (4001).to_bytes(4, "little")
    archive.write_bytes(data)
    assert "4000 bytes instead of 4001" in refused("damaged", archive, folder)


def test_what_is_no_archive_or_another_one_is_refused(tmp_path, folder):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    refused("neither a tar nor a zip", tmp_path / "a.zip", folder)
    refused("cannot be unpacked", tmp_path / "missing.zip", folder)
    archive = make_zip(tmp_path / "b.zip", FILES)
    refused("holds nothing in train2017", archive, folder, inside="train2017")


@pytest.mark.parametrize("name", MAKE)
def test_a_disk_without_room_is_found_before_anything_is_written(
    tmp_path, folder, name, monkeypatch
):
    archive = MAKE[name](tmp_path / name, FILES)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(15_002))
    refused("are free", archive, folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(15_003))
    unpack(archive, folder, quiet=True)


def test_what_an_interrupted_call_left_is_removed(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar", FILES)
    (folder / ".unpacking-a.tar" / "VOCdevkit").mkdir(parents=True)
    (folder / ".unpacking-a.tar" / "VOCdevkit" / "half.txt").write_text("half")
    unpack(archive, folder, quiet=True)
    assert contents(folder) == FILES and not list(folder.glob(".unpacking*"))


def test_progress_is_told_in_bytes(tmp_path, folder, capsys):
    unpack(make_tar(tmp_path / "a.tar", FILES), folder)
    assert "unpacking a.tar: 100%" in capsys.readouterr().err
