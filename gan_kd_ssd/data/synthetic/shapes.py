"""Generator of the built-in data set, pictures of shapes, in VOC or COCO layout."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from gan_kd_ssd.data.batches.workers import Workers, processors
from gan_kd_ssd.data.formats import coco, voc
from gan_kd_ssd.data.synthetic.defaults import COUNTS, SEED, SIZE, SPLITS
from gan_kd_ssd.data.synthetic.picture import CLASSES, DrawnObject, draw_picture
from gan_kd_ssd.util.errors import UserError

VERSION = 1  # of the pictures: increase it when picture.py draws different ones
RECORD = "shapes.json"  # written last: a folder that holds it is complete and generated

__all__ = ["CLASSES", "COUNTS", "VERSION", "ensure", "generate"]

_CHUNK = 50


class Settings(NamedTuple):
    """What determines the pictures: images of each split, approximate side in pixels, seed, layout."""

    counts: dict[str, int]
    size: int
    seed: int
    layout: str

    def check(self) -> None:
        """Raise a UserError for a value that is out of range."""
        for split in SPLITS:
            if self.counts[split] < 1:
                raise UserError(f"--{split} {self.counts[split]}: must be 1 or more images")
        if not 64 <= self.size <= 2048:
            raise UserError(f"--size {self.size}: must be from 64 to 2048 pixels")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: must be 0 or more")


class Picture(NamedTuple):
    """One generated image: its id, shape (H, W, 3) and objects."""

    id: str
    shape: tuple[int, int, int]
    objects: list[DrawnObject]


def ensure(data_root: Path, layout: str = "voc") -> Path:
    """The folder of the built-in set under data_root, generated on first use."""
    name = f"shapes-{VERSION}" if layout == "voc" else f"shapes-{layout}-{VERSION}"
    return generate(Path(data_root) / name, layout=layout)


def generate(
    folder: Path,
    counts: dict[str, int] | None = None,
    size: int = SIZE,
    seed: int = SEED,
    progress: bool | None = None,
    layout: str = "voc",
) -> Path:
    """Generate a data set. The same arguments give the same bytes.

    The folder appears only when it is complete. Several processes may generate it at the same time.
    A folder that was generated with the same arguments is kept.

    Args:
        folder: The folder to create, with its parents.
        counts: Number of images of each split (default: COUNTS).
        size: Approximate side of the images in pixels.
        seed: 0 or more.
        progress: Show a progress bar (default: if standard error is a terminal).
        layout: 'voc' or 'coco'; pictures and labels are the same.

    Raises:
        UserError: The folder holds something else or cannot be written.
    """
    folder = Path(folder).expanduser()
    settings = Settings(dict(COUNTS if counts is None else counts), size, seed, layout)
    settings.check()
    record = {"version": VERSION, "seed": seed, "size": size, "counts": settings.counts}
    if layout == "coco":
        record["layout"] = layout
    if _is_ready(folder, record):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            draft = Path(temporary) / "data"
            _fill_folder(draft, settings, progress)
            (draft / RECORD).write_text(json.dumps(record) + "\n")
            try:
                os.rename(draft, folder)
            except OSError:
                if not _is_ready(folder, record):  # otherwise another process was faster
                    raise
    except OSError as error:
        raise UserError(
            f"{folder}: the shapes cannot be written there ({error.strerror or error}); choose "
            f"another folder or make room"
        ) from error
    return folder


def _is_ready(folder: Path, record: dict) -> bool:
    """Whether the folder holds exactly this data set; raise a UserError if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        raise UserError(
            f"{folder} exists and is not a generated data set; choose another folder"
        ) from None
    if found != record:
        raise UserError(
            f"{folder} holds a data set generated with other settings ({json.dumps(found)}); choose "
            f"another folder or remove it"
        )
    return True


def _fill_folder(folder: Path, settings: Settings, progress: bool | None) -> None:
    from tqdm import tqdm

    for part in ("annotations", *SPLITS) if settings.layout == "coco" else voc.PARTS:
        (folder / part).mkdir(parents=True)
    tasks = [
        (folder, split, range(first, min(first + _CHUNK, settings.counts[split])), settings)
        for split in SPLITS
        for first in range(0, settings.counts[split], _CHUNK)
    ]
    pictures: dict[str, list[Picture]] = {split: [] for split in SPLITS}
    quiet = not sys.stderr.isatty() if progress is None else not progress
    total, count = sum(settings.counts.values()), min(processors(), 8) if len(tasks) > 3 else 0
    bar = tqdm(total=total, desc="generating shapes", unit="image", disable=quiet)
    with bar, contextlib.closing(Workers(_draw_images, count)) as workers:
        for (_, split, *_), drawn in zip(tasks, workers.map(tasks)):
            pictures[split] += drawn
            bar.update(len(drawn))
    for split, drawn in pictures.items():
        if settings.layout == "coco":
            text = json.dumps(_coco_entries(split, drawn)) + "\n"
            coco.annotation_file(folder, split).write_text(text, "utf-8")
        else:
            ids = "".join(f"{picture.id}\n" for picture in drawn)
            (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(ids)


def _draw_images(task: tuple[Path, str, Sequence[int], Settings]) -> list[Picture]:
    """Draw some images of a split and write their files, with the XML files in VOC layout."""
    folder, split, indices, settings = task
    cv2.setNumThreads(0)
    cv2.ipp.setUseIPP(False)  # IPP's results depend on the processor
    images = folder / (split if settings.layout == "coco" else "JPEGImages")
    pictures = []
    for index in indices:
        # One generator per image: a picture does not depend on the number of others.
        key = np.random.SeedSequence((settings.seed, SPLITS.index(split), index))
        image, objects = draw_picture(settings.size, np.random.default_rng(key))
        picture = Picture(f"{split}_{index:05d}", image.shape, objects)
        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        (images / f"{picture.id}.jpg").write_bytes(data.tobytes())
        if settings.layout == "voc":
            voc.annotation_path(folder, picture.id).write_text(_xml(picture))
        pictures.append(picture)
    return pictures


def _xml(picture: Picture) -> str:
    height, width, _ = picture.shape
    # VOC counts pixels from 1, and a box includes its last pixel.
    objects = "".join(
        f"""  <object>
    <name>{name}</name>
    <difficult>{difficult}</difficult>
    <bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>
  </object>
"""
        for name, (x0, y0, x1, y1), difficult in picture.objects
    )
    return f"""<annotation>
  <filename>{picture.id}.jpg</filename>
  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>
{objects}</annotation>
"""


def _coco_entries(split: str, pictures: Sequence[Picture]) -> dict:
    """A split in COCO's format. Difficult objects become crowds: no metric requires either."""
    images, objects = [], []
    for number, picture in enumerate(pictures, 1):
        name, (height, width, _) = f"{picture.id}.jpg", picture.shape
        url = f"{split}/{name}"  # the only field from which GluonCV's COCODetection takes the file
        entry = {"id": number, "file_name": name, "coco_url": url, "width": width, "height": height}
        images.append(entry)
        for class_name, (x0, y0, x1, y1), difficult in picture.objects:
            box = [float(value) for value in (x0, y0, x1 - x0, y1 - y0)]
            entry = {"id": len(objects) + 1, "image_id": number}
            entry |= {"category_id": CLASSES.index(class_name) + 1, "bbox": box}
            objects.append({**entry, "area": box[2] * box[3], "iscrowd": difficult})
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)]
    return {"info": {}, "images": images, "annotations": objects, "categories": categories}
