"""The built-in data set: generated pictures of shapes, in VOC or COCO layout."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from gan_kd_ssd.data.synthetic.scene import CLASSES, draw_scene
from gan_kd_ssd.data.synthetic.size import COUNTS, SEED, SIZE, SPLITS
from gan_kd_ssd.data.synthetic.to_coco import voc_to_coco
from gan_kd_ssd.util.errors import UserError

VERSION = 1  # of the pictures: raise it when scene.py draws others
RECORD = "shapes.json"  # written last: a folder with it is complete and ours

__all__ = ["CLASSES", "COUNTS", "VERSION", "ensure", "ensure_coco", "generate"]

_CHUNK = 50


def ensure(data_root: Path) -> Path:
    """The folder of the built-in set under data_root, generated on first use."""
    return generate(Path(data_root) / f"shapes-{VERSION}")


def ensure_coco(data_root: Path) -> Path:
    """The folder of the built-in set in COCO layout under data_root, the same pictures."""
    return generate(Path(data_root) / f"shapes-coco-{VERSION}", layout="coco")


def generate(
    folder: Path,
    counts: dict[str, int] | None = None,
    size: int = SIZE,
    seed: int = SEED,
    progress: bool | None = None,
    layout: str = "voc",
) -> Path:
    """Generate a data set, the same bytes for the same arguments.

    The folder appears complete or not at all; processes that generate it at once all end well. One
    that is there and was made with the same arguments is left as it is.

    Args:
        folder: to be made; its parents are made as well.
        counts: images of each split; COUNTS by default.
        size: about the side of the images in pixels.
        seed: 0 or more.
        progress: show a progress bar; by default where standard error is a terminal.
        layout: 'voc' or 'coco'; pictures and labels are the same.

    Raises UserError where the folder holds anything else, or cannot be written.
    """
    folder = Path(folder).expanduser()
    counts = dict(COUNTS if counts is None else counts)
    _check(counts, size, seed)
    record = {"version": VERSION, "seed": seed, "size": size, "counts": counts}
    if layout == "coco":
        record["layout"] = layout
    if _is_ready(folder, record):
        return folder
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        _fill_folder(draft, counts, size, seed, progress)
        if layout == "coco":
            voc_to_coco(draft, CLASSES)
        (draft / RECORD).write_text(json.dumps(record) + "\n")
        draft.chmod(0o755)  # mkdtemp's folder is for its owner alone
        try:
            os.rename(draft, folder)
        except OSError:
            if not _is_ready(folder, record):  # else another process was faster
                raise
    except OSError as error:
        raise UserError(
            f"{folder}: the shapes cannot be written there ({error.strerror or error}); choose "
            f"another folder (--data-root) or make room"
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check(counts: dict[str, int], size: int, seed: int) -> None:
    for split in SPLITS:
        if counts[split] < 1:
            raise UserError(f"--{split} {counts[split]}: must be 1 or more images")
    if not 64 <= size <= 2048:
        raise UserError(f"--size {size}: must be from 64 to 2048 pixels")
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")


def _is_ready(folder: Path, record: dict) -> bool:
    """Whether the folder holds this very set; UserError if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        raise UserError(
            f"{folder}: is there already and is not a generated set; choose another folder"
        ) from None
    if found != record:
        raise UserError(
            f"{folder}: holds a set generated with other settings ({json.dumps(found)}); choose "
            f"another folder or remove it"
        )
    return True


def _fill_folder(folder: Path, counts: dict[str, int], size: int, seed: int, progress) -> None:
    from tqdm import tqdm

    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    tasks = []
    for split in SPLITS:
        ids = [_image_id(split, i) for i in range(counts[split])]
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(ids) + "\n")
        for first in range(0, counts[split], _CHUNK):
            indices = range(first, min(first + _CHUNK, counts[split]))
            tasks.append((folder, split, indices, size, seed))
    hide = not sys.stderr.isatty() if progress is None else not progress
    with tqdm(
        total=sum(counts.values()), desc="generating shapes", unit="image", disable=hide
    ) as bar:
        for done in _run(tasks):
            bar.update(done)


def _run(tasks: list[tuple]):
    processes = min(len(os.sched_getaffinity(0)), 8) if hasattr(os, "sched_getaffinity") else 1
    if processes == 1 or len(tasks) < 4:
        yield from map(_draw_images, tasks)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(_draw_images, tasks)


def _draw_images(task: tuple) -> int:
    folder, split, indices, size, seed = task
    cv2.setNumThreads(0)
    cv2.ipp.setUseIPP(False)  # IPP's results depend on the processor
    for index in indices:
        # One generator an image: a picture does not depend on the number of others.
        key = np.random.SeedSequence((seed, SPLITS.index(split), index))
        image, objects = draw_scene(size, np.random.default_rng(key))
        name = _image_id(split, index)
        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(data.tobytes())
        (folder / "Annotations" / f"{name}.xml").write_text(_xml(name, image.shape, objects))
    return len(indices)


def _image_id(split: str, index: int) -> str:
    return f"{split}_{index:05d}"


def _xml(name: str, shape, objects: Sequence) -> str:
    lines = [
        "<annotation>",
        f"  <filename>{name}.jpg</filename>",
        f"  <size><width>{shape[1]}</width><height>{shape[0]}</height><depth>3</depth></size>",
    ]
    for item in objects:
        # VOC counts pixels from 1, and the last one is inside.
        x0, y0, x1, y1 = item.box[0] + 1, item.box[1] + 1, item.box[2], item.box[3]
        lines += [
            "  <object>",
            f"    <name>{item.name}</name>",
            f"    <difficult>{item.difficult}</difficult>",
            f"    <bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])
