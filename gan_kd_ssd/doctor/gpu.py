"""Checks of the NVIDIA driver and of each GPU."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass

from gan_kd_ssd.doctor import FAIL, OK, WARN, Check
from gan_kd_ssd.util import cuda

#: Major compute capabilities that mxnet-cu112 1.9.1 has code for: sm_50, 60, 70, 80 and 86, and no PTX
#: that newer GPUs could compile. Code for x.0 runs on x.1 to x.9.
_CAPABILITIES = (5, 6, 7, 8)
#: Oldest driver for CUDA 11 ("CUDA Compatibility", table of minor version compatibility).
_LEAST_DRIVER = (450, 80, 2)
#: Driver of CUDA 11.8. MXNet compiles fused operators at run time, and NVRTC 11.8 writes PTX 7.8
#: (observed), which older drivers do not read.
_FULL_DRIVER = (520, 61, 5)
_NO_GPU = "check nvidia-smi; a container needs --gpus all; --gpus '' trains on the CPU"
_FIELDS = ("index", "name", "driver_version", "memory.total", "memory.free", "compute_cap")


@dataclass(frozen=True)
class GPU:
    """A GPU as nvidia-smi reports it: sizes in MiB; capability '' with drivers before 460."""

    index: str
    name: str
    driver: str
    total: str
    free: str
    capability: str = ""

    @property
    def supported(self) -> bool:
        """Whether MXNet has code for the GPU; True if the capability is unknown."""
        major = self.capability.partition(".")[0]
        return not major.isdigit() or int(major) in _CAPABILITIES


def checks(mxnet: dict) -> list[Check]:
    """Checks of the driver and of each GPU, with the facts of :func:`probe.mxnet_facts` or an error."""
    gpus, problem = _query()
    wanted = cuda.CUDA_BUILD in cuda.installed_builds() or "CUDA" in mxnet.get("features", ())
    driver = _driver(gpus[0].driver if gpus else "", problem, wanted)
    if gpus:
        fail = FAIL if wanted and not any(gpu.supported for gpu in gpus) else WARN
        return [driver, *(_gpu(i, gpus, mxnet, wanted, fail) for i in range(len(gpus)))]
    if mxnet.get("gpus"):  # MXNet finds GPUs, although nvidia-smi does not
        found = [f"does not compute: {error}" if error else "computes" for error in mxnet["gpus"]]
        status = FAIL if any(mxnet["gpus"]) else OK
        return [driver, Check("GPUs", status, ", ".join(found), _NO_GPU if status == FAIL else "")]
    if not wanted:
        return [driver, Check("GPUs", OK, "none; training runs on the CPU")]
    reason = mxnet.get("gpu_error") or ("MXNet cannot be imported" if "error" in mxnet else "")
    return [driver, Check("GPUs", WARN, f"none ({reason})" if reason else "none", _NO_GPU)]


def _query() -> tuple[list[GPU], str]:
    """The GPUs that nvidia-smi lists, and the reason if it lists none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], "nvidia-smi is not installed"
    for fields in (_FIELDS, _FIELDS[:-1]):  # drivers before 460 do not know compute_cap
        command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return [], " ".join(str(error).split())
        if done.returncode == 0:
            lines = [line.split(",") for line in done.stdout.splitlines()]
            return [GPU(*map(str.strip, v)) for v in lines if len(v) == len(fields)], ""
        problem = " ".join((done.stdout + done.stderr).split())[:200]
        if "compute_cap" not in problem:
            break
    return [], problem or f"nvidia-smi ended with code {done.returncode}"


def _driver(version: str, problem: str, wanted: bool) -> Check:
    name, bad = "NVIDIA driver", FAIL if wanted else WARN
    if version:
        number = tuple(int(part) for part in version.split(".") if part.isdigit())
        if number >= _FULL_DRIVER:
            return Check(name, OK, version)
        remedy = "install driver 520.61.05 or newer: "
        if number < _LEAST_DRIVER:
            return Check(name, bad, version, f"{remedy}CUDA 11 needs at least 450.80.02")
        return Check(name, WARN, version, f"{remedy}MXNet compiles operators during training")
    problem = problem or "nvidia-smi lists no GPU"
    try:
        ctypes.CDLL(cuda.DRIVER)
    except OSError:
        if wanted or shutil.which("nvidia-smi"):
            return Check(name, bad, f"{cuda.DRIVER} is missing; {problem}", cuda.remedy("driver"))
        return Check(name, OK, "not installed; the CPU build does not need it")
    return Check(name, WARN, f"{cuda.DRIVER} is installed, but {problem}", _NO_GPU)


def _gpu(place: int, gpus: list[GPU], mxnet: dict, wanted: bool, unsupported: str) -> Check:
    gpu = gpus[place]
    name = f"GPU {gpu.index}"
    found = f"{gpu.name}, {gpu.free} of {gpu.total} MiB free, compute capability "
    found += gpu.capability or "unknown"
    if not gpu.supported:
        remedy = (
            "MXNet 1.9.1 supports only capabilities 5.x to 8.x (Maxwell to Ada): use another GPU, or "
            "the CPU (--gpus '')"
        )
        return Check(name, unsupported, found, remedy)
    if not wanted:
        return Check(
            name, WARN, f"{found}, but MXNet is the CPU build", cuda.remedy(cuda.CUDA_BUILD)
        )
    if "error" in mxnet:
        return Check(name, WARN, f"{found}, not tested", "fix MXNet first, see above")
    tested = mxnet.get("gpus", [])
    if len(tested) != len(gpus):
        why = mxnet.get("gpu_error") or f"MXNet sees {len(tested)} of {len(gpus)} GPUs"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            return Check(name, WARN, found, f"{why}: CUDA_VISIBLE_DEVICES is {visible!r}")
        return Check(name, WARN if tested else FAIL, f"{found}; {why}", _NO_GPU)
    if tested[place]:
        remedy = "check nvidia-smi for other programs; --gpus selects other GPUs, or '' the CPU"
        return Check(name, FAIL, f"{found}; does not compute: {tested[place]}", remedy)
    return Check(name, OK, f"{found}, computes")
