"""Checks of a data set: each problem is found, counted, shown, and marked with its effect."""

import json
import os
import shutil
from pathlib import Path

import cv2
import pytest

from gan_kd_ssd.cli.main import main
from gan_kd_ssd.data.check import check_dataset
from gan_kd_ssd.data.check.check_dataset import check
from gan_kd_ssd.data.check.check_report import KEPT, KINDS, LEFT_OUT, LEGEND, STOPS, report_text
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.coco import COCO_CLASSES
from gan_kd_ssd.util.errors import UserError
from helpers.coco_folders import entry, write_split
from helpers.voc_folders import annotation, make_folder, write_image

BCCD = Path(__file__).resolve().parents[3] / "shared" / "data" / "BCCD"
CAT = ("cat", 11, 6, 31, 26)


def write_list(folder, split, *ids):
    (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(ids) + "\n")


@pytest.fixture
def folder(tmp_path):
    """VOC layout: 000 and 001 to train on, 002 to validate; trainval is both."""
    folder = make_folder(tmp_path / "pets", [[CAT], [CAT, CAT], [CAT]], splits=())
    write_list(folder, "train", "000", "001")
    write_list(folder, "val", "002")
    write_list(folder, "trainval", "000", "001", "002")
    return folder


@pytest.fixture
def coco_folder(tmp_path):
    """COCO layout: images 1 and 2 to train on, 3 to validate."""
    folder = tmp_path / "coco_pets"
    objects = [entry(1, 1, 7, (10, 5, 20, 15)), entry(2, 2, 3, (0, 0, 60, 48))]
    write_split(folder, "train", objects, (1, 2))
    write_split(folder, "val", [entry(1, 3, 7, (10, 5, 20, 15))], (3,))
    return folder


def found(dataset, **settings):
    """Kind -> number of problems."""
    report = check(str(dataset), quiet=True, num_workers=0, **settings)
    return {kind: finding.count for kind, finding in report.findings.items()}


def example(dataset, kind, **settings):
    report = check(str(dataset), quiet=True, num_workers=0, **settings)
    assert set(report.findings) == {kind}, report.findings
    return report.findings[kind].examples[0]


def test_a_clean_folder_has_no_fault_and_its_objects_are_counted(folder, coco_folder):
    report = check(str(folder), quiet=True)
    assert report.findings == {} and report.faults == 0 and report.images_read == 3
    table = {
        name: (s.images, s.without_objects, s.classes["cat"]) for name, s in report.splits.items()
    }
    assert table == {"train": (2, 0, 3), "val": (1, 0, 1), "trainval": (3, 0, 4)}
    report = check(str(coco_folder), quiet=True)
    assert report.findings == {} and report.layout == "coco" and report.images_read == 3
    assert dict(report.splits["train"].classes) == {"cat": 1, "dog": 1}


def test_the_built_in_sets_are_clean(shapes_folder, tmp_path):
    from gan_kd_ssd.data.synthetic import shapes

    assert not check(str(shapes_folder), quiet=True).faults
    counts = {"train": 6, "val": 3, "test": 3}
    copy = shapes.generate(tmp_path / "copy", counts, size=96, layout="coco", progress=False)
    assert not check(str(copy), quiet=True).faults


def test_missing_files_are_found(folder):
    (folder / "Annotations" / "000.xml").unlink()
    (folder / "JPEGImages" / "002.jpg").unlink()
    report = check(str(folder), quiet=True)
    assert {kind: f.count for kind, f in report.findings.items()} == {
        "missing_annotation": 1,
        "missing_image": 1,
    }
    assert report.findings["missing_annotation"].examples[0].split == "train, trainval"
    assert report.findings["missing_image"].examples[0].where.endswith("002.jpg")
    assert report.images_read == 2  # the one without annotation as well


def test_a_damaged_annotation_is_found_and_the_rest_is_read(folder):
    (folder / "Annotations" / "001.xml").write_text("<annotation>")
    assert "not well-formed" in example(folder, "damaged_annotation").detail


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_files_that_are_no_images_are_found(folder, content):
    (folder / "JPEGImages" / "001.jpg").write_bytes(content)
    assert "not an image" in example(folder, "damaged_image").detail


def test_truncated_images_are_found_unless_they_are_not_read(folder):
    path = folder / "JPEGImages" / "001.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated" in example(folder, "damaged_image").detail
    assert found(folder, images=False) == {}


def test_an_image_of_another_size_is_found(folder):
    write_image(folder / "JPEGImages" / "001.jpg", width=80, seed=9)
    detail = example(folder, "size_differs").detail
    assert detail == f"80x48 pixels, 60x48 in {folder / 'Annotations' / '001.xml'}"


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((11, 6, 62, 26), "box_outside"),
        ((11, 6, 11, 26), "box_empty"),
        ((31, 6, 11, 26), "box_reversed"),
    ],
)
def test_boxes_that_cannot_be_used_are_found_as_they_stand_in_the_file(folder, box, kind):
    (folder / "Annotations" / "002.xml").write_text(annotation([CAT, ("dog", *box)]))
    first = example(folder, kind)
    assert first.split == "trainval, val" or first.split == "val, trainval"
    assert first.detail == f"dog: {' '.join(map(str, box))} in 60x48"


def test_unknown_classes_are_found_where_classes_are_named(folder):
    (folder / "Annotations" / "002.xml").write_text(annotation([("dog", *CAT[1:])] * 2))
    assert found(folder) == {}
    assert found(folder, classes=["cat"]) == {"unknown_class": 2}
    assert example(folder, "unknown_class", classes=["Cat"]).detail == "dog"


def test_an_image_that_two_splits_share_is_found_but_trainval_is_train_and_val(folder):
    write_list(folder, "val", "002", "001")
    first = example(folder, "image_in_two_splits")
    assert first.split == "train, val" and first.where.endswith("001.jpg")
    write_list(folder, "val", "002")
    write_list(folder, "test", "002")
    assert found(folder) == {"image_in_two_splits": 1}
    assert found(folder, splits=["train", "val"]) == {}


def test_a_copy_of_a_picture_is_found_across_splits_and_noted_within_one(folder):
    images = folder / "JPEGImages"
    picture = cv2.imread(str(images / "000.jpg"))
    (images / "002.jpg").unlink()
    assert cv2.imwrite(str(images / "002.png"), picture)  # other bytes, the same pixels
    first = example(folder, "copy_in_two_splits")
    assert first.split == "train, val" and first.detail == f"as {images / '000.jpg'}"
    shutil.copy(images / "000.jpg", images / "001.jpg")
    assert found(folder) == {"copy": 1, "copy_in_two_splits": 1}
    assert found(folder, splits=["train"])["copy"] == 1


def test_a_copy_is_held_against_the_copies_of_each_split(folder):
    for i in (1, 2):
        shutil.copy(folder / "JPEGImages" / "000.jpg", folder / "JPEGImages" / f"00{i}.jpg")
    for split, image in (("trainval", "000"), ("train", "001"), ("val", "002")):
        write_list(folder, split, image)
    report = check(str(folder), splits=["trainval", "train", "val"], quiet=True)
    assert report.findings["copy"].count == 1  # 001: trainval may have it as well
    (first,) = report.findings["copy_in_two_splits"].examples
    assert first.split == "train, val" and first.detail.endswith("001.jpg")


def test_the_same_pixels_in_another_shape_are_no_copy(folder):
    for name, size in (("000", (60, 48)), ("002", (48, 60))):
        write_image(folder / "JPEGImages" / f"{name}.jpg", *size)
        path = folder / "JPEGImages" / f"{name}.jpg"
        cv2.imwrite(str(path), cv2.imread(str(path)) * 0)
        (folder / "Annotations" / f"{name}.xml").write_text(annotation([CAT], *size))
    assert found(folder) == {}


def test_an_image_listed_twice_and_an_empty_list_are_found(folder):
    write_list(folder, "train", "000", "001", "000")
    assert example(folder, "listed_twice").where == "000"
    write_list(folder, "train", "000", "001")
    write_list(folder, "test")
    assert "test.txt" in example(folder, "empty_split").detail


def test_images_without_objects_and_unlisted_files_are_noted(folder):
    (folder / "Annotations" / "001.xml").write_text(annotation([]))
    write_image(folder / "JPEGImages" / "new.jpg", seed=7)
    (folder / "JPEGImages" / "Thumbs.db").write_text("")
    (folder / "JPEGImages" / ".hidden").write_text("")
    (folder / "Annotations" / "new.xml").write_text(annotation([CAT]))
    report = check(str(folder), quiet=True)
    counts = {kind: finding.count for kind, finding in report.findings.items()}
    assert counts == {"without_objects": 1, "unlisted_file": 3}
    assert report.faults == 0 and report.splits["train"].without_objects == 1


def test_files_of_splits_that_are_not_checked_are_listed_all_the_same(folder):
    assert found(folder, splits=["val"]) == {}


@pytest.mark.parametrize(
    ("change", "kind", "detail"),
    [
        ({"bbox": [10, 5, 0, 9]}, "box_empty", "annotation 1, cat: 10 5 0 9 in 60x48 (image 1)"),
        ({"area": 0}, "box_empty", "annotation 1, cat"),
        ({"bbox": [10, 5, -4, 9]}, "box_reversed", "annotation 1, cat"),
        ({"bbox": [50, 5, 12, 9]}, "box_clipped", "annotation 1, cat: 50 5 12 9"),
        ({"bbox": [-2, 5, 12, 9]}, "box_clipped", "annotation 1, cat"),
        ({"bbox": [70, 5, 12, 9]}, "box_outside", "annotation 1, cat"),
        ({"image_id": 9}, "object_without_image", "annotation 1 of image 9"),
        ({"category_id": 9}, "damaged_annotation", "annotation 1 has category 9"),
        ({"bbox": "no"}, "damaged_annotation", 'annotation 1 has no "bbox"'),
        ({"id": 2}, "object_twice", "annotation 2 is listed twice"),
    ],
)
def test_each_fault_of_an_annotation_in_coco_layout_is_found(coco_folder, change, kind, detail):
    objects = [{**entry(1, 1, 7, (10, 5, 20, 15)), **change}, entry(2, 2, 3, (0, 0, 60, 48))]
    objects += [entry(3, 1, 3, (1, 1, 5, 5))]  # image 1 has objects either way
    write_split(coco_folder, "train", objects, (1, 2))
    first = example(coco_folder, kind)
    assert first.detail.startswith(detail) and first.split == "train"
    assert first.where.endswith("instances_train.json")


def test_boxes_rounded_over_the_border_are_no_fault(coco_folder):
    write_split(coco_folder, "val", [entry(1, 3, 7, (40.5, -0.5, 20.4, 15))], (3,))
    assert found(coco_folder) == {}


def test_faults_of_images_in_coco_layout_are_found(coco_folder):
    image = coco_folder / "train" / f"{1:012d}.jpg"
    image.write_bytes(image.read_bytes()[:-50])
    write_image(coco_folder / "train" / f"{2:012d}.jpg", width=61)
    (coco_folder / "val" / f"{3:012d}.jpg").unlink()
    write_image(coco_folder / "train" / "new.jpg", seed=7)
    assert found(coco_folder) == {
        "damaged_image": 1,
        "size_differs": 1,
        "missing_image": 1,
        "unlisted_file": 1,
    }


def test_an_image_file_in_two_splits_or_twice_in_one_is_found(coco_folder):
    name = f"{1:012d}.jpg"
    image = {"id": 8, "file_name": name, "coco_url": f"x/train/{name}", "width": 60, "height": 48}
    objects = [entry(1, 8, 7, (10, 5, 20, 15))]
    write_split(coco_folder, "val", objects, (), images=[image])
    (coco_folder / "val" / f"{3:012d}.jpg").unlink()
    first = example(coco_folder, "image_in_two_splits")
    assert first.split == "train, val" and first.where.endswith(f"train/{name}")
    objects.append(entry(2, 9, 7, (10, 5, 20, 15)))
    write_split(coco_folder, "val", objects, (), images=[image, {**image, "id": 9}])
    assert found(coco_folder) == {"image_in_two_splits": 1, "listed_twice": 1}


def test_entries_and_files_that_cannot_be_read_are_found(coco_folder):
    write_split(
        coco_folder,
        "val",
        [entry(1, 3, 7, (10, 5, 20, 15))],
        (3,),
        categories=[{"id": 7, "name": "cat"}, {"id": 7, "name": "dog"}],
    )
    assert "category 7 occurs twice" in example(coco_folder, "damaged_annotation").detail
    (coco_folder / "annotations" / "instances_val.json").write_text("{}")
    report = check(str(coco_folder), quiet=True)
    assert report.findings["damaged_annotation"].count == 1
    assert 'no list "images"' in report.findings["damaged_annotation"].examples[0].detail
    assert report.splits["train"].images == 2 and report.splits["val"].images == 0


def test_processes_find_the_same(folder):
    path = folder / "JPEGImages" / "001.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    shutil.copy(folder / "JPEGImages" / "000.jpg", folder / "JPEGImages" / "002.jpg")
    one, other = (check(str(folder), quiet=True, num_workers=n) for n in (0, 2))
    assert one.to_json() == other.to_json() and one.faults == 2


def test_many_images_are_read_by_one_process_per_processor(folder, monkeypatch):
    used = []

    class InThisProcess(check_dataset.Workers):
        def __init__(self, function, num_workers):
            used.append(num_workers)
            super().__init__(function)

    monkeypatch.setattr(check_dataset, "Workers", InThisProcess)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
    check(str(folder), quiet=True)
    image, xml = (
        folder / part / f"000.{end}"
        for part, end in (("JPEGImages", "jpg"), ("Annotations", "xml"))
    )
    ids = [f"copy{i}" for i in range(253)]
    for name in ids:
        os.link(image, image.with_name(f"{name}.jpg"))
        os.link(xml, xml.with_name(f"{name}.xml"))
    write_list(folder, "many", *ids)
    check(str(folder), quiet=True)
    check(str(folder), quiet=True, num_workers=1)
    assert used == [0, 7, 1]


def test_the_published_splits_of_voc_are_checked_against_its_classes(tmp_path):
    person = ("person", 1, 1, 20, 20)
    make_folder(tmp_path / "voc" / "VOC2007", [[person]], splits=("trainval", "train"))
    make_folder(tmp_path / "voc" / "VOC2012", [[person], [CAT]], splits=("trainval",))
    write_image(tmp_path / "voc" / "VOC2007" / "JPEGImages" / "t.jpg", seed=5)
    (tmp_path / "voc" / "VOC2007" / "Annotations" / "t.xml").write_text(
        annotation([("persona", 1, 1, 20, 20)])
    )
    write_list(tmp_path / "voc" / "VOC2007", "test", "t")
    report = check("voc", data_root=tmp_path, quiet=True)
    assert list(report.splits) == ["VOC2007 trainval", "VOC2007 test", "VOC2012 trainval"]
    assert {kind: f.count for kind, f in report.findings.items()} == {
        "unknown_class": 1,
        "copy_in_two_splits": 1,  # these two years share their first picture
    }
    assert list(check("voc07", data_root=tmp_path, quiet=True).splits) == [
        *("VOC2007 trainval", "VOC2007 test")
    ]


def test_coco_is_checked_where_gluoncv_puts_it(tmp_path):
    names = [{"id": number, "name": name} for number, name in enumerate(COCO_CLASSES, 1)]
    for split, number in (("train2017", 1), ("val2017", 2), ("other", 1)):
        objects = [entry(1, number, 7, (10, 5, 20, 15))]
        write_split(tmp_path / "coco", split, objects, (number,), categories=names)
    report = check("coco", data_root=tmp_path, quiet=True)
    assert list(report.splits) == ["train2017", "val2017"] and report.findings == {}
    assert "80" not in report_text(report).partition("\n")[2]  # the first line holds the folder


def test_wrong_use_is_one_line_and_exit_code_2(folder, tmp_path, capsys):
    lines = []
    for words in (
        [str(tmp_path / "missing")],
        [str(tmp_path)],
        [str(folder), "--splits", "train,trian"],
        ["voc", "--data-root", str(tmp_path)],
        ["coco", "--data-root", str(tmp_path)],
        [str(folder), "--classes", "a,,b"],
        [],
    ):
        assert main(["data", "check", *words]) == 2
        lines.append(capsys.readouterr().err)
    assert all(len(line.splitlines()) == 1 for line in lines)
    assert "trian" in lines[2] and "train, trainval, val" in lines[2]
    assert all("prepare" in line for line in lines[3:5])


def test_a_folder_without_splits_is_refused(folder):
    for path in (folder / "ImageSets" / "Main").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no splits"):
        check(str(folder), quiet=True)


def test_the_command_prints_a_table_and_exits_with_1_for_faults_alone(folder, capsys):
    assert main(["data", "check", str(folder), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder}: VOC layout, 3 images read" and lines[-1] == "no faults"
    assert lines[2].split() == ["split", "images", "without", "objects", "objects", "cat"]
    assert len({len(line) for line in lines[2:7]}) == 1
    (folder / "Annotations" / "001.xml").write_text(annotation([("cat", 5, 5, 5, 9)] * 3))
    assert main(["data", "check", str(folder), "--examples", "2"]) == 1
    out, err = capsys.readouterr()
    assert "fault  left out        3  box without area" in out and "… and 1 more" in out
    assert LEGEND in out and out.endswith("\n3 faults\n") and "100%" in err
    (folder / "JPEGImages" / "002.jpg").unlink()
    assert main(["data", "check", str(folder), "--quiet"]) == 1
    out = capsys.readouterr().out
    assert "fault  stops           1  image is missing" in out
    assert out.endswith("\n4 faults, 1 of which stop a training\n")


def test_the_command_prints_json(folder, capsys):
    (folder / "Annotations" / "001.xml").write_text(annotation([]))
    assert main(["data", "check", str(folder), "--json", "--quiet"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["faults"] == 0 and data["layout"] == "voc" and data["images_read"] == 3
    assert data["splits"]["train"] == {
        "images": 2,
        "without_objects": 1,
        "objects": 1,
        "classes": {"cat": 1},
    }
    assert [(f["kind"], f["fault"], f["effect"], f["count"]) for f in data["findings"]] == [
        ("without_objects", False, "kept", 1)
    ]
    assert data["findings"][0]["examples"][0]["split"] == "train, trainval"


def test_every_kind_of_problem_has_its_own_title_and_a_known_effect():
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    assert {kind.effect for kind in KINDS.values()} == {STOPS, LEFT_OUT, KEPT}
    assert all(kind.effect == KEPT for kind in KINDS.values() if not kind.fault)


def train_on(folder):
    """Open a split for training and read all its images, as a training does."""
    data = open_dataset(str(folder), "train")
    for i in range(len(data)):
        data.image(i)
    return data


def reported_effect(folder):
    (kind,) = found(folder)
    return KINDS[kind].effect


def unlink(path):
    path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("JPEGImages/001.jpg", unlink),
        ("JPEGImages/001.jpg", truncate),
        ("JPEGImages/001.jpg", lambda path: write_image(path, width=80, seed=9)),
        ("Annotations/001.xml", unlink),
        ("Annotations/001.xml", truncate),
        ("ImageSets/Main/train.txt", lambda path: path.write_text("")),
    ],
)
def test_problems_that_stop_a_training_are_marked_so_in_voc_layout(folder, file, change):
    change(folder / file)
    assert reported_effect(folder) == STOPS
    with pytest.raises(UserError):
        train_on(folder)


@pytest.mark.parametrize("box", [(11, 6, 62, 26), (11, 6, 11, 26), (31, 6, 11, 26)])
def test_objects_that_a_training_leaves_out_are_marked_so_in_voc_layout(folder, box):
    (folder / "Annotations" / "001.xml").write_text(annotation([CAT, ("cat", *box)]))
    assert reported_effect(folder) == LEFT_OUT
    assert train_on(folder).summary["objects"] == 2


def test_an_image_listed_twice_is_kept_twice_in_a_training(folder):
    write_list(folder, "train", "000", "001", "000")
    assert reported_effect(folder) == KEPT and len(train_on(folder)) == 3


BAD_OBJECTS = [
    {"bbox": [10, 5, 0, 9]},
    {"bbox": [10, 5, -4, 9]},
    {"bbox": [70, 5, 12, 9]},
    {"bbox": [50, 5, 12, 9]},
    {"image_id": 9},
    {"category_id": 9},
    {"bbox": "no"},
    {"id": 2},
]


@pytest.mark.parametrize("change", BAD_OBJECTS)
def test_the_marks_of_objects_in_coco_layout_are_what_a_training_does(coco_folder, change):
    good = [entry(2, 2, 3, (0, 0, 60, 48)), entry(3, 1, 3, (1, 1, 5, 5))]
    bad = {**entry(1, 1, 7, (10, 5, 20, 15)), **change}
    write_split(coco_folder, "train", [bad, *good], (1, 2))
    effect = reported_effect(coco_folder)
    if effect == STOPS:
        with pytest.raises(UserError):
            train_on(coco_folder)
    else:
        assert train_on(coco_folder).summary["objects"] == (2 if effect == LEFT_OUT else 3)


def test_an_image_that_a_coco_file_lists_twice_stops_a_training(coco_folder):
    path = coco_folder / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["images"].append(data["images"][0])
    path.write_text(json.dumps(data))
    assert (
        example(coco_folder, "damaged_annotation").detail
        == "image 1 is listed twice; keep one of them"
    )
    with pytest.raises(UserError):
        train_on(coco_folder)


def test_a_data_set_one_folder_below_is_named(folder):
    with pytest.raises(
        UserError, match=f"has no Annotations, but pets below it has; give {folder}"
    ):
        check(str(folder.parent), quiet=True)


def test_many_classes_are_counted_and_not_listed(folder, capsys):
    objects = [(f"class {i}", 1, 1, 9, 9) for i in range(9)]
    (folder / "Annotations" / "001.xml").write_text(annotation(objects))
    text = report_text(check(str(folder), quiet=True))
    assert "class 1" not in text and text.splitlines()[2].split()[-1] == "classes"


def test_two_boxes_without_area_are_found_in_real_images():
    if not BCCD.is_dir():
        pytest.skip(f"{BCCD} is not on this machine")
    assert found(BCCD, images=False) == {"box_empty": 2}
