"""Parameters of any detector: their first values, and files that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import mxnet_home
from gan_kd_ssd.util.mxnet import mx

#: GluonCV's Faster R-CNN files may hold constants of the training targets: nothing to load.
TARGETS = "_target_generator."


def trained(block) -> list:
    """Trained parameters of a block, in the order of their creation."""
    return [p for p in block.collect_params().values() if p.grad_req != "null"]


def initialize_by_name(block, ctx: list) -> None:
    """Give every parameter of a block without a value its first one, by the last part of its name.

    Convolutions and dense layers get He's normal initialisation, SSD's predictors N(0, 0.01), layers
    that declare an initialiser (Faster R-CNN's predictors) theirs, biases and running means 0, scales
    and running variances 1.
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
    """First values of a parameter; None is the parameter's own."""
    if name.endswith(("gamma", "running_var", "moving_var")):
        return mx.init.One()
    if name.endswith(("beta", "running_mean", "moving_mean", "bias")):
        return mx.init.Zero()
    if "convpredictor" in name:
        return mx.init.Normal(0.01)
    if name.endswith("weight") and declared is None:
        return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    return None


def published_file(name: str, option: str, otherwise: str) -> Path:
    """The file that GluonCV's zoo publishes for a network, from its local store or downloaded.

    Args:
        name: the zoo's. option: to name in an error. otherwise: what to do where the zoo has none.

    Raises:
        UserError: the zoo has no such weights, or they cannot be downloaded.
    """
    try:
        file = gluoncv_file(name)
    except UserError as error:
        raise UserError(f"{option}: {error}, or give a .params file") from error
    if file is None:
        raise UserError(f"{option}: GluonCV publishes no weights of {name}; {otherwise}")
    return file


def gluoncv_file(name: str, root: str | Path | None = None) -> Path | None:
    """The weights that GluonCV publishes under a name; None where it publishes none.

    Args:
        root: its local store (default: $MXNET_HOME/models, else ~/.mxnet/models).

    Raises:
        UserError: they are not there, and cannot be downloaded.
    """
    from gluoncv.model_zoo import model_store

    try:
        model_store.short_hash(name)
    except ValueError:
        return None
    try:
        return Path(model_store.get_model_file(name, root=str(root or mxnet_home() / "models")))
    except Exception as error:  # requests' own errors, zip errors, a wrong hash
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"the weights of {name} cannot be had from GluonCV's store ({reason}); check the network"
        ) from error


def check_params_file(file: Path, expected: dict, detector, option: str) -> None:
    """Raise a UserError that says what is wrong with a parameter file, before anything is loaded.

    Args:
        file: the file. expected: shape of each parameter by GluonCV's name; 0 and None stand for a
            length that is not known yet. detector: whose ``description``, ``input_size``,
            ``size_option``, ``anchor_constants`` and ``classes_in`` say what is
            expected. option: named in the message.
    """
    if not file.is_file():
        raise UserError(f"{option} {file}: no such file; give a .params file of {detector.name}")
    try:
        found = mx.nd.load(str(file))
        shapes = {key: value.shape for key, value in found.items()}
    except Exception as error:
        raise UserError(
            f"{option} {file}: truncated, or not a parameter file; fetch or train it again"
        ) from error
    missing = sorted(set(expected) - set(shapes))
    extra = sorted(key for key in set(shapes) - set(expected) if not key.startswith(TARGETS))
    if missing or extra:
        name = missing[0] if missing else extra[0]
        raise UserError(
            f"{option} {file}: parameters of another network than {detector.description} "
            f"({name!r} {'is missing' if missing else 'is too many'}); "
            f"name the network and {detector.size_option} it was trained with"
        )
    different = [key for key in expected if not _agree(expected[key], shapes[key])]
    for key, anchors in detector.anchor_constants().items():
        if shapes[key] == anchors.shape and not np.allclose(
            found[key].asnumpy(), anchors, rtol=1e-3
        ):
            raise UserError(
                f"{option} {file}: was trained at another input size than {detector.input_size} "
                f"(its anchors differ); give the {detector.size_option} it was trained with"
            )
    if not different:
        return
    count = detector.classes_in(shapes, different)
    if count is not None:
        raise UserError(
            f"{option} {file}: trained for {count} classes, but the data has {len(detector.classes)} "
            f"({', '.join(detector.classes[:5])}, ...); give the --classes it was trained with"
        )
    raise UserError(
        f"{option} {file}: {different[0]!r} is {shapes[different[0]][0]} wide where "
        f"{detector.description} has {expected[different[0]][0]}; name the network it is of"
    )


def _agree(expected, found) -> bool:
    """Whether two shapes agree; 0 and None stand for a length not known yet."""
    if expected is None:
        return True
    return len(expected) == len(found) and all(e in (0, f) for e, f in zip(expected, found))
