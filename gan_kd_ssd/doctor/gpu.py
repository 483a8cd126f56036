"""The driver and the GPUs, and why MXNet cannot use them where it cannot."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass

from gan_kd_ssd.doctor.check import FAIL, OK, WARN, Check
from gan_kd_ssd.util import cuda

#: Major compute capabilities that mxnet-cu112 1.9.1 has code for: sm_50, 60, 70, 80, 86, and no PTX,
#: which newer GPUs could compile. Code for x.0 runs on x.1 to x.9.
CAPABILITIES = (5, 6, 7, 8)
#: Least driver for any CUDA 11 ("CUDA Compatibility", table of minor version compatibility).
LEAST_DRIVER = (450, 80, 2)
#: Driver of CUDA 11.8. MXNet compiles fused operators to PTX at run time, and NVRTC 11.8 writes PTX 7.8
#: (seen), which older drivers do not read.
FULL_DRIVER = (520, 61, 5)
NO_GPU = "look at nvidia-smi; a container needs --gpus all; --gpus '' trains on the CPU"
FIELDS = ("index", "name", "driver_version", "memory.total", "memory.free", "compute_cap")


@dataclass(frozen=True)
class GPU:
    """A GPU as nvidia-smi tells of it; sizes in MiB, capability '' where an old driver has no word."""

    index: int
    name: str
    driver: str
    total: str
    free: str
    capability: str


def checks(mxnet: dict) -> list[Check]:
    """Rows of the driver and of each GPU.

    Args:
        mxnet: facts of :func:`gan_kd_ssd.doctor.probe.mxnet_facts`, or an error.
    """
    gpus, problem = query()
    wanted = cuda.CUDA_BUILD in cuda.installed_builds() or "CUDA" in mxnet.get("features", ())
    rows = [_driver(gpus, problem, wanted)]
    if gpus:
        usable = [_supported(gpu) is not False for gpu in gpus]
        rows += [_gpu(i, gpu, gpus, mxnet, wanted, any(usable)) for i, gpu in enumerate(gpus)]
    elif mxnet.get("gpus"):
        rows += [_unnamed(i, error) for i, error in enumerate(mxnet["gpus"])]
    elif not wanted:
        rows.append(Check("GPUs", OK, "none found: the CPU trains"))
    else:
        told = mxnet.get("gpu_error") or ("MXNet cannot be imported" if "error" in mxnet else "")
        rows.append(Check("GPUs", WARN, "none found" + (f" ({told})" if told else ""), NO_GPU))
    return rows


def query() -> tuple[list[GPU], str]:
    """GPUs by nvidia-smi, or why there are none to tell of ('' where it just lists none)."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], "nvidia-smi is not there"
    text, problem = _ask(program, FIELDS)
    if problem and "compute_cap" in problem:  # drivers before 460 do not know the field
        text, problem = _ask(program, FIELDS[:-1])
    if problem:
        return [], problem
    gpus = []
    for line in text.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) >= len(FIELDS) - 1 and values[0].isdigit():
            gpus.append(GPU(int(values[0]), *values[1:5], "".join(values[5:6])))
    return gpus, ""


def _ask(program: str, fields) -> tuple[str, str]:
    """Output of a query, and what was wrong with it."""
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", " ".join(str(error).split())
    if done.returncode:
        told = " ".join((done.stdout + done.stderr).split())
        return "", told[:200] or f"nvidia-smi ended with code {done.returncode}"
    return done.stdout, ""


def _driver(gpus: list[GPU], problem: str, wanted: bool) -> Check:
    bad = FAIL if wanted else WARN
    if gpus:
        found = gpus[0].driver
        version = tuple(int(part) for part in found.split(".") if part.isdigit())
        if version < LEAST_DRIVER:
            remedy = "CUDA 11 needs 450.80.02 or newer, better 520.61.05: install a newer driver"
            return Check("NVIDIA driver", bad, found, remedy)
        if version < FULL_DRIVER:
            remedy = (
                "operators compiled while training need 520.61.05 or newer: install a newer one"
            )
            return Check("NVIDIA driver", WARN, found, remedy)
        return Check("NVIDIA driver", OK, found)
    try:
        ctypes.CDLL(cuda.DRIVER)
    except OSError:
        if problem.startswith("nvidia-smi is not there"):
            found = f"not installed ({cuda.DRIVER} and nvidia-smi are not there)"
            if wanted:
                return Check("NVIDIA driver", FAIL, found, cuda.DRIVER_REMEDY)
            return Check("NVIDIA driver", OK, found + ", and not needed by the CPU build")
        return Check("NVIDIA driver", bad, problem or "no GPU listed", cuda.DRIVER_REMEDY)
    found = f"{cuda.DRIVER} is there; " + (problem or "nvidia-smi lists no GPU")
    return Check("NVIDIA driver", WARN, found, NO_GPU)


def _supported(gpu: GPU) -> bool | None:
    """Whether MXNet has code for it; None where its capability is not known."""
    major = gpu.capability.split(".")[0]
    return int(major) in CAPABILITIES if major.isdigit() else None


def _gpu(place: int, gpu: GPU, gpus: list[GPU], mxnet: dict, wanted: bool, others: bool) -> Check:
    name = f"GPU {gpu.index}"
    found = f"{gpu.name}, {gpu.free} of {gpu.total} MiB free, compute capability "
    found += gpu.capability or "not known"
    if _supported(gpu) is False:
        remedy = (
            "MXNet 1.9.1 has no code for it (only for 5.x to 8.x, Maxwell to Ada): use another GPU, "
            "or the CPU (--gpus '')"
        )
        return Check(name, FAIL if wanted and not others else WARN, found, remedy)
    if not wanted:
        return Check(name, WARN, f"{found}, but MXNet is the CPU build", cuda.GPU_REMEDY)
    if "error" in mxnet:
        return Check(name, WARN, f"{found}, not tried", "MXNet first, see above")
    tried = mxnet.get("gpus", [])
    if len(tried) != len(gpus):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = mxnet.get("gpu_error") or f"MXNet sees {len(tried)} of {len(gpus)} GPUs"
        if visible is not None:
            return Check(name, WARN, found, f"{why}: CUDA_VISIBLE_DEVICES is {visible!r}")
        return Check(name, WARN if tried else FAIL, f"{found}; {why}", NO_GPU)
    if tried[place]:
        remedy = "look at nvidia-smi for what else uses it; --gpus takes others, or '' the CPU"
        return Check(name, FAIL, f"{found}; it does not compute: {tried[place]}", remedy)
    return Check(name, OK, f"{found}, computes")


def _unnamed(index: int, error: str) -> Check:
    """A GPU that MXNet sees where nvidia-smi is not there."""
    if error:
        return Check(f"GPU {index}", FAIL, f"does not compute: {error}", NO_GPU)
    return Check(f"GPU {index}", OK, "computes (nvidia-smi is not there to name it)")
