"""Checks of a log by itself."""

import math

import pytest

from gan_kd_ssd.analysis.invariants import check_invariants
from gan_kd_ssd.analysis.logged_figures import run_figures
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.records import BestMap, NewBest, Step, Validation
from gan_kd_ssd.logs.write import format_record
from helpers.log_runs import GAN


def step(epoch, batch, **figures):
    return format_record(Step(epoch, batch, 9.0, {"CrossEntropy": 5.0, "SmoothL1": 2.0, **figures}))


def invariants(text):
    run = parse(text).last_trained
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
