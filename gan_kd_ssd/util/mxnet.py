"""MXNet, imported in one place.

MXNet 1.9.1 uses names that numpy removed in 1.24 (``np.bool`` and the like); they are put back before
MXNet is imported, so that numpy 1.26 works as well (the only 1.x numpy with wheels for Python 3.12).
For the CUDA build, the libraries it needs are loaded first (see :mod:`gan_kd_ssd.util.cuda`).
Everything in this package takes ``mx`` from here.
"""

import os
import warnings

import numpy as np

from gan_kd_ssd.util import cuda
from gan_kd_ssd.util.errors import UserError

for _name, _type in (("bool", bool), ("int", int), ("float", float), ("object", object)):
    if _name not in vars(np):
        setattr(np, _name, _type)

# cuDNN's autotuner picks algorithms by their speed at the moment: results would differ from run to run.
os.environ.setdefault("MXNET_CUDNN_AUTOTUNE_DEFAULT", "0")
# On CPUs MXNet keeps what oneDNN prepared for every size of an array for ever: with the many sizes of
# Faster R-CNN's images a training would grow and grow. The least used ones go (of each kind of operator).
os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "256")

_builds = cuda.installed_builds()
cuda.check_builds(_builds)
if _builds == [cuda.CUDA_BUILD]:
    cuda.load_libraries()
try:
    import mxnet as mx
except (ImportError, OSError) as error:
    raise UserError(f"MXNet cannot be imported ({error}): {cuda.remedy()}") from error

# GluonCV traces its backbones symbolically; MXNet then warns that 'data' has no declared type.
warnings.filterwarnings("ignore", message="Cannot decide type for the following arguments")

__all__ = ["mx"]
