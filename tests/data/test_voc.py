"""Data sets in VOC layout: what is read, what is left out, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.voc import VOC_CLASSES, VOCFolder
from gan_kd_ssd.util.errors import UserError
from helpers.refusals import refused
from helpers.voc_folders import annotation, make_folder, make_random_folder, write_image

BCCD = Path(__file__).resolve().parents[3] / "shared" / "data" / "BCCD"
CAT = ("cat", 11, 6, 31, 26)


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "pets", [[CAT, ("Dog", 1, 1, 60, 48)], [("Dog", 5, 5, 9, 40)]])


def set_annotation(folder, text, image_id="000"):
    (folder / "Annotations" / f"{image_id}.xml").write_text(text)


def test_boxes_become_0_based_corners_with_class_and_difficult_flag(folder):
    data = open_dataset(str(folder), "train")
    assert data.classes == ["Dog", "cat"]
    assert len(data) == 2 and data.image_id(1) == "001"
    expected = [[10, 5, 30, 25, 1, 0], [0, 0, 59, 47, 0, 0]]
    np.testing.assert_array_equal(data.label(0), np.array(expected, np.float32))
    assert data.label(0).dtype == np.float32
    assert data.image(0).shape == (48, 60, 3) and data.image(0).dtype == np.uint8
    assert data.summary["images"] == 2 and data.summary["objects"] == 3
    assert data.summary_line() is None


def test_labels_equal_those_of_gluoncv(tmp_path):
    from gan_kd_ssd.util.mxnet import mx  # isort: skip
    from gluoncv.data import VOCDetection

    folder = make_random_folder(tmp_path / "pets", 6)

    class Pets(VOCDetection):
        CLASSES = ("dog", "cat")

    theirs = Pets(root=str(tmp_path), splits=[("pets", "train")])
    ours = VOCFolder([(folder, "train")], ("dog", "cat"))
    assert isinstance(theirs[0][0], mx.nd.NDArray)
    for i in range(6):
        np.testing.assert_array_equal(theirs[i][1], ours.label(i))
        np.testing.assert_array_equal(theirs[i][0].asnumpy(), ours.image(i))


def test_class_names_match_exactly_first_then_without_case(folder):
    set_annotation(folder, annotation([CAT, ("CAT", 1, 1, 9, 9), ("Cat", 1, 1, 9, 9)]))
    data = open_dataset(str(folder), "train", classes=["cat", "CAT", "dog"])
    assert data.label(0)[:, 4].tolist() == [0, 1, 0]
    assert data.label(1)[:, 4].tolist() == [2]
    assert data.classes == ["cat", "CAT", "dog"]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0, 6, 31, 26), "outside"),
        ((11, 0, 31, 26), "outside"),
        ((11, 6, 62, 26), "outside"),
        ((11, 6, 31, 50), "outside"),
        ((11, 6, 11, 26), "empty"),
        ((11, 26, 31, 26), "empty"),
        ((31, 6, 11, 26), "reversed"),
        ((11, 26, 31, 6), "reversed"),
    ],
)
def test_an_unusable_box_is_dropped_and_counted_with_its_reason(folder, box, reason):
    set_annotation(folder, annotation([CAT, ("cat", *box)]))
    data = open_dataset(str(folder), "train")
    assert len(data.label(0)) == 1
    assert {k: n for k, n in data.summary["dropped"].items() if n} == {reason: 1}
    assert data.summary_line() == f"pets train: dropped 1 box (1 {reason})"


def test_boxes_that_touch_the_right_and_lower_edge_are_kept(folder):
    set_annotation(folder, annotation([("cat", 1, 1, 61, 49)]))
    data = open_dataset(str(folder), "train")
    assert data.label(0).tolist() == [[0, 0, 60, 48, 1, 0]]


def test_unknown_classes_are_counted_and_named(folder):
    data = open_dataset(str(folder), "train", classes=["cat"])
    assert data.summary["unknown"] == {"Dog": 2}
    assert data.summary_line() == "pets train: left out 2 objects of unknown classes (Dog 2)"


def test_an_image_without_known_objects_is_kept_with_an_empty_label(folder):
    data = open_dataset(str(folder), "train", classes=["cat"])
    assert len(data) == 2
    assert data.label(1).shape == (0, 6)
    assert data.summary["images_without_objects"] == 1


def test_no_object_of_a_known_class_is_refused(folder):
    assert "--classes" in refused("Dog 2, cat 1", folder, classes=["horse"])


@pytest.mark.parametrize("classes", [["cat", "cat"], ["cat", " "], []])
def test_class_lists_with_repeated_or_empty_names_are_refused(folder, classes):
    refused("--classes", folder, classes=classes)


def test_an_unknown_data_set_names_what_is_possible(tmp_path):
    message = refused("no such data set", tmp_path / "missing")
    assert all(word in message for word in ("--dataset", "voc07", "shapes", "JPEGImages"))


@pytest.mark.parametrize("part", ["Annotations", "JPEGImages", "ImageSets"])
def test_a_folder_that_is_not_in_voc_layout_is_refused(folder, part):
    shutil.rmtree(folder / part)
    assert "--dataset" in refused(part, folder)


def test_a_missing_split_lists_those_that_exist_without_lists_of_one_class(folder):
    (folder / "ImageSets" / "Main" / "cat_train.txt").write_text("000 1\n")
    message = refused("no such split", folder, train_split="trian")
    assert "--train-split" in message and "trian.txt" in message
    assert "it has: train, val " in message


def test_a_folder_without_the_usual_split_asks_for_the_option(tmp_path):
    folder = make_folder(tmp_path / "pets", [[CAT]], splits=("all",))
    assert "--val-split" in refused("it has: all", folder, split="val")
    assert len(open_dataset(str(folder), "val", val_split="all")) == 1


@pytest.mark.parametrize(
    ("splits", "role", "chosen"),
    [
        (("train", "trainval"), "train", "train"),
        (("trainval", "test"), "train", "trainval"),
        (("trainval", "test"), "val", "test"),
        (("train", "val"), "test", "val"),
        (("val", "test"), "test", "test"),
    ],
)
def test_the_usual_split_of_each_role(tmp_path, splits, role, chosen):
    folder = make_folder(tmp_path / "pets", [[CAT]], splits=splits)
    assert open_dataset(str(folder), role).name == f"pets {chosen}"


def test_an_empty_split_is_refused(folder):
    (folder / "ImageSets" / "Main" / "train.txt").write_text("\n \n")
    assert "train.txt" in refused("empty", folder)


def test_lists_may_have_a_second_column_and_blank_lines(folder):
    (folder / "ImageSets" / "Main" / "train.txt").write_text("001  1\n\n000 -1\r\n")
    data = open_dataset(str(folder), "train")
    assert [data.image_id(i) for i in range(len(data))] == ["001", "000"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<annotation><size>", "not well-formed"),
        ("", "not well-formed"),
        ("<annotation></annotation>", "no <size>"),
        (annotation([CAT], width="wide"), "<width>"),
        (annotation([CAT], height=0), "60x0"),
        (annotation([("cat", "left", 6, 31, 26)]), "<xmin>"),
        (annotation([("cat", 11, "nan", 31, 26)]), "<ymin>"),
        (annotation([("", 11, 6, 31, 26)]), "<name>"),
        (annotation([CAT]).replace("bndbox>", "box>"), "<bndbox>"),
        (annotation([CAT], head='<!DOCTYPE a [<!ENTITY b "cc">]>'), "DOCTYPE"),
        (annotation([CAT], head='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "DOCTYPE"),
    ],
)
def test_damaged_annotations_are_refused_by_name(folder, text, match):
    set_annotation(folder, text)
    assert str(folder / "Annotations" / "000.xml") in refused(match, folder)


def test_a_missing_annotation_or_image_is_found_at_construction(folder):
    (folder / "JPEGImages" / "001.jpg").rename(folder / "elsewhere.jpg")
    with pytest.raises(UserError, match=r"001\.jpg: no such image"):
        VOCFolder([(folder, "train")])
    (folder / "Annotations" / "001.xml").unlink()
    with pytest.raises(UserError, match=r"001\.xml: no such annotation"):
        VOCFolder([(folder, "train")])


def test_images_may_be_png_or_have_another_name_than_the_annotation(folder):
    for name, filename in (("000.png", ""), ("photo.jpg", "photo.jpg")):
        shutil.rmtree(folder / "JPEGImages")
        (folder / "JPEGImages").mkdir()
        write_image(folder / "JPEGImages" / "001.jpg")
        write_image(folder / "JPEGImages" / name)
        set_annotation(folder, annotation([CAT], filename=filename))
        data = open_dataset(str(folder), "train")
        assert data.image_path(0).name == name
        assert data.image(0).shape == (48, 60, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_truncated_images_are_refused_wherever_they_end(folder, suffix):
    (folder / "JPEGImages" / "000.jpg").unlink()
    path = folder / "JPEGImages" / f"000{suffix}"
    write_image(path)
    whole = path.read_bytes()
    data = open_dataset(str(folder), "train")
    for length in (len(whole) - 2, len(whole) // 2, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="truncated"):
            data.image(0)
    path.write_bytes(whole + b"\0 appended by a camera")
    assert data.image(0).shape == (48, 60, 3)


def test_the_end_marker_of_a_thumbnail_does_not_hide_a_truncated_jpeg(folder):
    path = folder / "JPEGImages" / "000.jpg"
    whole = path.read_bytes()
    thumbnail = b"\xff\xe1" + (len(whole) + 2).to_bytes(2, "big") + whole
    path.write_bytes(whole[:2] + thumbnail + whole[2:])
    data = open_dataset(str(folder), "train")
    assert data.image(0).shape == (48, 60, 3)
    path.write_bytes(whole[:2] + thumbnail + whole[2:-40])
    with pytest.raises(UserError, match="truncated"):
        data.image(0)


@pytest.mark.parametrize("content", [b"", b"GIF89a not a picture", b"<html>not found</html>"])
def test_files_that_are_no_images_are_refused(folder, content):
    (folder / "JPEGImages" / "001.jpg").write_bytes(content)
    assert "001.jpg" in refused("not an image", folder)


def test_an_image_of_another_size_than_its_annotation_says_is_refused(folder):
    write_image(folder / "JPEGImages" / "000.jpg", width=80)
    message = refused("80x48", folder)
    assert "60x48" in message and "000.xml" in message


def test_voc_joins_both_years_for_training_and_uses_2007_test_otherwise(tmp_path):
    person = [("person", 1, 1, 20, 20)]
    make_folder(tmp_path / "voc" / "VOC2007", [person], splits=("trainval", "test"))
    make_folder(tmp_path / "voc" / "VOC2012", [person, person], splits=("trainval",))
    sizes = {
        (name, role): len(open_dataset(name, role, data_root=tmp_path))
        for name in ("voc", "voc07")
        for role in ("train", "val", "test")
    }
    assert sizes == {
        ("voc", "train"): 3,
        ("voc", "val"): 1,
        ("voc", "test"): 1,
        ("voc07", "train"): 1,
        ("voc07", "val"): 1,
        ("voc07", "test"): 1,
    }
    assert open_dataset("voc", "val", data_root=tmp_path).classes == list(VOC_CLASSES)
    refused("--train-split", "voc", train_split="train", data_root=tmp_path)


def test_a_missing_voc_says_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    where = tmp_path / "datasets" / "voc" / "VOC2007"
    assert str(where) in refused("--data-root", "voc")


def test_real_microscope_images_lose_their_two_empty_boxes():
    if not BCCD.is_dir():
        pytest.skip(f"{BCCD} is not on this machine")
    data = open_dataset(str(BCCD), "train", train_split="trainval")
    assert data.classes == ["Platelets", "RBC", "WBC"]
    assert len(data) == 292
    assert data.summary_line() == "BCCD trainval: dropped 2 boxes (2 empty)"
    assert data.image(0).shape == (480, 640, 3)
