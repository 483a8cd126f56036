"""``gan-kd eval``; ``eval_voc.py`` calls it as well."""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Evaluate a detector; return the exit code."""
    from gan_kd_ssd import zoo
    from gan_kd_ssd.config.evaluation_options import parse

    options = parse(words)
    options = zoo.resolve(options)
    from gan_kd_ssd.engine import evaluate  # imports MXNet, which --help does not need

    return evaluate.run(options)
