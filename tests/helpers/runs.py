"""Tiny runs in tests: their options, and readers of the files that they leave."""

from pathlib import Path

import numpy as np

SIZE = 64
CLASSES = ["disc", "square"]
#: Epoch 0: discriminators alone; 1 and 2: GAN; 3: detection alone.
RCNN_PHASES = ["--epochs", 4, "--train-D-eopch", 1, "--GAN-epochs", 2, "--lr-decay-GAN-epoch", "2"]
EPOCHS = ["--epochs", 3, "--gan-epochs", 2, "--save-interval", 1]


def lines(prefix, name="train.log"):
    """Lines of a file of a run."""
    return Path(f"{prefix}_{name}").read_text().splitlines()


def records(prefix, *kinds):
    """Records of these kinds in the log of a run."""
    from gan_kd_ssd.logs.read import read

    entries = read(f"{prefix}_train.log").entries
    return [entry.record for entry in entries if isinstance(entry.record, kinds)]


def same_arrays(one, other):
    """Assert that two runs ended in the same bits."""
    from gan_kd_ssd.engine import checkpoint

    arrays, others = (checkpoint.load_state(Path(f"{p}_state.zip"))[0] for p in (one, other))
    assert arrays.keys() == others.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)
