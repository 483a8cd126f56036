"""``python -m gan_kd_ssd.export``."""

import sys

from gan_kd_ssd.errors import exit_on_user_error
from gan_kd_ssd.export.options import PROGRAM, parse


def main() -> int:
    options = parse()
    from gan_kd_ssd.export.run import run  # imports MXNet, which --help does not need

    return run(options)


if __name__ == "__main__":
    sys.exit(exit_on_user_error(PROGRAM, main))
