#!/usr/bin/env python3
"""Train a Faster R-CNN, alone or distilled from a teacher with GAN-KD. See --help and README.md."""

import sys

from gan_kd_ssd.errors import exit_on_user_error
from gan_kd_ssd.options.faster_rcnn import SCRIPT, parse_train_faster_rcnn


def main(argv=None) -> int:
    options = parse_train_faster_rcnn(argv)
    from gan_kd_ssd.engine import rcnn_run  # imports MXNet: after the options are known to be right

    return rcnn_run.run(options)


if __name__ == "__main__":
    sys.exit(exit_on_user_error(SCRIPT, main))
