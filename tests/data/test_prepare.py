"""Preparation of VOC and COCO, with small archives of the same layout."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from gan_kd_ssd.cli.main import main
from gan_kd_ssd.data.fetch.prepare import MIRROR, SETS, Archive, missing, prepare
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.coco import COCO_CLASSES
from gan_kd_ssd.util.download import Patience
from gan_kd_ssd.util.errors import UserError
from helpers.archives import make_tar, make_zip
from helpers.coco_folders import write_split
from helpers.file_server import FileServer
from helpers.voc_folders import make_folder

PERSON = ("person", 5, 6, 30, 40)


def files_below(folder, prefix=""):
    return {
        f"{prefix}{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def archive_of(path, images, **more):
    """The description of an archive that exists."""
    data = path.read_bytes()
    digest = hashlib.sha1(data).hexdigest()
    return Archive(f"http://127.0.0.1:9/{path.name}", digest, len(data), images=images, **more)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder of archives, and what they are: {'voc': …, 'coco': …}."""
    root = tmp_path_factory.mktemp("archives")
    voc = []
    for year, split, count in (
        *(("VOC2007", "trainval", 3), ("VOC2007", "test", 2)),
        ("VOC2012", "trainval", 4),
    ):
        folder = make_folder(root / f"{year}-{split}", [[PERSON]] * count, splits=(split,))
        for part, suffix in (("Annotations", ".xml"), ("JPEGImages", ".jpg")):
            for path in (folder / part).iterdir():  # ids differ between splits, as in VOC
                path.rename(path.with_name(f"{split}{path.stem}{suffix}"))
        listed = folder / "ImageSets" / "Main" / f"{split}.txt"
        listed.write_text("".join(f"{split}{i:03d}\n" for i in range(count)))
        files = files_below(folder, f"VOCdevkit/{year}/")
        path = make_tar(root / f"{year}-{split}.tar", files)
        voc.append(archive_of(path, count, inside="VOCdevkit", split=f"{year}/{split}"))
    names = [{"id": i, "name": name} for i, name in enumerate(COCO_CLASSES, 1)]
    for split, count in (("train2017", 3), ("val2017", 2)):
        entries = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20], "area": 600}]
        write_split(root / "coco", split, entries, range(1, count + 1), categories=names)
    annotations = files_below(root / "coco" / "annotations", "annotations/")
    path = make_zip(root / "annotations_trainval2017.zip", annotations)
    coco = [archive_of(path, 0, files=tuple(sorted(annotations)))]
    for split, count in (("val2017", 2), ("train2017", 3)):
        path = make_zip(root / f"{split}.zip", files_below(root / "coco" / split, f"{split}/"))
        coco.append(archive_of(path, count, folder=split))
    return root, {"voc": tuple(voc), "coco": tuple(coco)}


@pytest.fixture
def server(packed):
    root = packed[0]
    files = {p.name: p.read_bytes() for p in root.iterdir() if p.suffix in (".tar", ".zip")}
    with FileServer(files) as server:
        yield server


@pytest.fixture
def said():
    return []


def ready(name, packed, root, said, **more):
    settings = {"quiet": True, "say": said.append, "patience": Patience(sleep=lambda _: None)}
    return prepare(name, root, archives=packed[1][name], **settings, **more)


def test_voc_is_downloaded_and_laid_out_as_gluoncv_expects(packed, server, tmp_path, said):
    folder = ready("voc", packed, tmp_path, said, mirror=server.url)
    assert sorted(p.name for p in folder.iterdir() if p.name[0] != ".") == ["VOC2007", "VOC2012"]
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.data import VOCDetection

    theirs = VOCDetection(str(folder), splits=[(2007, "trainval"), (2012, "trainval")])
    ours = open_dataset("voc", "train", data_root=tmp_path)
    assert (
        len(theirs) == len(ours) == 7 and len(open_dataset("voc", "val", data_root=tmp_path)) == 2
    )
    assert theirs[0][1].tolist() == ours.label(0).tolist()


def test_coco_is_downloaded_and_laid_out_as_gluoncv_expects(packed, server, tmp_path, said):
    folder = ready("coco", packed, tmp_path, said, mirror=server.url)
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.data import COCODetection

    theirs = COCODetection(str(folder), "instances_val2017", skip_empty=False)
    ours = open_dataset("coco", "val", data_root=tmp_path)
    assert len(theirs) == len(ours) == 2 and len(open_dataset("coco", "train", data_root=tmp_path))
    assert theirs[0][1].tolist() == ours.label(0)[:, :5].tolist()


@pytest.mark.parametrize("name", ["voc", "coco"])
def test_what_is_there_is_not_fetched_again(packed, server, tmp_path, said, name):
    ready(name, packed, tmp_path, said, mirror=server.url)
    asked = len(server.requests)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("[!.]*")}
    said.clear()
    ready(name, packed, tmp_path, said, mirror=server.url)
    assert len(server.requests) == asked == 3
    assert said == [f"{a.name}: already complete" for a in packed[1][name]]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("[!.]*")} == before


@pytest.mark.parametrize(
    ("name", "lost", "message"),
    [
        ("voc", "VOC2007/JPEGImages/test001.jpg", "1 of 2 files of test in VOC2007/JPEGImages"),
        ("voc", "VOC2007/Annotations/test000.xml", "1 of 2 files of test in VOC2007/Annotations"),
        ("voc", "VOC2007/ImageSets/Main/test.txt", "no VOC2007/ImageSets/Main/test.txt"),
        ("coco", "val2017/000000000002.jpg", "1 of 2 images in val2017"),
        ("coco", "annotations/instances_val2017.json", "no annotations/instances_val2017.json"),
    ],
)
def test_only_the_archive_of_what_is_lost_is_fetched_again(
    packed, server, tmp_path, said, name, lost, message
):
    folder = ready(name, packed, tmp_path, said, mirror=server.url)
    (folder / lost).unlink()
    said.clear()
    server.requests.clear()
    ready(name, packed, tmp_path, said, mirror=server.url)
    assert (folder / lost).is_file() and len(server.requests) == 1
    assert any(message in line for line in said) and len(said) == 4


def test_a_list_that_is_shorter_than_the_published_one_is_not_taken_for_whole(packed, tmp_path):
    folder = ready("voc", packed, tmp_path, [], source=packed[0])
    archive = packed[1]["voc"][1]
    assert missing(archive, folder) == ""
    assert "2 of 5 files of test" in missing(replace(archive, images=5), folder)


def test_archives_that_are_fetched_already_are_taken_and_left(packed, tmp_path, said):
    root = packed[0]
    before = {p: p.stat().st_mtime_ns for p in root.iterdir()}
    folder = ready("coco", packed, tmp_path, said, source=root)
    assert not (folder / "downloads").exists()
    assert {p: p.stat().st_mtime_ns for p in root.iterdir()} == before
    shutil.rmtree(folder)
    with pytest.raises(
        UserError, match=r"--from .* has no annotations_trainval2017.zip; download it"
    ):
        ready("coco", packed, tmp_path, said, source=tmp_path)


def test_a_damaged_archive_is_not_unpacked(packed, tmp_path, said):
    source = tmp_path / "archives"
    source.mkdir()
    for path in packed[0].glob("*.tar"):
        shutil.copy(path, source)
    damaged = source / packed[1]["voc"][1].name
    data = bytearray(damaged.read_bytes())
    data[1000] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(
        UserError, match=r"VOC2007-test.tar: sha1 .* instead of .*; download it again"
    ):
        ready("voc", packed, tmp_path, said, source=source)
    assert not (tmp_path / "voc" / "VOC2007" / "ImageSets" / "Main" / "test.txt").exists()


def test_an_interrupted_download_goes_on(packed, server, tmp_path, said):
    archives = packed[1]["voc"]
    (tmp_path / "voc" / "downloads").mkdir(parents=True)
    half = server.files[archives[0].name][:5000]
    part = f".{archives[0].name}.{archives[0].sha1[:12]}.part"
    (tmp_path / "voc" / "downloads" / part).write_bytes(half)
    ready("voc", packed, tmp_path, said, mirror=server.url)
    assert server.requests[0] == (archives[0].name, "bytes=5000-")


@pytest.mark.parametrize("keep", [True, False])
def test_downloaded_archives_are_removed_unless_they_are_to_be_kept(
    packed, server, tmp_path, said, keep
):
    folder = ready("voc", packed, tmp_path, said, mirror=server.url, keep=keep)
    found = {p.name for p in (folder / "downloads").glob("[!.]*")}
    assert found == ({archive.name for archive in packed[1]["voc"]} if keep else set())


def test_the_mirror_may_come_from_the_environment(packed, server, tmp_path, said, monkeypatch):
    monkeypatch.setenv(MIRROR, server.url + "/")
    ready("voc", packed, tmp_path, said)
    assert len(server.requests) == 3


def test_without_a_network_the_manual_download_is_described(packed, tmp_path, said):
    with pytest.raises(UserError, match="no answer") as caught:
        ready("voc", packed, tmp_path, said)
    assert "--from" in str(caught.value) and packed[1]["voc"][0].url in str(caught.value)


def test_an_archive_of_other_contents_is_said(packed, tmp_path, said):
    other = replace(packed[1]["voc"][0], images=9)
    with pytest.raises(
        UserError, match=r"trainval\.tar was unpacked, but has 3 of 9 files of trainval"
    ):
        prepare("voc", tmp_path, archives=[other], source=packed[0], quiet=True, say=said.append)


def test_a_disk_without_room_is_found_before_the_first_download(
    packed, server, tmp_path, said, monkeypatch
):
    sizes = [archive.size for archive in packed[1]["voc"]]
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(sum(sizes) + max(sizes) - 1))
    with pytest.raises(UserError, match="voc at least needs"):
        ready("voc", packed, tmp_path, said, mirror=server.url)
    assert not server.requests


def test_a_root_that_cannot_be_made_is_named(packed, tmp_path, said):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--root"):
        ready("voc", packed, tmp_path / "file", said)


def test_the_published_archives_are_described_completely():
    for name, archives in SETS.items():
        for archive in archives:
            assert len(archive.sha1) == 40 and int(archive.sha1, 16) and archive.size > 10**8
            assert archive.files or (archive.images and bool(archive.split) != bool(archive.folder))
            assert archive.name.endswith((".tar", ".zip")), name


def test_the_command_prepares_a_set_and_says_where(packed, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(SETS, "voc", packed[1]["voc"])
    words = ["data", "prepare", "voc", "--root", str(tmp_path), "--from", str(packed[0])]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"voc is ready in {tmp_path / 'voc'}"
    assert "unpacking VOC2012-trainval.tar: 100%" in err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_the_command_prepares_the_built_in_set(tmp_path, capsys, monkeypatch):
    from gan_kd_ssd.data.synthetic import shapes

    monkeypatch.setattr(shapes, "COUNTS", {"train": 3, "val": 2, "test": 2})
    for name in ("shapes", "shapes_coco"):
        assert main(["data", "prepare", name, "--root", str(tmp_path)]) == 0
        assert len(open_dataset(name, "val", data_root=tmp_path)) == 2
    assert str(tmp_path / f"shapes-coco-{shapes.VERSION}") in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["prepare"], ["prepare", "imagenet"], ["fetch"]])
def test_wrong_use_is_one_line_and_exit_code_2(words, capsys):
    assert main(["data", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_stopped_command_says_how_to_resume(packed, tmp_path, capsys, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(SETS, "voc", packed[1]["voc"])
    monkeypatch.setattr("gan_kd_ssd.data.fetch.prepare.unpack", stopped)
    assert (
        main(["data", "prepare", "voc", "--root", str(tmp_path), "--from", str(packed[0])]) == 130
    )
    said = "gan-kd data: stopped; run the same command again to resume"
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_help_is_answered_without_mxnet():
    code = (
        "import sys; from gan_kd_ssd.cli import data_commands as cli\n"
        "try: cli.run(['prepare', '--help'])\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", "import json\n" + code], cwd=root, capture_output=True, check=True
    )
    modules = json.loads(answer.stdout.splitlines()[-1])
    assert not {"mxnet", "cv2", "requests", "numpy"} & set(modules)
