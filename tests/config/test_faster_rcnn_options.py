"""Options of train_faster_rcnn_gkd.py: the published Namespaces, spellings, refusals."""

import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.analysis.arguments import command_like
from gan_kd_ssd.cli.train_commands import expand_like
from gan_kd_ssd.config.command import FASTER_RCNN as SCRIPT
from gan_kd_ssd.config.command import Command
from gan_kd_ssd.config.training_config import from_words
from gan_kd_ssd.logs.namespace import parse_namespace
from gan_kd_ssd.util.errors import UserError
from helpers.options import parse_train_faster_rcnn

LOG = "faster_rcnn_resnet50_resnet101_v1b_g_d_voc_train.log"


def published_lines(shared):
    lines = (shared / "published_logs" / LOG).read_text().splitlines()
    return sorted({line for line in lines if line.startswith("Namespace(")})


def test_each_published_namespace_is_accepted_under_its_own_names(shared):
    lines = published_lines(shared)
    assert len(lines) == 8
    for line in lines:
        published = parse_namespace(line)
        options = vars(parse_train_faster_rcnn(Command(SCRIPT, published).words()))
        assert {name: options[name] for name in published} == published


def test_defaults_are_those_of_the_published_run(shared):
    text = (shared / "published_logs" / LOG).read_text().splitlines()
    last = parse_namespace([line for line in text if line.startswith("Namespace(")][-1])
    defaults = vars(parse_train_faster_rcnn([]))
    ours = {"batch_size", "gpus", "save_prefix", "Teacher_param_path"}  # of the authors' machine
    assert {name for name in last if defaults[name] != last[name]} == ours
    assert defaults["clamp"] == "all"  # inferred, where SSD's is conv


def test_like_takes_the_published_run(shared):
    words = [f"--like={shared / 'published_logs' / LOG}", "--epochs", "9"]
    options = parse_train_faster_rcnn(expand_like(SCRIPT, words))
    assert (options.epochs, options.GAN_epochs, options.batch_size) == (9, 26, 4)
    assert command_like(str(shared / "published_logs" / LOG)).script == SCRIPT


@pytest.mark.parametrize("spelling", ["train_D_eopch", "train-D-epoch", "train_D_epoch"])
def test_the_published_spelling_and_the_right_one_are_the_same_option(spelling):
    options = parse_train_faster_rcnn([f"--{spelling}", "7"])
    assert options.train_D_eopch == 7
    assert not hasattr(options, "train_D_epoch")  # the Namespace line has it once


def test_voc_is_2007_alone_as_in_the_published_run():
    for given, source in (("voc", "voc07"), ("voc0712", "voc"), ("/data/pets", "/data/pets")):
        assert from_words(SCRIPT, ["--dataset", given]).data.source == source


@pytest.mark.parametrize(
    "words, message",
    [
        (["--lr-warmup", "-2"], "--lr-warmup"),
        (["--roi-mode", "crop"], "--roi-mode"),
        (["--epochs", "3", "--start-epoch", "3"], "--epochs 3: counted from 0"),
        (["--GAN-epochs", "1", "--start-epoch", "2"], "--GAN-epochs 1: ends before"),
        (["--short", "600", "--max-size", "500"], "--max-size 500 is below --short 600"),
        (["--clamp-lower", "1"], "--clamp-lower"),
        (["--beta1", "1"], "--beta1"),
        (["--classes", "a,a"], "--classes"),
        (["--GAN-epoch", "1"], "GAN-epoch"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(words, message):
    with pytest.raises(UserError, match=message):
        parse_train_faster_rcnn(words)


def test_options_are_read_without_mxnet():
    code = (
        "import sys, gan_kd_ssd.config.training_config as c\n"
        "c.from_words('train_faster_rcnn_gkd.py', [])\n"
        "print(sorted({'mxnet', 'gluoncv', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
