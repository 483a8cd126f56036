"""Set-up by make, with a .venv whose Python only records how it is called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "install --no-deps --no-build-isolation --editable ."
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


class Folder:
    """A checkout with a Makefile, requirements and a recording .venv."""

    python_313 = False  # what the recording Python claims to be

    def __init__(self, path):
        self.path, self.asked = path, path / "asked"
        self.packages = path / ".venv" / "lib" / "python3.11" / "site-packages"
        self.packages.mkdir(parents=True)
        for file in ROOT.glob("requirements*.txt"):
            (path / file.name).touch()
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, path)
        python = path / ".venv" / "bin" / "python"
        python.parent.mkdir()
        new = 1 if self.python_313 else 0
        python.write_text(
            f'#!/bin/sh\necho "$@" >> {self.asked}\n[ "$1" != -c ] || exit {1 - new}\n'
        )
        python.chmod(0o755)

    def has(self, *builds):
        for old in self.packages.iterdir():
            old.rmdir()
        for name in builds:
            (self.packages / f"{name}-1.9.1.dist-info").mkdir()

    def make(self, target):
        """Exit code, what was installed or removed, and the error."""
        self.asked.write_text("")
        done = subprocess.run(
            ["make", target, f"PYTHON={sys.executable}"],
            cwd=self.path,
            env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        pip = [line.split("version-check ")[-1] for line in self.asked.read_text().splitlines()]
        return done.returncode, [x for x in pip if x[:4] in ("inst", "unin")], done.stderr


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_setup_installs_the_cpu_build_once(folder):
    assert folder.make("setup") == (0, ["install -r requirements.txt", PACKAGE], "")
    folder.has("mxnet")
    assert folder.make("setup") == (0, [], "")


def test_python_313_gets_mxnet_without_its_dependencies(tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "python_313", True)
    _, pip, _ = Folder(tmp_path).make("setup")
    assert pip == ["install -r requirements.txt", "install --no-deps mxnet==1.9.1", PACKAGE]


def test_setup_gpu_puts_the_cuda_build_in_place_of_the_other_once(folder):
    folder.make("setup")
    folder.has("mxnet")
    code, pip, _ = folder.make("setup-gpu")
    assert code == 0
    assert pip == ["uninstall --yes mxnet", "install -r requirements-gpu.txt", PACKAGE]
    folder.has("mxnet_cu112")
    assert folder.make("setup-gpu") == (0, [], "")
    assert folder.make("setup") == (0, [], ""), "other targets use this environment"
    assert folder.make(".venv/ready-for-tests")[1] == ["install -r requirements-dev.txt"]


@pytest.mark.parametrize("target", ["setup", "setup-gpu"])
def test_two_builds_stop_it_with_one_line_also_where_all_is_set_up(folder, target):
    folder.make(target)
    folder.has("mxnet", "mxnet_cu112")
    code, pip, error = folder.make(target)
    assert code == 2 and pip == []
    assert "both mxnet and mxnet-cu112" in error and f"rm -r .venv, then make {target}" in error
    assert len(error.splitlines()) == 2  # ours, and make's own


def test_setup_does_not_install_the_cpu_build_over_the_other(folder):
    folder.has("mxnet_cu112")
    code, pip, error = folder.make("setup")
    assert code == 2 and pip == [] and "make setup-gpu" in error
