"""The configuration of a training, from a command line or from options by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gan_kd_ssd.config.command import FASTER_RCNN, SSD, Command
from gan_kd_ssd.config.faster_rcnn_options import FasterRCNNConfig
from gan_kd_ssd.config.shared_options import TrainConfig
from gan_kd_ssd.config.ssd_options import SSDConfig

CONFIGS = {SSD: SSDConfig, FASTER_RCNN: FasterRCNNConfig}


def from_words(script: str, words: Sequence[str], program: str | None = None) -> TrainConfig:
    """The configuration of a command line of ``train_ssd_gkd.py`` or ``train_faster_rcnn_gkd.py``.

    Args:
        program: the name of the program in the usage line, if it is not the script's.

    Raises:
        UserError: an unknown option, or invalid or contradictory values.
    """
    return CONFIGS[script].from_words(words, program)


def from_options(script: str, options: Mapping[str, object]) -> TrainConfig:
    """The configuration of options by name (with underscores); the others have their defaults.

    Raises:
        UserError: as :func:`from_words`.
    """
    return from_words(script, Command(script, dict(options)).words())
