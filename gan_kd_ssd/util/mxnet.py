"""The one place that imports MXNet: everything in this package takes ``mx`` from here.

MXNet 1.9.1 uses names that newer versions of numpy removed. They are restored before MXNet is imported, so
that numpy 1.23 to 2.2, and with them Python 3.9 to 3.13, can be used. For MXNet's CUDA build, the CUDA
libraries are loaded first (see :mod:`gan_kd_ssd.util.cuda`).
"""

import importlib.util
import os
import warnings

import numpy as np

from gan_kd_ssd.util import cuda
from gan_kd_ssd.util.errors import UserError

#: Names that numpy removed, and what they stood for. numpy 1.24 removed the first row, numpy 2.0 the rest.
_REMOVED = {
    **{"bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str},
    **{"NAN": np.nan, "NaN": np.nan, "INF": np.inf, "Inf": np.inf, "infty": np.inf},
    **{"PINF": np.inf, "NINF": -np.inf, "PZERO": 0.0, "NZERO": -0.0},
    **{"bool8": np.bool_, "float_": np.float64, "cfloat": np.complex128, "unicode_": np.str_},
    **{"int0": np.intp, "uint0": np.uintp},
    **{"product": np.prod, "cumproduct": np.cumprod, "sometrue": np.any, "alltrue": np.all},
    **{"in1d": np.isin, "row_stack": np.vstack, "round_": np.round, "asfarray": np.asarray},
}
#: Removed functions that MXNet lists as fallbacks of ``mx.np`` when it is imported, but never calls.
_NEVER_CALLED = (
    *("mirr", "pv", "npv", "pmt", "ppmt", "ipmt", "fv", "nper", "rate", "irr"),
    *("msort", "trapz", "set_numeric_ops", "alen", "asscalar", "rank", "source", "lookfor", "who"),
)


def _restore_numpy_names() -> None:
    for name, value in _REMOVED.items():
        if name not in vars(np):
            setattr(np, name, value)
    for name in _NEVER_CALLED:
        if name not in vars(np):
            setattr(np, name, _missing(name))


def _missing(name: str):
    def function(*_args, **_settings):
        raise NotImplementedError(f"numpy {np.__version__} has no function {name}")

    return function


_restore_numpy_names()

# cuDNN's autotuner picks algorithms by their speed at the moment: results would differ from run to run.
os.environ.setdefault("MXNET_CUDNN_AUTOTUNE_DEFAULT", "0")
# On CPUs MXNet keeps what oneDNN prepared for every size of an array. With the many image sizes of
# Faster R-CNN the memory of a training would grow without end. This bounds the cache of each operator.
os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "256")

_builds = cuda.installed_builds()
cuda.check_builds(_builds)
if _builds == [cuda.CUDA_BUILD]:
    cuda.load_libraries()
if importlib.util.find_spec("mxnet") is None:
    raise UserError(f"MXNet is not installed: {cuda.remedy()}")
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of MXNet's own sources on Python 3.12
        import mxnet as mx
except (ImportError, OSError, AttributeError) as error:
    raise UserError(f"MXNet cannot be imported ({error}): {cuda.remedy()}") from error

# GluonCV traces its backbones symbolically; MXNet then warns that 'data' has no declared type.
warnings.filterwarnings("ignore", message="Cannot decide type for the following arguments")

__all__ = ["mx"]
