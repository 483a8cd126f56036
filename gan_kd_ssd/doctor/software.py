"""Python and the packages."""

from __future__ import annotations

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

from gan_kd_ssd.doctor import probe
from gan_kd_ssd.doctor.check import FAIL, OK, WARN, Check
from gan_kd_ssd.util import cuda
from gan_kd_ssd.util.errors import UserError

#: Title, name to import, distribution, and the status where it is missing.
PACKAGES = (
    ("numpy", "numpy", "numpy", FAIL),
    ("GluonCV", "gluoncv", "gluoncv", FAIL),
    ("OpenCV", "cv2", "opencv-python", FAIL),
    ("pycocotools", "pycocotools.mask", "pycocotools", WARN),  # COCO's evaluation alone
)
#: Features of MXNet worth a word.
FEATURES = ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENCV", "DIST_KVSTORE")


def checks() -> tuple[list[Check], dict]:
    """Checks of Python, MXNet and the packages, and the facts about MXNet for the GPUs' checks."""
    names = ["mxnet", *(name for _, name, _, _ in PACKAGES)]
    with ThreadPoolExecutor() as pool:
        facts = dict(zip(names, pool.map(probe.run, names)))
    mxnet = facts["mxnet"]
    rows = [_python(), _mxnet(mxnet)]
    for title, name, distribution, missing in PACKAGES:
        rows.append(_package(title, name, distribution, missing, facts[name], "error" in mxnet))
    return rows, mxnet


def _python() -> Check:
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.prefix}"
    if not (3, 9) <= sys.version_info[:2] <= (3, 12):
        remedy = "use Python 3.9 to 3.12: make setup PYTHON=/path/to/python3.11"
        return Check("Python", FAIL, found, remedy)
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return Check("Python", WARN, found, "MXNet 1.9.1 has packages for Linux on x86-64 alone")
    return Check("Python", OK, found)


def _mxnet(facts: dict) -> Check:
    builds = cuda.installed_builds()
    try:
        cuda.check_builds(builds)
    except UserError as error:
        return Check("MXNet", FAIL, " and ".join(builds), str(error))
    if "error" in facts and not builds:
        return Check("MXNet", FAIL, f"not installed ({facts['error']})", cuda.CPU_REMEDY)
    if "error" in facts:
        return Check("MXNet", FAIL, builds[0], facts["error"])
    build = builds[0] if builds else "built by hand"
    kind = "CUDA build" if "CUDA" in facts["features"] else "CPU build"
    features = ", ".join(name for name in FEATURES if name in facts["features"])
    found = f"{facts['version']} ({build}), {kind}: {features}"
    if facts["version"] != "1.9.1":
        return Check("MXNet", WARN, found, "the project is tested with 1.9.1: make setup")
    return Check("MXNet", OK, found)


def _package(title, name, distribution, missing, facts, without_mxnet) -> Check:
    version = _version(distribution) or _version(f"{distribution}-headless")
    if version is None and "error" in facts:
        return Check(title, missing, "not installed", cuda.CPU_REMEDY)
    found = version or "installed by hand"
    if title == "numpy" and found.split(".")[0] == "2":
        remedy = 'MXNet needs numpy 1: pip install "numpy<2", or make setup'
        return Check(title, FAIL, found, remedy)
    if "error" not in facts:
        return Check(title, OK, found)
    if name == "gluoncv" and without_mxnet:
        return Check(title, WARN, f"{found}, not tried", "MXNet first, which it imports")
    remedy = cuda.CPU_REMEDY
    if "libGL" in facts["error"]:
        remedy = "install libGL (Debian: apt-get install libgl1)"
    return Check(title, missing, f"{found}: cannot be imported ({facts['error']})", remedy)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
