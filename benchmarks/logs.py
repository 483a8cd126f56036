"""How fast the published logs are parsed, and each command of ``gan-kd logs``, in one run.

    python benchmarks/logs.py [--rounds N]

Parsing is timed in this process, beside what any reader must do at least: split the text into lines and
turn its numbers into floats. A command is timed as a user types it, with the start of Python in it. All
figures are the best of some rounds: others may use the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gan_kd_ssd.logs.log import encode
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import REFERENCES, reference
from gan_kd_ssd.util.errors import exit_on_user_error

ROOT = Path(__file__).resolve().parents[1]
NUMBER = re.compile(r"-?[0-9]+\.[0-9]+")


def seconds(function: Callable, rounds: int) -> float:
    """Least time of a call."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def numbers(text: str) -> list[float]:
    """All numbers of a text, line by line."""
    return [float(n) for line in text.split("\n") for n in NUMBER.findall(line)]


def parsing(texts: dict[str, str], rounds: int) -> str:
    """A table: seconds to parse each log and both, and as multiples of reading its numbers."""
    lines = [f"{'parsing':<28}{'lines':>7}{'ms':>9}{'x its numbers alone':>22}"]
    for name, text in {**texts, "both": "".join(texts.values())}.items():
        whole = seconds(lambda t=text: parse(t), rounds)
        least = seconds(lambda t=text: numbers(t), rounds)
        count = text.count("\n")
        lines.append(f"{name:<28}{count:>7}{1000 * whole:>9.1f}{whole / least:>21.1f}x")
    return "\n".join(lines)


def commands(paths: dict[str, Path], folder: Path, rounds: int) -> str:
    """A table: seconds of each command on the longest log, and as multiples of Python's start."""
    log, environment = str(paths["faster_rcnn"]), {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> float:
        def once() -> None:
            done = subprocess.run([sys.executable, *words], env=environment, capture_output=True)
            if done.returncode:
                sys.exit(f"{words} failed: {done.stderr.decode()}")

        return seconds(once, rounds)

    start = run("-c", "pass")
    program = ("-m", "gan_kd_ssd", "logs")
    uses = {
        "write LOG": ["write", log],
        "show LOG": ["show", log],
        "args LOG": ["args", log],
        "compare LOG": ["compare", log],
        "plot LOG, PNG": ["plot", log, "--out", str(folder / "x.png")],
        "plot LOG, SVG": ["plot", log, "--out", str(folder / "x.svg")],
        "plot both, PNG": ["plot", *map(str, paths.values()), "--out", str(folder / "x.png")],
        "plot LOG --html": ["plot", log, "--html", "--out", str(folder / "x.html")],
        "tables FOLDER": ["tables", str(folder)],
        "derive LOG": ["derive", log],
    }
    lines = [f"{'command':<28}{'s':>16}{'x python -c pass':>22}"]
    for name, words in uses.items():
        taken = run(*program, *words)
        lines.append(f"{name:<28}{taken:>16.2f}{taken / start:>21.1f}x")
    return "\n".join(lines)


def run(options: argparse.Namespace) -> int:
    """Measure and print both tables."""
    texts = {name: reference(name).text() for name in REFERENCES}
    with tempfile.TemporaryDirectory() as name:
        paths = {log: Path(name) / f"{log}_train.log" for log in texts}
        for log, path in paths.items():
            path.write_bytes(encode(texts[log]))
        print(parsing(texts, options.rounds), end="\n\n")
        print(commands(paths, Path(name), options.rounds))
    return 0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="times each (%(default)s)")
    return exit_on_user_error(parser.prog, run, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
