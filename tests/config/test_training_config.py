"""The frozen configuration of both training scripts."""

import dataclasses

import pytest

from gan_kd_ssd.analysis.arguments import command_like
from gan_kd_ssd.cli.train_commands import expand_like
from gan_kd_ssd.config.command import FASTER_RCNN, SSD
from gan_kd_ssd.config.training_config import from_options, from_words
from gan_kd_ssd.paper.rows import by_name
from gan_kd_ssd.util.errors import UserError


@pytest.mark.parametrize("script", [SSD, FASTER_RCNN])
def test_words_and_options_give_the_same_configuration(script):
    words = ["--classes", "a,b", "--no-pretrained-base", "--gpus", "", "--clamp-lower=-0.5"]
    words += ["--cosine-attention", "--lr-decay-epoch", "9,3", "--metric", "voc12"]
    config = from_words(script, words)
    assert from_options(script, config.namespace) == config
    assert from_options(script, {}) == from_words(script, [])
    assert config.data.classes == "a,b" and config.schedule.decay_at == (3, 9)


def test_nothing_can_write_to_a_configuration():
    config = from_words(SSD, [])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.schedule.lr = 1.0
    with pytest.raises(TypeError):
        config.namespace["lr"] = 1.0


def test_a_resolved_configuration_is_another_one():
    config = from_words(FASTER_RCNN, [])
    resolved = config.resolved(batch_size=2, metric="voc07", short=600, max_size=1000)
    assert config.schedule.batch_size is None and resolved.schedule.batch_size == 2
    assert resolved.networks.max_size == 1000
    assert list(resolved.namespace) == list(config.namespace)  # the order of the log
    with pytest.raises(KeyError, match="data_shape"):
        config.resolved(data_shape=512)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"no_such": 1}, "--no-such"),
        ({"lr": "fast"}, "--lr: 'fast'"),
        ({"augmentation": "none"}, "--augmentation"),
        ({"epochs": 1, "start_epoch": 2}, "--epochs 1"),
    ],
)
def test_options_by_name_are_checked_as_a_command_line_is(options, message):
    with pytest.raises(UserError, match=message):
        from_options(SSD, options)


def test_epochs_that_are_none_name_their_option():
    with pytest.raises(UserError, match="--lr-decay-epoch 'a'"):
        from_words(SSD, ["--lr-decay-epoch", "a"])
    with pytest.raises(UserError, match="--lr-decay-GAN-epoch 'five'"):
        from_words(FASTER_RCNN, ["--lr-decay-GAN-epoch", "five"])


def test_mixup_is_left_out_of_the_last_epochs():
    def mixup(*words):
        return from_words(FASTER_RCNN, ["--epochs", "30", *words]).mixup_epochs

    assert (mixup(), mixup("--mixup"), mixup("--mixup", "--no-mixup-epochs", "40")) == (0, 10, 0)


def test_files_are_named_after_the_networks_unless_a_prefix_is_given():
    def prefix(script, *words):
        return from_words(script, words).prefix

    assert prefix(SSD) == "ssd_512_mobilenet1.0_resnet50_v1_voc_gkd"
    assert prefix(SSD, "--save-prefix", "out/") == "out/ssd_512_mobilenet1.0_resnet50_v1_voc_gkd"
    assert prefix(SSD, "--save-prefix", "mine") == "mine"
    plain = ["--distill", "none", "--student", "ssd_512_resnet18_v1", "--dataset", "/x/BCCD"]
    assert prefix(SSD, *plain) == "ssd_512_resnet18_v1_bccd"
    assert prefix(FASTER_RCNN) == "faster_rcnn_resnet50_v1b_resnet101_v1d_voc_gkd"
    fpn = prefix(FASTER_RCNN, "--use-fpn", "--distill", "none")
    assert fpn == "faster_rcnn_fpn_resnet50_v1b_voc"


@pytest.mark.parametrize(
    "name, script, row, unknown",
    [
        ("ssd", SSD, "mobilenet1.0-resnet50-cos", set()),
        # The published Faster R-CNN log has no cosine figure, so that its weight is not known.
        ("faster_rcnn", FASTER_RCNN, "faster-rcnn-roipool", {"cosine_attention"}),
    ],
)
def test_a_log_a_row_and_a_command_line_give_the_same_configuration(
    name, script, row, unknown, tmp_path
):
    from gan_kd_ssd.logs.published import reference

    log = tmp_path / "published.log"
    log.write_bytes(reference(name).text().encode())
    command = command_like(str(log), script)
    for option in ("save_prefix", "resume"):
        command.options.pop(option, None)
    by_log = from_options(script, command.options)
    assert from_words(script, expand_like(script, ["--like", str(log)])) == by_log
    by_row = from_options(script, by_name(row).command().options)
    differ = {n for n, value in by_row.namespace.items() if by_log.namespace[n] != value}
    machine = {"gpus", "num_workers", "batch_size", "save_prefix", "Teacher_param_path"}
    assert differ - machine == unknown
    assert by_row.resolved(**{n: by_log.namespace[n] for n in differ}) == by_log


def test_like_takes_the_options_of_a_log_and_the_command_line_overrides_them(tmp_path, capsys):
    from gan_kd_ssd.logs.published import reference

    log = tmp_path / "published.log"
    log.write_bytes(reference("ssd").text().encode())
    config = from_words(SSD, expand_like(SSD, ["--batch-size", "32", f"--like={log}"]))
    assert (config.networks.student, config.networks.teacher) == ("mobilenet1.0", "resnet50_v1")
    assert (config.schedule.batch_size, config.devices.num_workers) == (32, 32)
    assert config.devices.gpus == "4,5,6,7"
    assert (config.gan_epochs, config.schedule.gan_val_interval) == (221, 0)
    assert "like" not in config.namespace
    # A repeated run never writes over the first one.
    assert (config.output.save_prefix, config.output.resume) == ("", "")
    assert "--like: " in capsys.readouterr().err
    with pytest.raises(UserError, match=r"none\.log"):
        expand_like(SSD, ["--like", "none.log"])
    with pytest.raises(UserError, match=r"--like x\.log"):
        from_words(SSD, ["--like", "x.log"])
