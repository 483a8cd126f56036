"""Run ``gan-kd`` as a subprocess; skip finished trainings and resume interrupted ones.

The demo and the experiments share this module. It needs no MXNet.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gan_kd_ssd.config.command import shell_line
from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.records import EpochEnd, Step
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import write_text

#: The program that is run: ``gan-kd``, without relying on an installed script.
PROGRAM = [sys.executable, "-m", "gan_kd_ssd"]


class RunFiles:
    """The files of a training run, by its ``--save-prefix``. Each run has its own folder."""

    def __init__(self, prefix: Path):
        self.prefix = prefix
        self.params = Path(f"{prefix}_best.params")
        self.state = Path(f"{prefix}_state.zip")
        self.metrics = Path(f"{prefix}_metrics.jsonl")
        self.log = Path(f"{prefix}_train.log")

    def named(self, name: str) -> Path:
        """A file in the folder of the run, such as ``done.json``."""
        return self.prefix.parent / name


@dataclass(frozen=True)
class ResumableTraining:
    """A training that is resumed after an interruption.

    ``words`` are the command of ``gan-kd`` and its options. ``recipe`` is all that the trained network
    depends on, as JSON: another recipe is another training.
    """

    files: RunFiles
    words: Sequence[str]
    recipe: dict

    @property
    def is_done(self) -> bool:
        """Whether the training was completed with this recipe."""
        done = read_json(self.files.named("done.json")) or {}
        return done.get("recipe") == self.recipe and self.files.params.exists()

    @property
    def started_recipe(self) -> dict | None:
        """The recipe with which the training was started, None before that."""
        return (read_json(self.files.named("started.json")) or {}).get("recipe")

    def run(self, output: Path, **callbacks: Callable) -> None:
        """Train, or resume where the training was interrupted. Files of another recipe are deleted.

        ``done.json`` then holds the duration in seconds, None if the training was interrupted. The
        arguments are those of :func:`run_program`.
        """
        state, words = self.files.state, list(self.words)
        resumed = self.started_recipe == self.recipe and state.exists()
        if resumed:
            words += ["--resume", str(state)]
        else:
            state.parent.mkdir(parents=True, exist_ok=True)
            for old in filter(Path.is_file, state.parent.iterdir()):
                old.unlink()
            write_json(self.files.named("started.json"), {"recipe": self.recipe, "command": words})
        began = time.monotonic()
        run_program(words, output, **callbacks)
        seconds = None if resumed else round(time.monotonic() - began, 1)
        write_json(self.files.named("done.json"), {"recipe": self.recipe, "seconds": seconds})


def run_program(
    words: Sequence[str],
    output: Path,
    poll: Callable[[], object] = lambda: None,
    started: Callable[[int], object] = lambda pid: None,
) -> None:
    """Run a command of ``gan-kd`` with its output in a file.

    It runs in its own session: a signal reaches only this process, which then asks the command to
    stop, and waits until the command has saved its state.

    Args:
        words: The command and its options.
        output: The file of its output.
        poll: Called twice a second.
        started: Called once with the process id.

    Raises:
        UserError: The command failed. The message has the last line of its output.
        KeyboardInterrupt, SystemExit: SIGINT; SIGTERM or SIGHUP.
    """
    with open(output, "w", encoding="utf-8") as file, _signals_exit():
        child = subprocess.Popen(
            [*PROGRAM, *words], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            started(child.pid)
            while child.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=0.5)
                poll()
        finally:
            child.terminate()  # does nothing after the end
            child.wait()
    if child.returncode:
        lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {child.returncode}"
        raise UserError(f"`{shell_line(words)}` failed: {reason}; see {output}")


@contextlib.contextmanager
def _signals_exit():
    """Turn SIGTERM and SIGHUP into SystemExit, so that the command is stopped in order."""

    def stop(signum, _frame):
        raise SystemExit(128 + signum)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class RunProgress:
    """Progress of a training: ``epoch`` of ``epochs`` are complete, ``fraction`` of its images seen."""

    epoch: int
    epochs: int
    fraction: float


def progress(metrics: Path) -> RunProgress | None:
    """Progress of a training by its ``*_metrics.jsonl``, None before the first figures."""
    try:
        written = metrics.stat()
        return _progress(metrics, (written.st_mtime_ns, written.st_size))
    except (OSError, LookupError, AttributeError, TypeError, ValueError):
        return None


@lru_cache(maxsize=64)  # a running training is asked twice a second and writes less often
def _progress(metrics: Path, _written: tuple[int, int]) -> RunProgress:
    log = parse_json_lines(metrics.read_text(encoding="utf-8"))
    last = [e.record for e in log.entries if isinstance(e.record, (Step, EpochEnd))][-1]
    options, metadata = log.runs[-1].namespace, log.runs[-1].metadata
    first = options["start_epoch"]
    # --epochs is the number of the last epoch for SSD, and the number of epochs for Faster R-CNN
    epochs = options["epochs"] - first + (kind_of(options, metadata) != "faster_rcnn")
    images = metadata["data"]["train"]["images"] * epochs
    done = last.epoch - first + isinstance(last, EpochEnd)
    return RunProgress(done, epochs, min(1.0, last.images / max(1, images)))


def read_json(path: Path) -> dict | None:
    """The object in a JSON file, None if the file cannot be read or is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content) -> None:
    """Write a JSON file atomically; UserError if that fails."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
