"""Networks by name, as plain GluonCV blocks. Imports MXNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from gan_kd_ssd.zoo.names import ModelName, full_name, ours, paper_names, unknown
from gan_kd_ssd.zoo.store import Store, version_of


def get_model(
    name: str,
    pretrained: bool | str = False,
    *,
    root: str | Path | None = None,
    ctx=None,
    **settings,
):
    """See :func:`gan_kd_ssd.zoo.get_model`."""
    name = full_name(name)
    what = ours(name)
    if what is None:
        return _from_gluoncv(name, pretrained, {**settings, "root": root and str(root), "ctx": ctx})
    version = version_of(pretrained)
    if version is None:
        return build(what, **settings).net
    path, release = Store(root).fetch(name, version or None)
    classes = settings.pop("classes", None)
    if classes is not None and list(classes) != release.classes:
        raise UserError(
            f"classes {', '.join(classes)[:200]}: the weights of {name} are for "
            f"{', '.join(release.classes)[:200]}; omit classes, or start with pretrained=False"
        )
    if not what.is_ssd:
        short, max_size = release.input_size
        own = {"short": short, "max_size": max_size, "norm_layer": release.norm_layer}
        settings = {**own, **settings}
    detector = build(what, classes=release.classes, **settings)
    contexts = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    detector.load(path, contexts, option=f"{name}:")
    return detector.net


def build(
    name: ModelName,
    *,
    classes: Sequence[str] | None = None,
    pretrained_base: bool = False,
    short: int | None = None,
    max_size: int | None = None,
    norm_layer: str | None = None,
):
    """The detector of a name, with uninitialized parameters.

    Args:
        name: The name.
        classes: Foreground classes (default: those of the data set in the name).
        pretrained_base: Load the ImageNet weights of the backbone.
        short: Short side of a Faster R-CNN's input in pixels.
        max_size: Longest side of a Faster R-CNN's input in pixels.
        norm_layer: 'bn' for a Faster R-CNN trained with ``--norm-layer bn``.

    Raises:
        UserError: There is no such network, or its classes are not known.
    """
    from gan_kd_ssd.detectors.base import detector_class

    own = {"short": short, "max_size": max_size, "norm_layer": norm_layer}
    if name.is_ssd and any(own.values()):
        raise UserError(
            f"short, max_size, norm_layer: {name} is an SSD with {name.size} x {name.size} pixels of "
            "input; omit them"
        )
    kind = detector_class(name.network.kind)
    settings = {"data_shape": name.size, "use_fpn": name.network.fpn, "roi_mode": name.roi_mode}
    return kind.build(
        name.network,
        default_classes(name) if classes is None else list(classes),
        kind.settings({**settings, **own}),
        pretrained_base=pretrained_base,
        option=f"{name}:",
    )


def default_classes(name: ModelName) -> list[str]:
    """Classes of the data set in a name.

    Raises:
        UserError: It is the data set of a folder; only the folder or a release knows its classes.
    """
    if name.data in ("voc", "voc07", "voc0712"):
        from gan_kd_ssd.data.formats.voc import VOC_CLASSES as classes
    elif name.data == "coco":
        from gan_kd_ssd.data.formats.coco import COCO_CLASSES as classes
    elif name.data in ("shapes", "shapescoco"):
        from gan_kd_ssd.data.synthetic.shapes import CLASSES as classes
    else:
        raise UserError(
            f"{name}: the classes of {name.data} are not known; give classes=[...], or pretrained=True "
            "if weights are published"
        )
    return list(classes)


def _from_gluoncv(name: str, pretrained, settings: dict):
    from gluoncv import model_zoo

    check_gluoncv_name(name)
    settings = {key: value for key, value in settings.items() if value is not None}
    try:
        return model_zoo.get_model(name, pretrained=pretrained, **settings)
    except (OSError, RuntimeError) as error:  # the errors of requests are OSErrors
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"{name}: GluonCV's store did not give its files ({reason}); check the network, or give "
            "pretrained=False, pretrained_base=False"
        ) from error


def fetch_from_gluoncv(name: str, root: str | Path | None) -> Path:
    """The weights that GluonCV publishes under a name, from the local store or downloaded.

    Raises:
        UserError: There is no such name, GluonCV publishes no weights of it, or the download fails.
    """
    from gan_kd_ssd.detectors.parameters import gluoncv_file

    check_gluoncv_name(name)
    file = gluoncv_file(name, root)
    if file is None:
        raise UserError(f"{name}: GluonCV publishes no weights of this network")
    return file


def check_gluoncv_name(name: str) -> None:
    """Raise a UserError if a name is in no zoo."""
    from gluoncv import model_zoo

    if name not in model_zoo.get_model_list():
        raise unknown(name, [*paper_names(), *model_zoo.get_model_list()])
