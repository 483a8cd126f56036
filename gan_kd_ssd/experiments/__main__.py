"""``python -m gan_kd_ssd.experiments COMMAND``."""

import sys

from gan_kd_ssd.experiments.cli import main

sys.exit(main())
