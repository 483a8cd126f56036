"""A command line of one of the training scripts, as data."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

SSD, FASTER_RCNN = "train_ssd_gkd.py", "train_faster_rcnn_gkd.py"
#: The command of ``gan-kd`` that is the same as a script.
COMMANDS = {SSD: "train-ssd", FASTER_RCNN: "train-faster-rcnn"}

#: Options that are on by default and have a ``--no-`` form.
_ON_BY_DEFAULT = ("pretrained_base",)


@dataclass
class Command:
    """A training script and its options."""

    script: str  # its file name
    options: dict[str, object]  # values by option name, spelt with underscores
    remarks: list[str] = field(default_factory=list)  # about options that were inferred or left out

    def words(self) -> list[str]:
        """The options as a list of arguments, such as ``["--batch-size", "64"]``."""
        words: list[str] = []
        for name, value in self.options.items():
            option = name.replace("_", "-")
            if value is None or (value is False and name not in _ON_BY_DEFAULT):
                continue
            if isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            elif str(value).startswith("-"):
                words.append(f"--{option}={value}")  # argparse would read -0.03 as an option
            else:
                words += [f"--{option}", str(value)]
        return words

    def program_words(self) -> list[str]:
        """The arguments of ``gan-kd``: the command and its options."""
        return [COMMANDS[self.script], *self.words()]

    def line(self) -> str:
        """The command as it is typed into a shell."""
        return shell_line(self.program_words())


def shell_line(words: Sequence[str]) -> str:
    """A command line of ``gan-kd`` as it is typed into a shell."""
    return shlex.join(["gan-kd", *words])
