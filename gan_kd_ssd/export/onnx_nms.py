"""Non-maximum suppression of an SSD in ONNX's own operators.

mx2onnx translates MXNet's box_nms without its classes, so that a box would suppress boxes of all other
classes. ONNX's NonMaxSuppression has classes. The other nodes turn its result into GluonCV's outputs.
"""

from __future__ import annotations

from string import Template
from typing import NamedTuple

from gan_kd_ssd.detectors.base import Detector

#: In ONNX's own notation. B images, K classes, N anchors, M kept boxes, D detections of an image, which
#: are sorted by score and padded with rows of -1. No name beginning with ``nms_`` is in a network's graph.
_GRAPH = Template("""
suppression (float[B, N, C] class_scores, float[B, N, 4] class_boxes)
=> (float[B, D, 1] ids, float[B, D, 1] scores, float[B, D, 4] boxes)
<int64[1] nms_1 = {1}, int64[1] nms_2 = {2}, int64[1] nms_end = {$end}, int64[1] nms_anchors = {$anchors},
 int64[2] nms_flat = {0, $total}, int64[1] nms_topk = {$topk}, int64[1] nms_rest = {$rest},
 int64[1] nms_count = {$count}, float[1] nms_zero = {0.0}, float[1] nms_padding = {-1.0},
 int64 nms_limit = {$anchors}, float nms_overlap = {$overlap}, float nms_least = {$least}>
{
   nms_foreground = Slice (class_scores, nms_1, nms_end, nms_2)
   nms_scores = Transpose <perm = [0, 2, 1]> (nms_foreground)  # (B, K, N)

   # The scores of the best boxes of an image over all classes, 0 for the others.
   nms_flat_scores = Reshape (nms_scores, nms_flat)
   nms_best, nms_best_places = TopK (nms_flat_scores, nms_topk)
   nms_last = Slice (nms_best, nms_rest, nms_topk, nms_1)
   nms_least_score = Unsqueeze (nms_last, nms_2)  # (B, 1, 1)
   nms_chosen = GreaterOrEqual (nms_scores, nms_least_score)
   nms_candidates = Where (nms_chosen, nms_scores, nms_zero)
   # (M, 3): image, class, anchor
   nms_kept = NonMaxSuppression (class_boxes, nms_candidates, nms_limit, nms_overlap, nms_least)

   # The scores of the kept boxes among zeros. Sorted, they give the detections and their places.
   nms_empty = Mul (nms_scores, nms_zero)
   nms_values = GatherND (nms_scores, nms_kept)
   nms_scattered = ScatterND (nms_empty, nms_kept, nms_values)
   nms_sorted = Reshape (nms_scattered, nms_flat)
   nms_top, nms_top_places = TopK (nms_sorted, nms_count)
   nms_tops = Unsqueeze (nms_top, nms_2)  # (B, D, 1)
   nms_places = Unsqueeze (nms_top_places, nms_2)
   nms_found = Greater (nms_tops, nms_zero)
   nms_class = Div (nms_places, nms_anchors)
   nms_ids = Cast <to = 1> (nms_class)
   nms_anchor = Mod (nms_places, nms_anchors)
   nms_corners = GatherND <batch_dims = 1> (class_boxes, nms_anchor)
   ids = Where (nms_found, nms_ids, nms_padding)
   scores = Where (nms_found, nms_tops, nms_padding)
   boxes = Where (nms_found, nms_corners, nms_padding)
}
""")


class Suppression(NamedTuple):
    """The settings, with GluonCV's names and meaning."""

    classes: int  # K, foreground classes
    anchors: int  # N
    nms_thresh: float  # overlap above which the box with the lower score is removed
    nms_topk: int  # candidates in an image, of all classes together
    post_nms: int  # detections in an image
    score_thresh: float  # least score of a candidate

    @classmethod
    def of(cls, detector: Detector) -> Suppression:
        """The settings of an SSD."""
        net, anchors = detector.net, len(detector.anchors)
        limits = (net.nms_thresh, net.nms_topk, net.post_nms, net.cls_decoder._thresh)
        return cls(net.num_classes, anchors, *limits)


def append(graph, settings: Suppression) -> None:
    """Add the suppression to the ONNX graph of an SSD's raw outputs."""
    from onnx import parser

    total = settings.classes * settings.anchors
    topk, count = (
        limit if 0 < limit < total else total for limit in (settings.nms_topk, settings.post_nms)
    )
    text = _GRAPH.substitute(
        end=settings.classes + 1,
        anchors=settings.anchors,
        total=total,
        topk=topk,
        rest=topk - 1,
        count=count,
        overlap=settings.nms_thresh,
        least=settings.score_thresh,
    )
    parsed = parser.parse_graph(text)
    graph.node.extend(parsed.node)
    graph.initializer.extend(parsed.initializer)
