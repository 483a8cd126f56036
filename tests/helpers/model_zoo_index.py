"""The index of a repository of weights, for tests."""

import hashlib
import json

NAME = "ssd_128_resnet10_v1_0.125_shapes_gkd_resnet10_v1_0.5"
CLASSES = ["cross", "disc", "ring", "square", "star", "triangle"]


def entry(content, name=NAME, published="2026-01-01T00:00:00+00:00", **changes):
    """What an index says of weights of that content."""
    sha1 = hashlib.sha1(content).hexdigest()
    return {
        "name": name,
        "file": f"{name}-{sha1[:8]}.params",
        "sha1": sha1,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "classes": CLASSES,
        "data_shape": 128,
        "mAP": 0.25,
        "published": published,
        **changes,
    }


def index(*entries):
    """An index of these versions, as bytes."""
    models = {}
    for one in entries:
        models.setdefault(one["name"], []).append(one)
    return json.dumps({"format": 1, "models": models}).encode()
