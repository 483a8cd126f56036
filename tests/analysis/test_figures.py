"""Figures of a run: their state, their place, their curves."""

import math

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.comparison import Verdict, compare
from gan_kd_ssd.analysis.epoch_size import epoch_size
from gan_kd_ssd.analysis.logged_figures import ACTIVE, DIVERGED, INACTIVE, run_figures
from gan_kd_ssd.analysis.show import summarise
from gan_kd_ssd.analysis.summary import phase_speed
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Validation
from gan_kd_ssd.logs.resume import with_resumed
from gan_kd_ssd.logs.write import format_record, json_record
from helpers.log_runs import GAN


def step(epoch, batch, **figures):
    return format_record(Step(epoch, batch, 9.0, {"CrossEntropy": 5.0, "SmoothL1": 2.0, **figures}))


def states(text):
    run = parse(text).last_trained
    batches = {e.line: getattr(e.record, "batch", None) for e in run.of(Step, Validation)}
    return {(f.label, f.place.epoch, batches[f.place.line]): f.state for f in run_figures(run)}


def test_an_empty_metric_is_inactive_and_a_lost_loss_diverged():
    found = states(step(1, 9) + step(1, 19, CrossEntropy=math.nan) + step(1, 29, SmoothL1=math.inf))
    assert found["Loss_D", 1, 9] == INACTIVE
    assert found["CrossEntropy", 1, 9] == ACTIVE
    assert found["CrossEntropy", 1, 19] == DIVERGED
    assert found["SmoothL1", 1, 29] == DIVERGED


def test_adversarial_figures_that_are_lost_in_an_epoch_of_the_gan_stage_diverged():
    found = states(step(1, 9, **GAN) + step(1, 19))
    assert found["Loss_D", 1, 19] == DIVERGED


def test_the_options_tell_when_adversarial_figures_should_be_active():
    text = "Namespace(gan_epochs=2)\n" + step(1, 9, **GAN) + step(2, 9) + step(3, 9)
    found = states(text)
    assert found["Loss_D", 2, 9] == DIVERGED
    assert found["Loss_D", 3, 9] == INACTIVE


def test_a_gan_stage_that_loses_everything_diverged():
    lost = {"CrossEntropy": math.nan, "SmoothL1": math.nan}
    assert states(step(1, 9, **GAN) + step(2, 9, **lost))["Loss_D", 2, 9] == DIVERGED


def test_a_class_without_objects_is_inactive():
    text = step(1, 9) + format_record(Validation(1, {"a": 0.5, "b": math.nan}, 0.5))
    assert states(text)["AP b", 1, None] == INACTIVE


def test_a_speed_that_is_no_number_is_inactive_and_left_out_of_means():
    text = step(1, 9, **GAN) + step(1, 19, **GAN) + step(2, 9)
    broken = text.replace("Speed: 9.000", "Speed: nan", 1)
    assert states(broken)["speed", 1, 9] == INACTIVE
    figures = run_figures(parse(broken).last_trained)
    assert phase_speed(figures)["gan"].samples_per_second == 9.0
    found = compare(analyse(parse(broken)), analyse(parse(text)))
    assert not [row for row in found.rows if row.verdict is Verdict.OUTSIDE]


def test_the_summary_says_what_each_figure_averages_over():
    def averaging(name):
        return summarise(reference(name))["runs"][-1]["averaging"]

    faster_rcnn, ssd = averaging("faster_rcnn"), averaging("ssd")
    assert faster_rcnn["RPN_Conf"] == faster_rcnn["Loss_D"] == "mean since the epoch's start"
    assert faster_rcnn["RPNAcc"] == faster_rcnn["RCNNL1Loss"] == "mean since the run's start"
    assert faster_rcnn["speed"] == "mean of one log interval"
    assert ssd["speed"] == "one batch"
    ours = summarise(parse("Namespace(student='s')\n" + step(1, 9)))["runs"][0]["averaging"]
    assert ours["speed"] == "mean of one log interval"


def test_json_lines_count_images_exactly():
    lines = [RunStart({"batch_size": 16}, {"data": {"train": {"images": 200}}})]
    lines += [
        EpochEnd(e, {"CrossEntropy": 1.0, "SmoothL1": 1.0}, 1.0, images=200 * e) for e in (1, 2)
    ]
    log = parse_json_lines("".join(map(json_record, lines)))
    assert epoch_size(log.runs[0]).images == 200
    assert [f.place.images for f in run_figures(log.runs[0]) if f.name == "CrossEntropy"] == [
        200,
        400,
    ]


def test_a_resumed_run_goes_with_the_epochs_that_it_resumes():
    head = "Namespace(batch_size=2, log_interval=1, resume={!r}, save_prefix='x')\n"
    text = head.format("") + step(1, 0) + step(2, 0) + step(3, 0)
    text += head.format("x_state.zip") + step(3, 0) + step(4, 0)
    log = parse(text)
    joined = with_resumed(log, log.runs[1])
    assert [entry.record.epoch for entry in joined.of(Step)] == [1, 2, 3, 4]
    assert [entry.line for entry in joined.of(Step)] == [2, 3, 6, 7]
