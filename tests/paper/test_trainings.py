"""Trainings in child processes: begun, stopped, gone on with, found again."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gan_kd_ssd.paper import trainings
from gan_kd_ssd.paper.trainings import Training, progress, run_script
from gan_kd_ssd.util.errors import UserError
from helpers.fake_scripts import write_scripts


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    folder = tmp_path / "scripts"
    folder.mkdir()
    monkeypatch.setattr(trainings, "ROOT", write_scripts(folder))
    return folder


def plan(scripts, **settings):
    (scripts / "plan.json").write_text(json.dumps(settings))


def calls(scripts):
    """Words of each call of a script so far."""
    return [json.loads(line)[1:] for line in (scripts / "calls.txt").read_text().splitlines()]


def training(tmp_path, recipe=1, prefix="x"):
    prefix = tmp_path / "run" / prefix
    command = ["train_ssd_gkd.py", "--student", "net", "--save-prefix", str(prefix)]
    return Training(prefix, command, {"recipe": recipe})


def train(tmp_path, recipe=1, poll=lambda: None):
    one = training(tmp_path, recipe)
    one.run(tmp_path / "run" / "output.txt", poll)
    return one


def stop_once_begun(tmp_path, signum):
    """Send a signal to this process when the training has written a step."""

    def wait():
        metrics = tmp_path / "run" / "x_metrics.jsonl"
        while not (metrics.exists() and "step" in metrics.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_training_is_done_by_its_recipe_alone(tmp_path, scripts):
    assert not training(tmp_path).is_done() and training(tmp_path).begun() is None
    train(tmp_path)
    assert training(tmp_path).is_done() and not training(tmp_path, recipe=2).is_done()
    assert training(tmp_path, recipe=2).begun() == {"recipe": 1}
    assert json.loads((tmp_path / "run" / "done.json").read_text())["seconds"] >= 0
    training(tmp_path).params.unlink()
    assert not training(tmp_path).is_done()


@pytest.mark.parametrize(
    "signum, error",
    [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
        (signal.SIGHUP, SystemExit),
    ],
)
def test_a_stopped_training_keeps_its_state_and_goes_on(tmp_path, scripts, signum, error):
    plan(scripts, waits=True)
    thread = stop_once_begun(tmp_path, signum)
    with pytest.raises(error):
        train(tmp_path)
    thread.join()
    assert (tmp_path / "run" / "x_state.zip").exists() and not training(tmp_path).is_done()
    train(tmp_path)
    first, second = calls(scripts)
    assert second == [*first, "--resume", str(tmp_path / "run" / "x_state.zip")]
    assert training(tmp_path).is_done()
    assert json.loads((tmp_path / "run" / "done.json").read_text())["seconds"] is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_recipe_begins_anew_in_an_empty_folder(tmp_path, scripts):
    train(tmp_path)
    (tmp_path / "run" / "x_0001.params").write_text("old")
    train(tmp_path, recipe=2)
    assert "--resume" not in calls(scripts)[1]
    assert not (tmp_path / "run" / "x_0001.params").exists()
    assert len((tmp_path / "run" / "x_train.log").read_text().splitlines()) == 1


def test_one_that_was_killed_before_its_first_state_begins_anew(tmp_path, scripts):
    one = training(tmp_path)
    one.prefix.parent.mkdir()
    (tmp_path / "run" / "started.json").write_text(json.dumps({"recipe": one.recipe}))
    (tmp_path / "run" / "x_train.log").write_text("begun\n")
    train(tmp_path)
    assert "begun" not in (tmp_path / "run" / "x_train.log").read_text()


def test_a_script_that_fails_is_told_by_its_last_line(tmp_path, scripts):
    plan(scripts, fails="net")
    with pytest.raises(
        UserError, match=r"train_ssd_gkd.py .* failed: train: the training has diverged"
    ):
        train(tmp_path)
    assert not training(tmp_path).is_done()


def test_a_script_without_output_is_told_by_its_exit_code(tmp_path, monkeypatch):
    (tmp_path / "x.py").write_text("import sys; sys.exit(7)")
    monkeypatch.setattr(trainings, "ROOT", tmp_path)
    with pytest.raises(UserError, match=r"`x\.py` failed: exit code 7"):
        run_script(["x.py"], tmp_path / "output.txt")


def test_a_module_is_run_as_well(tmp_path):
    run_script(["-m", "gan_kd_ssd", "data", "shapes", "--help"], tmp_path / "output.txt")
    assert "Generate a data set" in (tmp_path / "output.txt").read_text()


def test_while_a_script_runs_it_is_asked_how_far_it_is(tmp_path, scripts):
    plan(scripts, waits=True)
    seen = []

    def poll():
        seen.append(progress(tmp_path / "run" / "x_metrics.jsonl"))
        if seen[-1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, poll=poll)
    assert seen[-1] == trainings.Progress(0, 2, 0.25)


def metrics(tmp_path, *records, end="\n"):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records) + end)
    return path


SSD = {"epochs": 4, "start_epoch": 1}
RCNN = {"epochs": 4, "start_epoch": 0, "use_fpn": False}


@pytest.mark.parametrize("options, last", [(SSD, 2), (RCNN, 1), ({**SSD, "start_epoch": 2}, 3)])
def test_progress_counts_epochs_from_the_run_s_first(tmp_path, options, last):
    epochs = 4 if options["start_epoch"] < 2 else 3
    path = metrics(
        tmp_path,
        {"kind": "run", "namespace": options, "data": {"train": {"images": 10}}},
        {"kind": "epoch", "epoch": last, "images": 20},
        {"kind": "step", "epoch": last + 1, "images": 25},
        {"kind": "validation", "epoch": last},
    )
    assert progress(path) == trainings.Progress(2, epochs, 25 / (10 * epochs))


def test_progress_passes_over_a_line_half_written_and_has_none_before_the_first_step(tmp_path):
    run = {"kind": "run", "namespace": SSD, "data": {"train": {"images": 10}}}
    step, half = ({"kind": "step", "epoch": 1, "images": n} for n in (4, 8))
    assert progress(tmp_path / "none") is None
    assert progress(metrics(tmp_path, run)) is None
    assert progress(metrics(tmp_path, run, step, half, end="")).fraction == 0.1
    assert progress(metrics(tmp_path, {"kind": "run"}, step)) is None


def test_the_child_of_a_killed_process_still_holds_what_it_was_given(tmp_path, scripts):
    """A lock that a script inherits stands as long as the script runs."""
    plan(scripts, waits=True)
    (tmp_path / "run").mkdir()
    code = """
import sys, fcntl
from pathlib import Path
from gan_kd_ssd.paper import trainings
trainings.ROOT = Path(sys.argv[1])
lock = open(sys.argv[2] + "/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
prefix = sys.argv[2] + "/x"
command = ["train_ssd_gkd.py", "--student", "net", "--save-prefix", prefix]
trainings.run_script(command, Path(prefix + ".txt"), keep_open=[lock.fileno()])
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(scripts), str(tmp_path / "run")])
    log = tmp_path / "run" / "x_train.log"
    while not log.exists():
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    with open(tmp_path / "run" / "lock") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(int((scripts / "pid").read_text()), signal.SIGTERM)
        fcntl.flock(lock, fcntl.LOCK_EX)  # free once the script has stopped
