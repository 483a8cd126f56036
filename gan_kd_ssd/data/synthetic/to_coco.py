"""From VOC layout to COCO layout, with the same labels in GluonCV's conventions for both."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.data.formats import voc
from gan_kd_ssd.data.formats.annotation import Annotation, read_annotation
from gan_kd_ssd.data.formats.coco import annotation_file
from gan_kd_ssd.data.formats.dataset import class_ids


def voc_to_coco(folder: Path, classes: Sequence[str]) -> None:
    """Turn a folder in VOC layout into COCO layout, in place; its splits share no image.

    Objects of other classes and boxes that cannot be used are left out. What VOC calls difficult
    becomes a crowd: the metrics of neither ask for it.
    """
    (folder / "annotations").mkdir()
    for split in voc.list_splits(folder):
        (folder / split).mkdir()
        images = []
        for image_id in voc.read_split(folder, split):
            annotation = read_annotation(voc.annotation_path(folder, image_id))
            path = voc.find_image(folder, image_id, annotation.filename)
            os.rename(path, folder / split / path.name)
            images.append((path.name, annotation))
        text = json.dumps(_entries(images, split, classes))
        annotation_file(folder, split).write_text(text + "\n", "utf-8")
    for part in ("Annotations", "JPEGImages", "ImageSets"):
        shutil.rmtree(folder / part)


def _entries(images: Sequence[tuple[str, Annotation]], split: str, classes: Sequence[str]) -> dict:
    class_id_of = class_ids(classes)
    entries, objects = [], []
    for number, (name, annotation) in enumerate(images, 1):
        entries.append(
            {
                "id": number,
                "file_name": name,
                "coco_url": f"{split}/{name}",  # GluonCV's COCODetection reads no other field
                "width": annotation.width,
                "height": annotation.height,
            }
        )
        for found in annotation.objects:
            class_id = class_id_of(found.name)
            if class_id is None or found.fault:
                continue
            x0, y0, x1, y1 = found.box  # the last pixel is inside, in COCO as in VOC
            width, height = x1 - x0 + 1, y1 - y0 + 1
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number,
                    "category_id": class_id + 1,
                    "bbox": [x0, y0, width, height],
                    "area": width * height,
                    "iscrowd": found.difficult,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    return {"info": {}, "images": entries, "annotations": objects, "categories": categories}
