#!/usr/bin/env python3
"""Train an SSD, alone or distilled from a teacher with GAN-KD. See --help and README.md."""

import sys

from gan_kd_ssd.errors import exit_on_user_error
from gan_kd_ssd.options.ssd import parse_train_ssd


def main(argv=None) -> int:
    options = parse_train_ssd(argv)
    from gan_kd_ssd.engine import ssd_run  # imports MXNet: after the options are known to be right

    return ssd_run.run(options)


if __name__ == "__main__":
    sys.exit(exit_on_user_error("train_ssd_gkd.py", main))
