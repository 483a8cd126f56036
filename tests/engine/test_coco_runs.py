"""Data in COCO layout from training to evaluation: its metric, its lines in the log, its figures."""

import json
import math
from pathlib import Path

import pytest

from gan_kd_ssd.analysis.invariants import check_invariants
from gan_kd_ssd.analysis.logged_figures import run_figures
from gan_kd_ssd.cli import log_commands as logs_cli
from gan_kd_ssd.config import evaluation_options as eval_options
from gan_kd_ssd.data.synthetic import shapes
from gan_kd_ssd.engine import evaluate as eval_run
from gan_kd_ssd.evaluation.coco_metrics import FIGURES
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import BestMap, Start, Unknown, Validation
from gan_kd_ssd.logs.write import format_record
from gan_kd_ssd.util.errors import UserError
from helpers.runs import lines

COUNTS = {"train": 24, "val": 8, "test": 8}
PLAIN = ["--distill", "none", "--epochs", 2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root whose built-in sets are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "COUNTS", COUNTS)
        yield tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def prefix(train, root, tmp_path_factory):
    """Prefix of two epochs on the built-in set in COCO layout."""
    prefix = tmp_path_factory.mktemp("coco") / "x"
    data = ["--dataset", "shapes_coco", "--data-root", root]
    assert train(*data, *PLAIN, "--save-prefix", prefix) == 0
    return prefix


def evaluate(root, prefix, *words):
    """eval_voc.py on the test split; its results."""
    common = [
        *("--dataset", "shapes_coco", "--data-root", root, "--network", "resnet10_v1_0.125"),
        *("--data-shape", 64, "--params", f"{prefix}_best.params", "--gpus="),
        *("--json", f"{prefix}_eval.json"),
    ]
    options = eval_options.parse([str(word) for word in [*common, *words]])
    assert eval_run.run(options) == 0
    return json.loads(Path(f"{prefix}_eval.json").read_text())


def validations(prefix):
    return [
        e.record for e in read(f"{prefix}_train.log").entries if isinstance(e.record, Validation)
    ]


def test_validations_are_written_as_gluoncv_writes_coco_s_figures(prefix):
    written = lines(prefix)
    at = written.index("[Epoch 1] StudentNet Validation: ")
    block = written[at + 1 : at + 22]
    assert block[0] == "~~~~ Summary metrics ~~~~"
    first = "=Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = "
    assert block[1].startswith(first)
    assert [line.split("@")[0] for line in block[2:13]] == [
        *[" Average Precision  (AP) "] * 5,
        *[" Average Recall     (AR) "] * 6,
    ]
    assert [line.split("=")[0] for line in block[13:19]] == list(shapes.CLASSES)
    assert block[19] == "~~~~ MeanAP @ IoU=[0.50,0.95] ~~~~"
    assert block[20] == f"={100 * float(block[1].rsplit('=', 1)[1]):.1f}"


def test_the_log_is_understood_to_the_last_line(prefix, capsys):
    log = read(f"{prefix}_train.log")
    assert not [e for e in log.entries if isinstance(e.record, Unknown)]
    assert log.text() == Path(f"{prefix}_train.log").read_text()
    found = validations(prefix)
    assert [record.epoch for record in found] == [1, 2]
    assert all(record.coco and len(record.summary) == 12 for record in found)
    assert [e.record.value for e in log.entries if isinstance(e.record, BestMap)]
    assert logs_cli.run(["show", f"{prefix}_train.log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["namespace"]["metric"] == "coco"
    assert logs_cli.run(["show", f"{prefix}_train.log"]) == 0
    shown = capsys.readouterr().out
    assert "2 validations" in shown and shown.endswith("every line was understood\n")


@pytest.mark.parametrize(("best", "holds"), [(0.00356, True), (0.0034, False)])
def test_the_rounded_block_and_the_best_ap_agree_for_the_invariants(best, holds):
    block = Validation(1, {"ant": 0.00356, "bee": 0.00356}, 0.00356, coco=True)  # printed as 0.4
    run = parse(format_record(Start(1)) + format_record(block) + format_record(BestMap(best))).runs[
        0
    ]
    checks = {check.name: check.holds for check in check_invariants(run, run_figures(run))}
    assert checks["best mAP never falls"] is holds and checks["mAP = mean of its classes"] is True


def test_the_options_in_the_log_name_the_metric(prefix):
    assert "metric='coco'" in lines(prefix)[0]


def test_the_best_ap_is_kept_unrounded(prefix):
    best = max(
        json.loads(line)["mAP"] for line in lines(prefix, "metrics.jsonl") if '"mAP"' in line
    )
    kept = float(lines(prefix, "best_map.log")[-1].split("\t")[1])
    assert kept == pytest.approx(best, abs=5e-5) and 0 <= best < 1
    assert Path(f"{prefix}_best.params").is_file()


def test_evaluation_prints_and_saves_the_twelve_figures(root, prefix, capsys):
    result = evaluate(root, prefix)
    out = capsys.readouterr().out.splitlines()
    assert result["metric"] == "coco" and result["iou_threshold"] == "0.50:0.95"
    assert list(result["figures"]) == list(FIGURES)
    assert result["mAP"] == result["figures"]["AP"] and set(result["classes"]) == set(
        shapes.CLASSES
    )
    printed = [line for line in out if line.lstrip().startswith("Average")]
    assert len(printed) == 12
    for line, (name, value) in zip(printed, result["figures"].items()):
        shown = float(line.rsplit("=", 1)[1])
        assert shown == pytest.approx(-1 if value is None else value, abs=5e-4), name
    assert any(line.startswith("mAP@[.50:.95] = ") for line in out)


def test_the_figures_of_the_run_are_those_of_its_evaluation(train, root, tmp_path, capsys):
    """The best parameters, measured again on the validation split."""
    prefix = tmp_path / "y"
    data = ["--dataset", "shapes_coco", "--data-root", root]
    assert train(*data, *PLAIN, "--epochs", 1, "--save-prefix", prefix) == 0
    again = evaluate(root, prefix, "--val-split", "val")
    (record,) = [
        json.loads(line)
        for line in lines(prefix, "metrics.jsonl")
        if json.loads(line)["kind"] == "validation"
    ]
    assert again["mAP"] == pytest.approx(record["mAP"], abs=1e-12)
    assert again["classes"] == pytest.approx(record["classes"])


@pytest.mark.parametrize(
    ("metric", "expected"), [("voc07", ["voc07"]), ("both", ["voc07", "voc12"])]
)
def test_voc_s_metrics_measure_data_in_coco_layout_too(root, prefix, metric, expected):
    result = evaluate(root, prefix, "--metric", metric)
    assert list(result["metrics"]) == expected and result["iou_threshold"] == 0.5


def test_both_layouts_of_the_same_set_give_the_same_figures(root, prefix):
    """--metric coco measures VOC layout as well; difficult objects are crowds in the copy."""
    one = evaluate(root, prefix)
    other = evaluate(root, prefix, "--dataset", "shapes", "--metric", "coco")
    assert one["figures"] == other["figures"] and one["objects"] == other["objects"]
    assert one["classes"] == other["classes"]


def test_a_folder_in_coco_layout_is_trained_on_with_a_teacher(train, root, tmp_path):
    folder = shapes.generate(tmp_path / "mine", COUNTS, size=96, layout="coco", progress=False)
    data = ["--dataset", folder, "--val-split", "test"]
    teacher = ["--student", "resnet10_v1_0.25", *PLAIN, "--epochs", 1]
    assert train(*data, *teacher, "--save-prefix", tmp_path / "t") == 0
    gan = ["--epochs", 2, "--gan-epochs", 1, "--teacher-params", tmp_path / "t_best.params"]
    assert train(*data, *gan, "--save-prefix", tmp_path / "s", "--metric", "voc12") == 0
    assert [record.coco for record in validations(tmp_path / "t")] == [True]
    assert [record.coco for record in validations(tmp_path / "s")] == [False, False]
    start = json.loads(lines(tmp_path / "s", "metrics.jsonl")[0])
    assert start["teacher"]["mAP"] is not None and start["namespace"]["metric"] == "voc12"


def test_a_run_cannot_be_resumed_with_another_metric(train, root, prefix):
    data = ["--dataset", "shapes_coco", "--data-root", root, "--resume", f"{prefix}_state.zip"]
    with pytest.raises(UserError, match="metric 'coco', but this run has 'voc07'"):
        train(*data, *PLAIN, "--epochs", 3, "--metric", "voc07", "--save-prefix", prefix)


def test_faster_rcnn_trains_and_is_measured_on_data_in_coco_layout(train_rcnn, root, tmp_path):
    data = ["--dataset", "shapes_coco", "--data-root", root, "--save-prefix", tmp_path / "f"]
    assert train_rcnn(*data, "--distill", "none", "--epochs", 1) == 0
    (record,) = validations(tmp_path / "f")
    assert record.coco and len(record.summary) == 12 and not math.isnan(record.mean)
    written = [json.loads(line) for line in lines(tmp_path / "f", "metrics.jsonl")]
    (trained,) = [line["mAP"] for line in written if line["kind"] == "validation"]
    params = tmp_path / "f_best.params"
    if not params.exists():  # nothing found in one epoch
        params = next(tmp_path.glob("f_0000_*.params"))
    words = [
        *("--dataset", "shapes_coco", "--data-root", root, "--val-split", "val", "--gpus="),
        *("--network", "faster_rcnn_resnet10_v1_0.125", "--params", params),
        *("--json", tmp_path / "f.json"),
    ]
    assert eval_run.run(eval_options.parse([str(word) for word in words])) == 0
    result = json.loads((tmp_path / "f.json").read_text())
    assert list(result["figures"]) == list(FIGURES)
    assert result["mAP"] == pytest.approx(trained, abs=1e-12)
