"""``python -m gan_kd_ssd.model_zoo COMMAND``."""

import sys

from gan_kd_ssd.model_zoo.cli import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; what came so far is kept, and fetched on from there", file=sys.stderr)
        sys.exit(130)
