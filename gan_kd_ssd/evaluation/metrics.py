"""Mean average precision of a detector by GluonCV's metrics: VOC's two, and COCO's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.evaluation.coco_metrics import COCOFigures, COCOMetric
from gan_kd_ssd.util.tables import aligned

METRICS = ("voc07", "voc12")  # VOC's metrics
METRIC_TITLES = {
    "voc07": "VOC07 11-point AP",
    "voc12": "VOC12 area AP",
    "coco": "COCO AP@[.50:.95]",
}
IOU_THRESHOLD = 0.5  # of VOC's metrics, and of the paper's tables 1 and 3


def metric_for(dataset: Dataset) -> str:
    """The usual metric of a data set: COCO's, or VOC07's as in the published logs."""
    return "coco" if dataset.layout == "coco" else "voc07"


@dataclass(frozen=True)
class Timing:
    """Duration of an evaluation.

    ``seconds`` is the wall time of ``images`` images, including loading and metrics;
    ``network_seconds`` is the part spent in the network, including the transfer of its output. The
    first batch, which traces the graph, is left out unless it is the only one: then ``warm`` is False.
    """

    images: int
    seconds: float
    network_seconds: float
    warm: bool

    @property
    def images_per_second(self) -> float:
        """Images/s of the whole loop."""
        return self.images / self.seconds if self.seconds > 0 else math.nan

    @property
    def network_images_per_second(self) -> float:
        """Images/s of the network with non-maximum suppression."""
        return self.images / self.network_seconds if self.network_seconds > 0 else math.nan

    def __str__(self) -> str:
        note = "after the first batch" if self.warm else "a single batch, with graph tracing"
        return (
            f"{self.images_per_second:.1f} images/s over the whole loop, "
            f"{self.network_images_per_second:.1f} images/s in the network ({note})"
        )


@dataclass(frozen=True)
class Evaluation:
    """Result of one metric for one pass over a split.

    ``ap`` holds the AP by class, nan for a class without objects that count (difficult ones do not);
    ``mean_ap`` is the mean of the other classes. ``objects`` counts the objects that are not
    difficult, by class. ``coco`` holds all figures of COCO's metric.
    """

    metric: str
    ap: dict[str, float]
    mean_ap: float
    images: int
    timing: Timing
    objects: dict[str, int] = field(default_factory=dict)
    coco: COCOFigures | None = None

    def lines(self) -> list[str]:
        """Lines ``class=AP`` for each class and ``mAP=…``, in the format of the published logs."""
        return [f"{name}={ap}" for name, ap in [*self.ap.items(), ("mAP", self.mean_ap)]]

    def to_json(self) -> dict:
        """The result in plain types for ``json.dumps``; nan becomes None."""
        timing = self.timing
        return {
            "metric": self.metric,
            "iou_threshold": "0.50:0.95" if self.coco else IOU_THRESHOLD,
            **({"figures": _finite(self.coco.figures)} if self.coco else {}),
            **_finite({"mAP": self.mean_ap}),
            "classes": _finite(self.ap),
            "objects": self.objects,
            "images": self.images,
            **_finite({"images_per_second": timing.images_per_second}),
            **_finite({"network_images_per_second": timing.network_images_per_second}),
            "timed_images": timing.images,
            "warm": timing.warm,
            "lines": self.lines(),
        }


def evaluate(
    detector,
    batches: Iterable,
    ctx: Sequence,
    metric: str = "voc07",
    progress: Callable[[int], object] | None = None,
    dataset: Dataset | None = None,
) -> Evaluation:
    """Measure the mAP of a detector, at IoU 0.5 or COCO's over IoU 0.50 to 0.95.

    Args:
        detector: A :class:`~gan_kd_ssd.detectors.base.Detector`.
        batches: Batches of its ``val_batches``.
        ctx: MXNet contexts. A batch is split over them, and they compute at the same time.
        metric: 'voc07' (11-point, published for VOC), 'voc12' (area under the curve) or 'coco'.
        progress: Called after each batch with its number of images (``tqdm.update`` fits).
        dataset: The whole data set of the batches, for the metric 'coco'.

    Raises:
        ValueError: The metric is unknown, or is 'coco' and the data set is missing.
    """
    return evaluate_metrics(detector, batches, ctx, (metric,), progress, dataset)[metric]


def evaluate_metrics(
    detector,
    batches: Iterable,
    ctx: Sequence,
    metrics: Sequence[str] = METRICS,
    progress: Callable[[int], object] | None = None,
    dataset: Dataset | None = None,
) -> dict[str, Evaluation]:
    """Measure several metrics in one pass over the images; arguments as for :func:`evaluate`."""
    meters = {name: _gluoncv_metric(name, detector, dataset) for name in metrics}
    counts = np.zeros(len(detector.classes), dtype=np.int64)
    spans = []  # of each batch: images, seconds since the batch before, seconds in the network
    started = time.perf_counter()
    for batch in batches:
        loaded = time.perf_counter()
        parts = detector.evaluation_parts(batch, ctx)
        found = _detect_parts(detector, [part.images for part in parts])
        network_seconds = time.perf_counter() - loaded
        for part, (ids, scores, boxes) in zip(parts, found):
            # Arrays instead of lists: with lists of arrays of different lengths, GluonCV would lose
            # the difficult flags. Boxes are measured in pixels of the image.
            labels = part.labels
            classes, difficult = labels[..., 4], labels[..., 5]
            places = (boxes * part.scale, ids[..., 0], scores[..., 0], labels[..., :4] * part.scale)
            for meter in meters.values():
                meter.update(*places, classes, gt_difficults=difficult)
            counted = classes[(classes >= 0) & (difficult <= 0)].astype(np.int64)
            counts += np.bincount(counted, minlength=len(counts))
        ended = time.perf_counter()
        size = sum(len(part.images) for part in parts)
        spans.append((size, ended - started, network_seconds))
        started = ended
        if progress is not None:
            progress(size)
    timed = spans[1:] or spans or [(0, 0, 0)]
    timing = Timing(*map(sum, zip(*timed)), warm=len(spans) > 1)
    images = sum(size for size, *_ in spans)
    objects = dict(zip(detector.classes, counts.tolist()))
    results = {}
    for name, meter in meters.items():
        ap, mean_ap, coco = _read(meter, objects)
        results[name] = Evaluation(name, ap, mean_ap, images, timing, objects, coco)
    return results


def _detect_parts(detector, parts: Sequence) -> list[list[np.ndarray]]:
    """Ids, scores and boxes, clipped to the input as by GluonCV. All parts run at the same time."""
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.nn.bbox import BBoxClipToImage

    clip = BBoxClipToImage()
    queued = []
    for part in parts:
        ids, scores, boxes = detector.detect(part)
        queued.append((ids, scores, clip(boxes, part)))
    return [[array.asnumpy() for array in arrays] for arrays in queued]


def detect_image(detector, image: np.ndarray, device):
    """Detect objects in an image uint8 (H, W, 3): ids (N,), scores (N,), boxes (N, 4) in its pixels."""
    from gan_kd_ssd.util.mxnet import mx

    x = detector.prepare(image)
    ((ids, scores, boxes),) = _detect_parts(detector, [mx.nd.array(x[None], ctx=device)])
    scale = np.array(image.shape[1::-1] * 2, np.float32) / np.array(x.shape[:0:-1] * 2, np.float32)
    kept = ids[0, :, 0] >= 0
    return ids[0, kept, 0].astype(int), scores[0, kept, 0], boxes[0, kept] * scale


def table(evaluations: Sequence[Evaluation]) -> str:
    """A table of the classes of a split: objects, AP in percent by each metric, and the mean."""
    first = evaluations[0]

    def row(name, count, values):
        return [name, count, *("-" if math.isnan(v) else f"{100 * v:.2f}" for v in values)]

    rows = [["class", "objects", *(METRIC_TITLES[one.metric] for one in evaluations)]]
    for name in first.ap:
        rows.append(row(name, first.objects.get(name, ""), [one.ap[name] for one in evaluations]))
    total = sum(first.objects.values()) if first.objects else ""
    rows.append(row("mAP", total, [one.mean_ap for one in evaluations]))
    head, *lines, mean = aligned(rows, right=range(1, len(rows[0]))).splitlines()
    rule = "-" * len(head)
    return "\n".join([head, rule, *lines, rule, mean])


def _gluoncv_metric(name: str, detector, dataset: Dataset | None):
    if name == "coco":
        if dataset is None:
            raise ValueError("metric 'coco': give the data set of the batches")
        return COCOMetric(dataset, detector.data_shape)  # None: boxes are in pixels of the image
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.utils.metrics.voc_detection import VOC07MApMetric, VOCMApMetric

    kinds = {"voc07": VOC07MApMetric, "voc12": VOCMApMetric}
    if name not in kinds:
        raise ValueError(f"metric {name!r} is none of {', '.join(METRIC_TITLES)}")
    return kinds[name](iou_thresh=IOU_THRESHOLD, class_names=list(detector.classes))


def _read(meter, objects: dict[str, int]) -> tuple[dict[str, float], float, COCOFigures | None]:
    """AP by class, their mean, and COCO's figures; nan if there are no objects."""
    if isinstance(meter, COCOMetric):
        figures = meter.get()
        return figures.ap, figures.mean_ap, figures
    if not any(objects.values()):  # GluonCV's VOC metrics fail without objects
        return dict.fromkeys(objects, math.nan), math.nan, None
    _, values = meter.get()
    return dict(zip(objects, map(float, values))), float(values[-1]), None


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
