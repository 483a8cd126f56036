"""Options, devices, schedule: what is accepted, what is refused, and how it is said."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.config.ssd_options import parse_train_ssd
from gan_kd_ssd.engine import devices, schedule
from gan_kd_ssd.engine import ssd_training as ssd_run
from gan_kd_ssd.engine.build import save_prefix
from gan_kd_ssd.util.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = {
    "batch_size": 64,
    "beta1": 0.5,
    "clamp_lower": -0.03,
    "clamp_upper": 0.03,
    "data_shape": 512,
    "dataset": "voc",
    "epochs": 340,
    "log_interval": 100,
    "lr": 0.001,
    "lrD": 0.0005,
    "lrG": 0.0005,
    "lr_decay": 0.1,
    "lr_decay_epoch": "80,100",
    "momentum": 0.9,
    "network": "vgg16_atrous",
    "resume": "",
    "save_interval": 10,
    "seed": 233,
    "start_epoch": 1,
    "val_interval": 1,
    "wd": 0.0005,
}


def test_defaults_are_the_published_ones():
    options = vars(parse_train_ssd([]))
    assert {name: options[name] for name in PUBLISHED} == PUBLISHED


def test_every_published_option_is_taken_with_dashes_or_underscores():
    given = {**PUBLISHED, "gpus": "4,5,6,7", "num_workers": 32, "save_prefix": "x"}
    for spell in (lambda name: name, lambda name: name.replace("_", "-")):
        words = [f"--{spell(name)}={value}" for name, value in given.items()]
        options = vars(parse_train_ssd(words))
        assert {name: options[name] for name in given} == given


def test_published_namespace_lines_are_taken(shared):
    from gan_kd_ssd.logs.namespace import parse_namespace

    (log,) = (shared / "published_logs").glob("ssd_*.log")
    for line in log.read_text().splitlines():
        if line.startswith("Namespace"):
            published = parse_namespace(line)
            options = vars(parse_train_ssd([f"--{k}={v}" for k, v in published.items()]))
            assert {name: options[name] for name in published} == published


def test_like_takes_the_options_of_a_log_and_the_command_line_overrides_them(tmp_path, capsys):
    from gan_kd_ssd.logs.published import reference

    log = tmp_path / "published.log"
    log.write_bytes(reference("ssd").text().encode())
    options = parse_train_ssd(["--batch-size", "32", f"--like={log}"])
    assert (options.student, options.teacher) == ("mobilenet1.0", "resnet50_v1")
    assert (options.batch_size, options.num_workers, options.gpus) == (32, 32, "4,5,6,7")
    assert (options.gan_epochs, options.gan_val_interval) == (221, 0)
    assert not hasattr(options, "like")
    assert options.save_prefix == "" and options.resume == ""  # never over the run it repeats
    assert "--like: " in capsys.readouterr().err
    with pytest.raises(UserError, match=r"none\.log"):
        parse_train_ssd(["--like", "none.log"])


@pytest.mark.parametrize("script", ["train_ssd_gkd.py", "eval_voc.py"])
def test_help_imports_neither_mxnet_nor_numpy(script):
    code = (
        "import runpy, sys\nsys.argv = ['x', '--help']\n"
        f"try:\n    runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'mxnet', 'gluoncv', 'numpy', 'matplotlib', 'cv2'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--dataset" in done.stdout


def test_negative_numbers_are_values_in_any_spelling():
    for spelling in (
        ["--clamp-lower", "-3e-2"],
        ["--clamp_lower=-.03"],
        ["--clamp-lower", "-0.03"],
    ):
        assert parse_train_ssd(spelling).clamp_lower == -0.03


@pytest.mark.parametrize(
    "words, message",
    [
        (["--clamp-lower", "0.1"], "--clamp-lower 0.1 is not below --clamp-upper 0.03"),
        (["--epochs", "3", "--start-epoch", "5"], "--epochs 3"),
        (["--batch-size", "0"], "--batch-size: '0' is not a whole number above 0"),
        (["--clamp-lower", "nan"], "--clamp-lower: 'nan' is not a finite number"),
        (["--lr", "nan"], "--lr: 'nan' is not a number from 0"),
        (["--lr", "fast"], "--lr: 'fast'"),
        (["--beta1", "1"], "--beta1 1.0"),
        (["--no-such"], "unrecognized arguments: --no-such"),
        (["--classes", "a,,b"], "--classes 'a,,b'"),
        (["--gan-epochs", "0"], "--gan-epochs 0"),
    ],
)
def test_mistakes_are_one_line_that_names_the_option(words, message):
    with pytest.raises(UserError) as caught:
        parse_train_ssd(words)
    assert message in str(caught.value)


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
def test_what_is_found_wrong_later_leaves_nothing_behind(
    options, message, train, teacher_params, tmp_path
):
    if devices.gpu_count() and message.startswith("MXNet found"):
        pytest.skip("there is a GPU")
    common = ["--teacher-params", teacher_params, "--epochs", 1]
    with pytest.raises(UserError) as caught:
        train(*common, "--save-prefix", tmp_path / "run" / "x", *options)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_script_ends_with_one_line_and_code_2(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "train_ssd_gkd.py", "--dataset", "none", "--gpus", ""],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"train_ssd_gkd\.py: --dataset none: .*\n", done.stderr)
    assert not list(tmp_path.iterdir())


def test_files_are_named_after_the_networks_unless_a_prefix_is_given():
    def prefix(*words):
        options = parse_train_ssd(words)
        return save_prefix(options, ssd_run.SSDKind(options, []))

    assert prefix() == "ssd_512_mobilenet1.0_resnet50_v1_voc_gkd"
    assert prefix("--save-prefix", "out/") == "out/ssd_512_mobilenet1.0_resnet50_v1_voc_gkd"
    assert prefix("--save-prefix", "mine") == "mine"
    plain = prefix("--distill", "none", "--student", "ssd_512_resnet18_v1", "--dataset", "/x/BCCD")
    assert plain == "ssd_512_resnet18_v1_bccd"


# Devices and schedule


def test_devices_left_out_are_at_most_two_gpus_else_the_cpu(monkeypatch):
    for found, names in (
        (0, ["cpu(0)"]),
        (1, ["gpu(0)"]),
        (2, ["gpu(0)", "gpu(1)"]),
        (8, ["gpu(0)", "gpu(1)"]),
    ):
        monkeypatch.setattr(devices, "gpu_count", lambda found=found: found)
        ctx, line = devices.pick(None)
        assert [str(c) for c in ctx] == names
        assert ("GPU" in line.split()) == bool(found) or "no GPU" in line


def test_devices_that_are_asked_for(monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: 3)
    assert [str(c) for c in devices.pick("2, 0")[0]] == ["gpu(2)", "gpu(0)"]
    assert [str(c) for c in devices.pick("", 2)[0]] == ["cpu(0)", "cpu(1)"]
    with pytest.raises(UserError, match=r"no GPU 3; MXNet found 3 GPUs"):
        devices.pick("1,3")


def test_phases_are_gan_up_to_its_last_epoch_then_detection():
    gan, detection = schedule.phases(1, 340, 221, "gan", 1, 0)
    assert (gan.name, gan.first, gan.last) == ("gan", 1, 221)
    assert (detection.name, detection.first, detection.last) == ("detection", 222, 340)
    assert [e for e in range(1, 222) if gan.validates(e)] == [221]
    assert all(detection.validates(e) for e in range(222, 341))
    (plain,) = schedule.phases(1, 5, 3, "none", 2, 2)
    assert (plain.name, plain.first, plain.last) == ("detection", 1, 5)
    assert [e for e in range(1, 6) if plain.validates(e)] == [2, 4, 5]
    (only,) = schedule.phases(1, 5, 9, "gan", 1, 1)
    assert (only.name, only.last) == ("gan", 5)
    (late,) = schedule.phases(4, 5, 3, "gan", 1, 1)
    assert (late.name, late.first) == ("detection", 4)


def test_faster_rcnn_s_phases_are_the_published_run_s():
    phases = schedule.phases(0, 37, 26, "gan", 1, 1, discriminator_epochs=2)
    found = [(phase.name, phase.first, phase.last) for phase in phases]
    assert found == [("discriminator", 0, 1), ("gan", 2, 26), ("detection", 27, 37)]
    resumed = schedule.phases(5, 37, 26, "gan", 1, 1, discriminator_epochs=2)
    assert [(phase.name, phase.first) for phase in resumed] == [("gan", 5), ("detection", 27)]
    short = schedule.phases(0, 3, 0, "gan", 1, 1, discriminator_epochs=2)
    assert [(p.name, p.last) for p in short] == [("discriminator", 0), ("detection", 3)]
    (plain,) = schedule.phases(0, 3, 2, "none", 1, 1, discriminator_epochs=2)
    assert plain.name == "detection"


def test_epochs_that_are_none_name_their_option():
    with pytest.raises(UserError, match="--lr-decay-GAN-epoch 'five'"):
        schedule.decay_epochs("five", "--lr-decay-GAN-epoch")


def test_learning_rate_falls_at_its_epochs_and_is_a_function_of_the_epoch():
    at = schedule.decay_epochs("100, 80")
    assert at == [80, 100] and schedule.decay_epochs("") == []
    rates = [schedule.learning_rate(0.001, 0.1, at, epoch) for epoch in (79, 80, 99, 100)]
    assert rates == pytest.approx([0.001, 0.0001, 0.0001, 0.00001])
