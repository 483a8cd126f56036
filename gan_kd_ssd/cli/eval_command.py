"""``gan-kd eval``; ``eval_voc.py`` calls it as well."""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str], program: str = "gan-kd eval") -> int:
    """Evaluate a detector; return the exit code. ``program`` is the name in the usage line."""
    from gan_kd_ssd import zoo
    from gan_kd_ssd.config.evaluation_options import parse

    config = zoo.resolve(parse(words, program))
    from gan_kd_ssd.engine import evaluate  # imports MXNet, which --help does not need

    return evaluate.run(config)
