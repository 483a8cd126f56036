"""The program ``gan-kd``, with one command for each task. Commands are imported when they run."""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence

from gan_kd_ssd import __version__
from gan_kd_ssd.util.errors import UserError, exit_on_user_error

PROGRAM = "gan-kd"

#: Module and summary of each command. A module has ``run(words) -> exit code``.
COMMANDS = {
    "train-ssd": ("cli.train_commands:train_ssd", "train an SSD, with or without a teacher"),
    "train-faster-rcnn": (
        "cli.train_commands:train_faster_rcnn",
        "train a Faster R-CNN, with or without a teacher",
    ),
    "eval": ("cli.eval_command:run", "measure the mAP of a detector"),
    "export": ("cli.export_command:run", "write a detector as an MXNet symbol or as ONNX"),
    "data": ("cli.data_commands:run", "download, check and generate data sets"),
    "zoo": ("cli.zoo_commands:run", "list, download and publish weights"),
    "logs": ("cli.log_commands:run", "read, compare and plot training logs"),
    "experiments": ("cli.experiment_commands:run", "reproduce the rows of the paper's tables"),
    "demo": ("demo:run", "try the whole method on generated images in a few minutes"),
    "doctor": ("cli.doctor_command:run", "check the installation and the machine"),
}


def usage() -> str:
    """The text of ``gan-kd --help``."""
    width = max(map(len, COMMANDS))
    lines = [
        f"usage: {PROGRAM} COMMAND …",
        "",
        "GAN-Knowledge Distillation for one-stage object detection (arXiv 1906.08467).",
        "",
        "commands:",
        *(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()),
        "",
        f"`{PROGRAM} COMMAND --help` describes a command. `{PROGRAM} --version` prints the version.",
    ]
    return "\n".join(lines)


def dispatch(words: Sequence[str]) -> int:
    """Run one command; return its exit code.

    Raises:
        UserError: there is no such command, or the command was used wrongly.
    """
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"{PROGRAM} {__version__}")
        return 0
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{words[0]}: no such command{meant} (see {PROGRAM} --help)")
    place, _, function = COMMANDS[words[0]][0].partition(":")
    return getattr(importlib.import_module(f"gan_kd_ssd.{place}"), function)(list(words[1:]))


def _prepare_output() -> None:
    """Escape characters that the terminal cannot show; discard what goes to a closed stream."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as by ``>&-``
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_program(program: str, function, words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 2 after a UserError or a full disk, 130 after Ctrl-C.

    A closed standard output, for example by ``head``, is not an error.
    """
    words = sys.argv[1:] if words is None else words
    _prepare_output()
    try:
        code = exit_on_user_error(program, function, list(words))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"{program}: {place}{error.strerror}; free some space", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes standard output at its exit
        return 2
    except KeyboardInterrupt as stopped:
        print(f"{program}: {stopped.args[0] if stopped.args else 'stopped'}", file=sys.stderr)
        return 130


def main(words: Sequence[str] | None = None) -> int:
    """The entry point of ``gan-kd`` and of ``python -m gan_kd_ssd``."""
    words = list(sys.argv[1:] if words is None else words)
    program = " ".join([PROGRAM, *(words[:1] if words and words[0] in COMMANDS else [])])
    return run_program(program, dispatch, words)
