"""``python -m gan_kd_ssd.data COMMAND``."""

import sys

from gan_kd_ssd.data.cli import main

sys.exit(main())
