"""Which command repeats a run, of our scripts' logs, the published ones, and GluonCV's own."""

import pytest

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.config.command import FASTER_RCNN, SSD
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from helpers.options import parse_train_faster_rcnn, parse_train_ssd

GLUONCV_SSD = (  # of its version 0.10
    "Namespace(amp=False, batch_size=32, dali=False, data_shape=512, dataset='voc', "
    "dataset_root='~/.mxnet/datasets/', epochs=240, gpus='0,1', horovod=False, log_interval=100, "
    "lr=0.001, lr_decay=0.1, lr_decay_epoch='160,200', momentum=0.9, network='mobilenet1.0', "
    "num_workers=4, resume='', save_interval=10, save_prefix='ssd_512_mobilenet1.0_voc', seed=233, "
    "start_epoch=0, syncbn=True, val_interval=1, wd=0.0005)\n"
)
GLUONCV_FASTER_RCNN = (  # of its version 0.6
    "Namespace(amp=True, batch_size=2, dataset='voc', disable_hybridization=False, epochs=20, "
    "executor_threads=1, gpus='0,1', horovod=False, kv_store='{kv}', log_interval=100, lr=0.001, "
    "lr_decay=0.1, lr_decay_epoch='14,20', lr_warmup=-1, lr_warmup_factor=0.3333333333333333, "
    "mixup=False, momentum=0.9, network='resnet101_v1d', no_mixup_epochs=20, norm_layer={norm}, "
    "num_workers=4, resume='', save_interval=1, save_prefix='faster_rcnn_resnet101_v1d_voc', "
    "seed=233, start_epoch=0, static_alloc=False, use_fpn=True, val_interval=1, verbose=False, "
    "wd=0.0005)\n"
)


def test_the_published_faster_rcnn_run_names_student_teacher_and_roi_mode():
    command = command_of(reference("faster_rcnn"))
    options = parse_train_faster_rcnn(command.words())
    assert command.script == FASTER_RCNN
    assert (options.student, options.teacher) == ("resnet50_v1b", "resnet101_v1d")
    assert options.roi_mode == "pool"
    told = "\n".join(command.remarks)
    assert "from network and Teacher_param_path" in told
    assert "--roi-mode pool: inferred" in told


def test_all_8_faster_rcnn_namespaces_are_taken_by_the_script():
    seen = []
    for run in reference("faster_rcnn").runs:
        if run.namespace not in seen:
            seen.append(run.namespace)
            words = command_of(reference("faster_rcnn"), run).words()
            options = vars(parse_train_faster_rcnn(words))
            assert {name: options[name] for name in run.namespace} == run.namespace
    assert len(seen) == 8


@pytest.mark.parametrize(
    "path, network, expected",
    [
        ("x.params", "resnet50_resnet101_v1b_g_d", ("resnet50_v1b", "resnet101_v1b")),
        ("a/faster_rcnn_fpn_resnet101_v1d_coco.params", "p_q", (None, "resnet101_v1d")),
        ("x.params", "p_q", (None, None)),
    ],
)
def test_networks_that_a_faster_rcnn_log_does_not_name_are_asked_for(path, network, expected):
    text = f"Namespace(Teacher_param_path={path!r}, network={network!r}, lrD=0.1)\n"
    command = command_of(parse(text))
    assert (command.options["student"], command.options["teacher"]) == expected
    assert any("give --student and --teacher" in r for r in command.remarks) == (None in expected)


def test_gluoncvs_ssd_becomes_a_baseline_with_the_same_number_of_epochs():
    command = command_of(parse(GLUONCV_SSD))
    options = parse_train_ssd(command.words())
    assert (command.script, options.distill, options.student) == (SSD, "none", "mobilenet1.0")
    assert (options.start_epoch, options.epochs) == (0, 239)  # ours is the last epoch's number
    assert "without a counterpart were omitted: dataset_root, syncbn" in command.remarks[0]
    assert any(remark.startswith("--epochs") for remark in command.remarks)


@pytest.mark.parametrize(
    "kv, norm, left", [("nccl", "'bn'", ""), ("dist_sync", "'syncbn'", "both")]
)
def test_gluoncvs_faster_rcnn_becomes_a_baseline_on_the_same_data(kv, norm, left):
    command = command_of(parse(GLUONCV_FASTER_RCNN.format(kv=kv, norm=norm)))
    options = parse_train_faster_rcnn(command.words())
    assert (command.script, options.distill) == (FASTER_RCNN, "none")
    assert (options.student, options.use_fpn, options.epochs) == ("resnet101_v1d", True, 20)
    assert options.dataset == "voc0712"
    assert (options.kv_store, options.norm_layer) == (("device", None) if left else ("nccl", "bn"))
    text = "without a counterpart were omitted: amp, lr_warmup_factor, executor_threads" + (
        ", kv_store, norm_layer" if left else ""
    )
    assert command.remarks[0].endswith(text)


@pytest.mark.parametrize("detector", ["ssd", "faster_rcnn"])
def test_a_state_is_not_resumed_again_and_weights_are(detector):
    more = ", use_fpn=False" if detector == "faster_rcnn" else ""
    for file, kept in (("x_state.zip", False), ("x_0010.params", True)):
        text = f"Namespace(student='s', resume={file!r}{more})\n"
        command = command_of(parse(text))
        assert ("--resume" in command.words()) == kept
        assert command.remarks[0].startswith("--resume: ")


def test_options_of_our_own_logs_are_not_touched():
    text = "Namespace(student='a', teacher='b', use_fpn=True, network='c', epochs=5, lrD=0.1)\n"
    options = command_of(parse(text)).options
    assert options == {
        **{"student": "a", "teacher": "b", "use_fpn": True, "network": "c"},
        **{"epochs": 5, "lrD": 0.1},
    }


def test_a_stage_is_told_from_the_figures():
    text = "".join(reference("ssd").text().splitlines(keepends=True)[3:470])  # the GAN stage alone
    options = command_of(parse(text)).options
    assert "gan_epochs" not in options  # it may have been meant to go on
    assert (options["gan_val_interval"], options["cosine_attention"]) == (0, 1.0)
    without = text.replace(" cosine_length_loss_metric=", " cosine_length_loss_metric_=")
    assert "cosine_attention" not in command_of(parse(without)).options
