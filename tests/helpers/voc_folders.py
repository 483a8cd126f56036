"""Small data sets in VOC layout."""

import cv2
import numpy as np

SPLITS = ("train", "val")


def write_image(path, width=60, height=48, seed=0):
    """Write a smooth random picture; the suffix says the format."""
    rng = np.random.default_rng(seed)
    pixels = cv2.resize(
        rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=1
    )
    assert cv2.imwrite(str(path), pixels)


def annotation(boxes, width=60, height=48, filename="", head=""):
    """XML text; boxes: (name, xmin, ymin, xmax, ymax) as they stand in the file (1-based)."""
    objects = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{a}</xmin>"
        f"<ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in boxes
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"{head}<annotation><filename>{filename}</filename>{size}{objects}</annotation>"


def make_folder(folder, boxes_of_images, splits=SPLITS):
    """A folder whose splits all list the same images, named 000, 001, …"""
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    names = [f"{i:03d}" for i in range(len(boxes_of_images))]
    for i, (name, boxes) in enumerate(zip(names, boxes_of_images)):
        write_image(folder / "JPEGImages" / f"{name}.jpg", seed=i)
        (folder / "Annotations" / f"{name}.xml").write_text(annotation(boxes))
    for split in splits:
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


def make_random_folder(folder, images, seed=0):
    """A folder with one to three objects of the classes 'cat' and 'dog' an image."""
    rng = np.random.default_rng(seed)
    boxes_of_images = []
    for _ in range(images):
        low = rng.integers(1, (35, 25), (rng.integers(1, 4), 2))
        high = low + rng.integers(8, 20, low.shape)
        boxes = [(("cat", "dog")[rng.integers(2)], *a, *b) for a, b in zip(low, high)]
        boxes_of_images.append(boxes)
    return make_folder(folder, boxes_of_images)


def random_anchors(count, size, seed=0):
    """Anchors in centre form, float32 (count, 4)."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, size, (count, 2))
    return np.concatenate([centre, rng.uniform(size / 16, size, (count, 2))], axis=1).astype("f")
