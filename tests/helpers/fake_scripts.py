"""Stand-ins for the training and evaluation scripts, which take no time: what runs them is under test."""

from pathlib import Path

_TRAIN = '''
"""Writes what a training writes; whether it fails or waits is in plan.json."""
import json, os, signal, sys, time
from pathlib import Path

words = dict(zip(sys.argv[1:], sys.argv[2:]))
prefix, student = words["--save-prefix"], words["--student"]
plan = json.loads((Path(__file__).parent / "plan.json").read_text())
(Path(__file__).parent / "calls.txt").open("a").write(json.dumps(sys.argv) + "\\n")
(Path(__file__).parent / "pid").write_text(str(os.getpid()))
metrics = open(prefix + "_metrics.jsonl", "a")
resumed = "--resume" in words


def write(kind, **fields):
    metrics.write(json.dumps({"kind": kind, **fields}) + "\\n")
    metrics.flush()


def stop(signum, frame):
    Path(prefix + "_state.zip").write_text("state")
    sys.exit("stopped, go on with --resume")


signal.signal(signal.SIGTERM, stop)
options = {"epochs": 2, "start_epoch": 1, "student": student, "teacher": words.get("--teacher")}
facts = {"parameters": 1234, "versions": {"python": "3"}, "teacher": {"mAP": 0.25}}
write("run", namespace=options, data={"train": {"images": 10}}, **facts)
open(prefix + "_train.log", "a").write("Start training from [Epoch 1]\\n")
if plan.get("fails") and student.startswith(plan["fails"]):
    sys.exit("train: the training has diverged")
write("step", epoch=1, images=5)
if plan.get("waits") and not resumed:
    while True:
        time.sleep(0.01)
write("epoch", epoch=1, images=10)
write("epoch", epoch=2, images=20)
Path(prefix + "_best.params").write_text(student)
Path(prefix + "_state.zip").write_text("state")
'''

_EVAL = """
import json, sys
from pathlib import Path

words = dict(zip(sys.argv[1:], sys.argv[2:]))
(Path(__file__).parent / "calls.txt").open("a").write(json.dumps(sys.argv) + "\\n")
result = {"mAP": 0.125}
if words["--dataset"].endswith("coco"):
    result["figures"] = {"AP": 0.125, "AP50": 0.5, "APsmall": None}
Path(words["--json"]).write_text(json.dumps(result))
"""


def write_scripts(folder: Path) -> Path:
    """The scripts in a folder, as :data:`gan_kd_ssd.paper.trainings.ROOT`."""
    for name in ("train_ssd_gkd.py", "train_faster_rcnn_gkd.py"):
        (folder / name).write_text(_TRAIN)
    (folder / "eval_voc.py").write_text(_EVAL)
    (folder / "plan.json").write_text("{}")
    return folder
