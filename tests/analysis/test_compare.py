"""Figures of a run, what must hold in it, and a run against another."""

import math
from dataclasses import replace

import pytest

from gan_kd_ssd.analysis.argument_rows import compare_arguments
from gan_kd_ssd.analysis.compare import (
    NO_REFERENCE,
    NOT_COMPARABLE,
    OUTSIDE,
    WITHIN,
    compare,
)
from gan_kd_ssd.analysis.curves import Point, value_at
from gan_kd_ssd.analysis.epoch_size import epoch_size
from gan_kd_ssd.analysis.facts import subject
from gan_kd_ssd.analysis.figures import (
    ACTIVE,
    DIVERGED,
    INACTIVE,
    LOG_INTERVAL,
    ONE_BATCH,
    SINCE_EPOCH,
    SINCE_RUN,
    last_trained,
    run_figures,
)
from gan_kd_ssd.analysis.invariants import check_invariants
from gan_kd_ssd.analysis.report import markdown_text, table_text
from gan_kd_ssd.analysis.resume import with_resumed
from gan_kd_ssd.analysis.summary import phase_speed
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import BestMap, EpochEnd, NewBest, RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record, json_record
from gan_kd_ssd.util.errors import UserError


def published(name, number=None):
    return subject(reference(name), number, published=True)


def changed(name, old, new, count=-1):
    """The published log with another text in it, as a run of ours."""
    text = reference(name).text()
    assert old in text
    return subject(parse(text.replace(old, new, count), "mine.log"))


def verdicts(comparison, group):
    return {row.name: row.verdict for row in comparison.rows if row.group == group}


def step(epoch, batch, **figures):
    return format_record(Step(epoch, batch, 9.0, {"CrossEntropy": 5.0, "SmoothL1": 2.0, **figures}))


GAN = {"Loss_D": -0.5, "Loss_G": 1.0, "Loss_D_real": 0.5, "Loss_D_fake": 1.0}


def states(text):
    run = last_trained(parse(text))
    return {(f.name, f.epoch, f.batch): f.state for f in run_figures(run)}


@pytest.mark.parametrize("name", ["ssd", "faster_rcnn"])
def test_a_published_run_is_within_itself(name):
    found = compare(published(name), published(name))
    assert (found.exit_code, found.verdict) == (0, WITHIN)
    assert all(row.gap in (None, 0) for row in found.rows)
    assert verdicts(found, "classes")["AP person"] == WITHIN
    assert all(argument.verdict == "same" for argument in found.arguments)


def test_a_lower_mean_ap_is_outside():
    mine = changed("ssd", "mAP=0.7827056887461108", "mAP=0.7627056887461108")
    found = compare(mine, published("ssd"))
    rows = verdicts(found, "mAP")
    assert rows["mAP last"] == WITHIN
    # the mean of the classes no longer holds either, and is found
    assert verdicts(found, "invariants")["mAP = mean of its classes"] == OUTSIDE
    assert found.exit_code == 1


def test_a_loss_that_leaves_the_published_curve_is_outside_from_there():
    text = reference("ssd").text().splitlines(keepends=True)
    for i, line in enumerate(text):
        if line.startswith("[Epoch 2") and "CrossEntropy" in line and 300 < i < 470:
            text[i] = line.replace("CrossEntropy=1.", "CrossEntropy=2.")
    found = compare(subject(parse("".join(text), "mine.log")), published("ssd"))
    row = next(row for row in found.rows if row.name == "CrossEntropy in phase gan")
    assert row.verdict == OUTSIDE
    assert "outside since epoch 200" in row.why
    assert found.exit_code == 1


def test_other_data_is_not_comparable():
    mine = changed("ssd", "[Batch 199]", "[Batch 77]")  # half the batches of VOC 07+12
    mine = replace(mine, size=replace(mine.size, low=5000, high=5100, name="VOC 07 trainval"))
    found = compare(mine, published("ssd"))
    assert found.exit_code == 3
    reasons = {
        row.why for row in found.rows if row.verdict == NOT_COMPARABLE and row.group == "mAP"
    }
    assert any("images_per_epoch" in why for why in reasons)


def test_another_clamp_makes_adversarial_figures_not_comparable_but_not_the_others():
    mine = changed("faster_rcnn", "clamp_upper=0.03", "clamp_upper=0.01")
    rows = verdicts(compare(mine, published("faster_rcnn")), "losses")
    assert rows["Loss_D in phase gan"] == NOT_COMPARABLE
    assert rows["RPN_Conf in phase gan"] == WITHIN


def test_another_detector_is_not_comparable():
    assert compare(published("ssd"), published("faster_rcnn")).exit_code == 3


def test_a_run_at_its_start_is_compared_at_as_many_images():
    early = published("faster_rcnn", 44)  # two epochs, then stopped
    found = compare(early, published("faster_rcnn"))
    rows = verdicts(found, "mAP")
    assert rows["mAP best"] == NOT_COMPARABLE
    assert rows["mAP after 5,011 images"] == WITHIN
    assert verdicts(found, "losses")["RPN_Conf in phase discriminator"] == WITHIN
    assert verdicts(found, "losses")["losses in phase gan"] == NOT_COMPARABLE


def test_a_figure_that_only_one_side_logs_has_no_reference():
    mine = published("ssd")
    other = replace(mine, figures=[f for f in mine.figures if f.name != "cosine"])
    rows = verdicts(compare(mine, other), "losses")
    assert rows["cosine in phase gan"] == NO_REFERENCE


def test_speed_is_never_compared():
    fast = changed("ssd", "Speed: 3", "Speed: 93")
    found = compare(fast, published("ssd"))
    assert not [row for row in found.rows if "speed" in row.name.lower()]
    assert verdicts(found, "losses")["CrossEntropy in phase gan"] == WITHIN


def test_arguments_say_what_differs_and_what_is_on_one_side_only():
    text = reference("ssd").text().replace("lr=0.001", "lr=0.004").replace("gpus='4,5,6,7', ", "")
    mine = subject(parse(text.replace("num_workers=32", "num_workers=1"), "mine.log"))
    told = {a.name: a.verdict for a in compare_arguments(mine, published("ssd"))}
    assert told["lr"] == "different"
    assert told["gpus"] == "only in the reference"
    assert told["num_workers"] == "different, without effect on figures"
    assert told["(images an epoch)"] == told["(first epoch)"] == told["batch_size"] == "same"
    assert told["student"] == "same"


def test_reports_name_every_row():
    found = compare(published("ssd"), published("ssd"))
    for report in (table_text(found), markdown_text(found)):
        for row in found.rows:
            assert row.name.replace("_", "")[:12] in report.replace("_", "").replace("\\", "")
        assert "noise floor" in report


def test_a_diverged_loss_is_outside_whatever_the_reference():
    mine = changed("ssd", "CrossEntropy=1.399", "CrossEntropy=nan")
    found = compare(mine, published("ssd"))
    lost = [row for row in found.rows if row.why.startswith("diverged")]
    assert [row.verdict for row in lost] == [OUTSIDE] * len(lost) and lost
    assert found.exit_code == 1


# --- figures ---------------------------------------------------------------------------------------


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
    figures = run_figures(last_trained(parse(broken)))
    assert phase_speed(figures)["gan"]["samples_per_second"] == 9.0
    found = compare(subject(parse(broken)), subject(parse(text)))
    assert not [row for row in found.rows if row.verdict == OUTSIDE]


def test_figures_carry_how_they_average():
    kinds = {f.name: f.averaging for f in published("faster_rcnn").figures if f.kind == "step"}
    assert kinds["RPN_Conf"] == kinds["Loss_D"] == SINCE_EPOCH
    assert kinds["RPNAcc"] == kinds["RCNNL1Loss"] == SINCE_RUN
    assert kinds["speed"] == LOG_INTERVAL
    ssd = {f.name: f.averaging for f in published("ssd").figures if f.kind == "step"}
    assert ssd["speed"] == ONE_BATCH


def test_json_lines_count_images_exactly():
    lines = [RunStart({"batch_size": 16}, {"data": {"train": {"images": 200}}})]
    lines += [
        EpochEnd(e, {"CrossEntropy": 1.0, "SmoothL1": 1.0}, 1.0, images=200 * e) for e in (1, 2)
    ]
    log = parse_json_lines("".join(map(json_record, lines)))
    assert epoch_size(log.runs[0]).images == 200
    assert [f.images for f in run_figures(log.runs[0]) if f.name == "CrossEntropy"] == [200, 400]


def test_a_resumed_run_goes_with_the_epochs_that_it_resumes():
    head = "Namespace(batch_size=2, log_interval=1, resume={!r}, save_prefix='x')\n"
    text = head.format("") + step(1, 0) + step(2, 0) + step(3, 0)
    text += head.format("x_state.zip") + step(3, 0) + step(4, 0)
    log = parse(text)
    joined = with_resumed(log, log.runs[1])
    assert [entry.record.epoch for entry in joined.of(Step)] == [1, 2, 3, 4]
    assert [entry.line for entry in joined.of(Step)] == [2, 3, 6, 7]


def test_between_points_a_curve_is_straight_and_ends_within_reach():
    points = [Point(10, 1.0, 1, 1), Point(20, 3.0, 2, 2)]
    assert value_at(points, 15, reach=0) == 2.0
    assert value_at(points, 8, reach=3) == 1.0
    assert value_at(points, 24, reach=3) is None
    assert value_at([], 1, reach=1) is None


# --- what must hold --------------------------------------------------------------------------------


def invariants(text):
    run = last_trained(parse(text))
    return {check.name: check for check in check_invariants(run, run_figures(run))}


def test_a_difference_of_scores_that_does_not_hold_is_found_with_its_line():
    text = step(1, 9, **GAN) + step(1, 19, **{**GAN, "Loss_D": 0.1})
    check = invariants(text)["Loss_D = Loss_D_real - Loss_D_fake"]
    assert (check.holds, check.line) == (False, 2)


def test_a_mean_that_is_not_the_mean_of_its_classes_is_found():
    right = format_record(Validation(1, {"a": 0.25, "b": 0.75}, 0.5))
    wrong = format_record(Validation(1, {"a": 0.25, "b": 0.75}, 0.6))
    name = "mAP = mean of its classes"
    assert invariants(step(1, 9) + right)[name].holds is True
    assert invariants(step(1, 9) + wrong)[name].holds is False


def test_a_mean_of_few_digits_is_given_its_rounding():
    text = step(1, 9) + format_record(Validation(1, {"a": 0.333, "b": 0.25}, 0.29))
    assert invariants(text)["mAP = mean of its classes"].holds is True


@pytest.mark.parametrize("values, holds", [((0.5, 0.6), True), ((0.6, 0.5), False)])
def test_the_best_mean_ap_never_falls(values, holds):
    text = step(1, 9) + "".join(format_record(BestMap(value)) for value in values)
    check = invariants(text)["best mAP never falls"]
    assert (check.holds, check.line) == (holds, None if holds else 3)
    assert check.detail == "2 lines"


@pytest.mark.parametrize(
    "mean, best, holds",
    [
        (0.7826123456789, 0.783, True),
        (0.7826123456789, 0.782, True),  # cut, not rounded
        (0.7826123456789, 0.781, False),
        (0.7826123456789, 0.7826123456785, False),
        (math.nan, 0.1, True),
    ],
)
def test_the_best_is_never_below_the_mean_ap_that_it_may_be(mean, best, holds):
    validation = format_record(Validation(1, {"a": mean}, mean))
    text = step(1, 9) + validation + format_record(BestMap(best))
    assert invariants(text)["best mAP never falls"].holds is holds


@pytest.mark.parametrize("value, previous, holds", [(0.5, 0, True), (0.5, 0.6, False)])
def test_a_new_best_is_higher_than_the_one_before(value, previous, holds):
    text = step(1, 9) + format_record(NewBest(1, value, previous, "x_best.params"))
    assert invariants(text)["best mAP never falls"].holds is holds


def test_a_gan_stage_that_costs_less_than_detection_alone_is_found():
    gan, alone = Step(1, 9, 90.0, {**GAN, "CrossEntropy": 1.0, "SmoothL1": 1.0}), step(2, 9)
    check = invariants(format_record(gan) + alone)["cost of phase gan"]
    assert check.holds is False
    assert "published 1.64x" in check.detail


def test_a_run_that_is_not_there_or_has_no_figures_is_an_error():
    with pytest.raises(UserError, match="runs 1 to 2"):
        subject(reference("ssd"), 3)
    with pytest.raises(UserError, match="no figures"):
        subject(reference("faster_rcnn"), 1)
    with pytest.raises(UserError, match="no figures in it yet"):
        subject(parse("Namespace(a=1)\n", "x.log"))
