"""Folders that can be written, and locks between processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_a_writable_folder_is_created_with_its_parents_and_left_empty(tmp_path):
    folder = files.writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir() and not list(folder.iterdir())


def test_a_check_creates_nothing(tmp_path):
    files.writable_folder(tmp_path / "a" / "b", create=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("folder", ["file/new", "/proc/none"])
def test_a_folder_that_cannot_be_written_is_named_with_its_option(
    tmp_path, monkeypatch, folder, create
):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError, match=f"^--to {folder}: cannot be written.*another folder"):
        files.writable_folder(Path(folder), "--to", create)


def holder(path):
    """A process that has taken the lock and holds it."""
    code = f"""
import time
from gan_kd_ssd.util.files import locked
with locked({str(path)!r}):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_lock_is_refused_while_another_process_holds_it_and_free_when_that_is_killed(tmp_path):
    path = tmp_path / "lock"
    with holder(path) as process:
        with pytest.raises(UserError, match="in use"), files.locked(path, busy="in use"):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    for _ in range(2):
        with files.locked(path, busy="in use"):
            pass


def test_a_lock_in_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(UserError, match="lock: cannot be written"), files.locked(tmp_path / "lock"):
        pass


def test_a_failed_write_keeps_the_previous_file(tmp_path):
    path = tmp_path / "x"
    files.write_text(path, "before")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"x: cannot be written \(No space.*previous file is kept"):
        files.write_atomically(path, fail)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
