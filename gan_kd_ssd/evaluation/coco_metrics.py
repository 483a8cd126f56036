"""COCO's twelve figures, computed by GluonCV's COCODetectionMetric and pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.formats.dataset import Dataset

#: pycocotools' figures in the order of its summary: average precision (AP) and recall (AR) over IoU
#: 0.50 to 0.95, at 0.50, at 0.75, by area of the object (limits 32² and 96² pixels), and by the
#: greatest number of detections per image.
FIGURES = (
    *("AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge"),
    *("AR1", "AR10", "AR100", "ARsmall", "ARmedium", "ARlarge"),
)


@dataclass(frozen=True)
class COCOFigures:
    """The result of the metric, from 0 to 1; nan if the data set has no such objects.

    ``ap`` is the AP over IoU 0.50 to 0.95 by class, ``figures`` holds the values by the names of
    FIGURES, and ``summary`` the twelve lines that pycocotools prints.
    """

    ap: dict[str, float]
    figures: dict[str, float]
    summary: tuple[str, ...]

    @property
    def mean_ap(self) -> float:
        """AP over IoU 0.50 to 0.95, as in the paper's table 2."""
        return self.figures["AP"]

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The summary as GluonCV's scripts log it: ``name=value`` with an empty name."""
        return (f"={self.summary[0].lstrip()}", *self.summary[1:])


class COCOMetric:
    """Collects the detections of all images, in the order of the data set, and measures them.

    The conventions are GluonCV's: detections below a score of 0.05 are left out, and a box includes
    its last pixel. GluonCV rounds its figures to a tenth of a percent; these are not rounded.
    Boxes are in pixels of a square input of side ``data_shape``, or of the image if that is None.
    """

    def __init__(self, dataset: Dataset, data_shape: int | None = None):
        import gan_kd_ssd.util.mxnet  # noqa: F401  isort: skip
        from gluoncv.utils.metrics.coco_detection import COCODetectionMetric

        self._folder = tempfile.TemporaryDirectory(prefix="coco-metric-")  # GluonCV writes a file
        self.classes = list(dataset.classes)
        truth = _Truth(ground_truth(dataset), self.classes)
        shape = None if data_shape is None else (data_shape, data_shape)
        prefix = str(Path(self._folder.name) / "detections")
        self._metric = COCODetectionMetric(truth, prefix, use_time=False, data_shape=shape)
        self._images, self._seen = len(dataset), 0

    def update(self, boxes, ids, scores, *_labels, **_more) -> None:
        """Add boxes (B, N, 4), ids (B, N; -1 pads) and scores (B, N); further arguments are unused."""
        self._metric.update(boxes, ids, scores)
        self._seen += len(boxes)

    def get(self) -> COCOFigures:
        """Compute the figures; raise a ValueError unless every image has been added once."""
        if self._seen != self._images:
            raise ValueError(f"detections of {self._seen} images, the data set has {self._images}")
        with contextlib.redirect_stdout(io.StringIO()):
            result = self._metric._update()  # get() would round
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            result.summarize()
        # (IoU thresholds, recalls, classes, areas, detections per image); -1 without objects
        precision = result.eval["precision"][:, :, :, 0, -1]
        ap = {name: _mean(precision[:, :, i]) for i, name in enumerate(self.classes)}
        stats = [float(value) if value > -1 else math.nan for value in result.stats]
        lines = printed.getvalue().rstrip().splitlines()
        return COCOFigures(ap, dict(zip(FIGURES, stats)), tuple(lines))


class _Truth:
    """The part of GluonCV's COCODetection that its metric uses, with the ids of ground_truth."""

    def __init__(self, coco, classes: list[str]):
        self.coco, self.classes = coco, classes
        self.contiguous_id_to_json = {i: i + 1 for i in range(len(classes))}


def ground_truth(dataset: Dataset):
    """Convert the annotations of a data set to pycocotools' COCO.

    Ids are new: GluonCV and pycocotools need them in order and treat an annotation 0 as missing.
    """
    from pycocotools.coco import COCO

    coco = COCO()
    sizes = [dataset.image_size(i) for i in range(len(dataset))]
    coco.dataset = {
        "info": {},
        "images": [{"id": i, "width": w, "height": h} for i, (w, h) in enumerate(sizes, 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(dataset.classes, 1)],
        "annotations": [
            {
                "id": number,
                "image_id": int(found["image"]) + 1,
                "category_id": int(found["class"]) + 1,
                "bbox": found["box"].tolist(),
                "area": float(found["area"]),
                "iscrowd": int(found["crowd"]),
            }
            for number, found in enumerate(dataset.objects(), 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _mean(precision: np.ndarray) -> float:
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else math.nan
