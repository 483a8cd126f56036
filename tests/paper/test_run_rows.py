"""Running rows: teachers first, finished rows skipped, failures reported at the end, states shown."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gan_kd_ssd.cli import main as program
from gan_kd_ssd.paper import training_runs
from helpers.fake_program import FakeProgram

ROOT = Path(training_runs.__file__).parents[2]
TINY = {
    "width": 0.125,
    "images": {"train": 4, "val": 2, "test": 2},
    "options": {"train_ssd_gkd.py": {"epochs": 2}, "train_faster_rcnn_gkd.py": {"epochs": 2}},
}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A stand-in for gan-kd. The working folder holds a small scale, ``small.json``."""
    fake = FakeProgram(tmp_path / "program")
    monkeypatch.setattr(training_runs, "PROGRAM", fake.words)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(json.dumps(TINY))
    return fake


def calls(fake):
    """Command and row of each call so far: ('train', 'mobilenet1.0-plain')."""
    found = []
    for command, *words in fake.calls():
        words = dict(zip(words, words[1:]))
        if command != "data":
            row = words.get("--save-prefix", "").split("/")[-1] or words["--json"].split("/")[-2]
            found.append((command.split("-")[0], row))
    return found


def experiments(*words):
    return program.main(["experiments", *words])


def results():
    return json.loads(Path("runs/small/results.json").read_text())


def run(*words, scale="small.json"):
    return experiments("run", "--scale", scale, *words)


def test_a_row_is_trained_and_measured_after_its_teacher(fake, capsys):
    assert run("mobilenet1.0-resnet50") == 0
    both = ["teacher-resnet50", "mobilenet1.0-resnet50"]
    assert calls(fake) == [(what, name) for name in both for what in ("train", "eval")]
    out = capsys.readouterr().out
    assert "mobilenet1.0-resnet50: mAP 12.50 %, trained in" in out
    assert "2 of 2 done; results: runs/small/results.md" in out


def test_what_is_done_is_not_done_again_and_a_teacher_serves_its_other_students(fake, capsys):
    run("mobilenet1.0-resnet50")
    before = len(calls(fake))
    assert run("mobilenet1.0-resnet50") == 0 and len(calls(fake)) == before
    assert "mobilenet1.0-resnet50: done before, mAP 12.50" in capsys.readouterr().out
    assert run("resnet18-resnet50") == 0
    assert {name for _, name in calls(fake)[before:]} == {"resnet18-resnet50"}


def test_the_papers_scale_has_no_teacher_to_train_where_weights_are_published(fake):
    assert run("mobilenet1.0-vgg16", "faster-rcnn-roialign", scale="paper") == 0
    trained = [name for what, name in calls(fake) if what == "train"]
    names = ["mobilenet1.0-vgg16", "teacher-faster-rcnn-resnet101", "faster-rcnn-roialign"]
    assert trained == names
    run("faster-rcnn-roipool", scale="paper")
    assert [name for what, name in calls(fake) if what == "train"][3:] == ["faster-rcnn-roipool"]


def test_all_rows_run_after_a_failure_which_is_reported_at_the_end(fake, capsys):
    fake.plan(fails="vgg16")
    assert run("--all") == 1
    trained = {name for what, name in calls(fake) if what == "train"}
    assert len(trained) == 28 - 3 and "teacher-vgg16" in trained
    told = capsys.readouterr()
    assert "24 of 28 done" in told.out
    failed = [line for line in told.err.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failed] == [
        *("teacher-vgg16", "mobilenet1.0-vgg16", "mobilenetv2-vgg16", "resnet18-vgg16")
    ]
    assert "the training has diverged" in failed[0]
    assert failed[1].endswith("its teacher teacher-vgg16 failed")
    assert len(results()) == 24
    before = len(calls(fake))
    fake.plan()
    assert run("--all") == 0  # what failed is tried again, and nothing else
    assert {name for _, name in calls(fake)[before:]} == {name.split(": ")[1] for name in failed}


def test_results_are_saved_as_each_row_comes(fake):
    run("mobilenet1.0-plain", "coco-mobilenet0.75-resnet50")
    first, second, teacher = results()
    assert (first["row"], first["table"], first["published"], first["ours"]) == (
        *("mobilenet1.0-plain", 1, 75.4, 12.5),
    )
    assert first["command"].startswith("gan-kd train-ssd --dataset runs/small/data/")
    assert (
        second["measured"]["figures"]["AP50"] == 0.5 and teacher["row"] == "coco-teacher-resnet50"
    )
    text = Path("runs/small/results.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# The paper's rows at the scale small",
        "## Table 1: SSD-512, VOC 07+12 trainval -> VOC 07 test, mAP at IoU 0.5",
        "## Table 2: SSD-512, COCO 2017 train -> val, mAP at IoU 0.5 to 0.95",
        "## Teachers and other rows",
        "## COCO's twelve figures, in percent",
    ]
    (line,) = (line for line in text.splitlines() if "| mobilenet0.75_w0.125 |" in line)
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:5] == [
        *("coco-mobilenet0.75-resnet50", "mobilenet0.75_w0.125", "resnet50_v1_w0.125"),
        *("1,234", "2"),
    ]
    assert cells[6:] == ["25.00", "12.50", "23.0"]
    assert "12.50 | 50.00 |       - |" in text


def interrupted(fake, *words):
    """Run rows in this process, and stop it with SIGINT when a training has written a step."""
    fake.plan(waits=True)

    def stop():
        metrics = Path(f"runs/small/{words[0]}/{words[0]}_metrics.jsonl").absolute()
        while not (metrics.exists() and "step" in metrics.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    code = run(*words)
    thread.join()
    fake.plan()
    return code


def test_an_interrupted_run_goes_on_with_the_same_command(fake, capsys):
    assert interrupted(fake, "mobilenet1.0-plain", "resnet18-plain") == 130
    assert "stopped; the same command resumes the run" in capsys.readouterr().err
    assert status("mobilenet1.0-plain", capsys)["mobilenet1.0-plain"][0] == "stopped"
    assert run("mobilenet1.0-plain", "resnet18-plain") == 0
    resumed = ["--resume" in words for words in fake.calls() if words[0] == "train-ssd"]
    assert resumed == [False, True, False]
    text = Path("runs/small/results.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("| mobilenet1.0-plain"))
    assert line.split("|")[6].strip() == "-"  # how long it took is not known


def test_a_run_of_other_options_is_neither_resumed_nor_deleted(fake, capsys):
    assert run("mobilenet1.0-plain") == 0
    assert run("mobilenet1.0-plain", "--", "--lr", "0.5", "--num-workers", "0") == 1
    told = capsys.readouterr().err
    assert (
        "runs/small/mobilenet1.0-plain has a run with other options (lr): give the same options"
        in told
    )
    assert "num_workers" not in told
    assert run("mobilenet1.0-plain", "--restart", "--", "--lr", "0.5") == 0
    assert [what for what, _ in calls(fake)] == ["train", "eval"] * 2
    assert results()[0]["command"].endswith("--quiet --lr 0.5")


def test_another_teacher_is_another_run(fake, capsys):
    assert run("mobilenet1.0-vgg16") == 0
    Path("runs/small/teacher-vgg16/teacher-vgg16_best.params").write_text("other")
    assert run("mobilenet1.0-vgg16") == 1
    assert "has a run with other options (teacher's sha256)" in capsys.readouterr().err


def test_wrong_words_stop_before_anything_is_run(fake, capsys):
    assert run("mobilenet1.0-plain", "faster-rcnn-roipool-plain", "--", "--data-shape=3") == 2
    assert run("mobilenet1.0-plan") == 2
    assert run() == 2
    assert run("--all", "mobilenet1.0-plain") == 2
    assert experiments("list", "--", "--lr", "1") == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1][:40] for line in told] == [
        "faster-rcnn-roipool-plain, train_faster_",
        "no row is called 'mobilenet1.0-plan': di",
        "give either the names of rows or --all",
        "give either the names of rows or --all",
        "--lr 1: only `run` accepts options after",
    ]
    assert calls(fake) == []


def test_a_folder_that_cannot_be_written_is_reported(fake, capsys):
    Path("file").write_text("")
    assert run("mobilenet1.0-plain", "--folder", "file") == 2
    told = capsys.readouterr().err
    assert "--folder file/small: cannot be written (Not a directory); choose another" in told
    assert experiments("status", "--folder", "file") == 0  # nothing was started there


def status(row, capsys):
    """Row -> its other columns, as ``status`` prints them."""
    capsys.readouterr()
    assert experiments("status", row, "--scale", "small.json") == 0
    line = capsys.readouterr().out.splitlines()[1]
    return {line.split()[0]: line.split()[1:]}


def start_elsewhere(row):
    """Run a row in another process; returns it once the training has begun."""
    command = [sys.executable, "-c", _RUNNER, json.dumps(training_runs.PROGRAM), row]
    runner = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    log = Path(f"runs/small/{row}/{row}_train.log")
    while not log.exists():
        time.sleep(0.01)
    return runner


_RUNNER = """
import json, sys
from gan_kd_ssd.cli.main import main
from gan_kd_ssd.paper import training_runs
training_runs.PROGRAM = json.loads(sys.argv[1])
sys.exit(main(["experiments", "run", "--scale", "small.json", sys.argv[2]]))
"""


def test_a_row_that_another_process_runs_is_refused_and_shown_as_running(fake, capsys):
    fake.plan(waits=True)
    row = "mobilenet1.0-plain"
    runner = start_elsewhere(row)
    try:
        running = Path(f"runs/small/{row}.running.json")
        content = json.loads(running.read_text())
        running.write_text(json.dumps({**content, "began": time.time() - 30}))
        found = status(row, capsys)[row]
        assert found[:2] == ["running", "0/2"]
        left = [int(part) for part in found[2].split(":")]
        assert 85 <= 60 * left[1] + left[2] <= 150  # a quarter took 30 s
        assert " ".join(found[3:5]) == "75.4 -"
        assert " ".join(found[5:]).endswith("ago: Start training from [Epoch 1]")
        assert run(row) == 1
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("failed: ")]
        assert f"{row}: process {runner.pid} runs it; see `gan-kd experiments status`" in line
    finally:
        runner.terminate()
        runner.wait()
    assert status(row, capsys)[row][0] == "stopped"


def test_a_training_that_outlives_its_killed_runner_still_holds_the_row(fake, capsys):
    fake.plan(waits=True)
    row = "mobilenet1.0-plain"
    runner = start_elsewhere(row)
    runner.kill()
    runner.wait()
    assert run(row) == 1
    assert f"process {fake.pid()} runs it" in capsys.readouterr().err
    os.kill(fake.pid(), signal.SIGTERM)
    while status(row, capsys)[row][0] == "running":
        time.sleep(0.02)
    fake.plan()
    assert run(row) == 0 and "--resume" in fake.calls()[-2]


def test_status_shows_what_is_done_failed_stopped_and_not_started(fake, capsys):
    fake.plan(fails="resnet18")
    run("mobilenet1.0-plain", "resnet18-plain")
    interrupted(fake, "mobilenetv2-plain")
    capsys.readouterr()
    assert experiments("status", "--scale", "small.json") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["row", "state", "epochs", "left", "published", "ours"]
    table = {line.split()[0]: line.split()[1:] for line in lines[:3]}
    assert table["mobilenet1.0-plain"] == ["done", "2/2", "-", "75.4", "12.5"]
    assert table["mobilenetv2-plain"] == ["stopped", "0/2", "-", "75.9", "-"]
    assert table["resnet18-plain"][:5] == ["failed", "-", "-", "74.8", "-"]
    assert "the training has diverged" in " ".join(table["resnet18-plain"])
    assert lines[3:] == [
        "",
        "28 rows: 1 done, 0 running, 1 stopped, 1 failed, 25 not started",
        "figures of the scale small cannot be compared with the published ones",
    ]


def test_status_compares_ours_with_the_published_figure_at_the_papers_scale(fake, capsys):
    run("mobilenet1.0-plain", scale="paper")
    capsys.readouterr()
    assert experiments("status") == 0
    _, line, _, counts = capsys.readouterr().out.splitlines()
    assert line.split() == ["mobilenet1.0-plain", "done", "2/2", "-", "75.4", "12.5", "(-62.9)"]
    assert counts.startswith("28 rows: 1 done")


def test_list_is_aligned_and_shows_ours_and_published_weights(fake, capsys):
    run("mobilenet1.0-plain", scale="paper")
    capsys.readouterr()
    assert experiments("list") == 0
    head, first, *others = capsys.readouterr().out.splitlines()
    assert first.split()[1:] == ["1", "mobilenet1.0", "-", "voc", "75.4", "12.5", "done"]
    assert len(others) == 27 and first.index("1 ") >= 0
    assert all(line[head.index("student") - 1] == " " for line in [first, *others])
    (teacher,) = (line for line in others if line.startswith("teacher-vgg16"))
    assert teacher.endswith("GluonCV publishes the weights")
    (roi,) = (line for line in others if line.startswith("faster-rcnn-roipool "))
    assert "resnet50_v1b, RoI pool" in roi and "resnet101_v1d + cos" in roi


def test_show_prints_the_origin_of_each_choice_and_every_command(fake, capsys):
    assert experiments("show", "faster-rcnn-roipool") == 0
    text = capsys.readouterr().out
    assert "RoIPool, GAN-KD and cosine attention: published mAP 73.8" in text
    commands = [line.split()[1] for line in text.splitlines() if line.startswith("    gan-kd")]
    train = "train-faster-rcnn"
    assert commands == [train, "eval", train, "eval", "logs"]
    assert "--reference faster_rcnn" in text and text.rstrip().endswith("state: not started")
    assert "none are published at this scale: the teacher is trained first" in text
    for option in ("roi_mode", "cosine_attention", "other options"):
        assert f"\n  {option} " in text
    experiments("show", "mobilenet1.0-vgg16")
    assert "GluonCV publishes them: ssd_512_vgg16_atrous_voc" in capsys.readouterr().out


def test_what_show_prints_is_what_run_runs(fake, capsys):
    experiments("show", "coco-mobilenet1.0-resnet50", "--scale", "small.json")
    out = capsys.readouterr().out
    assert out.count("gan-kd data shapes runs/small/data/shapes_coco --train 4") == 1
    shown = [
        line.strip().split("  #")[0] for line in out.splitlines() if line.startswith("    gan-kd")
    ]
    run("coco-mobilenet1.0-resnet50")
    run_lines = [" ".join(["gan-kd", *words]) for words in fake.calls()]
    assert shown == list(dict.fromkeys(run_lines))


def test_a_row_file_is_shown_run_and_in_the_results(fake, capsys):
    content = {"script": "train_ssd_gkd.py", "student": "resnet18_v1", "dataset": "voc"}
    content.update(teacher="resnet50_v1", teacher_row="teacher-resnet50", published=70.0)
    Path("mine.json").write_text(json.dumps(content))
    assert experiments("show", "mine.json", "--scale", "small.json") == 0
    out = capsys.readouterr().out
    assert "resnet18_v1 from resnet50_v1: published mAP 70.0 %" in out
    assert run("mine.json") == 0
    assert [row["row"] for row in results()] == ["teacher-resnet50", "mine"]
    assert status("mine.json", capsys)["mine"][0] == "done"


def test_the_commands_that_only_look_need_no_mxnet(tmp_path):
    code = """
import sys
from gan_kd_ssd.cli.main import main
for words in (["list"], ["status"], ["show", "mobilenet1.0-resnet50", "--scale", "tiny"]):
    assert main(["experiments", *words]) == 0
for name in ("mxnet", "numpy", "cv2", "gluoncv", "matplotlib"):
    assert name not in sys.modules, name
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)


# --- with the real scripts ------------------------------------------------------------------------

SECONDS = {
    "width": 0.05,
    "images": {"train": 8, "val": 2, "test": 2},
    "options": {
        "train_ssd_gkd.py": {
            **{"pretrained_base": False, "data_shape": 64, "augmentation": "flip", "epochs": 3},
            **{"gan_epochs": 2, "batch_size": 4, "lr": 0.001, "d_channels": 8, "num_workers": 0},
            **{"log_interval": 1},
        },
        "train_faster_rcnn_gkd.py": {
            **{"pretrained_base": False, "short": 64, "max_size": 96, "epochs": 1, "lr": 0.001},
            **{"batch_size": 4, "d_channels": 8, "num_workers": 0, "log_interval": 1},
        },
    },
}


def start(folder, *words):
    """``gan-kd experiments run`` in a process of its own."""
    (folder / "seconds.json").write_text(json.dumps(SECONDS))
    command = [sys.executable, "-m", "gan_kd_ssd", "experiments", "run", *words]
    return subprocess.Popen(
        [*command, "--scale", "seconds.json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    _, told = process.communicate()
    return process.returncode, told


def test_a_row_really_trains_is_interrupted_and_resumed(tmp_path):
    row = "mobilenet1.0-resnet50-cos"
    process = start(tmp_path, row)
    log = tmp_path / "runs" / "seconds" / row / f"{row}_train.log"
    while process.poll() is None and not (log.exists() and "[Batch 0]" in log.read_text()):
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    code, told = finished(process)
    assert code == 130, told
    assert "the same command resumes the run" in told
    assert not (log.parent / "done.json").exists()
    assert finished(start(tmp_path, row))[0] == 0
    result = json.loads((tmp_path / "runs" / "seconds" / "results.json").read_text())
    assert [each["row"] for each in result] == [row, "teacher-resnet50"]
    assert result[0]["epochs"] == 3 and 0 <= result[0]["ours"] <= 100
    text = log.read_text()
    assert text.count("Namespace(") == 2 and "cosine_length_loss_metric" in text
    assert text.count("StudentNet Validation") == 2  # at the end of the GAN stage, and after it


def test_rows_of_the_other_tables_really_train(tmp_path):
    rows = ["coco-mobilenet0.75-plain", "faster-rcnn-roipool-plain"]
    code, told = finished(start(tmp_path, *rows))
    assert code == 0, told
    coco, rcnn = json.loads((tmp_path / "runs" / "seconds" / "results.json").read_text())
    assert len(coco["measured"]["figures"]) == 12 and coco["measured"]["metric"] == "coco"
    assert rcnn["measured"]["metric"] == "voc07" and rcnn["parameters"] > 0
    facts = (tmp_path / "runs/seconds" / rows[1] / f"{rows[1]}_metrics.jsonl").read_text()
    assert json.loads(facts.splitlines()[0])["namespace"]["roi_mode"] == "pool"


@pytest.mark.parametrize("damaged", ["3", "[1]", '"x"', "{", "[" * 100000])
def test_damaged_records_of_a_run_count_as_missing(damaged, fake, tmp_path, capsys):
    folder = tmp_path / "runs" / "paper" / "resnet18-plain"
    folder.mkdir(parents=True)
    for name in ("started", "result", "done", "failed"):
        (folder / f"{name}.json").write_text(damaged)
    assert (
        program.main(
            ["experiments", "status", "resnet18-plain", "--folder", str(tmp_path / "runs")]
        )
        == 0
    )
    assert "not started" in capsys.readouterr().out
