"""Running rows: teachers first, what is done passed over, failures told at the end, how far each is."""

import fcntl
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

from gan_kd_ssd.cli import experiment_commands as cli
from gan_kd_ssd.paper import trainings
from helpers.fake_scripts import write_scripts

TINY = {
    "width": 0.125,
    "images": {"train": 4, "val": 2, "test": 2},
    "options": {"train_ssd_gkd.py": {"epochs": 2}, "train_faster_rcnn_gkd.py": {"epochs": 2}},
}


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Stand-ins for the scripts; the working folder holds a small scale, ``small.json``."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    monkeypatch.setattr(trainings, "ROOT", write_scripts(folder))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(json.dumps(TINY))
    return folder


def plan(fakes, **settings):
    (fakes / "plan.json").write_text(json.dumps(settings))


def calls(fakes):
    """Script and run of each call so far: ('train', 'mobilenet1.0-plain')."""
    path = fakes / "calls.txt"
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        script, *words = json.loads(line)
        words = dict(zip(words, words[1:]))
        run = words.get("--save-prefix", "").split("/")[-1] or words["--json"].split("/")[-2]
        found.append(("eval" if script.endswith("eval_voc.py") else "train", run))
    return found


def results():
    return json.loads(Path("runs/small/results.json").read_text())


def run(*words, scale="small.json"):
    return cli.main(["run", "--scale", scale, *words])


def test_a_row_is_trained_and_measured_after_its_teacher(fakes, capsys):
    assert run("mobilenet1.0-resnet50") == 0
    both = ["teacher-resnet50", "mobilenet1.0-resnet50"]
    assert calls(fakes) == [(what, name) for name in both for what in ("train", "eval")]
    out = capsys.readouterr().out
    assert "mobilenet1.0-resnet50: mAP 12.50 %, trained in" in out
    assert "2 of 2 done; results: runs/small/results.md" in out


def test_what_is_done_is_not_done_again_and_a_teacher_serves_its_other_students(fakes, capsys):
    run("mobilenet1.0-resnet50")
    before = len(calls(fakes))
    assert run("mobilenet1.0-resnet50") == 0 and len(calls(fakes)) == before
    assert "mobilenet1.0-resnet50: done before, mAP 12.50" in capsys.readouterr().out
    assert run("resnet18-resnet50") == 0
    assert {name for _, name in calls(fakes)[before:]} == {"resnet18-resnet50"}


def test_the_papers_scale_has_no_teacher_to_train_where_weights_are_published(fakes):
    assert run("mobilenet1.0-vgg16", "faster-rcnn-roialign", scale="paper") == 0
    trained = [name for what, name in calls(fakes) if what == "train"]
    names = ["mobilenet1.0-vgg16", "teacher-faster-rcnn-resnet101", "faster-rcnn-roialign"]
    assert trained == names
    run("faster-rcnn-roipool", scale="paper")
    assert [name for what, name in calls(fakes) if what == "train"][3:] == ["faster-rcnn-roipool"]


def test_all_rows_go_on_after_a_failure_and_say_so_at_the_end(fakes, capsys):
    plan(fakes, fails="vgg16")
    assert run("--all") == 1
    trained = {name for what, name in calls(fakes) if what == "train"}
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
    before = len(calls(fakes))
    plan(fakes)
    assert run("--all") == 0  # what failed is tried again, and nothing else
    assert {name for _, name in calls(fakes)[before:]} == {name.split(": ")[1] for name in failed}


def test_results_are_saved_as_each_row_comes(fakes):
    run("mobilenet1.0-plain", "coco-mobilenet0.75-resnet50")
    first, second, teacher = results()
    assert (first["row"], first["table"], first["published"], first["ours"]) == (
        *("mobilenet1.0-plain", 1, 75.4, 12.5),
    )
    assert first["command"].startswith("python train_ssd_gkd.py --dataset runs/small/data/")
    assert (
        second["measured"]["figures"]["AP50"] == 0.5 and teacher["row"] == "coco-teacher-resnet50"
    )
    text = Path("runs/small/results.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# The paper's rows at the scale small",
        "## Table 1: SSD-512, VOC 07+12 trainval -> VOC 07 test, mAP at IoU 0.5",
        "## Table 2: SSD-512, COCO 2017 train -> val, mAP at IoU 0.5 to 0.95",
        "## Teachers",
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


def begin(fakes, *words):
    """Run rows in this process, and stop it with SIGINT when a training has written a step."""
    plan(fakes, waits=True)

    def stop():
        metrics = Path(f"runs/small/{words[0]}/{words[0]}_metrics.jsonl").absolute()
        while not (metrics.exists() and "step" in metrics.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    code = run(*words)
    thread.join()
    plan(fakes)
    return code


def test_an_interrupted_run_goes_on_with_the_same_command(fakes, capsys):
    assert begin(fakes, "mobilenet1.0-plain", "resnet18-plain") == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
    assert status("mobilenet1.0-plain", capsys)["mobilenet1.0-plain"][0] == "stopped"
    assert run("mobilenet1.0-plain", "resnet18-plain") == 0
    log = (fakes.parent / "scripts" / "calls.txt").read_text().splitlines()
    assert ["--resume" in line for line in log] == [False, True, False, False, False]
    text = Path("runs/small/results.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("| mobilenet1.0-plain"))
    assert line.split("|")[6].strip() == "-"  # how long it took is not known


def test_a_run_of_other_options_is_neither_gone_on_with_nor_thrown_away(fakes, capsys):
    assert run("mobilenet1.0-plain") == 0
    assert run("mobilenet1.0-plain", "--", "--lr", "0.5", "--num-workers", "0") == 1
    told = capsys.readouterr().err
    assert (
        "runs/small/mobilenet1.0-plain has a run with lr the default, now 0.5: give the same"
        in told
    )
    assert "num_workers" not in told
    assert run("mobilenet1.0-plain", "--restart", "--", "--lr", "0.5") == 0
    assert [what for what, _ in calls(fakes)] == ["train", "eval"] * 2
    assert results()[0]["command"].endswith("--quiet --lr 0.5")


def test_another_teacher_is_another_run(fakes, capsys):
    assert run("mobilenet1.0-vgg16") == 0
    Path("runs/small/teacher-vgg16/teacher-vgg16_best.params").write_text("other")
    assert run("mobilenet1.0-vgg16") == 1
    assert "has a run with teacher's sha256" in capsys.readouterr().err


def test_wrong_words_stop_before_anything_is_run(fakes, capsys):
    assert run("mobilenet1.0-plain", "faster-rcnn-roipool-plain", "--", "--data-shape=3") == 2
    assert run("mobilenet1.0-plan") == 2
    assert run() == 2
    assert run("--all", "mobilenet1.0-plain") == 2
    assert cli.main(["list", "--", "--lr", "1"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1][:40] for line in told] == [
        "faster-rcnn-roipool-plain, train_faster_",
        "no row is called 'mobilenet1.0-plan': di",
        "name rows to run, or give --all",
        "name rows to run, or give --all",
        "--lr 1: only run takes words after --",
    ]
    assert calls(fakes) == []


def test_a_place_that_cannot_be_written_is_told(fakes, capsys):
    Path("file").write_text("")
    assert run("mobilenet1.0-plain", "--folder", "file") == 2
    told = capsys.readouterr().err
    assert "--folder file: file/small cannot be made (Not a directory); choose another" in told
    assert cli.main(["status", "--folder", "file"]) == 0  # nothing is begun there


def status(row, capsys):
    """Row -> its other columns, as ``status`` prints them."""
    capsys.readouterr()
    assert cli.main(["status", row, "--scale", "small.json"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    return {line.split()[0]: line.split()[1:]}


def test_a_row_that_somebody_trains_is_running_and_left_alone(fakes, capsys):
    assert begin(fakes, "mobilenet1.0-plain") == 130
    with open("runs/small/mobilenet1.0-plain.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        session = {"began": time.time() - 30, "fraction": 0.0}
        Path("runs/small/mobilenet1.0-plain/session.json").write_text(json.dumps(session))
        found = status("mobilenet1.0-plain", capsys)["mobilenet1.0-plain"]
        assert found[:2] == ["running", "0/2"]
        left = [int(part) for part in found[2].split(":")]
        assert 85 <= 60 * left[1] + left[2] <= 150  # a quarter took 30 s
        assert " ".join(found[3:5]) == "75.4 -"
        assert " ".join(found[5:]).endswith("ago: Start training from [Epoch 1]")
        assert run("mobilenet1.0-plain") == 1
        assert "mobilenet1.0-plain: another process is at it" in capsys.readouterr().err


def test_status_tells_what_is_done_failed_stopped_and_not_begun(fakes, capsys):
    plan(fakes, fails="resnet18")
    run("mobilenet1.0-plain", "resnet18-plain")
    begin(fakes, "mobilenetv2-plain")
    capsys.readouterr()
    assert cli.main(["status", "--scale", "small.json"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["row", "state", "epochs", "left", "published", "ours"]
    table = {line.split()[0]: line.split()[1:] for line in lines[:3]}
    assert table["mobilenet1.0-plain"] == ["done", "2/2", "-", "75.4", "12.5"]
    assert table["mobilenetv2-plain"] == ["stopped", "0/2", "-", "75.9", "-"]
    assert table["resnet18-plain"][:5] == ["failed", "-", "-", "74.8", "-"]
    assert "the training has diverged" in " ".join(table["resnet18-plain"])
    assert lines[3:] == [
        "",
        "28 rows: 1 done, 0 running, 1 stopped, 1 failed, 25 not begun",
        "figures of the scale small are not comparable with the published ones",
    ]


def test_status_holds_ours_against_the_published_figure_at_the_papers_scale(fakes, capsys):
    run("mobilenet1.0-plain", scale="paper")
    capsys.readouterr()
    assert cli.main(["status"]) == 0
    _, line, _, counts = capsys.readouterr().out.splitlines()
    assert line.split() == ["mobilenet1.0-plain", "done", "2/2", "-", "75.4", "12.5", "(-62.9)"]
    assert counts.startswith("28 rows: 1 done")


def test_list_is_aligned_and_tells_ours_and_where_weights_are(fakes, capsys):
    run("mobilenet1.0-plain", scale="paper")
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    head, first, *others = capsys.readouterr().out.splitlines()
    assert first.split()[1:] == ["1", "mobilenet1.0", "-", "voc", "75.4", "12.5", "done"]
    assert len(others) == 27 and first.index("1 ") >= 0
    assert all(line[head.index("student") - 1] == " " for line in [first, *others])
    (teacher,) = (line for line in others if line.startswith("teacher-vgg16"))
    assert teacher.endswith("weights published by GluonCV")
    (roi,) = (line for line in others if line.startswith("faster-rcnn-roipool "))
    assert "resnet50_v1b, RoI pool" in roi and "resnet101_v1d + cos" in roi


def test_show_tells_the_origin_of_each_choice_and_every_command(fakes, capsys):
    assert cli.main(["show", "faster-rcnn-roipool"]) == 0
    text = capsys.readouterr().out
    assert "RoIPool, GAN-KD and cosine attention: published mAP 73.8" in text
    commands = [line.split()[1] for line in text.splitlines() if line.startswith("    python")]
    train = "train_faster_rcnn_gkd.py"
    assert commands == [train, "eval_voc.py", train, "eval_voc.py", "-m"]
    assert "--reference faster_rcnn" in text and text.rstrip().endswith("state: not begun")
    assert "none at this scale: it is trained first" in text
    for option in ("roi_mode", "cosine_attention", "other options"):
        assert f"\n  {option} " in text
    cli.main(["show", "mobilenet1.0-vgg16"])
    assert "GluonCV publishes them: ssd_512_vgg16_atrous_voc" in capsys.readouterr().out


def test_what_show_prints_is_what_run_runs(fakes, capsys):
    cli.main(["show", "coco-mobilenet1.0-resnet50", "--scale", "small.json"])
    out = capsys.readouterr().out
    assert out.count("gan-kd data shapes runs/small/data/shapes_coco --train 4") == 1
    shown = [
        line.strip().split("  #")[0]
        for line in out.splitlines()
        if line.startswith("    python") and " -m " not in line
    ]
    run("coco-mobilenet1.0-resnet50")
    lines = (fakes / "calls.txt").read_text().splitlines()
    words = [json.loads(line) for line in lines]
    assert shown == [" ".join(["python", os.path.basename(w[0]), *w[1:]]) for w in words]


def test_the_commands_that_only_look_need_no_mxnet(tmp_path):
    code = """
import sys
from gan_kd_ssd.cli import experiment_commands as cli
for words in (["list"], ["status"], ["show", "mobilenet1.0-resnet50", "--scale", "tiny"]):
    assert cli.main(words) == 0
for name in ("mxnet", "numpy", "cv2", "gluoncv", "matplotlib"):
    assert name not in sys.modules, name
"""
    env = {**os.environ, "PYTHONPATH": str(trainings.ROOT)}
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
        env={**os.environ, "PYTHONPATH": str(trainings.ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    _, told = process.communicate()
    return process.returncode, told


def test_a_row_really_trains_is_interrupted_and_continued(tmp_path):
    row = "mobilenet1.0-resnet50-cos"
    process = start(tmp_path, row)
    log = tmp_path / "runs" / "seconds" / row / f"{row}_train.log"
    while process.poll() is None and not (log.exists() and "[Batch 0]" in log.read_text()):
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    code, told = finished(process)
    assert code == 130, told
    assert "the same command goes on from here" in told
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
