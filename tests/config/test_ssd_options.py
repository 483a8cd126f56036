"""The options of train_ssd_gkd.py: the published Namespaces, spellings, refusals."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.util.errors import UserError
from helpers.options import parse_train_ssd

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
    assert "--dataset" in done.stdout and done.stdout.startswith(f"usage: {script} ")


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
