"""The program ``gan-kd``: its commands, exit codes and speed-relevant imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd import __version__
from gan_kd_ssd.cli import main
from gan_kd_ssd.util.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_command(capsys):
    assert main.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in main.COMMANDS)


def test_without_a_command_the_usage_is_printed_and_the_exit_code_is_2(capsys):
    assert main.main([]) == 2
    assert "usage: gan-kd COMMAND" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gan-kd {__version__}\n"


def test_an_unknown_command_is_one_line_that_suggests_the_nearest(capsys):
    assert main.main(["expriments"]) == 2
    err = capsys.readouterr().err
    assert (
        err
        == "gan-kd: expriments: no such command; did you mean experiments? (see gan-kd --help)\n"
    )


@pytest.mark.parametrize(
    "words", [["logs", "compare", "--ref", "x", "y"], ["train-ssd", "--data-sh", "3"]]
)
def test_options_cannot_be_abbreviated(words, capsys):
    assert main.main(words) == 2
    assert capsys.readouterr().err.startswith(f"gan-kd {words[0]}: ")


def test_a_mistake_is_one_line_and_exit_code_2(capsys):
    def fails(_words):
        raise UserError("--x 3:\n give another")

    assert main.run_program("p", fails, []) == 2
    assert capsys.readouterr().err == "p: --x 3: give another\n"


def test_ctrl_c_is_exit_code_130(capsys):
    def stopped(_words):
        raise KeyboardInterrupt

    assert main.run_program("p", stopped, []) == 130
    assert capsys.readouterr().err == "p: stopped\n"


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m gan_kd_ssd experiments list | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


@pytest.mark.parametrize("words", ["--help", "logs show ssd", "experiments list"])
def test_a_closed_standard_output_is_no_error(words):
    command = f"{sys.executable} -m gan_kd_ssd {words} >&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", ["--help", "logs write ssd", "experiments list"])
def test_a_full_disk_under_standard_output_is_one_line_and_exit_code_2(words):
    command = f"{sys.executable} -m gan_kd_ssd {words} >/dev/full"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith(": No space left on device; free some space\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["--help"], ["data", "check", "--help"]])
def test_help_is_printed_on_a_terminal_that_shows_only_ascii(words):
    command = [sys.executable, "-m", "gan_kd_ssd", *words]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and "usage: gan-kd" in done.stdout


@pytest.mark.parametrize("command", sorted(main.COMMANDS))
def test_the_help_of_a_command_imports_nothing_heavy(command):
    code = (
        "import json, sys\nfrom gan_kd_ssd.cli.main import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit as end: assert not end.code, end\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert not modules & {"mxnet", "gluoncv", "numpy", "matplotlib", "cv2", "pandas"}
    assert f"gan-kd {command}" in done.stdout
