"""Checks of Python, MXNet and the packages."""

from __future__ import annotations

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

from gan_kd_ssd.doctor import FAIL, OK, WARN, Check, probe
from gan_kd_ssd.util import cuda
from gan_kd_ssd.util.errors import UserError

#: Title, module, distribution, and the status if it is missing.
_PACKAGES = (
    ("numpy", "numpy", "numpy", FAIL),
    ("GluonCV", "gluoncv", "gluoncv", FAIL),
    ("OpenCV", "cv2", "opencv-python", FAIL),
    ("pycocotools", "pycocotools.mask", "pycocotools", WARN),  # only COCO's metric needs it
)
#: Features of MXNet to show.
_FEATURES = ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENCV", "DIST_KVSTORE")


def checks() -> tuple[list[Check], dict]:
    """Checks of Python, MXNet and the packages, and the facts of :func:`probe.mxnet_facts`."""
    modules = ["mxnet", *(module for _, module, _, _ in _PACKAGES)]
    with ThreadPoolExecutor() as pool:
        mxnet, *others = pool.map(probe.run, modules)
    packages = [
        _package(*package, facts.get("error"), "error" in mxnet)
        for package, facts in zip(_PACKAGES, others)
    ]
    return [_python(), mxnet_check(mxnet), *packages], mxnet


def _python() -> Check:
    system, machine = platform.system(), platform.machine()
    found = f"{platform.python_version()}, {system} {machine}, {sys.prefix}"
    if not (3, 9) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", FAIL, found, "use Python 3.9 to 3.13")
    if (system, machine) != ("Linux", "x86_64"):
        remedy = "MXNet 1.9.1 has packages only for Linux on x86-64"
        return Check("Python", WARN, found, remedy)
    return Check("Python", OK, found)


def mxnet_check(facts: dict) -> Check:
    """The check of MXNet, from the facts of :func:`probe.mxnet_facts` or an error."""
    builds = cuda.installed_builds()
    try:
        cuda.check_builds(builds)
    except UserError as error:
        return Check("MXNet", FAIL, " and ".join(builds), str(error))
    if "error" in facts:
        found = builds[0] if builds else "not installed"
        return Check("MXNet", FAIL, found, facts["error"] if builds else cuda.remedy())
    build = builds[0] if builds else "own build"
    kind = "CUDA build" if "CUDA" in facts["features"] else "CPU build"
    features = ", ".join(name for name in _FEATURES if name in facts["features"])
    found = f"{facts['version']} ({build}), {kind}: {features}"
    if facts["version"] != "1.9.1":
        remedy = f"the project is tested with MXNet 1.9.1: {cuda.remedy()}"
        return Check("MXNet", WARN, found, remedy)
    return Check("MXNet", OK, found)


def _package(title, module, distribution, missing, error: str | None, without_mxnet: bool) -> Check:
    names = (distribution, f"{distribution}-headless")
    found = (one.version for name in names for one in metadata.distributions(name=name))
    version = next(found, None)
    if error is None:
        return Check(title, OK, version or "installed by hand")
    remedy = cuda.remedy(distribution)
    if version is None:
        return Check(title, missing, "not installed", remedy)
    if module == "gluoncv" and without_mxnet:
        return Check(title, WARN, f"{version}, not tested", "fix MXNet first; GluonCV imports it")
    if "libGL" in error:
        remedy = "install libGL (Debian: apt-get install libgl1)"
    return Check(title, missing, f"{version}: cannot be imported ({error})", remedy)
