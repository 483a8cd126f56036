#!/usr/bin/env python3
"""Train a Faster R-CNN with or without GAN-KD from a teacher. See --help and README.md."""

import sys

from gan_kd_ssd.cli.main import run_program
from gan_kd_ssd.cli.train_commands import train
from gan_kd_ssd.config.command import FASTER_RCNN as SCRIPT

if __name__ == "__main__":
    sys.exit(run_program(SCRIPT, lambda words: train(SCRIPT, words, SCRIPT)))
