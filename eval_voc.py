"""Measure the VOC mAP of a detector: ``python eval_voc.py --help``."""

import sys

from gan_kd_ssd import model_zoo
from gan_kd_ssd.errors import exit_on_user_error
from gan_kd_ssd.options.evaluation import parse


def main(argv=None):
    options = parse(argv)
    model_zoo.resolve(options)  # a name of our zoo: its weights, backbone and input size
    from gan_kd_ssd.engine.eval_run import run  # imports MXNet, which --help does not need

    return run(options)


if __name__ == "__main__":
    sys.exit(exit_on_user_error("eval_voc.py", main))
