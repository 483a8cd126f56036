"""Names of the zoo on the command line of ``eval_voc.py``."""

from __future__ import annotations

import argparse

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.zoo.names import Name, ours
from gan_kd_ssd.zoo.store import Store, version_of


def resolve(options: argparse.Namespace) -> None:
    """See :func:`gan_kd_ssd.zoo.resolve`; ``--network`` is a name of ours."""
    what = ours(options.network.lower())
    version = _version(options)
    if version is not None:
        fetched = Store().fetch(str(what), version or None)
        options.params = fetched.path
        if what.detector == "faster_rcnn":
            short, max_size = fetched.entry.input_size
            _fill(options, short=short, max_size=max_size, norm_layer=fetched.entry.norm_layer)
    if what.detector == "ssd":
        _check_size(options, what)
        options.network = what.student
    else:
        _check_roi_mode(options, what)
        options.network = f"faster_rcnn_{what.network}"
        options.roi_mode = what.roi_mode


def _version(options: argparse.Namespace) -> str | None:
    """The version that is asked for, '' for the newest; None where --params names a file."""
    if options.params is None:
        return ""
    if options.params.exists():
        return None
    try:
        return version_of(str(options.params))
    except UserError:
        return None  # a file that is not there: its reader says so


def _check_size(options: argparse.Namespace, what: Name) -> None:
    if options.data_shape != what.size:
        raise UserError(
            f"--data-shape {options.data_shape}: {what} is for {what.size} pixels; leave it out"
        )


def _check_roi_mode(options: argparse.Namespace, what: Name) -> None:
    if getattr(options, "roi_mode", None) not in (None, what.roi_mode):
        raise UserError(f"--roi-mode {options.roi_mode}: {what} has {what.roi_mode}; leave it out")


def _fill(options: argparse.Namespace, **values) -> None:
    """Set options that the command line left open."""
    for name, value in values.items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
