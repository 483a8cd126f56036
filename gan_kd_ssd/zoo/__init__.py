"""The model zoo: networks by name, with pretrained weights where they are published.

``gan-kd zoo --help`` lists the commands; :mod:`gan_kd_ssd.zoo.model_names` explains the names. Importing this
package is cheap: MXNet is imported when a network is built.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gan_kd_ssd.util.errors import UserError

if TYPE_CHECKING:
    from gan_kd_ssd.config.evaluation_options import EvaluationConfig


def get_model(name: str, pretrained: bool | str = False, *, root=None, ctx=None, **settings):
    """Build a network by name, as ``gluoncv.model_zoo.get_model`` does; returns a plain GluonCV block.

    Without ``pretrained`` nothing is downloaded and the parameters are uninitialized
    (``detectors.parameters.initialize_by_name`` initializes them well). Names that are not in this zoo
    are passed to GluonCV with all arguments.

    Args:
        name: A name of :func:`get_model_list`, any other name of that form, or the name of a row of
            ``gan-kd experiments list``.
        pretrained: True loads the newest published weights; a string of 8 hexadecimal digits loads
            that version.
        root: The folder of weights (default: $MXNET_HOME/models, else ~/.mxnet/models).
        ctx: The context or contexts of the parameters (default: the CPU).
        settings: ``classes`` (names), ``pretrained_base`` (whether to load the ImageNet weights of the
            backbone; default: False), and for a Faster R-CNN ``short`` and ``max_size`` in pixels.

    Raises:
        UserError: The name is unknown, no weights are published (the message says how to train
            them), or the weights are not available.
    """
    from gan_kd_ssd.util.mxnet import mx
    from gan_kd_ssd.zoo import model_names, networks
    from gan_kd_ssd.zoo.store import Store, version_of

    name = model_names.full_name(name)
    what = model_names.ours(name)
    if what is None:
        settings.update(root=root and str(root), ctx=ctx)
        return networks.from_gluoncv(name, pretrained, settings)
    version = version_of(pretrained)
    if version is None:
        return networks.build(what, **settings).net
    path, release = Store(root).fetch(name, version or None)
    classes = settings.pop("classes", None)
    if classes is not None and list(classes) != release.classes:
        raise UserError(
            f"classes {', '.join(classes)[:200]}: the weights of {name} are for "
            f"{', '.join(release.classes)[:200]}; omit classes, or start with pretrained=False"
        )
    settings = {**release.sizes, **settings}
    detector = networks.build(what, classes=release.classes, **settings)
    contexts = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    detector.load(path, contexts, option=f"{name}:")
    return detector.net


def get_model_list(gluoncv: bool = False) -> list[str]:
    """Names of the networks of Tables 1 to 3 that GluonCV does not publish, in the paper's order.

    Args:
        gluoncv: Add GluonCV's names, which :func:`get_model` accepts as well.
    """
    from gan_kd_ssd.zoo.model_names import paper_names

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
    from gan_kd_ssd.zoo.model_names import ours
    from gan_kd_ssd.zoo.store import Store, version_of

    what = ours(config.network.lower())
    if what is None:
        return config
    if what.is_ssd and config.data_shape != what.size:
        raise UserError(
            f"--data-shape {config.data_shape}: {what} has {what.size} x {what.size} pixels of input; "
            "omit the option"
        )
    if not what.is_ssd and config.roi_mode not in (None, what.roi_mode):
        raise UserError(f"--roi-mode {config.roi_mode}: {what} has {what.roi_mode}; omit it")
    network = what.student if what.is_ssd else f"faster_rcnn_{what.network}"
    config = replace(config, network=network, roi_mode=what.roi_mode or config.roi_mode)
    try:
        params = config.params
        version = version_of(str(params)) if params and not params.exists() else ""
    except UserError:
        return config  # a missing file: its reader reports it
    if params and not version:
        return config
    params, release = Store().fetch(str(what), version or None)
    own = {k: v for k, v in release.sizes.items() if getattr(config, k) is None}
    return replace(config, params=params, **own)
