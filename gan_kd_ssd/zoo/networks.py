"""Networks by name, as plain GluonCV blocks. Imports MXNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.detectors.base import Detector, detector_class
from gan_kd_ssd.detectors.parameters import gluoncv_file
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.model_names import ModelName, unknown


def build(
    name: ModelName,
    *,
    classes: Sequence[str] | None = None,
    pretrained_base: bool = False,
    **sizes,
) -> Detector:
    """The detector of a name, with uninitialized parameters.

    Args:
        name: The name.
        classes: Foreground classes (default: those of the data set in the name).
        pretrained_base: Load the ImageNet weights of the backbone.
        sizes: For a Faster R-CNN: ``short`` and ``max_size``, the sides of its input in pixels, and
            ``norm_layer``, which is 'bn' if it was trained with ``--norm-layer bn``.

    Raises:
        UserError: There is no such network, or its classes are not known.
    """
    if name.is_ssd and any(sizes.values()):
        raise UserError(
            f"short, max_size, norm_layer: {name} is an SSD with {name.size} x {name.size} pixels of "
            "input; omit them"
        )
    classes = classes_of(name.data) if classes is None else list(classes)
    if classes is None:
        raise UserError(
            f"{name}: the classes of {name.data} are not known; give classes=[...], or pretrained=True "
            "if weights are published"
        )
    kind = detector_class(name.network.kind)
    settings = {"data_shape": name.size, "use_fpn": name.network.fpn, "roi_mode": name.roi_mode}
    return kind.build(
        name.network,
        classes,
        kind.settings({**settings, **sizes}),
        pretrained_base=pretrained_base,
        option=f"{name}:",
    )


def classes_of(data: str | None) -> list[str] | None:
    """Classes of the data set in a name; None if only a folder or a release knows them."""
    if data in ("voc", "voc07", "voc0712"):
        from gan_kd_ssd.data.formats.voc import VOC_CLASSES as classes
    elif data == "coco":
        from gan_kd_ssd.data.formats.coco import COCO_CLASSES as classes
    elif data in ("shapes", "shapescoco"):
        from gan_kd_ssd.data.synthetic.shapes import CLASSES as classes
    else:
        return None
    return list(classes)


def from_gluoncv(name: str, pretrained: bool | str, settings: dict):
    """A network of GluonCV's zoo."""
    from gluoncv import model_zoo

    check_gluoncv_name(name)
    settings = {key: value for key, value in settings.items() if value is not None}
    try:
        return model_zoo.get_model(name, pretrained=pretrained, **settings)
    except (OSError, RuntimeError) as error:  # the errors of requests are OSErrors
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"{name}: GluonCV's server did not give its files ({reason}); check the network, or give "
            "pretrained=False, pretrained_base=False"
        ) from error


def fetch_from_gluoncv(name: str, root: str | Path | None) -> Path:
    """The weights that GluonCV publishes under a name, from the local store or downloaded."""
    check_gluoncv_name(name)
    file = gluoncv_file(name, root)
    if file is None:
        raise UserError(f"{name}: GluonCV publishes no weights of this network")
    return file


def check_gluoncv_name(name: str) -> None:
    """Raise a UserError if a name is in no zoo."""
    from gluoncv import model_zoo

    if name not in model_zoo.get_model_list():
        raise unknown(name, model_zoo.get_model_list())
