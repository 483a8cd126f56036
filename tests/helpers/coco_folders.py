"""Small data sets in COCO layout."""

import json

import numpy as np

from helpers.voc_folders import write_image

CATEGORIES = {7: "cat", 3: "dog", 90: "hot dog"}  # neither contiguous nor sorted, as they may come


def entry(number, image, category, box, **more):
    """One of "annotations"; its area is the box's where ``more`` names no other."""
    area = box[2] * box[3]
    given = {"id": number, "image_id": image, "category_id": category, "bbox": list(box)}
    return {**given, "area": area, "iscrowd": 0, **more}


def write_split(folder, split, objects, numbers=(1,), size=(60, 48), **parts):
    """instances_<split>.json and its images, named after their ids; ``parts`` replace lists."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / split).mkdir(exist_ok=True)
    entries = []
    for number in numbers:
        write_image(folder / split / f"{number:012d}.jpg", *size, seed=number)
        name = f"{number:012d}.jpg"
        url = f"http://images.cocodataset.org/{split}/{name}"
        given = {"id": number, "file_name": name, "coco_url": url}
        entries.append({**given, "width": size[0], "height": size[1]})
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    data = {"info": {}, "images": entries, "annotations": objects, "categories": categories}
    path = folder / "annotations" / f"instances_{split}.json"
    path.write_text(json.dumps({**data, **parts}))
    return path


def random_objects(rng, images, most=5, size=(60, 48)):
    """Boxes of all kinds: inside, over each border, tiny, without area, crowds, to be ignored."""
    found = []
    for image in images:
        for _ in range(rng.integers(0, most + 1)):
            x, y = rng.uniform(-8, size[0]), rng.uniform(-8, size[1])
            box = np.round([x, y, *rng.uniform(0, 0.8 * min(size), 2)], 2).tolist()
            category = list(CATEGORIES)[rng.integers(len(CATEGORIES))]
            more = {"iscrowd": int(rng.random() < 0.2), "ignore": int(rng.random() < 0.1)}
            if rng.random() < 0.1:
                more["area"] = 0
            found.append(entry(len(found) + 1, int(image), category, box, **more))
    return found
