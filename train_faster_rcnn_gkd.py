#!/usr/bin/env python3
"""Train a Faster R-CNN, alone or distilled from a teacher with GAN-KD. See --help and README.md."""

import sys

from gan_kd_ssd.cli.main import run_program
from gan_kd_ssd.cli.train_commands import train_faster_rcnn

if __name__ == "__main__":
    sys.exit(run_program("train_faster_rcnn_gkd.py", train_faster_rcnn))
