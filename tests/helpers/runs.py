"""Tiny runs in tests: their options, and readers of the files that they leave."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
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


def killed_and_resumed(prefix, script, *options):
    """Run a script, kill it when it has saved a state, and resume it to its end."""
    words = [script, *options, "--save-prefix", prefix]
    command = [sys.executable, *(str(word) for word in words)]
    state = Path(f"{prefix}_state.zip")
    child = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)
    deadline = time.time() + 120
    while not state.exists() and child.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    child.kill()
    assert child.wait() in (-signal.SIGKILL, 0), child.stderr.read()
    command += ["--resume", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
