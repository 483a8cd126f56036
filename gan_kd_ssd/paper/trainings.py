"""Trainings by the project's scripts in child processes: begun once, gone on with, found again.

What the demo and the experiments have in common. Needs no MXNet.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_kd_ssd.detectors.names import kind_of
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import write_text

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Training:
    """A training in a folder of its own.

    Attributes:
        prefix: of its files. command: script and options. recipe: all that the trained network depends
        on, as JSON has it: another recipe is another training.
    """

    prefix: Path
    command: Sequence[str]
    recipe: dict

    @property
    def params(self) -> Path:
        return Path(f"{self.prefix}_best.params")

    def _file(self, name: str) -> Path:
        return self.prefix.parent / f"{name}.json"

    def is_done(self) -> bool:
        """Whether it was trained to the end by this recipe."""
        done = read_json(self._file("done"))
        return bool(done) and done.get("recipe") == self.recipe and self.params.exists()

    def begun(self) -> dict | None:
        """The recipe that it was begun with; None before."""
        started = read_json(self._file("started"))
        return started and started.get("recipe")

    def run(self, output: Path, poll: Callable[[], object], keep_open: Sequence[int] = ()) -> None:
        """Train, or go on where it was stopped; what another recipe left in the folder goes.

        The file ``done.json`` then has the seconds it took, None where it was stopped in between.

        Raises:
            UserError, KeyboardInterrupt: as :func:`run_script`.
        """
        state, command = Path(f"{self.prefix}_state.zip"), self.command
        self.prefix.parent.mkdir(parents=True, exist_ok=True)
        resumed = self.begun() == self.recipe and state.exists()
        if resumed:
            command = [*command, "--resume", str(state)]
        else:
            for old in self.prefix.parent.iterdir():
                if old.is_file():
                    old.unlink()
            started = {"recipe": self.recipe, "command": list(self.command)}
            write_json(self._file("started"), started)
        began = time.monotonic()
        run_script(command, output, poll, keep_open)
        seconds = None if resumed else round(time.monotonic() - began, 1)
        write_json(self._file("done"), {"recipe": self.recipe, "seconds": seconds})


def run_script(
    command: Sequence[str],
    output: Path,
    poll: Callable[[], object] = lambda: None,
    keep_open: Sequence[int] = (),
) -> None:
    """Run one of the project's scripts (or ``-m`` a module of it); its output goes to a file.

    It is in a session of its own: Ctrl-C reaches this process alone, which then asks the script to
    stop and waits until it has kept its state.

    Args:
        poll: called twice a second. keep_open: file descriptors that the script inherits.

    Raises:
        UserError: it failed; the message has the last line of its output.
        KeyboardInterrupt: after Ctrl-C, once the script has stopped. SystemExit: after SIGTERM or the
            end of the terminal.
    """
    script = list(command) if command[0] == "-m" else [str(ROOT / command[0]), *command[1:]]
    with open(output, "w", encoding="utf-8") as file, _signals_exit():
        child = subprocess.Popen(
            [sys.executable, *script],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep_open,
        )
        try:
            while child.poll() is None:
                try:
                    child.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    poll()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    if child.returncode:
        lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        told = lines[-1] if lines else f"exit code {child.returncode}"
        raise UserError(f"`{shlex.join(command)}` failed: {told}; see {output}")


@contextlib.contextmanager
def _signals_exit():
    """Have SIGTERM, and SIGHUP unless it is ignored, raise SystemExit: what runs is stopped in order."""

    def stop(signum, _frame):
        raise SystemExit(128 + signum)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Progress:
    """How far a training is; ``epoch`` epochs of ``epochs`` are done, ``fraction`` is of its images."""

    epoch: int
    epochs: int
    fraction: float


def progress(metrics: Path) -> Progress | None:
    """How far a training is, from its metrics; None before it has begun."""
    run = step = epoch = None
    try:
        text = metrics.read_text(encoding="utf-8")
        for line in text[: text.rfind("\n") + 1].splitlines():  # the last may be half-written
            if line.startswith('{"kind": "run"'):
                run = json.loads(line)
            elif line.startswith('{"kind": "step"'):
                step = line
            elif line.startswith('{"kind": "epoch"'):
                epoch = line
        options = run["namespace"]
        first = options["start_epoch"]
        # the number of the last epoch for SSD, the number of epochs, from 0, for Faster R-CNN
        epochs = options["epochs"] - first + (kind_of(options, run) != "faster_rcnn")
        images = max(json.loads(line)["images"] for line in (step, epoch) if line)
        done = json.loads(epoch)["epoch"] - first + 1 if epoch else 0
    except (OSError, TypeError, KeyError, ValueError):
        return None
    total = run["data"]["train"]["images"] * epochs
    return Progress(done, epochs, min(1.0, images / max(1, total)))


def read_json(path: Path):
    """Content of a JSON file, None without one that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, content) -> None:
    """Write a JSON file, whole or not at all; UserError where it cannot be."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
