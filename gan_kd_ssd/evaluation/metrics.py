"""Mean average precision of a detector, by GluonCV's own metrics: VOC's two, and COCO's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gan_kd_ssd.data.formats.dataset import Dataset
from gan_kd_ssd.evaluation.coco_metrics import COCOFigures, COCOMetric

METRICS = ("voc07", "voc12")  # VOC's
METRIC_TITLES = {
    "voc07": "VOC07 11-point AP",
    "voc12": "VOC12 area AP",
    "coco": "COCO AP@[.50:.95]",
}
IOU_THRESHOLD = 0.5  # VOC's, and that of the paper's tables 1 and 3


def metric_for(dataset: Dataset) -> str:
    """The metric that a data set is usually measured by: VOC07's of the published logs, or COCO's."""
    return "coco" if dataset.layout == "coco" else "voc07"


@dataclass
class Evaluation:
    """What one pass over a split measured.

    ``ap`` is nan for a class of which the split has no object that counts (difficult ones do not);
    ``mean_ap`` is the mean over the others, nan where there are none. ``seconds`` is the wall time
    of ``timed_images`` images, loading and metric included, of which ``network_seconds`` were spent
    in the network and fetching its output. The first batch is left out of the three figures (the
    graph is traced there), unless it is the only one: then ``warm`` is False. ``coco`` holds all
    figures of COCO's metric, where it is the one.
    """

    classes: list[str]
    ap: dict[str, float]
    mean_ap: float
    images: int
    seconds: float
    metric: str
    timed_images: int
    network_seconds: float
    warm: bool
    objects: dict[str, int] = field(default_factory=dict)  # not difficult, by class
    coco: COCOFigures | None = None

    @property
    def images_per_second(self) -> float:
        """Images/s of the whole loop."""
        return self.timed_images / self.seconds if self.seconds > 0 else math.nan

    @property
    def network_images_per_second(self) -> float:
        """Images/s of the network and its non-maximum suppression alone."""
        seconds = self.network_seconds
        return self.timed_images / seconds if seconds > 0 else math.nan

    def lines(self) -> list[str]:
        """``class=AP`` for each class and ``mAP=…``, as the published logs write a validation."""
        return [f"{name}={ap}" for name, ap in [*self.ap.items(), ("mAP", self.mean_ap)]]

    def to_json(self) -> dict:
        """Plain types for ``json.dumps``; nan becomes None."""
        figures = {}
        if self.coco:
            figures["figures"] = {n: _finite(value) for n, value in self.coco.figures.items()}
        return {
            "metric": self.metric,
            "iou_threshold": "0.50:0.95" if self.coco else IOU_THRESHOLD,
            **figures,
            "mAP": _finite(self.mean_ap),
            "classes": {name: _finite(ap) for name, ap in self.ap.items()},
            "objects": {name: int(count) for name, count in self.objects.items()},
            "images": int(self.images),
            "images_per_second": _finite(self.images_per_second),
            "network_images_per_second": _finite(self.network_images_per_second),
            "timed_images": int(self.timed_images),
            "warm": bool(self.warm),
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
    """Measure the mAP of a detector: at IoU 0.5, or COCO's over IoU 0.50 to 0.95.

    Args:
        detector: its ``detect(x)`` gives ids (B, N, 1), scores (B, N, 1), boxes (B, N, 4) in pixels
            of the input, ids -1 as padding; its ``classes`` are in the order of the ids.
        batches: pairs of images (B, 3, S, S) and labels (B, M, 6): x0, y0, x1, y1 (pixels of the
            input, 0-based corners), class, difficult; rows of -1 as padding. Or, for images of any
            size, lists of at most as many (image, label, scale) as there are contexts: (1, 3, H, W),
            (1, M, 6), and the factor from pixels of the input to those of the image.
        ctx: MXNet contexts; a batch is split over them, and they compute at the same time.
        metric: 'voc07' (11-point, published for VOC), 'voc12' (area under the curve), or 'coco'.
        progress: called after each batch with its number of images (``tqdm.update`` fits).
        dataset: that the batches are of, whole and in its order; 'coco' alone needs it.

    Raises:
        ValueError: a metric of another name, or 'coco' without its data set.
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
    """Like :func:`evaluate`, for several metrics in one pass over the images."""
    gluoncv_metrics = {name: _gluoncv_metric(name, detector, dataset) for name in metrics}
    counts = np.zeros(len(detector.classes), dtype=np.int64)
    spans = []  # of each batch: images, seconds since the batch before, seconds in the network
    started = time.perf_counter()
    for batch in batches:
        loaded = time.perf_counter()
        parts = _parts(batch, ctx)
        found = _detect_parts(detector, [images for images, _, _ in parts])
        network_seconds = time.perf_counter() - loaded
        for (_, labels, scale), (ids, scores, boxes) in zip(parts, found):
            # Arrays and not lists: GluonCV then pairs images with their difficult flags one by one,
            # where lists of arrays with another number of objects would drop the flags.
            places = (boxes * scale, ids[..., 0], scores[..., 0], labels[..., :4] * scale)
            for gluoncv_metric in gluoncv_metrics.values():
                gluoncv_metric.update(*places, labels[..., 4], gt_difficults=labels[..., 5])
            counts += _count_objects(labels, len(counts))
        ended = time.perf_counter()
        size = sum(len(images) for images, _, _ in parts)
        spans.append((size, ended - started, network_seconds))
        started = ended
        if progress is not None:
            progress(size)

    timed = spans[1:] or spans  # the graph is traced during the first batch
    classes = list(detector.classes)
    results = {}
    for name, gluoncv_metric in gluoncv_metrics.items():
        ap, mean_ap, figures = _read(gluoncv_metric, classes, counts)
        results[name] = Evaluation(
            classes=classes,
            ap=ap,
            mean_ap=mean_ap,
            images=sum(images for images, _, _ in spans),
            seconds=sum(seconds for _, seconds, _ in timed),
            metric=name,
            timed_images=sum(images for images, _, _ in timed),
            network_seconds=sum(seconds for _, _, seconds in timed),
            warm=len(spans) > 1,
            objects=dict(zip(classes, counts.tolist())),
            coco=figures,
        )
    return results


def detect(detector, images, ctx: Sequence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detections of one batch, computed on all contexts at once.

    The batch (B, 3, S, S) is split into one part for each context, as even as may be; a batch
    smaller than the number of contexts uses fewer of them.

    Returns:
        ids (B, N, 1), scores (B, N, 1), boxes (B, N, 4) in pixels of the input, as numpy arrays.
    """
    found = _detect_parts(detector, _split(images, ctx))
    ids, scores, boxes = (np.concatenate(arrays) for arrays in zip(*found))
    return ids, scores, boxes


def _split(images, ctx: Sequence) -> list:
    """A batch in parts, one on each context."""
    parts = min(len(ctx), len(images))
    edges = [len(images) * part // parts for part in range(parts + 1)]
    return [
        images[start:end].as_in_context(device) for device, start, end in zip(ctx, edges, edges[1:])
    ]


def _parts(batch, ctx: Sequence) -> list[tuple]:
    """(images on a context, their labels as numpy, scale) of a batch of either kind."""
    if isinstance(batch, list):
        return [
            (image.as_in_context(device), _as_numpy(label), scale)
            for (image, label, scale), device in zip(batch, ctx)
        ]
    images, labels = batch
    parts, labels, first = [], _as_numpy(labels), 0
    for part in _split(images, ctx):
        parts.append((part, labels[first : first + len(part)], 1.0))
        first += len(part)
    return parts


def _detect_parts(detector, parts: Sequence) -> list[list[np.ndarray]]:
    """Ids, scores and boxes of each part; all are queued before the first result is waited for.

    Boxes are clipped to the input, as GluonCV's evaluation does.
    """
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.nn.bbox import BBoxClipToImage

    clip = BBoxClipToImage()
    queued = []
    for part in parts:
        ids, scores, boxes = detector.detect(part)
        queued.append((ids, scores, clip(boxes, part)))
    return [[array.asnumpy() for array in arrays] for arrays in queued]


def detect_image(detector, image: np.ndarray, device):
    """Detections of an image uint8 (H, W, 3): ids (N,), scores (N,), boxes (N, 4) in its pixels."""
    from gan_kd_ssd.util.mxnet import mx

    x = input_of(detector, image)
    ids, scores, boxes = detect(detector, mx.nd.array(x[None]), [device])
    scale = np.array(image.shape[1::-1] * 2, np.float32) / np.array(x.shape[:0:-1] * 2, np.float32)
    kept = ids[0, :, 0] >= 0
    return ids[0, kept, 0].astype(int), scores[0, kept, 0], boxes[0, kept] * scale


def input_of(detector, image: np.ndarray) -> np.ndarray:
    """An image uint8 (H, W, 3) as the detector takes it: float32 (3, H', W'), normalised."""
    no_objects = np.zeros((0, 6), dtype=np.float32)
    if getattr(detector, "any_size", False):
        from gan_kd_ssd.data.batches.faster_rcnn_transform import val_transform

        return val_transform(image, no_objects, detector.short, detector.max_size)[0]
    from gan_kd_ssd.data.batches.ssd_transform import val_transform

    return val_transform(image, no_objects, detector.data_shape)[0]


def table(evaluation: Evaluation | Sequence[Evaluation]) -> str:
    """Aligned table: one line a class with its objects and AP in percent, then the mean.

    Several evaluations of the same split (one for each metric) stand side by side.
    """
    evaluations = [evaluation] if isinstance(evaluation, Evaluation) else list(evaluation)
    first = evaluations[0]
    titles = [METRIC_TITLES[one.metric] for one in evaluations]
    rows = [
        (name, str(first.objects.get(name, "")), [one.ap[name] for one in evaluations])
        for name in first.classes
    ]
    total = str(sum(first.objects.values())) if first.objects else ""
    mean = ("mAP", total, [one.mean_ap for one in evaluations])
    name_width = max(len(name) for name, _, _ in [*rows, mean, ("class", "", [])])
    count_width = max(len("objects"), len(total))

    def line(name, count, cells):
        padded = "".join(f"  {cell:>{len(title)}}" for cell, title in zip(cells, titles))
        return f"{name:<{name_width}}  {count:>{count_width}}{padded}".rstrip()

    def percent(values):
        return ["-" if math.isnan(value) else f"{100 * value:.2f}" for value in values]

    header = line("class", "objects", titles)
    rule = "-" * len(header)
    body = [line(name, count, percent(values)) for name, count, values in rows]
    return "\n".join([header, rule, *body, rule, line(mean[0], mean[1], percent(mean[2]))])


def _gluoncv_metric(name: str, detector, dataset: Dataset | None):
    if name == "coco":
        if dataset is None:
            raise ValueError("metric 'coco': give the data set that the batches are of")
        any_size = getattr(detector, "any_size", False)  # its boxes come in pixels of the image
        return COCOMetric(dataset, None if any_size else detector.data_shape)
    import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
    from gluoncv.utils.metrics.voc_detection import VOC07MApMetric, VOCMApMetric

    kinds = {"voc07": VOC07MApMetric, "voc12": VOCMApMetric}
    if name not in kinds:
        raise ValueError(f"metric {name!r} is none of {', '.join(METRIC_TITLES)}")
    return kinds[name](iou_thresh=IOU_THRESHOLD, class_names=list(detector.classes))


def _read(metric, classes, counts) -> tuple[dict[str, float], float, COCOFigures | None]:
    """AP by class, their mean, COCO's figures; GluonCV's VOC metrics need an object to average."""
    if isinstance(metric, COCOMetric):
        figures = metric.get()
        return figures.ap, figures.mean_ap, figures
    if counts.sum() == 0:
        return dict.fromkeys(classes, math.nan), math.nan, None
    _, values = metric.get()
    return dict(zip(classes, map(float, values))), float(values[-1]), None


def _count_objects(labels: np.ndarray, classes: int) -> np.ndarray:
    """Objects (C,) that count for recall, by class, of labels (B, M, 6)."""
    counted = (labels[..., 4] >= 0) & (labels[..., 5] <= 0)
    return np.bincount(labels[..., 4][counted].astype(np.int64), minlength=classes)


def _as_numpy(array) -> np.ndarray:
    return array.asnumpy() if hasattr(array, "asnumpy") else np.asarray(array)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
