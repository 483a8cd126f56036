"""The model zoo: networks by name, with pretrained weights where they are published.

``gan-kd zoo --help`` lists the commands; :mod:`gan_kd_ssd.zoo.names` explains the names. Importing this
package is cheap: MXNet is imported when a network is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_kd_ssd.config.evaluation_options import EvaluationConfig
    from gan_kd_ssd.zoo.names import ModelName


def get_model(name: str, pretrained: bool | str = False, *, root=None, ctx=None, **settings):
    """Build a network by name, as ``gluoncv.model_zoo.get_model`` does; returns a plain GluonCV block.

    Without ``pretrained`` nothing is downloaded and the parameters are uninitialized
    (``detectors.parameters.initialize_by_name`` initializes them well). Names that are not in this zoo
    are passed to GluonCV with all arguments.

    Args:
        name: A name of :func:`get_model_list`, any other name of that form, or the name of a row of
            ``gan-kd experiments list``.
        pretrained: True loads the newest published weights, 8 hexadecimal digits load a version.
        root: The folder of weights (default: $MXNET_HOME/models, else ~/.mxnet/models).
        ctx: The context or contexts of the parameters (default: the CPU).
        settings: ``classes`` (names), ``pretrained_base`` (whether to load the ImageNet weights of the
            backbone; default: no), and for a Faster R-CNN ``short`` and ``max_size`` in pixels.

    Raises:
        UserError: The name is unknown, no weights are published (the message says how to train
            them), or the weights are not available.
    """
    from gan_kd_ssd.zoo import networks

    return networks.get_model(name, pretrained, root=root, ctx=ctx, **settings)


def get_model_list(gluoncv: bool = False) -> list[str]:
    """Names of the networks of Tables 1 to 3 that GluonCV does not publish, in the paper's order.

    Args:
        gluoncv: Add GluonCV's names, which :func:`get_model` accepts as well.
    """
    from gan_kd_ssd.zoo.names import paper_names

    names = paper_names()
    if gluoncv:
        from gluoncv import model_zoo

        names += [name for name in model_zoo.get_model_list() if name not in names]
    return names


def resolve(config: EvaluationConfig) -> EvaluationConfig:
    """Replace a name of this zoo in the configuration of an evaluation by what it stands for.

    ``--network NAME --pretrained True``, or the 8 digits of a version, becomes the fetched weights, the
    backbone and the input size. With ``--params`` the given weights are used.

    Raises:
        UserError: As :func:`get_model`, or an option contradicts the name.
    """
    import dataclasses

    from gan_kd_ssd.zoo.names import ours

    what = ours(config.network.lower())
    return dataclasses.replace(config, **_resolved(config, what)) if what else config


def _resolved(config: EvaluationConfig, what: ModelName) -> dict:
    """The fields of the configuration that the name ``what`` decides."""
    from gan_kd_ssd.util.errors import UserError
    from gan_kd_ssd.zoo.store import Store, version_of

    if what.is_ssd and config.data_shape != what.size:
        raise UserError(
            f"--data-shape {config.data_shape}: {what} has {what.size} x {what.size} pixels of input; "
            "omit the option"
        )
    if not what.is_ssd and config.roi_mode not in (None, what.roi_mode):
        raise UserError(
            f"--roi-mode {config.roi_mode}: {what} has {what.roi_mode}; omit the option"
        )
    changes = {"network": what.student if what.is_ssd else f"faster_rcnn_{what.network}"}
    if not what.is_ssd:
        changes["roi_mode"] = what.roi_mode
    version = ""
    if config.params is not None:
        try:
            version = None if config.params.exists() else version_of(str(config.params))
        except UserError:
            version = None  # a missing file: its reader reports it
    if version is None:
        return changes
    changes["params"], release = Store().fetch(str(what), version or None)
    if not what.is_ssd:
        own = dict(zip(("short", "max_size"), release.input_size), norm_layer=release.norm_layer)
        changes.update({k: v for k, v in own.items() if getattr(config, k) is None})
    return changes
