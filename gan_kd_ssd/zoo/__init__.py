"""The model zoo: networks by name, with pretrained weights where they are published.

``gan-kd zoo --help`` lists the commands; :mod:`gan_kd_ssd.zoo.names` explains the names. Importing this
package is cheap: MXNet is imported when a network is built.
"""

from __future__ import annotations


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


def resolve(options):
    """Replace a name of this zoo in the options of an evaluation by what it stands for.

    ``--network NAME --pretrained True``, or the 8 digits of a version, becomes the fetched weights, the
    backbone and the input size. With ``--params`` the given weights are used.

    Args:
        options: The options of ``eval_voc.py``: a Namespace or a dataclass with ``network`` and
            ``params``. They are not changed.

    Returns:
        The options with a name of this zoo resolved.

    Raises:
        UserError: As :func:`get_model`, or an option contradicts the name.
    """
    import argparse
    import dataclasses

    from gan_kd_ssd.zoo.names import ours

    what = ours(options.network.lower())
    changes = _resolved(options, what) if what else {}
    if dataclasses.is_dataclass(options):
        return dataclasses.replace(options, **changes)
    return argparse.Namespace(**{**vars(options), **changes})


def _resolved(options, what) -> dict:
    """The options that the name ``what`` decides."""
    from gan_kd_ssd.util.errors import UserError
    from gan_kd_ssd.zoo.store import Store, version_of

    if what.is_ssd and options.data_shape != what.size:
        raise UserError(
            f"--data-shape {options.data_shape}: {what} has {what.size} x {what.size} pixels of input; "
            "omit the option"
        )
    if not what.is_ssd and getattr(options, "roi_mode", None) not in (None, what.roi_mode):
        raise UserError(
            f"--roi-mode {options.roi_mode}: {what} has {what.roi_mode}; omit the option"
        )
    changes = {"network": what.student if what.is_ssd else f"faster_rcnn_{what.network}"}
    if not what.is_ssd:
        changes["roi_mode"] = what.roi_mode
    version = ""
    if options.params is not None:
        try:
            version = None if options.params.exists() else version_of(str(options.params))
        except UserError:
            version = None  # a missing file: its reader reports it
    if version is not None:
        path, release = Store().fetch(str(what), version or None)
        changes["params"] = path
        if not what.is_ssd:
            sides = dict(zip(("short", "max_size"), release.input_size))
            for option, value in {**sides, "norm_layer": release.norm_layer}.items():
                if getattr(options, option, None) is None:
                    changes[option] = value
    return changes
