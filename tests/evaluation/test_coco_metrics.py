"""COCO's figures, compared with pycocotools on the file and with GluonCV's metric."""

import json
import math
import os
import tempfile

import numpy as np
import pytest

from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.data.formats.coco import COCOFolder
from gan_kd_ssd.detectors.faster_rcnn import FasterRCNN
from gan_kd_ssd.detectors.ssd import SSD
from gan_kd_ssd.evaluation import coco_metrics as coco
from gan_kd_ssd.evaluation import metrics as voc
from gan_kd_ssd.util.mxnet import mx
from helpers.coco_folders import CATEGORIES, entry, random_objects, write_split
from helpers.voc_folders import make_random_folder

IMAGES, SHAPE = 30, 64
SIZE = (200, 160)  # pixels: small, medium and large objects


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images with crowds, ignored objects, boxes over the border; sizes of all three kinds of area."""
    folder = tmp_path_factory.mktemp("coco") / "pets"
    rng = np.random.default_rng(1)
    numbers = rng.permutation(np.arange(5, 5 + IMAGES)).tolist()
    write_split(folder, "val", random_objects(rng, numbers, size=SIZE), numbers, SIZE)
    return folder


def detections(data, seed=0, per_image=12, shape=None):
    """Boxes (B, N, 4), ids (B, N), scores (B, N): objects moved a little, noise, and padding."""
    rng = np.random.default_rng(seed)
    boxes = np.full((len(data), per_image, 4), -1, np.float32)
    ids, scores = np.full((2, len(data), per_image), -1, np.float32)
    for i in range(len(data)):
        label = data.label(i)
        count = min(len(label) + 3, per_image)
        low = rng.uniform(0, 100, (count, 2))
        boxes[i, :count] = np.concatenate([low, low + rng.uniform(2, 30, (count, 2))], axis=1)
        ids[i, :count] = rng.integers(0, len(data.classes), count)
        scores[i, :count] = 0.6 * rng.random(count)  # some below the threshold of GluonCV
        boxes[i, : len(label)] = label[:, :4] + rng.normal(0, 2, (len(label), 4))
        ids[i, : len(label)] = label[:, 4]
        scores[i, : len(label)] = rng.uniform(0.2, 1, len(label))
        if shape:
            boxes[i, :count] *= np.tile(np.divide(shape, data.image_size(i)), 2)
    return boxes, ids, scores


def measured(data, found, shape=None):
    metric = coco.COCOMetric(data, shape)
    for first in range(0, len(data), 7):
        metric.update(*(array[first : first + 7] for array in found))
    return metric.get()


def test_the_twelve_figures_equal_those_of_pycocotools_on_the_file(folder):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    data = COCOFolder(folder, "val")
    boxes, ids, scores = detections(data)
    truth = COCO(str(folder / "annotations" / "instances_val.json"))
    results = [
        {
            "image_id": int(data.image_id(i)),
            "category_id": list(CATEGORIES)[int(ids[i, j])],
            "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
            "score": float(scores[i, j]),
        }
        for i in range(len(data))
        for j, (x0, y0, x1, y1) in enumerate(boxes[i].astype(float).tolist())
        if ids[i, j] >= 0 and scores[i, j] >= 0.05
    ]
    expected = COCOeval(truth, truth.loadRes(results), "bbox")
    expected.evaluate()
    expected.accumulate()
    expected.summarize()
    ours = measured(data, (boxes, ids, scores))
    values = [ours.figures[name] for name in coco.FIGURES]
    np.testing.assert_allclose(values, np.where(expected.stats > -1, expected.stats, np.nan))
    assert 0.1 < ours.mean_ap < 0.9 and len(set(np.round(values, 6))) > 6
    precision = expected.eval["precision"][:, :, :, 0, 2]
    order = np.argsort(list(CATEGORIES))  # pycocotools sorts by id, the file and we do not
    for place, i in enumerate(order):
        mean = precision[:, :, place][precision[:, :, place] > -1].mean()
        assert ours.ap[data.classes[i]] == pytest.approx(mean, abs=1e-12)


def test_figures_and_lines_equal_those_of_gluoncv_on_its_own_data_set(tmp_path):
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.data import COCODetection
    from gluoncv.utils.metrics.coco_detection import COCODetectionMetric

    class Pets(COCODetection):
        """GluonCV's reader for our classes."""

    names = {number: name for number, name in sorted(CATEGORIES.items())}  # as GluonCV needs them
    Pets.CLASSES = list(names.values())
    rng = np.random.default_rng(2)
    categories = [{"id": number, "name": name} for number, name in names.items()]
    numbers = list(range(1, IMAGES + 1))
    objects = random_objects(rng, numbers, size=SIZE)
    write_split(tmp_path, "val", objects, numbers, SIZE, categories=categories)
    data = COCOFolder(tmp_path, "val")
    found = detections(data, shape=(SHAPE, SHAPE))
    theirs = COCODetectionMetric(
        Pets(root=str(tmp_path), splits="instances_val", skip_empty=False),
        str(tmp_path / "eval"),
        data_shape=(SHAPE, SHAPE),
    )
    theirs.update(*found)
    labels, values = theirs.get()
    ours = measured(data, found, SHAPE)
    assert values[0] == "\n".join(ours.summary).strip()
    assert dict(zip(labels[1:-1], values[1:-1])) == {
        name: f"{100 * ap:.1f}" for name, ap in ours.ap.items()
    }
    assert values[-1] == f"{100 * ours.mean_ap:.1f}"
    np.testing.assert_allclose(list(ours.figures.values()), theirs._coco_eval.stats, rtol=1e-6)


def test_boxes_of_the_square_input_are_brought_to_the_pixels_of_each_image(folder):
    data = COCOFolder(folder, "val")
    one = measured(data, detections(data))
    other = measured(data, detections(data, shape=(SHAPE, SHAPE)), SHAPE)
    np.testing.assert_allclose(list(other.figures.values()), list(one.figures.values()), atol=1e-6)


def test_perfect_detections_score_one_and_crowds_are_not_asked_for(folder):
    write_split(
        folder,
        "perfect",
        [entry(1, 1, 7, (5, 6, 20, 15)), entry(2, 2, 7, (1, 1, 40, 40), iscrowd=1)],
        numbers=(1, 2),
    )
    data = COCOFolder(folder, "perfect")
    boxes = np.array([[[5, 6, 24, 20]], [[1, 1, 1, 1]]], np.float32)
    ids = np.array([[0], [-1]], np.float32)
    result = measured(data, (boxes, ids, np.ones((2, 1), np.float32)))
    assert result.mean_ap == pytest.approx(1) and result.figures["AR1"] == 1
    assert result.ap["cat"] == pytest.approx(1)
    assert math.isnan(result.ap["dog"]) and math.isnan(result.figures["APlarge"])
    assert len(result.summary) == 12 and result.summary[0].endswith("= 1.000")


def test_nothing_found_is_zero_and_not_an_error(folder):
    data = COCOFolder(folder, "val")
    boxes, ids, scores = detections(data)
    result = measured(data, (boxes, np.full_like(ids, -1), scores))
    assert result.mean_ap == 0 and set(result.ap.values()) == {0}


def test_chosen_classes_alone_are_asked_for(folder):
    every, one = (COCOFolder(folder, "val", classes) for classes in (None, ["dog"]))
    boxes, ids, scores = detections(every)
    dogs = np.where(ids == every.classes.index("dog"), 0.0, -1.0)
    result = measured(one, (boxes, dogs, scores))
    assert result.mean_ap == pytest.approx(measured(every, (boxes, ids, scores)).ap["dog"])


def test_a_folder_in_voc_layout_has_the_same_figures_as_its_copy_in_coco_layout(tmp_path):
    folder = make_random_folder(tmp_path / "pets", 8, seed=3)
    data = open_dataset(str(folder), "val")
    entries = []
    for i in range(len(data)):
        for x0, y0, x1, y1, class_id, _ in data.label(i).tolist():
            box = (x0, y0, x1 - x0 + 1, y1 - y0 + 1)
            entries.append(entry(len(entries) + 1, i + 1, int(class_id), box))
    names = [{"id": i, "name": name} for i, name in enumerate(data.classes)]
    write_split(tmp_path / "copy", "val", entries, numbers=range(1, 9), categories=names)
    copy = COCOFolder(tmp_path / "copy", "val")
    found = detections(data)
    assert measured(data, found) == measured(copy, found)


def test_an_unfinished_pass_is_refused(folder):
    data = COCOFolder(folder, "val")
    metric = coco.COCOMetric(data)
    metric.update(*(array[:4] for array in detections(data)))
    with pytest.raises(ValueError, match="4 images"):
        metric.get()


def test_nothing_is_printed_and_no_file_is_left(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = COCOFolder(folder, "val")
    measured(data, detections(data))
    assert os.listdir(tmp_path) == [] and capsys.readouterr().out == ""


def test_an_annotation_with_id_zero_counts_like_any_other(folder):
    path = write_split(folder, "zero", [entry(0, 1, 7, (5, 6, 20, 15))])
    assert json.loads(path.read_text())["annotations"][0]["id"] == 0
    data = COCOFolder(folder, "zero")
    found = [np.array([[values]], np.float32) for values in ([5, 6, 24, 20], 0, 1)]
    assert measured(data, found).mean_ap == pytest.approx(1)


class Recorded:
    """Gives prepared detections; an image's first pixel says which ones are its own."""

    def __init__(self, classes, found, data_shape=None):
        self.classes, self.found = classes, found
        self.data_shape = data_shape
        kind = SSD if data_shape else FasterRCNN
        self.evaluation_parts = lambda batch, ctx: kind.evaluation_parts(self, batch, ctx)

    def detect(self, x):
        rows = x[:, 0, 0, 0].asnumpy().astype(int)
        boxes, ids, scores = (array[rows] for array in self.found)
        arrays = (ids[..., None], scores[..., None], boxes)
        return tuple(mx.nd.array(array, ctx=x.context) for array in arrays)


def padded(data, i, most=8):
    label = np.full((1, most, 6), -1, np.float32)
    label[0, : len(data.label(i))] = data.label(i)[:most]
    return label


def image_of(number, height, width):
    image = np.zeros((1, 3, height, width), np.float32)
    image[:, 0, 0, 0] = number
    return image


def clipped(found, sizes):
    boxes, ids, scores = found
    most = np.array(sizes, np.float32)[:, None, [0, 1, 0, 1]]
    return np.clip(boxes, 0, most), ids, scores


def test_an_evaluation_of_batches_on_two_devices_has_the_same_figures(folder):
    data = COCOFolder(folder, "val")
    found = detections(data, shape=(SHAPE, SHAPE))
    batches = []
    for first in range(0, len(data), 8):
        rows = range(first, min(first + 8, len(data)))
        images = np.concatenate([image_of(i, SHAPE, SHAPE) for i in rows])
        labels = np.concatenate([padded(data, i) for i in rows])
        batches.append((mx.nd.array(images), mx.nd.array(labels)))
    detector, devices = Recorded(data.classes, found, SHAPE), [mx.cpu(0), mx.cpu(1)]
    result = voc.evaluate(detector, batches, devices, "coco", dataset=data)
    expected = measured(data, clipped(found, [(SHAPE, SHAPE)] * len(data)), SHAPE)
    assert result.coco == expected and result.mean_ap == expected.mean_ap == result.coco.mean_ap
    assert result.ap == expected.ap and result.images == len(data)
    written = result.to_json()
    assert written["figures"]["AP"] == result.mean_ap and written["iou_threshold"] == "0.50:0.95"


def test_boxes_of_a_detector_of_any_size_are_brought_to_the_pixels_of_the_image(folder):
    data = COCOFolder(folder, "val")
    found, scale = detections(data), 1.25
    inputs = (found[0] / np.float32(scale), *found[1:])
    sizes = [data.image_size(i) for i in range(len(data))]
    batches = [
        [(mx.nd.array(image_of(i, 128, 160)), mx.nd.array(padded(data, i)), scale)]
        for i in range(len(data))
    ]
    result = voc.evaluate(Recorded(data.classes, inputs), batches, [mx.cpu()], "coco", dataset=data)
    expected = measured(data, clipped(found, sizes))
    np.testing.assert_allclose(
        list(result.coco.figures.values()), list(expected.figures.values()), atol=1e-6
    )
