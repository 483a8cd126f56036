"""Parameters of a detector: initialisation by name, files, published weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import mxnet_home
from gan_kd_ssd.util.mxnet import mx

#: Prefix of constants of the training targets in files of GluonCV's Faster R-CNN; they are not loaded.
TARGETS = "_target_generator."


def trained(block) -> list:
    """Trained parameters of a block, in the order of their creation."""
    return [p for p in block.collect_params().values() if p.grad_req != "null"]


def initialize_by_name(block, ctx: list) -> None:
    """Initialise the parameters that have no values yet; the last part of the name selects the initialiser.

    Convolutions and dense layers get He's normal initialisation, SSD's predictors N(0, 0.01), layers
    that declare an initialiser (Faster R-CNN's predictors) their own; biases and running means are 0,
    scales and running variances 1. GluonCV's default would give the BatchNorm of appended levels
    negative variances, and its Xavier predictors start the loss at 20 to 36.
    """
    for name, parameter in block.collect_params().items():
        if parameter._data is not None or parameter._deferred_init:
            parameter.reset_ctx(ctx)
        elif isinstance(parameter, mx.gluon.Constant):
            parameter.initialize(ctx=ctx)
        else:
            initializer = _initializer(name, parameter.init)
            parameter.initialize(init=initializer, ctx=ctx, force_reinit=True)


def _initializer(name: str, declared):
    """Initialiser of a parameter; None stands for the one that the parameter declares."""
    if name.endswith(("gamma", "running_var", "moving_var")):
        return mx.init.One()
    if name.endswith(("beta", "running_mean", "moving_mean", "bias")):
        return mx.init.Zero()
    if "convpredictor" in name:
        return mx.init.Normal(0.01)
    if name.endswith("weight") and declared is None:
        return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    return None


def published_file(name: str, option: str, training: str) -> Path:
    """Call :func:`gluoncv_file`, and raise a UserError if GluonCV publishes no weights.

    The message names ``option``, which asks for the weights, and ``training``, which makes them.
    """
    prefix = f"{option}: " if option else ""
    try:
        file = gluoncv_file(name)
    except UserError as error:
        raise UserError(f"{prefix}{error}, or give a .params file") from error
    if file is None:
        raise UserError(
            f"{prefix}GluonCV publishes no weights of {name}; train it ({training}) and give its "
            ".params file"
        )
    return file


def gluoncv_file(name: str, root: str | Path | None = None) -> Path | None:
    """Path of the weights that GluonCV publishes under a name; None if it publishes none.

    ``root`` is the folder for downloads (default: $MXNET_HOME/models, else ~/.mxnet/models).

    Raises:
        UserError: the file is not in the folder, and the download fails.
    """
    from gluoncv.model_zoo import model_store

    try:
        model_store.short_hash(name)
    except ValueError:
        return None
    try:
        return Path(model_store.get_model_file(name, root=str(root or mxnet_home() / "models")))
    except Exception as error:  # errors of requests, of zip files, a wrong checksum
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"the weights of {name} cannot be downloaded from GluonCV's server ({reason}); check the "
            "network connection"
        ) from error


def check_params_file(file: Path, detector, option: str = "") -> None:
    """Raise :class:`UserError` for a parameter file that does not fit a detector; the message says how.

    ``option`` is the command-line option that gave the file.
    """
    where = f"{option} {file}".lstrip()
    if not file.is_file():
        raise UserError(f"{where}: no such file; give a .params file of {detector.name}")
    try:
        found = mx.nd.load(str(file))
        shapes = {key: value.shape for key, value in found.items()}
    except Exception as error:
        raise UserError(
            f"{where}: truncated, or not a parameter file; download it or train it again"
        ) from error
    parameters = detector.net._collect_params_with_prefix()
    expected = {key: parameter.shape for key, parameter in parameters.items()}
    size = f"{' to '.join(map(str, detector.sizes.values()))} pixels"
    extra = [key for key in sorted(shapes.keys() - expected) if not key.startswith(TARGETS)]
    problems = [f"{key!r} is missing" for key in sorted(expected.keys() - shapes)]
    problems += [f"{key!r} is unexpected" for key in extra]
    if problems:
        raise UserError(
            f"{where}: the file holds the parameters of a network other than {detector.name} at {size} "
            f"({problems[0]}); give the network and {detector.size_option} it was trained with"
        )
    for key, shape in expected.items():
        fixed = key.endswith(".anchors") and not detector.any_size and shapes[key] == shape
        if fixed and not np.allclose(
            found[key].asnumpy(), parameters[key].value.asnumpy(), rtol=1e-3
        ):
            raise UserError(
                f"{where}: the network was trained at an input size other than {size} (its anchors "
                f"differ); give the {detector.size_option} it was trained with"
            )
    different = [key for key in expected if not _agree(expected[key], shapes[key])]
    if different:
        raise UserError(f"{where}: {_difference(detector, expected, shapes, different)}")


def _difference(detector, expected: dict, shapes: dict, different: list[str]) -> str:
    """Describe how the network of a file differs, from the shapes that differ."""
    if all(key.startswith(detector.class_layers) for key in different):
        bias = next(key for key in expected if key.startswith("class_pred") and "bias" in key)
        ours = len(detector.classes)
        count = shapes[bias][0] * (ours + 1) // expected[bias][0] - 1  # the background counts too
        shown = ", ".join([*detector.classes[:5], *["…"] * (ours > 5)])
        text = f"trained for {count} classes, but {ours} are given ({shown})"
        return f"{text}; give the classes it was trained with (--classes)"
    key = different[0]
    lengths = f"{key!r} has length {shapes[key][0]}, but {detector.name} has {expected[key][0]}"
    return f"{lengths}; give the network that the file belongs to"


def _agree(expected, found) -> bool:
    """Whether two shapes agree; 0 and None stand for an unknown length."""
    if expected is None:
        return True
    return len(expected) == len(found) and all(e in (0, f) for e, f in zip(expected, found))
