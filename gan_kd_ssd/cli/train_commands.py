"""``gan-kd train-ssd`` and ``gan-kd train-faster-rcnn``; the training scripts call them as well."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gan_kd_ssd.config.command import COMMANDS, FASTER_RCNN, SSD
from gan_kd_ssd.config.parser import Parser, with_dashes


def train_ssd(words: Sequence[str]) -> int:
    """Train an SSD; return the exit code."""
    return train(SSD, words, f"gan-kd {COMMANDS[SSD]}")


def train_faster_rcnn(words: Sequence[str]) -> int:
    """Train a Faster R-CNN; return the exit code."""
    return train(FASTER_RCNN, words, f"gan-kd {COMMANDS[FASTER_RCNN]}")


def train(script: str, words: Sequence[str], program: str) -> int:
    """Train with the options of a script; ``program`` is the name in messages."""
    from gan_kd_ssd.config.training_config import from_words

    config = from_words(script, expand_like(script, words), program)
    from gan_kd_ssd.engine import build  # imports MXNet: only after the options were checked

    return build.run(config, program)


def expand_like(script: str, words: Sequence[str]) -> list[str]:
    """Replace ``--like LOG`` by the options of the last run in the log; other options override them.

    Raises:
        UserError: the log cannot be read, or has no run of this script.
    """
    words = with_dashes(words)
    finder = Parser(add_help=False)
    finder.add_argument("--like")
    found, others = finder.parse_known_args(words)
    if found.like is None:
        return words
    from gan_kd_ssd.analysis.arguments import command_like

    command = command_like(found.like, script)
    for name in ("save_prefix", "resume", "overwrite"):  # the new run writes files of its own
        command.options.pop(name, None)
    for remark in command.remarks:
        print(f"--like: {remark}", file=sys.stderr)
    return [*command.words(), *others]
