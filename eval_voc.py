"""Measure the mAP of a detector on VOC, COCO or a folder. See --help and README.md."""

import sys

from gan_kd_ssd.cli.eval_command import run
from gan_kd_ssd.cli.main import run_program

if __name__ == "__main__":
    sys.exit(run_program("eval_voc.py", lambda words: run(words, "eval_voc.py")))
