"""eval_voc.py for Faster R-CNN: sizes of the run, GluonCV's figures, all devices."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.detectors import faster_rcnn
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.runs import lines

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["cross", "disc", "ring", "square", "star", "triangle"]


@pytest.mark.parametrize("devices", [1, 2])
def test_eval_voc_gives_the_map_that_the_run_gave(devices, rcnn_whole, shapes_folder, tmp_path):
    """Sizes and classes are those of the run, whose metrics lie beside the parameters."""
    from gan_kd_ssd.config import evaluation_options as options
    from gan_kd_ssd.engine import evaluate as eval_run

    words = ["--network", "faster_rcnn_resnet10_v1_0.125", "--params", f"{rcnn_whole}_best.params"]
    words += ["--dataset", shapes_folder, "--val-split", "val", "--gpus", ""]
    words += ["--cpu-devices", devices, "--json", tmp_path / "r.json", "--plot", tmp_path / "p"]
    assert eval_run.run(options.parse([str(word) for word in [*words, "--plot-images", 2]])) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    maps = [float(line[4:]) for line in lines(rcnn_whole) if line.startswith("mAP=")]
    assert result["mAP"] == pytest.approx(max(maps), abs=1e-9)
    assert (result["short"], result["max_size"], result["images"]) == (64, 96, 8)
    assert len(list((tmp_path / "p").iterdir())) == 3


def test_a_size_of_the_other_kind_of_detector_is_refused():
    from gan_kd_ssd.config import evaluation_options as options

    with pytest.raises(UserError, match=r"--data-shape: faster_rcnn_.* takes --short"):
        options.parse(["--network", "faster_rcnn_resnet50_v1b_voc", "--data-shape", "512"])
    with pytest.raises(UserError, match="--short: resnet50_v1 is an SSD"):
        options.parse(["--network", "resnet50_v1", "--short", "600"])


def test_the_map_is_that_of_gluoncv_s_own_transform_network_and_metric(
    train_rcnn, shapes_folder, tmp_path
):
    from gluoncv.data.transforms.presets.rcnn import FasterRCNNDefaultValTransform
    from gluoncv.nn.bbox import BBoxClipToImage
    from gluoncv.utils.metrics.voc_detection import VOC07MApMetric

    from gan_kd_ssd.data.batches.faster_rcnn_batches import InputSize, val_batches
    from gan_kd_ssd.data.batches.faster_rcnn_transform import val_transform
    from gan_kd_ssd.data.formats.catalog import open_dataset
    from gan_kd_ssd.evaluation.metrics import evaluate

    options = ["--student", "resnet10_v1_0.25", "--distill", "none", "--batch-size", 2]
    train_rcnn(*options, "--epochs", 8, "--save-prefix", tmp_path / "t", "--val-interval", 8)
    data = open_dataset(str(shapes_folder), "train")
    params = tmp_path / "t_best.params"
    settings = faster_rcnn.FasterRCNNSettings(short=64, max_size=96)
    detector = faster_rcnn.FasterRCNN.load_trained(
        "resnet10_v1_0.25", CLASSES, settings, params, [mx.cpu()]
    )
    ours = evaluate(detector, val_batches(data, InputSize(64, 96)), [mx.cpu()])

    metric, clip = VOC07MApMetric(iou_thresh=0.5, class_names=CLASSES), BBoxClipToImage()
    transform = FasterRCNNDefaultValTransform(64, 96)
    for index in range(len(data)):
        label = data.label(index)
        image, boxes, scale = transform(mx.nd.array(data.image(index), dtype="uint8"), label)
        same, _, _ = val_transform(data.image(index), label, 64, 96)
        np.testing.assert_allclose(same, image.asnumpy(), atol=2e-5)
        x = mx.nd.array(same[None])  # an object at IoU 0.5 would turn on the last digit of a pixel
        ids, scores, found = detector.net(x)
        scale = float(scale.asnumpy().reshape(-1)[0])
        metric.update(
            clip(found, x) * scale,
            ids,
            scores,
            mx.nd.array(boxes[None, :, :4]) * scale,
            mx.nd.array(label[None, :, 4:5]),
            mx.nd.array(label[None, :, 5:6]),
        )
    names, values = metric.get()
    assert names[-1] == "mAP" and values[-1] > 0.01
    assert ours.mean_ap == pytest.approx(values[-1], abs=1e-6)
    assert list(ours.ap.values()) == pytest.approx(values[:-1], abs=1e-6)


def test_the_last_run_of_a_prefix_is_the_one_that_its_weights_are_of(tmp_path):
    from gan_kd_ssd.logs.run_metadata import metadata_beside

    lines = [{"kind": "run", "namespace": {"short": short}} for short in (64, 128)]
    lines.insert(1, {"kind": "step"})
    text = "".join(json.dumps(line) + "\n" for line in [*lines, {"kind": "epoch"}])
    (tmp_path / "x_metrics.jsonl").write_text(text)
    assert metadata_beside(tmp_path / "x_best.params").namespace == {"short": 128}


def test_eval_voc_takes_from_the_run_what_its_options_leave_open(shapes_folder, tmp_path):
    from gan_kd_ssd.config import evaluation_options as evaluation
    from gan_kd_ssd.engine.load_trained import settings_of

    namespace = {"use_fpn": True, "roi_mode": "pool", "short": 70, "max_size": 90}
    namespace["norm_layer"] = "bn"
    first = {"kind": "run", "namespace": namespace, "classes": CLASSES}
    (tmp_path / "x_metrics.jsonl").write_text(json.dumps(first) + "\n")
    (tmp_path / "x_best.params").write_bytes(b"")
    words = ["--network", "faster_rcnn_resnet10_v1_0.125", "--dataset", str(shapes_folder)]
    words += ["--params", str(tmp_path / "x_best.params"), "--gpus", ""]
    asked = faster_rcnn.FasterRCNNSettings(True, "pool", 70, 90, "bn")
    for more, expected in (
        ([], asked),
        (["--roi-mode", "align", "--short", "64"], replace(asked, roi_mode="align", short=64)),
    ):
        options = evaluation.parse([*words, *more])
        assert settings_of(options, options.params) == expected


def test_single_images_are_measured_on_all_devices():
    from gan_kd_ssd.evaluation import metrics as voc

    seen = []

    class Recorded:
        classes, data_shape = CLASSES, None
        evaluation_parts = faster_rcnn.FasterRCNN.evaluation_parts

        def detect(self, x):
            seen.append(x.context)
            nothing = mx.nd.full((1, 1, 1), -1, ctx=x.context)
            return nothing, nothing, mx.nd.zeros((1, 1, 4), ctx=x.context)

    devices = [mx.cpu(0), mx.cpu(1)]
    image, label = mx.nd.zeros((1, 3, 8, 8)), mx.nd.array([[[0, 0, 4, 4, 1, 0]]])
    voc.evaluate(Recorded(), [[(image, label, 1.0)] * 2, [(image, label, 1.0)]], devices)
    assert seen == [*devices, devices[0]]
