"""Loading of trained detectors for evaluation and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.detectors.base import Detector, detector_class
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.logs.run_metadata import check_classes, metadata_beside


def settings_of(options, params: Path | None = None, devices: int = 1):
    """Settings of the network ``options.network``, for :meth:`Detector.build`.

    Options that are not set come from the metadata of the run that wrote ``params``, if there are any,
    or else from the defaults of the detector.
    """
    detector = detector_class(kind_of(options.network))
    metadata = metadata_beside(params) if params else None
    trained = metadata.namespace if metadata else {}
    values = {
        name: getattr(options, name, None) or trained.get(name) for name in detector.network_options
    }
    return detector.settings(values, devices)


def load(options, classes: Sequence[str], params: Path, ctx: list, option: str) -> Detector:
    """Load the detector ``options.network`` with trained parameters, for inference.

    Raises:
        UserError: no such network, or a file that is missing, damaged, another network's, or trained
            on other classes; names ``option``.
    """
    check_classes(params, classes, option)
    network, settings = options.network, settings_of(options, params, len(ctx))
    names = {"option": option, "network_option": "--network"}
    detector = detector_class(kind_of(network))
    return detector.load_trained(network, classes, settings, params, ctx, **names)
