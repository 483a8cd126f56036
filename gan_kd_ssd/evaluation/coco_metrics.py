"""COCO's twelve figures, by GluonCV's COCODetectionMetric and pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_kd_ssd.data.formats.dataset import Dataset

#: pycocotools' figures in the order of its summary: average precision and recall over IoU 0.50 to
#: 0.95, at 0.50, at 0.75, by area of the object (32 and 96 pixels squared), by most detections.
FIGURES = (
    *("AP", "AP50", "AP75", "APsmall", "APmedium", "APlarge"),
    *("AR1", "AR10", "AR100", "ARsmall", "ARmedium", "ARlarge"),
)


@dataclass(frozen=True)
class COCOFigures:
    """What the metric says, 0 to 1; nan where the data set has nothing to ask for.

    ``ap``: AP over IoU 0.50 to 0.95 by class. ``figures``: by the names of FIGURES. ``summary``:
    the twelve lines that pycocotools prints.
    """

    ap: dict[str, float]
    figures: dict[str, float]
    summary: tuple[str, ...]

    @property
    def mean_ap(self) -> float:
        """AP over IoU 0.50 to 0.95, the figure of the paper's table 2."""
        return self.figures["AP"]

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The summary as GluonCV's scripts log it: ``name=value`` with an empty name."""
        return (f"={self.summary[0].lstrip()}", *self.summary[1:])


class COCOMetric:
    """Collects the detections of a data set's images, in its order, and measures them.

    GluonCV's conventions: detections below a score of 0.05 are left out, a box ends at its last pixel.
    Its own figures are rounded to a tenth of a percent; these are read from pycocotools unrounded.

    Args:
        dataset: of any layout. data_shape: side of the square input in whose pixels boxes come;
            None where they come in pixels of the image.
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
        """Add a batch: boxes (B, N, 4), ids (B, N), scores (B, N), as numpy arrays; id -1 is padding.

        More arguments, those of VOC's metrics, are not used: the ground truth is the data set's.
        """
        self._metric.update(boxes, ids, scores)
        self._seen += len(boxes)

    def get(self) -> COCOFigures:
        """The figures; ValueError unless every image has been seen once."""
        if self._seen != self._images:
            raise ValueError(f"detections of {self._seen} images, the data set has {self._images}")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            result = self._metric._update()  # get() would round
            printed.seek(0)
            printed.truncate()
            result.summarize()
        # (IoU thresholds, recalls, classes, areas, most detections); -1 where nothing is asked for
        precision = result.eval["precision"][:, :, :, 0, -1]
        ap = {name: _mean(precision[:, :, i]) for i, name in enumerate(self.classes)}
        figures = {
            name: float(value) if value > -1 else math.nan
            for name, value in zip(FIGURES, result.stats)
        }
        return COCOFigures(ap, figures, tuple(printed.getvalue().rstrip().splitlines()))


class _Truth:
    """What GluonCV's metric asks of a data set: its own COCODetection, in our ids."""

    def __init__(self, coco, classes: list[str]):
        self.coco, self.classes = coco, classes
        self.contiguous_id_to_json = {i: i + 1 for i in range(len(classes))}


def ground_truth(dataset: Dataset):
    """The annotations of a data set as pycocotools' COCO: images, classes and objects from 1 on.

    Own ids, because GluonCV and pycocotools need images and categories in the order of their ids, and
    take an annotation with id 0 for none.
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
