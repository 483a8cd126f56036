"""The networks behind the names, as plain GluonCV blocks; imports MXNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from gan_kd_ssd.zoo.names import Name, ours, paper_names, unknown
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
    name = name.lower()
    what = ours(name)
    if what is None:
        return _gluoncv(name, pretrained, root, ctx, settings)
    version = version_of(pretrained)
    if version is None:
        return build(what, **settings).net
    fetched = Store(root).fetch(name, version or None)
    file, entry = fetched.path, fetched.entry
    classes = settings.pop("classes", None)
    if classes is not None and list(classes) != entry.classes:
        raise UserError(
            f"classes {', '.join(classes)[:200]}: the weights of {name} are for "
            f"{', '.join(entry.classes)[:200]}; leave classes out, or start with pretrained=False"
        )
    if what.detector == "faster_rcnn":
        short, max_size = entry.input_size
        own = {"short": short, "max_size": max_size, "norm_layer": entry.norm_layer}
        settings = {**own, **settings}
    detector = build(what, classes=entry.classes, **settings)
    detector.load(file, contexts(ctx), option=f"{name}:")
    return detector.net


def contexts(ctx) -> list:
    """A context or several, as a list; the CPU for None."""
    if ctx is None:
        return [mx.cpu()]
    return list(ctx) if isinstance(ctx, (list, tuple)) else [ctx]


def build(
    name: Name,
    *,
    classes: Sequence[str] | None = None,
    pretrained_base: bool = False,
    short: int | None = None,
    max_size: int | None = None,
    norm_layer: str | None = None,
):
    """The detector that a name stands for, without values for its parameters.

    Args:
        classes: foreground classes (default: those of the name's data set). pretrained_base: load
            the backbone's ImageNet weights from GluonCV's store. short, max_size: sides of a Faster
            R-CNN's input, pixels. norm_layer: 'bn' for a Faster R-CNN trained with --norm-layer bn.

    Raises:
        UserError: no such network, or its classes are not known.
    """
    from gan_kd_ssd.detectors import faster_rcnn, ssd

    classes = default_classes(name) if classes is None else list(classes)
    common = {"pretrained_base": pretrained_base, "option": f"{name}:"}
    if name.detector == "faster_rcnn":
        own = {"short": short, "max_size": max_size, "fpn": name.fpn, "roi_mode": name.roi_mode}
        own["norm_layer"] = norm_layer or None
        return faster_rcnn.build(name.student, classes, **own, **common)
    if short or max_size or norm_layer:
        raise UserError(
            f"short, max_size, norm_layer: {name} is an SSD for {name.size} pixels; leave them out"
        )
    return ssd.build(name.student, classes, name.size, **common)


def default_classes(name: Name) -> list[str]:
    """Classes of the data set in a name.

    Raises:
        UserError: it is a folder's, whose classes only the folder or published weights tell.
    """
    if name.data in ("voc", "voc07", "voc0712"):
        from gan_kd_ssd.data.formats.voc import VOC_CLASSES

        return list(VOC_CLASSES)
    if name.data == "coco":
        from gan_kd_ssd.data.formats.coco import COCO_CLASSES

        return list(COCO_CLASSES)
    if name.data in ("shapes", "shapescoco"):
        from gan_kd_ssd.data.synthetic.shapes import CLASSES

        return list(CLASSES)
    raise UserError(
        f"{name}: the classes of {name.data} are not known here; give classes=[...], or "
        "pretrained=True where weights are published"
    )


def _gluoncv(name: str, pretrained, root, ctx, settings: dict):
    """A network of GluonCV's zoo; its own errors for what it cannot take."""
    from gluoncv import model_zoo

    if name not in model_zoo.get_model_list():
        raise unknown(name, [*paper_names(), *model_zoo.get_model_list()])
    given = {"root": root and str(root), "ctx": ctx}
    settings = {**settings, **{key: value for key, value in given.items() if value is not None}}
    try:
        return model_zoo.get_model(name, pretrained=pretrained, **settings)
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"{name}: its files cannot be had from GluonCV's store ({reason}); check the network, "
            "or give pretrained=False, pretrained_base=False"
        ) from error


def gluoncv_file(name: str, root: str | Path | None) -> Path:
    """The weights that GluonCV publishes under a name, from its local store or downloaded.

    Raises:
        UserError: no such name, no such weights, or they cannot be downloaded.
    """
    from gluoncv import model_zoo

    from gan_kd_ssd.detectors import parameters

    if name not in model_zoo.get_model_list():
        raise unknown(name, [*paper_names(), *model_zoo.get_model_list()])
    file = parameters.gluoncv_file(name, root)
    if file is None:
        raise UserError(f"{name}: GluonCV publishes no weights of it")
    return file
