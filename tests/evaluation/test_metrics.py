"""The mAP, compared with GluonCV's metrics and with the definition in plain Python."""

import json
import math
import warnings

import numpy as np
import pytest

from gan_kd_ssd.detectors.ssd import SSD
from gan_kd_ssd.evaluation import metrics as voc
from gan_kd_ssd.util.mxnet import mx

SIZE = 100
CLASSES = ["ant", "bee", "cat", "dog", "eel"]


class RecordedDetector:
    """Gives prepared detections; an image's first pixel says which ones are its own."""

    classes, data_shape = CLASSES, SIZE
    evaluation_parts = SSD.evaluation_parts

    def __init__(self, ids, scores, boxes):
        self.detections = ids[..., None], scores[..., None], boxes
        self.seen = []

    def detect(self, x):
        rows = x[:, 0, 0, 0].asnumpy().astype(int)
        self.seen.append((x.ctx, list(rows)))
        return tuple(mx.nd.array(array[rows], ctx=x.ctx) for array in self.detections)


def random_case(seed, images=23, objects=6, detections=14):
    """Labels (I, M, 6) and detections near the objects, and elsewhere, with all that may occur.

    Padding, difficult objects, boxes over the image's edge, images without objects; class 'dog' is
    detected and never there, 'cat' is there and never detected, 'eel' has only difficult objects.
    """
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (images, objects, 2))
    labels = np.concatenate(
        [
            corner,
            corner + rng.uniform(8, 39, corner.shape),
            rng.choice([0, 0, 0, 1, 1, 2, 4], (images, objects, 1)),
            rng.random((images, objects, 1)) < 0.2,
        ],
        axis=2,
    )
    labels[labels[..., 4] == 4, 5] = 1
    labels[rng.random((images, objects)) < 0.3] = -1
    labels[3] = labels[11] = -1
    for index in range(3):  # see test_recall_on_a_threshold
        counted = np.argwhere((labels[..., 4] == index) & (labels[..., 5] == 0))
        if len(counted) % 5 == 0:
            labels[tuple(counted[0])] = -1

    chosen = rng.integers(0, objects, (images, detections))
    near = np.take_along_axis(labels, chosen[..., None], axis=1)
    boxes = near[..., :4] + rng.normal(0, 4, (images, detections, 4))
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2] + 1)
    ids = np.where(
        rng.random(boxes.shape[:2]) < 0.8, near[..., 4], rng.integers(0, 5, chosen.shape)
    )
    ids[ids == 2] = 3
    scores = rng.permutation(ids.size).reshape(ids.shape) / ids.size
    ids[rng.random(ids.shape) < 0.2] = -1
    arrays = (labels, ids, scores, boxes)
    return tuple(array.astype(np.float32) for array in arrays)


def batches_of(labels, size):
    """Batches as the validation loader makes them, the last one smaller."""
    for first in range(0, len(labels), size):
        part = labels[first : first + size]
        images = np.zeros((len(part), 3, SIZE, SIZE), np.float32)
        images[:, 0, 0, 0] = np.arange(first, first + len(part))
        yield mx.nd.array(images), mx.nd.array(part)


def defined_ap(labels, ids, scores, boxes, index, area):
    """AP of a class as VOC's development kit defines it (VOCevaldet.m, VOCap.m), in plain Python.

    nan without an object that counts. Thresholds of recall are compared in whole numbers.
    """
    objects = {
        image: [[row[:4], bool(row[5]), False] for row in rows if row[4] == index]
        for image, rows in enumerate(labels.astype(np.float64))
    }
    positives = sum(not difficult for rows in objects.values() for _, difficult, _ in rows)
    if positives == 0:
        return math.nan
    found = [
        (scores[place], place[0], np.clip(boxes[place].astype(np.float64), 0, SIZE))
        for place in np.ndindex(ids.shape)
        if ids[place] == index
    ]
    hits = misses = 0
    points = [(0, 0.0)]
    for _, image, box in sorted(found, key=lambda one: -one[0]):
        best, best_overlap = None, -math.inf
        for candidate in objects[image]:
            overlap = pixel_overlap(box, candidate[0])
            if overlap > best_overlap:
                best, best_overlap = candidate, overlap
        if best is None or best_overlap < 0.5:
            misses += 1
        elif best[1]:
            continue  # difficult: neither right nor wrong
        elif best[2]:
            misses += 1
        else:
            best[2] = True
            hits += 1
        points.append((hits, hits / (hits + misses)))

    def best_precision(reached):
        return max((precision for hits, precision in points if reached(hits)), default=0.0)

    if area:
        steps = range(1, hits + 1)
        return sum(best_precision(lambda n, step=step: n >= step) for step in steps) / positives
    tenths = range(11)
    return sum(best_precision(lambda n, t=t: 10 * n >= t * positives) for t in tenths) / 11


def pixel_overlap(a, b):
    """Intersection over union of boxes whose last pixel belongs to them."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize("seed", range(6))
def test_map_follows_the_definition_of_vocs_development_kit(seed):
    labels, ids, scores, boxes = random_case(seed)
    detector = RecordedDetector(ids, scores, boxes)
    results = voc.evaluate_metrics(detector, batches_of(labels, 5), [mx.cpu()])
    for metric, area in (("voc07", False), ("voc12", True)):
        expected = [defined_ap(labels, ids, scores, boxes, i, area) for i in range(5)]
        assert math.isnan(expected[3]) and math.isnan(expected[4])
        assert expected[2] == 0
        assert 0.05 < expected[0] < 0.95
        np.testing.assert_allclose(list(results[metric].ap.values()), expected, atol=1e-9, rtol=0)
        assert results[metric].mean_ap == pytest.approx(np.nanmean(expected), abs=1e-9)


@pytest.mark.parametrize("metric", voc.METRICS)
def test_map_equals_gluoncvs_metric_fed_by_hand_image_by_image(metric):
    from gluoncv.utils.metrics.voc_detection import VOC07MApMetric, VOCMApMetric

    labels, ids, scores, boxes = random_case(77)
    kind = {"voc07": VOC07MApMetric, "voc12": VOCMApMetric}[metric]
    by_hand = kind(iou_thresh=0.5, class_names=CLASSES)
    clipped = np.clip(boxes, 0, SIZE)
    for row, label in enumerate(labels):
        objects = label[label[:, 4] >= 0][None]
        by_hand.update(
            clipped[row][None],
            ids[row][None],
            scores[row][None],
            objects[..., :4],
            objects[..., 4],
            objects[..., 5],
        )
    names, values = by_hand.get()
    detector = RecordedDetector(ids, scores, boxes)
    result = voc.evaluate(detector, batches_of(labels, 4), [mx.cpu()], metric)
    assert [*result.ap, "mAP"] == names
    ours = [*result.ap.values(), result.mean_ap]
    np.testing.assert_allclose(ours, values, atol=1e-9, rtol=0)


def test_batches_devices_and_padding_do_not_change_the_result():
    labels, ids, scores, boxes = random_case(5, images=13)
    wider = np.concatenate([labels, np.full((13, 3, 6), -1, np.float32)], axis=1)
    results = [
        voc.evaluate(RecordedDetector(ids, scores, boxes), batches_of(given, size), ctx)
        for given, size, ctx in (
            (labels, 13, [mx.cpu(0)]),
            (wider, 2, [mx.cpu(0)]),
            (labels, 4, [mx.cpu(0), mx.cpu(1), mx.cpu(2)]),
        )
    ]
    for other in results[1:]:
        assert other.mean_ap == results[0].mean_ap
        np.testing.assert_array_equal(list(other.ap.values()), list(results[0].ap.values()))
        assert other.images == 13


def test_every_device_gets_a_share_and_a_small_last_batch_uses_fewer():
    labels, ids, scores, boxes = random_case(1, images=13)
    detector = RecordedDetector(ids, scores, boxes)
    devices = [mx.cpu(0), mx.cpu(1), mx.cpu(2)]
    done = []
    voc.evaluate(detector, batches_of(labels, 4), devices, progress=done.append)
    assert [ctx for ctx, _ in detector.seen] == devices * 3 + devices[:1]
    assert [row for _, rows in detector.seen for row in rows] == list(range(13))
    assert done == [4, 4, 4, 1]


def test_every_forward_is_queued_before_the_first_result_is_waited_for(monkeypatch):
    labels, ids, scores, boxes = random_case(1, images=12)
    detector = RecordedDetector(ids, scores, boxes)
    events = []
    recorded = detector.detect

    def detect(x):
        result = recorded(x)
        events.append("queued")
        return result

    fetch = mx.nd.NDArray.asnumpy
    detector.detect = detect
    batches = list(batches_of(labels, 12))
    monkeypatch.setattr(
        mx.nd.NDArray, "asnumpy", lambda self: (events.append("fetched"), fetch(self))[1]
    )
    voc.evaluate(detector, batches, [mx.cpu(0), mx.cpu(1)])
    last_queued = len(events) - 1 - events[::-1].index("queued")
    after = events[last_queued:].count("fetched")
    # The labels are fetched first, and the fake fetches its rows: once per forward pass. The six
    # results are fetched after both.
    assert after == 6 and events.count("fetched") == 1 + 2 + 6


def test_a_difficult_object_neither_helps_nor_harms():
    labels = np.full((1, 2, 6), -1, np.float32)
    labels[0, 0] = [10, 10, 50, 50, 0, 0]
    labels[0, 1] = [60, 60, 90, 90, 0, 1]
    ids = np.zeros((1, 2), np.float32)
    scores = np.array([[0.5, 0.9]], np.float32)
    boxes = labels[..., :4].copy()
    result = voc.evaluate(
        RecordedDetector(ids, scores, boxes), batches_of(labels, 1), [mx.cpu()], "voc12"
    )
    assert result.ap["ant"] == 1.0
    assert result.objects["ant"] == 1


def test_recall_on_a_threshold_counts_as_gluoncv_counts_it():
    """Three of five found: the development kit's 0.6 is reached, GluonCV's 0.6000000000000001 not.

    The published figures are GluonCV's, so are ours.
    """
    labels = np.full((5, 1, 6), -1, np.float32)
    labels[:, 0] = [10, 10, 50, 50, 0, 0]
    ids = np.array([[0], [0], [0], [-1], [-1]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7], [-1], [-1]], np.float32)
    boxes = labels[..., :4].copy()
    detector = RecordedDetector(ids, scores, boxes)
    result = voc.evaluate(detector, batches_of(labels, 5), [mx.cpu()])
    assert result.ap["ant"] == pytest.approx(6 / 11, abs=1e-9)
    assert defined_ap(labels, ids, scores, boxes, 0, area=False) == pytest.approx(7 / 11)


@pytest.mark.parametrize("metric", voc.METRICS)
def test_without_detections_map_is_zero_and_nothing_warns(metric):
    labels, ids, scores, boxes = random_case(3)
    ids[:] = -1
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error", RuntimeWarning)
        detector = RecordedDetector(ids, scores, boxes)
        result = voc.evaluate(detector, batches_of(labels, 8), [mx.cpu()], metric)
    assert result.mean_ap == 0.0
    assert result.ap["ant"] == 0.0
    assert math.isnan(result.ap["dog"])


@pytest.mark.parametrize("detected", [True, False])
def test_without_objects_map_is_nan_and_nothing_warns(detected):
    labels, ids, scores, boxes = random_case(3)
    labels[:] = -1
    if not detected:
        ids[:] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        detector = RecordedDetector(ids, scores, boxes)
        result = voc.evaluate(detector, batches_of(labels, 8), [mx.cpu()])
    assert math.isnan(result.mean_ap)
    assert all(map(math.isnan, result.ap.values()))


def test_an_unknown_metric_is_refused():
    for name, message in (("coc", "none of voc07, voc12, coco"), ("coco", "give the data set")):
        with pytest.raises(ValueError, match=message):
            voc.evaluate(RecordedDetector(*random_case(0)[1:]), [], [mx.cpu()], name)


def test_speed_leaves_the_first_batch_out_unless_it_is_the_only_one():
    labels, ids, scores, boxes = random_case(3, images=12)
    detector = RecordedDetector(ids, scores, boxes)
    several = voc.evaluate(detector, batches_of(labels, 5), [mx.cpu()])
    assert (several.images, several.timing.images, several.timing.warm) == (12, 7, True)
    assert "after the first batch" in str(several.timing)
    one = voc.evaluate(detector, batches_of(labels, 12), [mx.cpu()])
    assert (one.images, one.timing.images, one.timing.warm) == (12, 12, False)
    assert one.timing.images_per_second == 12 / one.timing.seconds
    assert 0 < one.timing.network_seconds < one.timing.seconds


def test_json_has_plain_types_and_null_for_nan():
    labels, ids, scores, boxes = random_case(4)
    detector = RecordedDetector(ids, scores, boxes)
    result = voc.evaluate(detector, batches_of(labels, 8), [mx.cpu()])
    read = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert read["mAP"] == result.mean_ap
    assert read["classes"]["ant"] == result.ap["ant"]
    assert read["classes"]["dog"] is None
    assert read["lines"][0] == f"ant={result.ap['ant']}"
    assert read["lines"][3:] == ["dog=nan", "eel=nan", f"mAP={result.mean_ap}"]


def test_the_table_is_aligned_and_shows_classes_objects_and_percent():
    labels, ids, scores, boxes = random_case(4)
    detector = RecordedDetector(ids, scores, boxes)
    results = voc.evaluate_metrics(detector, batches_of(labels, 8), [mx.cpu()])
    lines = voc.table(list(results.values())).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(CLASSES) + 4
    ant = lines[2].split()
    assert ant[:2] == ["ant", str(results["voc07"].objects["ant"])]
    assert float(ant[2]) == pytest.approx(100 * results["voc07"].ap["ant"], abs=0.005)
    assert float(ant[3]) == pytest.approx(100 * results["voc12"].ap["ant"], abs=0.005)
    assert lines[5].split() == ["dog", "0", "-", "-"]
    assert lines[-1].startswith("mAP")
    assert len(voc.table([results["voc12"]]).splitlines()) == len(lines)
