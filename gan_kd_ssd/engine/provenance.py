"""Versions of the software that a run uses."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from gan_kd_ssd import __version__
from gan_kd_ssd.util.mxnet import mx


def versions() -> dict[str, str]:
    """Versions of this package, its git revision, Python, MXNet, GluonCV and numpy."""
    return {
        "gan_kd_ssd": __version__,
        "git": _git_revision() or "unknown",
        "python": platform.python_version(),
        "mxnet": mx.__version__,
        "gluoncv": metadata.version("gluoncv"),
        "numpy": metadata.version("numpy"),
    }


def _git_revision() -> str | None:
    """Revision of this checkout, with '-dirty' after local changes; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        answer = subprocess.run(
            command, cwd=folder, env={**os.environ, "LC_ALL": "C"}, capture_output=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode().strip() if answer.returncode == 0 else None
