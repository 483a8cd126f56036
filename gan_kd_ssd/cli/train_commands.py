"""``gan-kd train-ssd`` and ``gan-kd train-faster-rcnn``; the training scripts call them as well."""

from __future__ import annotations

from collections.abc import Sequence


def train_ssd(words: Sequence[str]) -> int:
    """Train an SSD; return the exit code."""
    from gan_kd_ssd.config.ssd_options import parse_train_ssd

    options = parse_train_ssd(words)
    from gan_kd_ssd.engine import ssd_training  # imports MXNet: only once the options are right

    return ssd_training.run(options)


def train_faster_rcnn(words: Sequence[str]) -> int:
    """Train a Faster R-CNN; return the exit code."""
    from gan_kd_ssd.config.faster_rcnn_options import parse_train_faster_rcnn

    options = parse_train_faster_rcnn(words)
    from gan_kd_ssd.engine import faster_rcnn_training  # imports MXNet

    return faster_rcnn_training.run(options)
