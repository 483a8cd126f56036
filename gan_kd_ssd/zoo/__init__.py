"""The model zoo: networks by name, their weights where they are published, and the paper's rows.

``gan-kd zoo --help`` lists the commands; :mod:`gan_kd_ssd.zoo.names` says how
names are made. Importing this is cheap: MXNet is imported where a network is built.
"""

from __future__ import annotations


def get_model(name: str, pretrained: bool | str = False, *, root=None, ctx=None, **settings):
    """The network of a name, as the plain GluonCV block: as ``gluoncv.model_zoo.get_model``.

    Without ``pretrained`` nothing is downloaded, and parameters have no values yet
    (``detectors.parameters.initialize_by_name`` gives them good ones). Names that are not ours go to
    GluonCV, with all other arguments.

    Args:
        name: see :func:`get_model_list`; any name of its form is built as well.
        pretrained: True loads the newest published weights, 8 hexadecimal digits those of a version.
        root: where weights are kept (default: $MXNET_HOME/models, else ~/.mxnet/models).
        ctx: context or contexts of the weights (default: the CPU).
        settings: ``classes`` (names), ``pretrained_base`` (load the backbone's ImageNet weights;
            default: no), and of a Faster R-CNN ``short`` and ``max_size`` (pixels).

    Raises:
        UserError: no such name, no published weights (it says what trains them), or no way to them.
    """
    from gan_kd_ssd.zoo import zoo_networks as networks

    return networks.get_model(name, pretrained, root=root, ctx=ctx, **settings)


def get_model_list(gluoncv: bool = False) -> list[str]:
    """Names of the networks of Tables 1 to 3 that GluonCV does not publish, in the paper's order.

    Args:
        gluoncv: add GluonCV's names, which :func:`get_model` takes as well.
    """
    from gan_kd_ssd.zoo.names import paper_names

    names = paper_names()
    if gluoncv:
        from gluoncv import model_zoo

        names += [name for name in model_zoo.get_model_list() if name not in names]
    return names


def resolve(options) -> None:
    """Put what a name of ours stands for into the options of ``eval_voc.py``; others stay as they are.

    ``--network NAME --pretrained True`` (or the 8 digits of a version) becomes the fetched file, its
    backbone and input size; with ``--params`` the weights are those.

    Raises:
        UserError: as :func:`get_model`, or an input size that is not the name's.
    """
    from gan_kd_ssd.zoo.names import ours

    if ours(options.network.lower()):
        from gan_kd_ssd.zoo import evaluation_names as evaluation

        evaluation.resolve(options)
