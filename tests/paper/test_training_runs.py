"""Trainings as subprocesses: started, interrupted, resumed, found again."""

import json
import os
import signal
import sys
import threading
import time

import pytest

from gan_kd_ssd.paper import training_runs
from gan_kd_ssd.paper.training_runs import (
    ResumableTraining,
    RunFiles,
    RunProgress,
    progress,
    run_program,
)
from gan_kd_ssd.util.errors import UserError
from helpers.fake_program import FakeProgram


@pytest.fixture
def fake(tmp_path, monkeypatch):
    program = FakeProgram(tmp_path / "program")
    monkeypatch.setattr(training_runs, "PROGRAM", program.words)
    return program


def training(tmp_path, recipe=1):
    prefix = tmp_path / "run" / "x"
    words = ["train-ssd", "--student", "net", "--save-prefix", str(prefix)]
    return ResumableTraining(RunFiles(prefix), words, {"recipe": recipe})


def train(tmp_path, recipe=1, **callbacks):
    one = training(tmp_path, recipe)
    one.run(tmp_path / "run" / "output.txt", **callbacks)
    return one


def stop_once_started(tmp_path, signum):
    """Send a signal to this process when the training has written a step."""

    def wait():
        metrics = tmp_path / "run" / "x_metrics.jsonl"
        while not (metrics.exists() and "step" in metrics.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_training_is_done_for_its_recipe_only(tmp_path, fake):
    assert not training(tmp_path).is_done and training(tmp_path).started_recipe is None
    train(tmp_path)
    assert training(tmp_path).is_done and not training(tmp_path, recipe=2).is_done
    assert training(tmp_path, recipe=2).started_recipe == {"recipe": 1}
    assert json.loads((tmp_path / "run" / "done.json").read_text())["seconds"] >= 0
    training(tmp_path).files.params.unlink()
    assert not training(tmp_path).is_done


@pytest.mark.parametrize(
    "signum, error",
    [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
        (signal.SIGHUP, SystemExit),
    ],
)
def test_an_interrupted_training_keeps_its_state_and_is_resumed(tmp_path, fake, signum, error):
    fake.plan(waits=True)
    thread = stop_once_started(tmp_path, signum)
    with pytest.raises(error):
        train(tmp_path)
    thread.join()
    assert (tmp_path / "run" / "x_state.zip").exists() and not training(tmp_path).is_done
    train(tmp_path)
    first, second = fake.calls()
    assert second == [*first, "--resume", str(tmp_path / "run" / "x_state.zip")]
    assert training(tmp_path).is_done
    assert json.loads((tmp_path / "run" / "done.json").read_text())["seconds"] is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_recipe_starts_in_an_empty_folder(tmp_path, fake):
    train(tmp_path)
    (tmp_path / "run" / "x_0001.params").write_text("old")
    train(tmp_path, recipe=2)
    assert "--resume" not in fake.calls()[1]
    assert not (tmp_path / "run" / "x_0001.params").exists()
    assert len((tmp_path / "run" / "x_train.log").read_text().splitlines()) == 1


def test_a_training_killed_before_its_first_state_starts_again(tmp_path, fake):
    one = training(tmp_path)
    one.files.prefix.parent.mkdir()
    (tmp_path / "run" / "started.json").write_text(json.dumps({"recipe": one.recipe}))
    (tmp_path / "run" / "x_train.log").write_text("begun\n")
    train(tmp_path)
    assert "begun" not in (tmp_path / "run" / "x_train.log").read_text()


def test_a_failure_is_reported_with_the_last_line_of_the_output(tmp_path, fake):
    fake.plan(fails="net")
    with pytest.raises(
        UserError, match=r"`gan-kd train-ssd .* failed: train: the training has diverged"
    ):
        train(tmp_path)
    assert not training(tmp_path).is_done


def test_a_program_without_output_is_reported_by_its_exit_code(tmp_path, monkeypatch):
    (tmp_path / "x.py").write_text("import sys; sys.exit(7)")
    monkeypatch.setattr(training_runs, "PROGRAM", [sys.executable, str(tmp_path / "x.py")])
    with pytest.raises(UserError, match=r"`gan-kd eval` failed: exit code 7"):
        run_program(["eval"], tmp_path / "output.txt")


def test_the_program_is_this_package_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    run_program(["data", "shapes", "--help"], tmp_path / "output.txt")
    assert "usage: gan-kd data shapes" in (tmp_path / "output.txt").read_text()


def test_progress_is_polled_while_the_program_runs(tmp_path, fake):
    fake.plan(waits=True)
    seen = []

    def poll():
        seen.append(progress(tmp_path / "run" / "x_metrics.jsonl"))
        if seen[-1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, poll=poll)
    assert seen[-1] == RunProgress(0, 2, 0.25)


def metrics(tmp_path, *records, end="\n"):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records) + end)
    return path


SSD = {"epochs": 4, "start_epoch": 1}
STEP = {"kind": "step", "epoch": 1, "batch": 0, "speed": 1.0}
RCNN = {"epochs": 4, "start_epoch": 0, "use_fpn": False}


@pytest.mark.parametrize("options, last", [(SSD, 2), (RCNN, 1), ({**SSD, "start_epoch": 2}, 3)])
def test_progress_counts_epochs_from_the_run_s_first(tmp_path, options, last):
    epochs = 4 if options["start_epoch"] < 2 else 3
    path = metrics(
        tmp_path,
        {"kind": "run", "namespace": options, "data": {"train": {"images": 10}}},
        {"kind": "epoch", "epoch": last, "images": 20},
        {"kind": "step", "epoch": last + 1, "batch": 1, "speed": 1, "images": 25},
        {"kind": "validation", "epoch": last, "classes": {}, "mAP": 0.5},
    )
    assert progress(path) == RunProgress(2, epochs, 25 / (10 * epochs))


def test_progress_skips_an_incomplete_line_and_is_none_before_the_first_step(tmp_path):
    run = {"kind": "run", "namespace": SSD, "data": {"train": {"images": 10}}}
    step = {**STEP, "images": 4}
    assert progress(tmp_path / "none") is None
    assert progress(metrics(tmp_path, run)) is None
    assert progress(metrics(tmp_path, run, step, end='\n{"kind": "step", "ima')).fraction == 0.1
    assert progress(metrics(tmp_path, {"kind": "run"}, step)) is None
