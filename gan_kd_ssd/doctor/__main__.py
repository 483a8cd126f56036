"""``python -m gan_kd_ssd.doctor``."""

import sys

from gan_kd_ssd.doctor.report import PROGRAM, main
from gan_kd_ssd.errors import exit_on_user_error

sys.exit(exit_on_user_error(PROGRAM, main))
