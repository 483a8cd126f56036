"""Default size of the built-in data set. Imports nothing, so that ``--help`` is fast."""

SPLITS = ("train", "val", "test")
COUNTS = {"train": 2000, "val": 400, "test": 500}
SIZE = 160  # approximate side of an image in pixels
SEED = 1
