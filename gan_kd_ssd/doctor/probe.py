"""What is tried in a process of its own, which may crash: ``python -m gan_kd_ssd.doctor.probe NAME``.

Prints one JSON object: facts, or ``{"error": reason}``.
"""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

from gan_kd_ssd.util.errors import UserError

TIMEOUT = 120  # seconds; a first import from a cold or shared disk is slow


def run(name: str) -> dict:
    """Facts about MXNet ('mxnet') or a package, found in another process."""
    command = [sys.executable, "-m", __name__, name]
    root = Path(__file__).resolve().parents[2]  # where this package is, installed or not
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": _line(str(error))}
    if done.returncode < 0:
        return {"error": f"the process was ended by {signal.Signals(-done.returncode).name}"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": _line(done.stderr) or "no answer"}


def _line(text: str) -> str:
    """The last line that is not empty: of a Python traceback, its error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def mxnet_facts() -> dict:
    """Version, features, and whether each GPU that MXNet sees computes."""
    from gan_kd_ssd.util.mxnet import mx

    facts = {
        "version": mx.__version__,
        "features": [feature.name for feature in mx.runtime.feature_list() if feature.enabled],
        "gpus": [],
    }
    try:
        count = mx.context.num_gpus()
    except mx.MXNetError as error:
        return {**facts, "gpu_error": reason(error)}
    for index in range(count):
        try:
            compute(mx.gpu(index))
            facts["gpus"].append("")
        except Exception as error:
            facts["gpus"].append(reason(error))
    if "CUDA" in facts["features"] and not count:
        facts["gpu_error"] = driver_answer()
    return facts


def compute(device) -> None:
    """One small step of training: a convolution, and element-wise operators fused at run time.

    Raises:
        AssertionError, MXNetError: the device computes something else, or cannot.
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


def driver_answer() -> str:
    """Why the driver has no GPU, by its own word."""
    import ctypes

    from gan_kd_ssd.util.cuda import DRIVER

    answers = {  # CUresult, from the reference of CUDA's driver API
        100: "no GPU",
        101: "no such GPU",
        803: "the driver's library and its kernel module are of different versions",
        804: "forward compatibility that this GPU does not have",
        999: "an unknown error",
    }
    try:
        answer = ctypes.CDLL(DRIVER).cuInit(0)
    except (OSError, AttributeError) as error:
        return str(error)
    return f"the driver answers {answer}: {answers.get(answer, 'see its documentation')}"


def reason(error: Exception) -> str:
    """The line of an MXNet error that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error" in line or "Check failed" in line]
    return (told or lines or [type(error).__name__])[-1][:200]


def package_facts(name: str) -> dict:
    """Import a package; GluonCV after MXNet, as the project does."""
    if name == "gluoncv":
        from gan_kd_ssd.util import mxnet  # noqa: F401
    importlib.import_module(name)
    return {}


def main(name: str) -> None:
    """Print the facts."""
    try:
        facts = mxnet_facts() if name == "mxnet" else package_facts(name)
    except UserError as error:
        facts = {"error": str(error)}
    except Exception as error:
        facts = {"error": f"{type(error).__name__}: {_line(str(error))}"}
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
