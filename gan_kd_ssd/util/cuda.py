"""Which MXNet is installed, and the CUDA libraries that its CUDA build needs. Imports no MXNet.

``mxnet-cu112`` links against CUDA 11, cuDNN 8, NCCL and the driver, and carries none of them. The
packages of requirements-gpu.txt bring all but the driver, in folders where no loader looks: they are
loaded here by their path, so that the loader finds them in the process.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

from gan_kd_ssd.util.errors import UserError

CPU_BUILD, CUDA_BUILD = "mxnet", "mxnet-cu112"
DRIVER = "libcuda.so.1"
#: File of each library below site-packages/nvidia, in the order of their needs, and its package.
LIBRARIES = (
    ("cuda_runtime/lib/libcudart.so.11.0", "nvidia-cuda-runtime-cu11"),
    ("cuda_nvrtc/lib/libnvrtc.so.11.2", "nvidia-cuda-nvrtc-cu11"),
    ("nvtx/lib/libnvToolsExt.so.1", "nvidia-nvtx-cu11"),
    ("cublas/lib/libcublasLt.so.11", "nvidia-cublas-cu11"),
    ("cublas/lib/libcublas.so.11", "nvidia-cublas-cu11"),
    ("curand/lib/libcurand.so.10", "nvidia-curand-cu11"),
    ("cufft/lib/libcufft.so.10", "nvidia-cufft-cu11"),
    ("cusolver/lib/libcusolver.so.11", "nvidia-cusolver-cu11"),
    ("nccl/lib/libnccl.so.2", "nvidia-nccl-cu11"),
    ("cudnn/lib/libcudnn.so.8", "nvidia-cudnn-cu11"),
)
CPU_REMEDY = "run `make setup` and `. .venv/bin/activate`"
GPU_REMEDY = "run `make setup-gpu` and `. .venv/bin/activate`"
LIBRARY_REMEDY = "`pip install -r requirements-gpu.txt` in this environment"
BOTH_REMEDY = "remove the environment (`rm -r .venv`), then `make setup` or `make setup-gpu`"
DRIVER_REMEDY = (
    "install NVIDIA's driver (520.61.05 or newer); without a GPU use the CPU build: remove the "
    "environment (`rm -r .venv`), then `make setup`"
)

_DISTRIBUTION = re.compile(r"(mxnet(?:_cu\d+|_native)?)-\d[\w.]*\.dist-info", re.IGNORECASE)


def installed_builds() -> list[str]:
    """Distributions of MXNet in the folder that Python imports it from; more than one is a mistake.

    Empty where MXNet is not installed, or was built by hand.
    """
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        found = [match[1] for name in names if (match := _DISTRIBUTION.fullmatch(name))]
        if found:
            return sorted(name.lower().replace("_", "-") for name in found)
    return []


def check_builds(builds: list[str]) -> None:
    """UserError where two builds overwrote each other's files."""
    if len(builds) > 1:
        raise UserError(
            f"{' and '.join(builds)} are both installed, and each overwrites the other's files: "
            f"{BOTH_REMEDY}"
        )


def load_libraries() -> None:
    """Load what libmxnet.so of ``mxnet-cu112`` needs into the process.

    A library comes from its package of requirements-gpu.txt where that is installed, else from where
    the system's loader finds it (a CUDA 11 of the machine). Packages go first: they are the versions
    that were tried together.

    Raises:
        UserError: the driver or a library cannot be loaded; names it and its remedy.
    """
    try:
        ctypes.CDLL(DRIVER)
    except OSError as error:
        raise UserError(
            f"{CUDA_BUILD} cannot be imported: the NVIDIA driver is not installed ({error}): "
            f"{DRIVER_REMEDY}"
        ) from error
    missing, reasons = [], []
    for file, package in LIBRARIES:
        try:
            ctypes.CDLL(str(_packaged(file) or Path(file).name))
        except OSError as error:
            missing.append(package)
            reasons.append(str(error))
    if missing:
        raise UserError(
            f"{CUDA_BUILD} cannot be imported: {', '.join(dict.fromkeys(missing))} cannot be loaded "
            f"({reasons[0]}): {LIBRARY_REMEDY}"
        )


def _packaged(file: str) -> Path | None:
    """Where a library of NVIDIA's packages is installed; None where it is not."""
    for folder in sys.path:
        path = Path(folder, "nvidia", file)
        if path.is_file():
            return path
    return None


def remedy() -> str:
    """What to do where MXNet cannot be imported."""
    return GPU_REMEDY if CUDA_BUILD in installed_builds() else CPU_REMEDY
