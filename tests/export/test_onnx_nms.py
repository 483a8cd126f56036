"""Non-maximum suppression in ONNX's operators gives what MXNet's gives."""

from types import SimpleNamespace

import numpy as np
import pytest

from gan_kd_ssd.export import blocks, differences, onnx_file, onnx_nms
from gan_kd_ssd.util.mxnet import mx

onnx = pytest.importorskip("onnx", reason="needs requirements-onnx.txt")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")


def onnx_detections(settings, scores, boxes):
    """Outputs by name of a model that is the suppression alone."""
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, ["batch", *array.shape[1:]]
        )
        for name, array in zip(blocks.RAW, (scores, boxes))
    ]
    graph = onnx.helper.make_graph([], "suppression", inputs, [])
    onnx_nms.append(graph, settings)
    shapes = {name: ["batch", None, width] for name, width in zip(blocks.DETECTIONS, (1, 1, 4))}
    made = onnx_file.model(graph, shapes, {})
    session = onnxruntime.InferenceSession(made.SerializeToString())
    return dict(zip(shapes, session.run(None, dict(zip(blocks.RAW, (scores, boxes))))))


def mxnet_detections(settings, scores, boxes):
    from gluoncv.nn.coder import MultiPerClassDecoder

    net = SimpleNamespace(
        num_classes=settings.classes,
        nms_thresh=settings.nms_thresh,
        nms_topk=settings.nms_topk,
        post_nms=settings.post_nms,
        cls_decoder=MultiPerClassDecoder(settings.classes + 1, thresh=settings.score_thresh),
    )
    found = blocks.suppress(net, mx.nd.array(scores), mx.nd.array(boxes))
    return dict(zip(blocks.DETECTIONS, (array.asnumpy() for array in found)))


@pytest.mark.parametrize(
    ("images", "classes", "anchors", "topk", "kept", "spread"),
    [
        (1, 1, 30, 400, 100, 3),  # fewer rows than are kept
        (2, 3, 60, 400, 100, 3),
        (3, 3, 200, 50, 20, 3),
        (2, 20, 150, 400, 100, 1),
        (1, 2, 40, -1, -1, 3),  # no limits
        (2, 2, 30, 10, 100, 0.1),
    ],
)
def test_detections_are_mxnets_best_first(images, classes, anchors, topk, kept, spread):
    rng = np.random.default_rng(anchors)
    logits = rng.normal(scale=spread, size=(images, anchors, classes + 1))
    scores = (np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)).astype("f")
    low = rng.uniform(0, 60, (images, anchors, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, low.shape)], axis=-1).astype("f")
    settings = onnx_nms.Suppression(classes, anchors, 0.45, topk, kept, 0.01)
    got = onnx_detections(settings, scores, boxes)
    want = mxnet_detections(settings, scores, boxes)
    assert not differences.as_sets("", want, got).excess
    assert (got["scores"][:, :-1] >= got["scores"][:, 1:]).all()
    assert 0 < (got["ids"] >= 0).sum() < images * classes * anchors


def test_an_image_without_a_candidate_has_no_detections():
    scores = np.full((2, 5, 3), 0.005, np.float32)
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (2, 5, 1))
    settings = onnx_nms.Suppression(2, 5, 0.45, 400, 100, 0.01)
    assert (onnx_detections(settings, scores, boxes)["ids"] == -1).all()
    scores[1, 2, 2] = 0.5
    got = onnx_detections(settings, scores, boxes)
    assert not differences.as_sets("", mxnet_detections(settings, scores, boxes), got).excess
    assert got["ids"][1, 0, 0] == 1 and (got["ids"][0] == -1).all()


def test_a_box_suppresses_those_of_its_class_alone():
    scores = np.array([[[0, 0.9, 0.5], [0, 0.8, 0.6]]], np.float32)
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 11]]], np.float32)
    got = onnx_detections(onnx_nms.Suppression(2, 2, 0.45, 400, 100, 0.01), scores, boxes)
    assert got["ids"][0, :, 0].tolist() == [0, 1, -1, -1]
    np.testing.assert_array_equal(got["boxes"][0, :2], boxes[0])
