"""``python -m gan_kd_ssd COMMAND`` is the same as ``gan-kd COMMAND``."""

import sys

from gan_kd_ssd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
