"""``gan-kd doctor``."""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Check this machine; return 0 where all that is needed is there, else 1."""
    from gan_kd_ssd.doctor.report import main

    return main(words)
