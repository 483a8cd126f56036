"""Records become the published lines, and JSON lines."""

import json
import math

import pytest

from gan_kd_ssd.logs.jsonl import parse_json_lines, record_from_json
from gan_kd_ssd.logs.records import (
    BestMap,
    EpochEnd,
    Event,
    LearningRate,
    NewBest,
    RunStart,
    Saved,
    Start,
    Step,
    Validation,
)
from gan_kd_ssd.logs.write import format_record, json_fields, json_record

GAN = {
    "Loss_D": -13.622,
    "Loss_G": 3.784,
    "Loss_D_real": -10.771,
    "Loss_D_fake": 2.851,
    "CrossEntropy": 6.191,
    "SmoothL1": 2.686,
    "cosine": 0.643,
}
PLAIN = {"CrossEntropy": 1.376, "SmoothL1": 0.67}

PUBLISHED = [  # each line as it stands in a published log, or as GluonCV's scripts print it
    (RunStart({"b": 1, "a": "x", "c": None}), "Namespace(a='x', b=1, c=None)\n"),
    (Start(1), "Start training from [Epoch 1]\n"),
    (
        Step(1, 99, 32.788, GAN),
        "[Epoch 1][Batch 99], Speed: 32.788 samples/sec,Loss_D=-13.622. Loss_G=3.784.  "
        "Loss_D_real=-10.771. Loss_D_fake=2.851. train_student_ori_net_CrossEntropy=6.191. "
        "train_student_ori_net_SmoothL1=2.686. cosine_length_loss_metric=0.643.\n",
    ),
    (
        Step(1, 99, 57.066, PLAIN),
        "[Epoch 1][Batch 99], Speed: 57.066 samples/sec,Loss_D=nan. Loss_G=nan.  "
        "Loss_D_real=nan. Loss_D_fake=nan. train_student_ori_net_CrossEntropy=1.376. "
        "train_student_ori_net_SmoothL1=0.670.\n",
    ),
    (
        EpochEnd(1, {"CrossEntropy": 1.378, "SmoothL1": 0.66}, speed=455747.803),
        "[Epoch 1], Speed: 455747.803 samples/sec,Loss_D=nan. Loss_G=nan.Loss_D_real=nan. "
        "Loss_D_fake=nan. train_student_ori_net_CrossEntropy=1.378. "
        "train_student_ori_net_SmoothL1=0.660.\n",
    ),
    (
        Validation(221, {"cow": 0.8292188620811924, "x y": math.nan}, 0.7827056887461108),
        "[Epoch 221] StudentNet Validation: \ncow=0.8292188620811924\nx y=nan\n"
        "mAP=0.7827056887461108\n",
    ),
    (BestMap(0.782009186748712), "best_map is 0.782009186748712\n"),
    (
        Step(0, 99, 6.217, {"RPN_Conf": 0.185, "Loss_D": None}, style="faster_rcnn"),
        "[Epoch 0][Batch 99], Speed: 6.217 samples/sec, RPN_Conf=0.185,Loss_D=nan\n",
    ),
    (
        EpochEnd(0, {"RPN_Conf": 0.114, "Loss_G": 0.083}, seconds=647.914, style="faster_rcnn"),
        "[Epoch 0] Training cost: 647.914, RPN_Conf=0.114,Loss_G=0.083\n",
    ),
    (
        Step(3, 19, 90.5, PLAIN, style="ssd"),
        "[Epoch 3][Batch 19], Speed: 90.500 samples/sec, CrossEntropy=1.376, SmoothL1=0.670\n",
    ),
    (
        EpochEnd(3, PLAIN, seconds=12, style="ssd"),
        "[Epoch 3] Training cost: 12.000, CrossEntropy=1.376, SmoothL1=0.670\n",
    ),
    (
        Validation(0, {"cow": 0.25}, 0.25, style="faster_rcnn"),
        "[Epoch 0] Validation: \ncow=0.25\nmAP=0.25\n",
    ),
    (LearningRate(160, 0.0001), "[Epoch 160] Set learning rate to 0.0001\n"),
    (LearningRate(5, 0.00025, gan=True), "[Epoch 5] Set GAN learning rate to 0.00025\n"),
    (
        LearningRate(0, 0.0005, iteration=100),
        "[Epoch 0 Iteration 100] Set learning rate to 0.0005\n",
    ),
    (
        NewBest(0, 0.38503243685134314, 0, "x_best.params"),
        "[Epoch 0] mAP 0.38503243685134314 higher than current best [0] saving to x_best.params\n",
    ),
    (
        Saved(0, "x_0000_0.3850.params"),
        "[Epoch 0] Saving parameters to x_0000_0.3850.params\n",
    ),
    (
        Validation(0, {"cow": 0.523}, 0.254, style="ssd", coco=True, summary=(" AP = 0.254",)),
        "[Epoch 0] Validation: \n~~~~ Summary metrics ~~~~\n AP = 0.254\ncow=52.3\n"
        "~~~~ MeanAP @ IoU=[0.50,0.95] ~~~~\n=25.4\n",
    ),
]


@pytest.mark.parametrize("record, text", PUBLISHED, ids=lambda x: type(x).__name__)
def test_a_record_prints_as_the_published_line(record, text):
    assert format_record(record) == text


def test_numpy_numbers_print_as_python_floats():
    np = pytest.importorskip("numpy")
    assert format_record(BestMap(np.float64(0.5))) == "best_map is 0.5\n"
    assert json.loads(json_record(Validation(1, {"a": np.float32(0.5)}, np.float64(0.5))))


def test_what_is_no_record_is_refused():
    with pytest.raises(TypeError, match="not a record"):
        format_record("Namespace()")


def test_a_json_step_has_all_figures_and_null_where_inactive():
    line = json_record(Step(1, 99, 57.066, PLAIN, images=3200, phase="detection"))
    assert json.loads(line) == {
        "kind": "step",
        "epoch": 1,
        "batch": 99,
        "images": 3200,
        "phase": "detection",
        "Loss_D": None,
        "Loss_G": None,
        "Loss_D_real": None,
        "Loss_D_fake": None,
        "CrossEntropy": 1.376,
        "SmoothL1": 0.67,
        "cosine": None,
        "speed": 57.066,
    }


def test_a_json_validation_has_classes_and_null_for_one_without_objects():
    fields = json_fields(Validation(2, {"a": 0.5, "b": math.nan}, 0.5, phase="gan"))
    assert fields["classes"] == {"a": 0.5, "b": None}
    assert (fields["mAP"], fields["phase"]) == (0.5, "gan")


def test_a_loss_that_diverged_is_not_null_in_json():
    diverged = {"CrossEntropy": math.nan, "SmoothL1": math.inf}
    fields = json.loads(json_record(Step(1, 9, 1.0, diverged)))
    assert (fields["CrossEntropy"], fields["SmoothL1"]) == ("nan", "inf")


def test_a_json_run_holds_options_and_versions():
    fields = json_fields(RunStart({"lr": 0.001}, {"mxnet": "1.9.1"}))
    assert fields == {"kind": "run", "namespace": {"lr": 0.001}, "mxnet": "1.9.1"}


@pytest.mark.parametrize(
    "record",
    [
        RunStart({"lr": 0.001}, {"mxnet": "1.9.1"}),
        Start(1),
        Step(1, 99, 32.788, GAN, images=6400, phase="gan"),
        EpochEnd(1, dict(GAN), speed=30.0, images=6400, phase="gan"),
        Validation(2, {"a": 0.5}, 0.5, phase="gan"),
        Validation(2, {"a": 0.5}, 0.5, coco=True, summary=(" AP = 0.5", " AR = 0.6")),
        Validation(2, {"a": 0.5}, 0.5, coco=True),
        BestMap(0.5),
        LearningRate(5, 0.1, gan=True),
        NewBest(0, 0.5, 0, "x"),
        Saved(0, "x"),
        Event("stopped: disk full"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_json_lines_give_the_record_back(record):
    assert record_from_json(json.loads(json_record(record))) == record


def test_a_json_line_that_is_cut_is_kept_as_unknown():
    text = json_record(Start(1)) + '{"kind": "step", "epo'
    log = parse_json_lines(text)
    assert [entry.line for entry in log.unknown] == [2]
    assert log.unknown[0].record.cut
