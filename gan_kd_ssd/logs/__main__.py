"""``python -m gan_kd_ssd.logs COMMAND``."""

import sys

from gan_kd_ssd.logs.cli import main

sys.exit(main())
