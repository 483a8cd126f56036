"""Non-maximum suppression of an SSD in ONNX's own operators.

mx2onnx translates MXNet's box_nms, but without its classes: a box would suppress those of every other
class. ONNX's NonMaxSuppression has classes; what stands around it makes the outputs GluonCV's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gan_kd_ssd.export.blocks import DETECTIONS, RAW


class Suppression(NamedTuple):
    """What it does: GluonCV's names and meaning."""

    classes: int  # foreground classes, K
    anchors: int  # N
    nms_thresh: float  # overlap from which the lower score goes
    nms_topk: int  # candidates of an image, of all classes together
    post_nms: int  # detections of an image
    score_thresh: float  # scores above it are candidates


def nodes(settings: Suppression) -> tuple[list, list]:
    """Nodes and constants: class scores (B, N, K + 1), boxes (B, N, 4) -> ids, scores, boxes.

    Best first, -1 pads, (B, D, 1), (B, D, 1), (B, D, 4) with D = post_nms, or K N where that is less.
    """
    from onnx import TensorProto, numpy_helper
    from onnx.helper import make_node

    made, constants = [], []

    def constant(value, dtype) -> str:
        name = f"nms_constant_{len(constants)}"
        constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def whole(*values) -> str:
        return constant(values, np.int64)

    def node(operator: str, *inputs: str, output: str = "", outputs: int = 1, **attributes):
        names = [output or f"nms_{operator}_{len(made)}_{i}" for i in range(outputs)]
        made.append(make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    scores, boxes = RAW
    k, n = settings.classes, settings.anchors
    foreground = node("Slice", scores, whole(1), whole(k + 1), whole(2))
    by_class = node("Transpose", foreground, perm=[0, 2, 1])  # (B, K, N)
    flat = node("Reshape", by_class, whole(0, k * n))
    zero, none = constant([0], np.float32), constant([-1], np.float32)

    # The best candidates of an image alone, of all classes together: the others get score 0.
    topk = settings.nms_topk if 0 < settings.nms_topk < k * n else k * n
    best, _ = node("TopK", flat, whole(topk), outputs=2)  # (B, topk), falling
    last = node("Slice", best, whole(topk - 1), whole(topk), whole(1))
    last = node("Unsqueeze", last, whole(2))  # (B, 1, 1)
    candidate = node("GreaterOrEqual", by_class, last)
    candidates = node("Where", candidate, by_class, zero)
    kept = node(  # (M, 3): image, class, anchor
        "NonMaxSuppression",
        boxes,
        candidates,
        constant(n, np.int64),
        constant(settings.nms_thresh, np.float32),
        constant(settings.score_thresh, np.float32),
    )

    # Scores of what is kept, 0 elsewhere; sorted, they give the detections and where they come from.
    empty = node("Mul", by_class, zero)
    values = node("GatherND", by_class, kept)
    survivors = node("Reshape", node("ScatterND", empty, kept, values), whole(0, k * n))
    count = settings.post_nms if 0 < settings.post_nms < k * n else k * n
    top, place = node("TopK", survivors, whole(count), outputs=2)
    top, place = node("Unsqueeze", top, whole(2)), node("Unsqueeze", place, whole(2))  # (B, D, 1)
    found = node("Greater", top, zero)
    ids = node("Cast", node("Div", place, whole(n)), to=TensorProto.FLOAT)
    corners = node("GatherND", boxes, node("Mod", place, whole(n)), batch_dims=1)
    for name, value in zip(DETECTIONS, (ids, top, corners)):
        node("Where", found, value, none, output=name)
    return made, constants
