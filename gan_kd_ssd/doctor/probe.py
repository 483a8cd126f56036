"""Checks that may crash, in a separate process: ``python -m gan_kd_ssd.doctor.probe NAME``.

The process prints a JSON object: facts, or ``{"error": reason}``.
"""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

from gan_kd_ssd.util.errors import UserError

_TIMEOUT = 120  # seconds; a first import from a slow disk takes long


def run(module: str) -> dict:
    """Run :func:`main` in another process; return the facts or the error that it prints."""
    command = [sys.executable, "-m", __name__, module]
    root = Path(__file__).resolve().parents[2]  # the folder of this package, installed or not
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": _last_line(str(error))}
    if done.returncode < 0:
        return {"error": f"the process was killed by {signal.Signals(-done.returncode).name}"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": _last_line(done.stderr) or "no answer"}


def _last_line(text: str) -> str:
    """The last line with text; in a traceback it is the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def mxnet_facts() -> dict:
    """Version and features of MXNet, and the error of each GPU ('' if it computes correctly)."""
    from gan_kd_ssd.util.mxnet import mx

    features = [feature.name for feature in mx.runtime.feature_list() if feature.enabled]
    facts = {"version": mx.__version__, "features": features, "gpus": []}
    try:
        count = mx.context.num_gpus()
    except mx.MXNetError as error:
        return {**facts, "gpu_error": _reason(error)}
    for index in range(count):
        try:
            compute(mx.gpu(index))
            facts["gpus"].append("")
        except Exception as error:
            facts["gpus"].append(_reason(error))
    if "CUDA" in features and not count:
        facts["gpu_error"] = _driver_answer()
    return facts


def data_facts() -> dict:
    """Descriptions of the missing parts of each data set in GluonCV's folder, by its name."""
    from gan_kd_ssd.data.fetch.prepare import SETS, missing
    from gan_kd_ssd.util.files import mxnet_home

    root = mxnet_home() / "datasets"
    return {
        name: list(filter(None, (missing(archive, root / name) for archive in archives)))
        for name, archives in SETS.items()
    }


def compute(device) -> None:
    """Run a small training step: a convolution, and element-wise operators fused at run time.

    Raises an AssertionError or an MXNetError if the device does not compute it correctly.
    """
    from gan_kd_ssd.util.mxnet import mx

    net = mx.gluon.nn.HybridSequential()
    net.add(
        mx.gluon.nn.Conv2D(1, 3, in_channels=1, weight_initializer=mx.init.One()),
        mx.gluon.nn.HybridLambda(lambda F, x: F.sigmoid(x * 0 + 1) * 2 - x),
    )
    net.initialize(ctx=device)
    net.hybridize()
    x = mx.nd.ones((1, 1, 5, 5), ctx=device)
    with mx.autograd.record():
        total = net(x).sum()
    total.backward()
    expected = 9 * (2 / (1 + 2.718281828459045**-1) - 9)
    if abs(total.asscalar() - expected) > 1e-3:
        raise AssertionError(f"wrong result: {total.asscalar()} for {expected}")
    gradient = net[0].weight.grad(device).asnumpy()
    if not (gradient == -9).all():
        raise AssertionError(f"wrong gradient: {gradient.ravel()[0]} for -9")


def _driver_answer() -> str:
    """The reason why the driver offers no GPU."""
    import ctypes

    from gan_kd_ssd.util.cuda import DRIVER

    meanings = {  # CUresult, from the reference of CUDA's driver API
        100: "no GPU",
        803: "the driver's library and kernel module have different versions",
        804: "this GPU does not support forward compatibility",
    }
    try:
        answer = ctypes.CDLL(DRIVER).cuInit(0)
    except (OSError, AttributeError) as error:
        return str(error)
    return f"the driver answers {answer}: {meanings.get(answer, 'see CUresult in its reference')}"


def _reason(error: Exception) -> str:
    """The line of an MXNet error that describes the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if "Error" in line or "Check failed" in line]
    return (causes or lines or [type(error).__name__])[-1][:200]


def main(module: str) -> None:
    """Print the facts of a module, or of the data sets."""
    facts = {}
    try:
        if module == "mxnet":
            facts = mxnet_facts()
        elif module == "data":
            facts = data_facts()
        else:
            if module == "gluoncv":  # as the project does: GluonCV imports MXNet
                importlib.import_module("gan_kd_ssd.util.mxnet")
            importlib.import_module(module)
    except UserError as error:
        facts = {"error": str(error)}
    except Exception as error:
        facts = {"error": f"{type(error).__name__}: {_last_line(str(error))}"}
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
