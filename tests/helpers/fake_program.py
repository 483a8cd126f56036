"""A stand-in for the program ``gan-kd`` that trains and measures in no time."""

import json
import sys
from pathlib import Path

_PROGRAM = '''
"""Writes what a training or an evaluation writes. plan.json says whether it fails or waits."""
import json, os, signal, sys, time
from pathlib import Path

folder, command = Path(__file__).parent, sys.argv[1]
words = dict(zip(sys.argv[2:], sys.argv[3:]))
plan = json.loads((folder / "plan.json").read_text())
(folder / "calls.txt").open("a").write(json.dumps(sys.argv[1:]) + "\\n")
(folder / "pid").write_text(str(os.getpid()))

if command == "data":
    sys.exit()
if command == "eval":
    result = {"mAP": 0.125}
    if words["--dataset"].endswith("coco"):
        result["figures"] = {"AP": 0.125, "AP50": 0.5, "APsmall": None}
    Path(words["--json"]).write_text(json.dumps(result))
    sys.exit()

prefix, student = words["--save-prefix"], words["--student"]
metrics = open(prefix + "_metrics.jsonl", "a")


def write(kind, **fields):
    metrics.write(json.dumps({"kind": kind, **fields}) + "\\n")
    metrics.flush()


def stop(signum, frame):
    Path(prefix + "_state.zip").write_text("state")
    sys.exit("stopped, resume with --resume")


signal.signal(signal.SIGTERM, stop)
options = {"epochs": 2, "start_epoch": 1, "student": student, "teacher": words.get("--teacher")}
facts = {"parameters": 1234, "versions": {"python": "3"}, "teacher": {"mAP": 0.25}}
write("run", namespace=options, data={"train": {"images": 10}}, **facts)
open(prefix + "_train.log", "a").write("Start training from [Epoch 1]\\n")
if plan.get("fails") and student.startswith(plan["fails"]):
    sys.exit("train: the training has diverged")
write("step", epoch=1, batch=0, speed=1.0, images=5)
if plan.get("waits") and "--resume" not in words:
    while True:
        time.sleep(0.01)
write("epoch", epoch=1, images=10)
write("epoch", epoch=2, images=20)
Path(prefix + "_best.params").write_text(student)
Path(prefix + "_state.zip").write_text("state")
'''


class FakeProgram:
    """The stand-in in a folder.

    Attributes:
        words: The start of its command line, for :data:`gan_kd_ssd.paper.training_runs.PROGRAM`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        (folder / "program.py").write_text(_PROGRAM)
        self.words = [sys.executable, str(folder / "program.py")]
        self.plan()

    def plan(self, **settings) -> None:
        """Let trainings of a student fail (``fails="vgg16"``) or wait for a signal (``waits=True``)."""
        (self.folder / "plan.json").write_text(json.dumps(settings))

    def calls(self) -> list[list[str]]:
        """The words of each call so far."""
        path = self.folder / "calls.txt"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def pid(self) -> int:
        """The process id of the last call."""
        return int((self.folder / "pid").read_text())
