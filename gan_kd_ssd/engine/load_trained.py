"""A trained detector as the options of evaluation and export name it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gan_kd_ssd.config.evaluation_options import PUBLISHED_DATA_SHAPE
from gan_kd_ssd.detectors import faster_rcnn, ssd
from gan_kd_ssd.engine import runlog

#: Options of a training without which its weights cannot be loaded rightly.
_OF_THE_NETWORK = ("data_shape", "use_fpn", "roi_mode", "short", "max_size", "norm_layer")


def load(options: argparse.Namespace, classes: Sequence[str], params: Path, ctx: list, option: str):
    """The detector of ``options.network``, an SSD or (``options.faster_rcnn``) a Faster R-CNN.

    What the options leave open is set as the run had it that wrote the weights, see
    :func:`fill_from_run`, else as published.

    Raises:
        UserError: no such network, or a file that is missing, damaged, another network's, or trained
            on other classes; names ``option``.
    """
    runlog.check_classes(params, classes, option)
    fill_from_run(options, params)
    if options.faster_rcnn:
        return faster_rcnn.load(
            options.network,
            classes,
            params,
            ctx,
            option,
            fpn=bool(options.use_fpn),
            roi_mode=options.roi_mode or "align",
            short=options.short,
            max_size=options.max_size,
            norm_layer=options.norm_layer,
            devices=len(ctx),
        )
    options.data_shape = options.data_shape or PUBLISHED_DATA_SHAPE
    return ssd.load(options.network, classes, options.data_shape, params, ctx, option=option)


def fill_from_run(options: argparse.Namespace, params: Path) -> None:
    """Set what options leave open about a network (None, False) as the run that trained it had it."""
    trained = runlog.run_beside(params).get("namespace", {})
    for name in _OF_THE_NETWORK:
        if hasattr(options, name) and not getattr(options, name):
            setattr(options, name, trained.get(name))
