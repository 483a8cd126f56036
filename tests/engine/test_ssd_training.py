"""What a run is made of: its options reach what they are for."""

import json
import os
import signal

import numpy as np
import pytest

from gan_kd_ssd.engine import build as run
from gan_kd_ssd.engine import devices
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from helpers.hooks import on
from helpers.options import parse_train_ssd
from helpers.runs import lines


def at_start(train, *options):
    """The training that the options build, stopped before its first step."""
    built = []

    def stop(training):
        built.append(training)
        raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        train(*options, hooks=[on(before_training=stop)])
    return built[0]


def student_of(training):
    return training.steps["detection"].student


def test_plain_and_distilled_student_start_from_the_same_weights(train, teacher_params, tmp_path):
    plain = at_start(train, "--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "plain")
    common = ["--epochs", 1, "--teacher-params", teacher_params, "--save-prefix", tmp_path / "gan"]
    distilled = at_start(train, *common, "--student-head", "scratch")
    for a, b in zip(student_of(plain).parameters(), student_of(distilled).parameters()):
        np.testing.assert_array_equal(a.data().asnumpy(), b.data().asnumpy())


def test_parameters_to_resume_from_give_weights_alone(whole, train, tmp_path):
    best = f"{whole}_best.params"
    options = ["--distill", "none", "--start-epoch", 7, "--epochs", 9, "--resume", best]
    training = at_start(train, *options, "--save-prefix", tmp_path / "y")
    assert training.progress.epoch == 7
    expected = mx.nd.load(best)
    for name, parameter in student_of(training).net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), expected[name].asnumpy())


def test_a_place_that_cannot_be_written_is_named(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--save-prefix .*/file: cannot be written"):
        train("--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "file" / "x")


def test_options_of_the_run_stand_in_its_first_line_and_can_be_read_back(whole):
    from gan_kd_ssd.logs.namespace import parse_namespace

    options = parse_namespace(lines(whole)[0])
    assert set(options) == set(vars(parse_train_ssd([])))
    assert options["gan_epochs"] == 2 and options["lrD"] == 0.0005


def test_the_teacher_s_map_is_the_teacher_s(whole, teacher_params, shapes_folder):
    from gan_kd_ssd.data.batches.ssd_batches import val_batches
    from gan_kd_ssd.data.formats.catalog import open_dataset
    from gan_kd_ssd.detectors.ssd import SSD, SSDSettings
    from gan_kd_ssd.evaluation.metrics import evaluate

    run = json.loads(lines(whole, "metrics.jsonl")[0])
    data = open_dataset(str(shapes_folder), "val")
    network, settings = "resnet10_v1_0.25", SSDSettings(64)
    teacher = SSD.load_trained(network, data.classes, settings, teacher_params, [mx.cpu()])
    expected = evaluate(teacher, val_batches(data, 64, 8), [mx.cpu()]).mean_ap
    assert run["teacher"]["mAP"] == pytest.approx(expected, abs=1e-12)


def test_the_student_s_head_starts_as_the_teacher_s_unless_from_scratch(
    train, teacher_params, tmp_path
):
    common = ["--student", "resnet10_v1_0.25", "--teacher-params", teacher_params, "--epochs", 1]
    seen = [
        student_of(
            at_start(train, *common, "--student-head", head, "--save-prefix", tmp_path / head)
        ).net
        for head in ("teacher", "scratch")
    ]
    teacher = mx.nd.load(str(teacher_params))
    name = "class_predictors.0.predictor.weight"
    same = [
        np.array_equal(
            net._collect_params_with_prefix()[name].data().asnumpy(), teacher[name].asnumpy()
        )
        for net in seen
    ]
    assert same == [True, False]


def test_the_learning_rate_falls_in_the_run_and_in_the_log(train, tmp_path):
    rates = []

    def watch(training):
        rates.append(training.steps["detection"].trainer.learning_rate)

    options = ["--lr", 0.01, "--lr-decay", 0.5, "--lr-decay-epoch", "2,3", "--val-interval", 3]
    options += ["--distill", "none", "--epochs", 3, "--save-prefix", tmp_path / "y"]
    train(*options, hooks=[on(after_epoch=watch)])
    assert rates == pytest.approx([0.01, 0.005, 0.0025])
    said = [line for line in lines(tmp_path / "y") if "Set learning rate" in line]
    assert said == ["[Epoch 2] Set learning rate to 0.005", "[Epoch 3] Set learning rate to 0.0025"]


def test_only_a_better_map_is_kept_as_the_best(train, tmp_path, monkeypatch):
    from gan_kd_ssd.evaluation.metrics import Evaluation, Timing

    maps = iter([0.3, 0.2, 0.4])
    kept = []

    def measured(self, *_):
        path = tmp_path / "y_best.params"
        kept.append(path.read_bytes() if path.exists() else None)
        value = next(maps)
        return Evaluation("voc07", {"disc": value}, value, 1, Timing(1, 1.0, 1.0, True))

    monkeypatch.setattr(run, "evaluate", measured)
    train("--distill", "none", "--epochs", 3, "--save-prefix", tmp_path / "y")
    kept.append((tmp_path / "y_best.params").read_bytes())
    assert kept[0] is None and kept[1] == kept[2] != kept[3]
    assert lines(tmp_path / "y", "best_map.log") == ["0001:\t0.3000", "0003:\t0.4000"]
    best = [line for line in lines(tmp_path / "y") if line.startswith("best_map is")]
    assert best == ["best_map is 0.3", "best_map is 0.4"]


def test_a_teacher_of_classes_in_another_order_is_refused(train, teacher_params, tmp_path):
    wrong = "disc,cross,ring,square,star,triangle"
    common = ["--teacher-params", teacher_params, "--epochs", 1, "--save-prefix", tmp_path / "y"]
    with pytest.raises(UserError, match="was trained on the classes cross, disc, ring"):
        train(*common, "--classes", wrong)


def test_a_signal_before_the_training_leaves_nothing(train, teacher_params, tmp_path, monkeypatch):
    plain = run.evaluate

    def interrupting(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*args, **kwargs)

    monkeypatch.setattr(run, "evaluate", interrupting)
    common = ["--teacher-params", teacher_params, "--epochs", 1]
    assert train(*common, "--save-prefix", tmp_path / "y") == 143
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["train", "train_rcnn"])
def test_without_a_teacher_s_file_the_zoo_s_is_looked_for(script, request, tmp_path, monkeypatch):
    """The networks of the published runs; there is no network here, or no such weights."""
    train = request.getfixturevalue(script)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    teacher = ["--teacher", "resnet50_v1" if script == "train" else "resnet101_v1d"]
    missing = r"(--teacher-params|--Teacher-param-path): .*(no weights of|cannot be downloaded)"
    with pytest.raises(UserError, match=missing):
        train(*teacher, "--epochs", 1, "--save-prefix", tmp_path / "y", *PIXELS[script])


PIXELS = {"train": ["--data-shape", 64], "train_rcnn": ["--GAN-epochs", 1]}


def test_an_earlier_run_s_parameters_are_replaced_only_when_asked_to(train, tmp_path):
    plain = ["--distill", "none", "--epochs", 1, "--save-prefix", tmp_path / "y"]
    assert train(*plain) == 0
    before = (tmp_path / "y_best.params").read_bytes()
    with pytest.raises(UserError, match=r"y: there is a run already .*--resume .*--overwrite"):
        train(*plain, "--seed", 5)
    assert (tmp_path / "y_best.params").read_bytes() == before
    assert train(*plain, "--seed", 5, "--overwrite") == 0
    assert (tmp_path / "y_best.params").read_bytes() != before
    assert sum(line.startswith("Namespace(") for line in lines(tmp_path / "y")) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        (["--dataset", "no/such/place"], "--dataset no/such/place"),
        (["--train-split", "nope"], "nope"),
        (["--gpus", "0"], "MXNet found 0 GPUs"),
        (["--gpus", "a"], "--gpus 'a'"),
        (["--gpus", "0,0"], "--gpus '0,0'"),
        (["--cpu-devices", "4", "--batch-size", "3"], "--batch-size 3"),
        (["--batch-size", "25"], "--batch-size 25"),
        (["--teacher-params", "none.params"], "--teacher-params none.params"),
        (["--kv-store", "nccl"], "--kv-store nccl"),
        (["--resume", "none.zip"], "--resume none.zip: no such file"),
        (["--teacher", "nonet"], "--teacher 'nonet'"),
        (["--lr-decay-epoch", "a"], "--lr-decay-epoch 'a'"),
        (["--classes", "zebra"], "zebra"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(options, message, train, teacher_params, tmp_path):
    if devices.gpu_count() and message.startswith("MXNet found"):
        pytest.skip("there is a GPU")
    common = ["--teacher-params", teacher_params, "--epochs", 1]
    with pytest.raises(UserError) as caught:
        train(*common, "--save-prefix", tmp_path / "run" / "x", *options)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())
