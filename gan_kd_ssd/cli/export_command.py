"""``gan-kd export``: export a detector."""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Export a detector; return the exit code."""
    from gan_kd_ssd.config.export_options import parse

    config = parse(words)
    from gan_kd_ssd.export import export_run  # imports MXNet, which --help does not need

    return export_run.run(config)
