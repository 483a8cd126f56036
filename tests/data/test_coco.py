"""Data sets in COCO layout: what is read, what is left out, and what is refused."""

import json
import pickle

import numpy as np
import pytest

from gan_kd_ssd.data.formats.catalog import has_split, layout, open_dataset
from gan_kd_ssd.data.formats.coco import COCO_CLASSES, COCOFolder
from gan_kd_ssd.util.errors import UserError
from helpers.coco_folders import CATEGORIES, entry, random_objects, write_split
from helpers.refusals import refused
from helpers.voc_folders import write_image

CAT = entry(1, 1, 7, (10, 5, 20, 15))


@pytest.fixture
def folder(tmp_path):
    write_split(
        tmp_path / "pets", "train", [CAT, entry(2, 2, 3, (1, 2, 30, 40))], numbers=(1, 2, 5)
    )
    write_split(tmp_path / "pets", "val", [CAT], numbers=(1, 2))
    return tmp_path / "pets"


def theirs(folder, split, skip_empty):
    """The same split read by GluonCV."""
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.data import COCODetection

    class Pets(COCODetection):
        pass

    Pets.CLASSES = list(CATEGORIES.values())

    return Pets(root=str(folder), splits=f"instances_{split}", skip_empty=skip_empty)


def test_boxes_end_at_their_last_pixel(folder):
    data = open_dataset(str(folder), "train")
    assert data.classes == ["cat", "dog", "hot dog"] and data.layout == "coco"
    assert data.label(0).tolist() == [[10, 5, 29, 19, 0, 0]] and data.label(0).dtype == np.float32
    assert data.label(1).tolist() == [[1, 2, 30, 41, 1, 0]]
    assert data.image(0).shape == (48, 60, 3) and data.image_size(0) == (60, 48)
    assert data.image_id(1) == "2" and data.name == "pets train"


@pytest.mark.parametrize("skip_empty", [True, False])
def test_images_and_labels_equal_those_of_gluoncv(tmp_path, skip_empty):
    rng = np.random.default_rng(0)
    images = rng.permutation(np.arange(3, 43))
    objects = random_objects(rng, images, most=4)
    write_split(tmp_path / "pets", "val", objects, numbers=images.tolist())
    gluoncv = theirs(tmp_path / "pets", "val", skip_empty)
    ours = COCOFolder(tmp_path / "pets", "val", skip_empty=skip_empty)
    assert len(ours) == len(gluoncv) and (len(ours) < 40) == skip_empty
    for i in range(len(ours)):
        image, label = gluoncv[i]
        label = label[label[:, 4] >= 0].astype(np.float32)  # -1: GluonCV's label of an empty image
        np.testing.assert_array_equal(ours.label(i)[:, :5], label)
        np.testing.assert_array_equal(ours.image(i), image.asnumpy())
    dropped = ours.summary["dropped"]
    assert dropped["empty"] and dropped["outside"] and dropped["ignored"]


def test_the_classes_of_coco_are_those_of_gluoncv():
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.data import COCODetection

    assert list(COCO_CLASSES) == COCODetection.CLASSES


def test_training_skips_images_without_objects_and_validation_keeps_them(folder):
    train, val = (open_dataset(str(folder), role) for role in ("train", "val"))
    assert [train.image_id(i) for i in range(len(train))] == ["1", "2"]
    assert train.summary_line() == "pets train: skipped 1 image without objects"
    assert [val.label(i).shape for i in range(len(val))] == [(1, 6), (0, 6)]
    assert val.summary["images_without_objects"] == 1 and val.summary_line() is None


def test_crowds_are_trained_on_and_not_asked_for(folder):
    write_split(folder, "train", [{**CAT, "iscrowd": 1}, entry(2, 1, 3, (1, 1, 9, 9))])
    data = open_dataset(str(folder), "train")
    assert data.label(0)[:, 5].tolist() == [1, 0]
    assert data.objects()["crowd"].tolist() == [True, False]


def test_objects_for_the_metric_stand_as_in_the_file_and_follow_the_images(folder):
    over, empty = entry(9, 5, 90, (50.5, -3, 20, 20), area=12.5), entry(3, 2, 7, (5, 5, 0, 0))
    write_split(folder, "train", [over, empty, CAT], numbers=(1, 2, 5))
    data = open_dataset(str(folder), "train")
    assert data.objects()["image"].tolist() == [0, 1]  # image 2 is skipped
    assert data.objects()["box"].tolist() == [[10, 5, 20, 15], [50.5, -3, 20, 20]]
    assert data.objects()["area"].tolist() == [300, 12.5]
    assert data.objects()["class"].tolist() == [0, 2]


def test_worker_processes_get_images_and_labels_alone(folder):
    data = open_dataset(str(folder), "train")
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy.image(1), data.image(1))
    np.testing.assert_array_equal(copy.label(1), data.label(1))
    assert copy.objects() is None and data.objects() is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": [10, 5, 0, 9]}, "empty"),
        ({"bbox": [10, 5, 1, 9]}, "empty"),
        ({"area": 0}, "empty"),
        ({"bbox": [10, 5, 20, -9], "area": 5}, "reversed"),
        ({"bbox": [60, 5, 20, 9]}, "outside"),
        ({"bbox": [-30, 5, 20, 9]}, "outside"),
        ({"ignore": 1}, "ignored"),
        ({"image_id": 77}, "of an image that is not listed"),
    ],
)
def test_what_is_dropped_is_counted_with_its_reason(folder, change, reason):
    write_split(folder, "train", [CAT, {**CAT, **change}])
    data = open_dataset(str(folder), "train")
    assert len(data.label(0)) == 1
    assert {name: n for name, n in data.summary["dropped"].items() if n} == {reason: 1}
    assert data.summary_line() == f"pets train: dropped 1 box (1 {reason})"


def test_a_missing_area_is_that_of_the_box(folder):
    no_area = {key: value for key, value in CAT.items() if key != "area"}
    write_split(folder, "train", [no_area])
    assert open_dataset(str(folder), "train").objects()["area"].tolist() == [300]


def test_classes_may_be_chosen_and_the_others_are_counted(folder):
    data = open_dataset(str(folder), "train", classes=["Dog"])
    assert data.classes == ["Dog"] and len(data) == 1
    assert data.label(0)[:, 4].tolist() == [0]
    assert data.summary["unknown"] == {"cat": 1}
    assert "--classes" in refused("cat 1, dog 1", folder, classes=["horse"])


@pytest.mark.parametrize(
    ("splits", "role", "chosen"),
    [
        (("train2017", "val2017"), "train", "train2017"),
        (("train2017", "val2017"), "val", "val2017"),
        (("train2017", "val2017"), "test", "val2017"),
        (("train", "train2017", "val"), "train", "train"),
        (("trainval", "test"), "train", "trainval"),
        (("trainval", "test"), "val", "test"),
    ],
)
def test_the_usual_split_of_each_role(tmp_path, splits, role, chosen):
    for split in splits:
        write_split(tmp_path / "pets", split, [CAT])
    assert open_dataset(str(tmp_path / "pets"), role).name == f"pets {chosen}"
    assert has_split(str(tmp_path / "pets"), role)


def test_splits_of_two_years_ask_for_the_option(tmp_path):
    for split in ("train2014", "train2017", "all"):
        write_split(tmp_path / "pets", split, [CAT])
    message = refused("more than one train split", tmp_path / "pets")
    assert "--train-split" in message and "all, train2014, train2017" in message
    assert "--val-split" in refused("no split val or test", tmp_path / "pets", "val")
    for name in ("train2014", "instances_train2014"):
        assert len(open_dataset(str(tmp_path / "pets"), "train", train_split=name)) == 1
    assert "it has: all" in refused("no such split", tmp_path / "pets", train_split="x")
    assert not has_split(str(tmp_path / "pets"), "val")


def test_the_layout_of_a_folder_is_seen(folder, shapes_folder):
    assert layout(folder) == "coco" and layout(shapes_folder) == "voc"


@pytest.mark.parametrize("place", ["train", "images/train", "images", "."])
def test_images_may_stand_in_any_of_the_usual_places(folder, place):
    images = [{"id": 1, "file_name": "a.png", "width": 60, "height": 48}]
    write_split(folder, "train", [CAT], numbers=(), images=images)
    (folder / place).mkdir(parents=True, exist_ok=True)
    write_image(folder / place / "a.png")
    assert open_dataset(str(folder), "train").image_path(0) == folder / place / "a.png"


def test_a_missing_image_is_found_at_construction(folder):
    (folder / "train" / f"{2:012d}.jpg").unlink()
    assert "image 2" in refused("000000000002.jpg: no such image", folder)


def test_a_truncated_image_and_one_of_another_size_are_refused(folder):
    path = folder / "train" / f"{1:012d}.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert path.name in refused("truncated", folder)
    write_image(path, width=80)
    assert "instances_train.json says 60x48" in refused("80x48", folder)


IMAGE = {"id": 1, "file_name": "a.jpg", "width": 60, "height": 48}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"images": []}, "no images"),
        ({"images": 3}, 'no list "images"'),
        ({"annotations": None}, 'no list "annotations"'),
        ({"images": [{**IMAGE, "width": 0}]}, "image 1 is 0x48"),
        ({"images": [{**IMAGE, "width": 5.5}]}, "image 1 is 5.5x48"),
        ({"images": [{**IMAGE, "height": "48"}]}, "\"height\" is '48'"),
        ({"images": [{**IMAGE, "file_name": None}]}, 'image 1 has no "file_name"'),
        ({"images": [IMAGE, IMAGE]}, "image 1 is listed twice"),
        (
            {"images": [IMAGE, {**IMAGE, "id": "b"}]},
            "some image ids are numbers, others are strings",
        ),
        ({"images": [[1]]}, "image entry"),
        ({"categories": [{"id": 7}]}, 'category 7 has no "name"'),
        (
            {"categories": [{"id": 7, "name": "a"}, {"id": 7, "name": "b"}]},
            "category 7 occurs twice",
        ),
        (
            {"categories": [{"id": 7, "name": "a"}, {"id": 8, "name": "a"}]},
            "category a occurs twice",
        ),
        ({"categories": []}, "annotation 1 has category 7"),
        ({"annotations": [{**CAT, "bbox": [1, 2, 3]}]}, 'annotation 1 has no "bbox"'),
        ({"annotations": [{**CAT, "bbox": [1, 2, 3, True]}]}, 'annotation 1 has no "bbox"'),
        ({"annotations": [{**CAT, "bbox": [1, 2, 3, float("nan")]}]}, "annotation 1 has no"),
        ({"annotations": [{**CAT, "area": "big"}]}, "annotation 1: its \"area\" is 'big'"),
        ({"annotations": [{**CAT, "category_id": None}]}, 'annotation 1 has no "category_id"'),
        ({"annotations": [{"bbox": [1, 2, 3, 4]}]}, 'annotation entry has no "id"'),
    ],
)
def test_damaged_entries_are_refused_by_name(folder, change, match):
    write_split(folder, "train", [CAT], **change)
    assert "instances_train.json" in refused(match, folder)


@pytest.mark.parametrize(
    "text",
    [b"", b'{"images": [', b"\xff\xfe\x00", b"[" * 100000],
    ids=["empty", "cut short", "not text", "nested too deeply"],
)
def test_files_that_are_no_json_are_refused(folder, text):
    (folder / "annotations" / "instances_train.json").write_bytes(text)
    assert "instances_train.json" in refused("not JSON", folder)


def test_coco_is_read_where_gluoncv_puts_it(tmp_path, monkeypatch):
    names = [{"id": number, "name": name} for number, name in enumerate(COCO_CLASSES, 1)]
    for split in ("train2017", "val2017"):
        write_split(tmp_path / "coco", split, [CAT], numbers=(1, 2), categories=names)
    lengths = {
        role: len(open_dataset("coco", role, data_root=tmp_path))
        for role in ("train", "val", "test")
    }
    assert lengths == {"train": 1, "val": 2, "test": 2}
    data = open_dataset("coco", "val", data_root=tmp_path)
    assert data.classes == list(COCO_CLASSES) and data.label(0)[0, 4] == 6
    refused("--val-split", "coco", val_split="val2017", data_root=tmp_path)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "empty"))
    where = str(tmp_path / "empty" / "datasets" / "coco")
    assert where in refused("gan-kd data prepare coco", "coco")


def test_the_generated_set_is_the_same_in_both_layouts(tmp_path, monkeypatch):
    from gan_kd_ssd.data.synthetic import shapes

    monkeypatch.setattr(shapes, "COUNTS", {"train": 12, "val": 4, "test": 5})
    difficult = 0
    for role in ("train", "val", "test"):
        one = open_dataset("shapes", role, data_root=tmp_path)
        other = open_dataset("shapes_coco", role, data_root=tmp_path)
        assert other.layout == "coco" and other.classes == one.classes and len(other) == len(one)
        for i in range(len(one)):
            np.testing.assert_array_equal(other.label(i), one.label(i))
            assert other.image_path(i).read_bytes() == one.image_path(i).read_bytes()
            difficult += one.label(i)[:, 5].sum()
    assert difficult > 0
    folder = other.image_path(0).parents[1]
    assert sorted(p.name for p in folder.iterdir()) == [
        *("annotations", shapes.RECORD, "test", "train", "val")
    ]
    assert shapes.generate(folder, layout="coco") == folder  # found, and left as it is
    with pytest.raises(UserError, match="other settings"):
        shapes.generate(folder)
    record = json.loads((folder / shapes.RECORD).read_text())
    assert record["layout"] == "coco"
