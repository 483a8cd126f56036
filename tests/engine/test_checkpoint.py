"""Files are written whole or not at all, and come back as they were."""

import os
import resource
import signal

import numpy as np
import pytest

from gan_kd_ssd.engine import checkpoint
from gan_kd_ssd.util.errors import UserError


def test_a_full_disk_keeps_the_previous_file(tiny_ssd, tmp_path):
    net = tiny_ssd().net
    path = tmp_path / "x.params"
    checkpoint.save_parameters(net, path)
    before = path.read_bytes()
    state = tmp_path / "x_state.zip"
    checkpoint.save_state(state, {"a": np.zeros(10)}, {})
    state_before = state.read_bytes()
    # A limit on the size of files does to a writer what a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        with pytest.raises(UserError, match=r"x\.params: cannot be written.*is kept"):
            checkpoint.save_parameters(net, path)
        with pytest.raises(UserError, match=r"x_state\.zip: cannot be written.*is kept"):
            checkpoint.save_state(state, {"a": np.zeros(len(before))}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and state.read_bytes() == state_before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.params", "x_state.zip"]


def test_a_state_comes_back_with_its_types(tmp_path):
    arrays = {"a/b@0": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.array([3], np.int64)}
    checkpoint.save_state(tmp_path / "s.zip", arrays, {"progress": {"epoch": 3, "best_map": 0.1}})
    back, meta = checkpoint.load_state(tmp_path / "s.zip")
    for name, value in arrays.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)
    assert meta["progress"] == {"epoch": 3, "best_map": 0.1}


def test_a_log_that_cannot_be_written_keeps_whole_lines(tmp_path):
    from gan_kd_ssd.engine.runlog import RunLog

    log = RunLog(str(tmp_path / "y"), quiet=True)
    log.append("train.log", "first\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        with pytest.raises(UserError, match=r"y_train\.log: cannot be written"):
            log.append("train.log", "second, which is too long\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "y_train.log").read_text() == "first\n"
    (tmp_path / "y_train.log").write_text("first\nhalf a li")
    log.append("train.log", "whole\n")
    assert (tmp_path / "y_train.log").read_text() == "first\nhalf a li\nwhole\n"


def test_files_are_forced_to_the_disk_before_they_are_renamed(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (events.append("rename"), replace(*a)))
    checkpoint.save_state(tmp_path / "s.zip", {"a": np.zeros(3)}, {})
    assert events == ["fsync", "rename", "fsync"]  # the file, its new name, the folder
