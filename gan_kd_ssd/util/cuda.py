"""The installed build of MXNet, and the CUDA libraries that its CUDA build needs. Imports no MXNet.

``mxnet-cu112`` links against CUDA 11, cuDNN 8, NCCL and the driver, and contains none of them. NVIDIA's
packages contain all but the driver, in folders that no loader searches. They are loaded here by their
paths, so that the loader finds them in the process.
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
#: A file that is above this package in a checkout, and not where the package is installed.
CHECKOUT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_PIP_CPU, _PIP_GPU = (
    f"`pip install --no-deps {build}==1.9.1`" for build in (CPU_BUILD, CUDA_BUILD)
)
_PIP_LIBRARIES = f"`pip install {' '.join(dict.fromkeys(package for _, package in LIBRARIES))}`"
_NEW_DRIVER = "install NVIDIA's driver (520.61.05 or newer); without a GPU use the CPU build:"
#: Remedies by problem: in a checkout, and where the package is installed.
_REMEDIES = {
    CPU_BUILD: ("run `make setup` and `. .venv/bin/activate`", f"run {_PIP_CPU}"),
    CUDA_BUILD: (
        "run `make setup-gpu` and `. .venv/bin/activate`",
        f"run {_PIP_GPU} and {_PIP_LIBRARIES}",
    ),
    "libraries": (
        "run `pip install -r requirements-gpu.txt` in this environment",
        f"run {_PIP_LIBRARIES}",
    ),
    "two builds": (
        "remove the environment (`rm -r .venv`), then run `make setup` or `make setup-gpu`",
        f"run `pip uninstall {CPU_BUILD} {CUDA_BUILD}`, then {_PIP_CPU} for CPUs or {_PIP_GPU} for GPUs",
    ),
    "driver": (
        f"{_NEW_DRIVER} remove the environment (`rm -r .venv`), then run `make setup`",
        f"{_NEW_DRIVER} run `pip uninstall {CUDA_BUILD}`, then {_PIP_CPU}",
    ),
}
_DISTRIBUTION = re.compile(r"(mxnet(?:_cu\d+|_native)?)-\d[\w.]*\.dist-info", re.IGNORECASE)


def installed_builds() -> list[str]:
    """Distributions of MXNet in the folder that Python imports it from; more than one is a mistake.

    The list is empty if MXNet is not installed, or was built by hand.
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


def remedy(problem: str = "") -> str:
    """The commands that repair an installation. In a checkout they are those of the Makefile.

    Args:
        problem: What is missing or wrong: 'mxnet' or 'mxnet-cu112', 'libraries' (of CUDA),
            'two builds', 'driver', or the name of another package. Default: the installed build.
    """
    build = CUDA_BUILD if CUDA_BUILD in installed_builds() else CPU_BUILD
    other = (_REMEDIES[build][0], f"run `pip install {problem}`")
    return _REMEDIES.get(problem or build, other)[not CHECKOUT.is_file()]


def check_builds(builds: list[str]) -> None:
    """Raise a UserError if two builds overwrote each other's files."""
    if len(builds) > 1:
        raise UserError(
            f"{' and '.join(builds)} are both installed, and each overwrites the other's files: "
            f"{remedy('two builds')}"
        )


def load_libraries() -> None:
    """Load the libraries that libmxnet.so of ``mxnet-cu112`` needs into the process.

    NVIDIA's packages come before the libraries that the system's loader finds (a CUDA 11 of the
    machine), because they were tested together.

    Raises:
        UserError: The driver or a library cannot be loaded.
    """
    try:
        ctypes.CDLL(DRIVER)
    except OSError as error:
        raise UserError(
            f"{CUDA_BUILD} cannot be imported: the NVIDIA driver is not installed ({error}): "
            f"{remedy('driver')}"
        ) from error
    missing, reasons = [], []
    for file, package in LIBRARIES:
        packaged = (Path(folder, "nvidia", file) for folder in sys.path)
        path = next(filter(Path.is_file, packaged), Path(file).name)
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            missing.append(package)
            reasons.append(str(error))
    if missing:
        raise UserError(
            f"{CUDA_BUILD} cannot be imported: {', '.join(dict.fromkeys(missing))} cannot be loaded "
            f"({reasons[0]}): {remedy('libraries')}"
        )
