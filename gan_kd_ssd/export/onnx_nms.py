"""Non-maximum suppression of an SSD in ONNX's own operators.

mx2onnx translates MXNet's box_nms without its classes, so that a box would suppress boxes of all other
classes. ONNX's NonMaxSuppression has classes. The other nodes turn its result into GluonCV's outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gan_kd_ssd.export.blocks import DETECTIONS, RAW


class Suppression(NamedTuple):
    """The settings, with GluonCV's names and meaning."""

    classes: int  # K, foreground classes
    anchors: int  # N
    nms_thresh: float  # overlap above which the box with the lower score is removed
    nms_topk: int  # candidates in an image, of all classes together
    post_nms: int  # detections in an image
    score_thresh: float  # least score of a candidate


class _Graph:
    """Nodes and constants of an ONNX graph; every method returns the names of its outputs."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, dtype) -> str:
        from onnx import numpy_helper

        name = f"nms_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def node(self, operator: str, *inputs: str, output: str = "", outputs: int = 1, **attributes):
        from onnx.helper import make_node

        names = [output or f"nms_{operator}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names


def nodes(settings: Suppression) -> tuple[list, list]:
    """Nodes and constants: class scores (B, N, K + 1), boxes (B, N, 4) -> ids, scores, boxes.

    The outputs (B, D, 1), (B, D, 1), (B, D, 4) are sorted by score, with D = post_nms or K N, whichever
    is less. Rows of -1 are padding.
    """
    graph = _Graph()
    scores, boxes = RAW
    k, n = settings.classes, settings.anchors
    foreground = graph.node(
        "Slice", scores, graph.integers(1), graph.integers(k + 1), graph.integers(2)
    )
    by_class = graph.node("Transpose", foreground, perm=[0, 2, 1])  # (B, K, N)
    kept = graph.node(  # (M, 3): image, class, anchor
        "NonMaxSuppression",
        boxes,
        _candidates(graph, by_class, settings),
        graph.constant(n, np.int64),
        graph.constant(settings.nms_thresh, np.float32),
        graph.constant(settings.score_thresh, np.float32),
    )
    _detections(graph, by_class, kept, settings)
    return graph.nodes, graph.constants


def _candidates(graph: _Graph, by_class: str, settings: Suppression) -> str:
    """Scores (B, K, N) of the ``nms_topk`` best boxes of an image over all classes; 0 for the others."""
    total = settings.classes * settings.anchors
    topk = settings.nms_topk if 0 < settings.nms_topk < total else total
    flat = graph.node("Reshape", by_class, graph.integers(0, total))
    best, _ = graph.node("TopK", flat, graph.integers(topk), outputs=2)  # (B, topk), descending
    last = graph.node(
        "Slice", best, graph.integers(topk - 1), graph.integers(topk), graph.integers(1)
    )
    last = graph.node("Unsqueeze", last, graph.integers(2))  # (B, 1, 1)
    chosen = graph.node("GreaterOrEqual", by_class, last)
    return graph.node("Where", chosen, by_class, graph.constant([0], np.float32))


def _detections(graph: _Graph, by_class: str, kept: str, settings: Suppression) -> None:
    """Outputs from the scores (B, K, N) and the indices (M, 3) of the boxes that were kept."""
    anchors, total = settings.anchors, settings.classes * settings.anchors
    count = settings.post_nms if 0 < settings.post_nms < total else total
    zero = graph.constant([0], np.float32)
    padding = graph.constant([-1], np.float32)
    # The scores of the kept boxes among zeros. Sorted, they give the detections and their places.
    empty = graph.node("Mul", by_class, zero)
    values = graph.node("GatherND", by_class, kept)
    scattered = graph.node("ScatterND", empty, kept, values)
    flat = graph.node("Reshape", scattered, graph.integers(0, total))
    top, place = graph.node("TopK", flat, graph.integers(count), outputs=2)
    top = graph.node("Unsqueeze", top, graph.integers(2))  # (B, D, 1)
    place = graph.node("Unsqueeze", place, graph.integers(2))
    found = graph.node("Greater", top, zero)
    ids = graph.node("Cast", graph.node("Div", place, graph.integers(anchors)), to=1)  # FLOAT
    row = graph.node("Mod", place, graph.integers(anchors))
    corners = graph.node("GatherND", RAW[1], row, batch_dims=1)
    for name, value in zip(DETECTIONS, (ids, top, corners)):
        graph.node("Where", found, value, padding, output=name)
