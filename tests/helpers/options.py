"""Options of the training scripts as namespaces."""

import argparse

from gan_kd_ssd.config.command import FASTER_RCNN, SSD
from gan_kd_ssd.config.training_config import from_words


def parse_train_ssd(words):
    """The options of a command line of ``train_ssd_gkd.py``."""
    return argparse.Namespace(**from_words(SSD, words).namespace)


def parse_train_faster_rcnn(words):
    """The options of a command line of ``train_faster_rcnn_gkd.py``."""
    return argparse.Namespace(**from_words(FASTER_RCNN, words).namespace)
