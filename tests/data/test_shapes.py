"""The generated data set: reproducible, atomic, readable, and never written over other files."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gan_kd_ssd.cli.main import main
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.voc import VOCFolder
from gan_kd_ssd.data.synthetic import picture, shapes
from gan_kd_ssd.util.errors import UserError

FEW = {"train": 12, "val": 4, "test": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return shapes.generate(tmp_path_factory.mktemp("shapes") / "few", FEW)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_set_is_read_as_any_folder_in_voc_layout(folder):
    for split, count in FEW.items():
        data = VOCFolder([(folder, split)], shapes.CLASSES)
        assert len(data) == count
        assert data.summary_line() is None
        for i in range(count):
            height, width = data.image(i).shape[:2]
            assert 130 < height < 190 and 130 < width < 190
            assert 1 <= len(data.label(i)) <= picture.OBJECTS[1]


def test_boxes_in_the_files_follow_vocs_1_based_convention(folder):
    for i in range(FEW["train"]):
        key = np.random.SeedSequence((shapes.SEED, 0, i))
        _, drawn = picture.draw_picture(shapes.SIZE, np.random.default_rng(key))
        label = VOCFolder([(folder, "train")], shapes.CLASSES).label(i)
        expected = [(x0, y0, x1 - 1, y1 - 1) for _, (x0, y0, x1, y1), _ in drawn]
        assert label[:, :4].tolist() == [list(map(float, box)) for box in expected]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    assert contents(shapes.generate(tmp_path / "again", FEW)) == contents(folder)
    other = contents(shapes.generate(tmp_path / "other", FEW, seed=2))
    image = Path("JPEGImages/train_00000.jpg")
    assert other[image] != contents(folder)[image]


def test_a_picture_does_not_depend_on_the_number_of_others(folder, tmp_path):
    more = contents(shapes.generate(tmp_path / "more", {"train": 3, "val": 6, "test": 1}))
    assert (
        more[Path("JPEGImages/val_00003.jpg")] == contents(folder)[Path("JPEGImages/val_00003.jpg")]
    )


def test_a_large_set_made_by_several_processes_has_the_same_pictures(folder, tmp_path):
    many = contents(shapes.generate(tmp_path / "many", {"train": 210, "val": 4, "test": 5}))
    for path, data in contents(folder).items():
        if path.parts[0] != "ImageSets" and path.name != shapes.RECORD:
            assert many[path] == data


def test_a_set_that_is_there_is_left_as_it_is(folder):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert shapes.generate(folder, FEW) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_a_folder_with_anything_else_is_never_touched(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("not a folder")
    for name in ("mine", "file"):
        with pytest.raises(UserError, match=name):
            shapes.generate(tmp_path / name, FEW)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine"]
    with pytest.raises(UserError, match="other settings"):
        shapes.generate(folder, FEW, seed=5)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    shapes.generate(tmp_path / "empty", FEW)
    assert (tmp_path / "empty" / shapes.RECORD).is_file()


def test_nothing_is_left_behind_when_writing_fails(tmp_path, monkeypatch):
    def disk_full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(UserError, match="No space left"):
        shapes.generate(tmp_path / "set", FEW)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_once_both_end_well(folder, tmp_path):
    counts = [f"--{split}={n}" for split, n in FEW.items()]
    command = [sys.executable, "-m", "gan_kd_ssd", "data", "shapes", str(tmp_path / "set"), *counts]
    root = Path(__file__).resolve().parents[2]
    both = [subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert os.listdir(tmp_path) == ["set"]
    assert contents(tmp_path / "set") == contents(folder)


@pytest.mark.parametrize("option", ["--train=0", "--val=x", "--size=10", "--size=0.5", "--seed=-1"])
def test_wrong_options_are_named(tmp_path, capsys, option):
    assert main(["data", "shapes", str(tmp_path / "set"), option]) == 2
    assert option.split("=")[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_shapes_by_name_are_generated_on_first_use(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "COUNTS", FEW)
    data = open_dataset("shapes", "val", data_root=tmp_path / "new" / "root")
    assert len(data) == FEW["val"] and data.classes == list(shapes.CLASSES)
    assert [p.name for p in (tmp_path / "new" / "root").iterdir()] == [f"shapes-{shapes.VERSION}"]


def test_hidden_objects_are_difficult_and_invisible_ones_left_out():
    polygons = [picture.outline("square")[0] * 20 + 50]
    mask = picture.fill_mask((100, 100), polygons)
    shown = []
    for hidden in (0.0, 0.8, 0.95):
        owner = np.where(mask > 127, 0, -1)
        rows, _ = np.nonzero(owner == 0)
        owner[: int(np.quantile(rows, hidden)) + 1 if hidden else 0] = -1
        shown.append(picture.describe(0, ("square", polygons), owner))
    assert shown[0].difficult == 0 and shown[1].difficult == 1 and shown[2] is None
    x, y, width, height = cv2.boundingRect((mask > 127).astype(np.uint8))
    assert shown[0].box == (x, y, x + width, y + height)
