"""Each verdict of a comparison, on small runs whose figures are known."""

import json
from dataclasses import FrozenInstanceError, asdict

import pytest

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.compare_arguments import compare_arguments
from gan_kd_ssd.analysis.comparison import Verdict, compare
from gan_kd_ssd.analysis.tolerances import settings
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record
from helpers.log_runs import GAN, entries_text, run

WITHIN, OUTSIDE, NOT_COMPARABLE, NO_REFERENCE = Verdict


CE = "CrossEntropy in phase gan"
ALLOWED = 3 * 0.0231  # of CrossEntropy, relative


def rows(*args, **more):
    return {row.label: row for row in compare(*args, **more).rows}


# --- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "share, verdict",
    [
        (0.0, WITHIN),
        (0.069, WITHIN),
        (0.07, OUTSIDE),
        (-0.07, OUTSIDE),
    ],
)
def test_a_loss_is_within_as_far_as_its_tolerance(share, verdict):
    row = rows(run([10 * (1 + share)] * 8), run([10.0] * 8))[CE]
    assert (row.verdict, row.reference) == (verdict, 10.0)
    assert row.allowed == pytest.approx(10 * ALLOWED)
    assert row.gap == pytest.approx(10 * share, abs=1e-3)


def test_a_gap_as_large_as_allowed_is_within():
    mine, other = (
        run(figures={"RPN_Conf": 1.0, "RPNAcc": accuracy}, style="faster_rcnn")
        for accuracy in (0.003, 0.0)
    )
    row = rows(mine, other)["RPNAcc in phase detection"]
    assert row.gap == row.allowed == 0.003
    assert row.verdict == WITHIN


def test_losses_are_means_of_the_last_epochs():
    mine, other = run([8, 7, 6, 5, 4, 3, 2, 1]), run([9, 8, 7, 6, 5, 4, 3, 2])
    row = rows(mine, other)[CE]
    assert (row.mine, row.reference) == (3, 4)
    assert row.why == "epoch 4..8, line 45; outside since epoch 1, line 3"
    row = rows(mine, other, last=2)[CE]
    assert (row.mine, row.reference) == (1.5, 2.5)
    assert rows(mine, other, last=1)[CE].why.startswith("epoch 8, line 45")


def test_where_a_loss_left_its_reference_is_told_only_if_it_is_outside():
    last_one_out = run([10.0] * 7 + [11.0])
    row = rows(last_one_out, run([10.0] * 8))[CE]
    assert (row.verdict, row.why) == (WITHIN, "epoch 4..8, line 45")


def test_a_loss_that_came_back_is_outside_by_its_mean_alone():
    row = rows(run([10, 10, 10, 20, 20, 20, 20, 10]), run([10] * 8))[CE]
    assert (row.verdict, row.why) == (OUTSIDE, "epoch 4..8, line 45")


def test_a_loss_that_is_within_at_times_is_outside_since_it_left_for_good():
    row = rows(run([20, 10, 20, 10, 20, 20, 20, 20]), run([10] * 8))[CE]
    assert row.why.endswith("outside since epoch 5, line 27")


def test_a_loss_that_is_just_within_has_not_left():
    def of(*accuracies):
        text = "".join(
            format_record(Step(e, 9, 1.0, {"RPN_Conf": 1.0, "RPNAcc": a}, style="faster_rcnn"))
            + format_record(Validation(e, {"a": 0.5}, 0.5, style="faster_rcnn"))
            for e, a in enumerate(accuracies)
        )
        head = RunStart({"batch_size": 1, "log_interval": 1})
        return analyse(parse(format_record(head) + text, "x"))

    row = rows(of(0.003, 0.5, 0.5), of(0.0, 0.0, 0.0))["RPNAcc in phase detection"]
    assert row.why.endswith("outside since epoch 1, line 6")
    row = rows(of(0.5, 0.003, 0.5), of(0.0, 0.0, 0.0))["RPNAcc in phase detection"]
    assert row.why.endswith("outside since epoch 2, line 10")


def test_a_figure_without_a_tolerance_is_not_judged():
    figures = {"ObjLoss": 1.0, "BoxLoss": 2.0}
    mine = run(figures=figures, style="ssd")
    found = rows(mine, mine)
    row = found["ObjLoss in phase detection"]
    assert (row.verdict, row.why) == (NOT_COMPARABLE, "no tolerance is known")
    assert (row.mine, row.reference, row.gap, row.allowed) == (1.0, 1.0, 0.0, None)
    assert compare(mine, mine).origins.keys() == {"mAP", "AP"}


def test_a_phase_that_the_reference_does_not_have_is_said_so():
    row = rows(run(gan=4), run(gan=0))[CE]
    assert (row.verdict, row.why) == (NOT_COMPARABLE, f"the reference has no {CE}")
    assert row.mine == 4.0


def test_a_phase_that_this_run_does_not_have_is_one_row():
    found = compare(run(gan=0), run(gan=4))
    other = [row for row in found.rows if row.phase == "gan"]
    assert [(row.label, row.why) for row in other] == [
        ("losses in phase gan", "this run has no such phase")
    ]


def validated_in(phase_of_another_epoch):
    """A run of the GAN stage with a validation of an epoch that has no line of its own."""
    mine = phase_of_another_epoch
    text = entries_text(mine)
    return analyse(parse(text + format_record(Validation(9, {"a": 0.5, "b": 0.5}, 0.5)), "x"))


def test_a_validation_alone_is_no_phase():
    alone = validated_in(run(gan=99))
    assert arguments(alone, run())["(phases)"].mine == "gan"
    found = rows(alone, run(gan=4))
    assert found["losses in phase detection"].why == "this run has no such phase"
    assert "losses in phase detection" not in rows(run(), alone)


def test_a_figure_that_the_reference_has_only_as_inactive_has_no_reference():
    found = rows(run(), run(gan=0))
    assert found["Loss_D in phase gan"].verdict == NO_REFERENCE
    assert found[CE].verdict == NOT_COMPARABLE


def test_a_figure_that_this_log_lacks_is_said_so():
    figures = {"CrossEntropy": 4.0, "SmoothL1": 1.0, **GAN, "cosine": 0.5}
    row = rows(run(), run(figures=figures))["cosine in phase gan"]
    assert (row.verdict, row.why, row.mine) == (NOT_COMPARABLE, "not in this log", None)


def test_a_run_that_went_on_where_the_reference_stopped_has_nothing_beside_it():
    row = rows(run([4.0] * 20, gan=0), run([4.0] * 8, gan=0), last=3)[
        "CrossEntropy in phase detection"
    ]
    assert row.why.startswith("epoch 7..9")  # the last is within an epoch of the reference's end
    short = run([4.0] * 8, gan=0)
    late = run([4.0] * 8, gan=0, resume="y_state.zip", start_epoch=-20)
    row = rows(late, short)["CrossEntropy in phase detection"]
    assert row.verdict == NOT_COMPARABLE
    assert row.why == "the reference has no epoch of this phase after as many images"


def test_without_any_count_of_images_epochs_are_counted():
    mine = run(batch_size="left out")
    far = run(batch_size="left out", resume="y_state.zip", start_epoch=-20)
    assert rows(mine, run([4.1] * 8, batch_size="left out"))[CE].verdict == WITHIN
    assert rows(mine, far)[CE].verdict == WITHIN  # an epoch's number is what it is
    longer = run([4.0] * 12, batch_size="left out")
    assert rows(longer, mine)[CE].why.startswith("epoch 5..9")


def test_epochs_that_the_reference_does_not_have_are_said_so():
    mine = run(batch_size="left out", gan=0)
    text = entries_text(mine)
    late = analyse(parse(text.replace("[Epoch ", "[Epoch 2"), "x"))
    row = rows(late, mine)["CrossEntropy in phase detection"]
    assert row.why == "the reference has no epoch of this phase after as many epochs"


def test_images_on_one_side_alone_are_not_compared_with_epochs_on_the_other():
    told, untold = run(), run(batch_size="left out")
    row = rows(told, untold)[CE]
    assert row.verdict == NOT_COMPARABLE
    assert row.why == "the images of the reference cannot be counted"
    row = rows(untold, told)["losses"]
    assert (row.verdict, row.why) == (
        NOT_COMPARABLE,
        "the log records no batch size, so its images cannot be counted",
    )
    assert CE not in rows(untold, told)


def test_a_run_whose_images_cannot_be_counted_for_want_of_an_epoch_says_so():
    begun = run([4.0], resume="y.params", start_epoch=5)
    text = begun.run.start.text() + format_record(Step(5, 9, 9.0, {"CrossEntropy": 4.0}))
    row = rows(analyse(parse(text, "x")), run())["losses"]
    assert row.why == "no complete epoch has step lines, so its images cannot be counted"


def test_a_run_beyond_the_reference_whose_last_epoch_has_only_begun():
    late = run([4.0] * 3, gan=0, resume="y_state.zip", start_epoch=-20)
    text = entries_text(late)
    late = analyse(parse(text + format_record(Step(4, 4, 9.0, {"CrossEntropy": 4.0})), "x"))
    row = rows(late, run([4.0] * 8, gan=0))["CrossEntropy in phase detection"]
    assert row.why == "the reference has no epoch of this phase after as many images"


def test_two_runs_in_their_first_epoch_are_compared():
    text = run([4.0]).run.start.text() + format_record(Step(1, 4, 9.0, {"CrossEntropy": 4.0}))
    begun = analyse(parse(text, "x"))
    assert begun.size is None
    assert rows(begun, begun)["CrossEntropy in phase detection"].verdict == WITHIN


def test_an_epoch_that_has_only_begun_is_not_compared_where_epochs_are_counted():
    begun = run([4.0], batch_size="left out").run.start.text()
    begun = analyse(parse(begun + format_record(Step(1, 4, 9.0, {"CrossEntropy": 4.0})), "x"))
    row = rows(begun, run(gan=0, batch_size="left out"))["CrossEntropy in phase detection"]
    assert row.why == "the reference has no line at the same part of an epoch"


def test_only_losses_are_rows_of_losses():
    found = [r.name for r in compare(run(), run()).rows if r.group == "losses"]
    assert sorted(name.removesuffix(" in phase gan") for name in found) == sorted(
        [*GAN, "CrossEntropy", "SmoothL1"]
    )


def test_a_class_that_is_called_like_a_loss_is_no_loss():
    mine = run(maps={8: (0.5, 0.5)})
    found = compare(mine, mine).rows
    assert {row.group for row in found if row.label.startswith("AP ")} == {"classes"}
    assert [row.label for row in found if row.group == "classes"] == ["AP a", "AP b"]


# --- mAP and classes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gap, verdict",
    [
        (0.005, WITHIN),
        (0.0052, OUTSIDE),
        (-0.005, WITHIN),
        (-0.0052, OUTSIDE),
    ],
)
def test_mean_ap_is_within_three_times_the_noise_floor(gap, verdict):
    row = rows(run(maps={8: 0.5 + gap}), run(maps={8: 0.5}))["mAP best"]
    assert (row.verdict, row.allowed) == (verdict, pytest.approx(3 * 0.0017))
    assert row.why == "epoch 8, line 18"


def test_best_last_and_mean_are_told_apart():
    maps = {1: 0.1, 2: 0.6, 3: 0.2, 4: 0.3, 5: 0.4, 6: 0.5, 7: 0.3, 8: 0.2}
    found = rows(run(maps=maps), run(maps=maps))
    assert [found[f"mAP {name}"].mine for name in ("best", "last", "mean of last")] == [
        *(0.6, 0.2),
        pytest.approx(0.34),
    ]
    assert [found[f"mAP {name}"].why for name in ("best", "last", "mean of last")] == [
        *("epoch 2, line 10", "epoch 8", "last 5 validations"),
    ]
    assert rows(run(maps=maps), run(maps=maps), last=1)["mAP mean of last"].mine == 0.2


@pytest.mark.parametrize("epochs, verdict", [(19, WITHIN), (18, NOT_COMPARABLE)])
def test_a_run_of_95_percent_of_the_references_images_is_compared(epochs, verdict):
    best_at_the_end = run([4.0] * 20, maps={20: 0.5})
    found = rows(run([4.0] * epochs, maps={epochs: 0.5}), best_at_the_end)
    assert found["mAP best"].verdict == found["AP a"].verdict == verdict
    if verdict == NOT_COMPARABLE:
        assert found["mAP best"].why == "180 images seen, the reference's best is after 200"
        assert found["AP a"].why == found["mAP best"].why


def test_the_references_best_and_not_its_last_validation_says_how_many_images_are_needed():
    early_best = run([4.0] * 20, maps={5: 0.6, 20: 0.5})
    assert rows(run([4.0] * 6, maps={6: 0.6}), early_best)["mAP best"].verdict == WITHIN


@pytest.mark.parametrize("why, options", [("all", {"data_shape": 300}), ("mAP", {"teacher": "t"})])
def test_a_disagreement_stops_the_verdict_on_mean_ap_and_classes(why, options):
    mine, other = run(**options), run(**dict.fromkeys(options, 512))
    found = compare(mine, other)
    judged = {row.label: row for row in found.rows}
    (name,) = options
    for row in ("mAP best", "mAP last", "mAP mean of last", "AP a", "AP b"):
        assert judged[row].verdict == NOT_COMPARABLE
        assert judged[row].why == f"{name} is {options[name]} here, 512 in the reference"
        assert (judged[row].mine, judged[row].reference) == (0.5, 0.5)
    assert not [row for row in judged if row.startswith("mAP after")]
    assert (judged[CE].verdict == WITHIN) == (why == "mAP")


def test_other_discriminators_stop_the_verdict_on_adversarial_figures_alone():
    found = rows(run(d_norm="batch"), run(d_norm="none"))
    assert found["Loss_D in phase gan"].why == "d_norm is batch here, none in the reference"
    assert found[CE].verdict == found["mAP best"].verdict == WITHIN


def test_mean_ap_so_far_may_differ_by_what_the_reference_changes_in_an_epoch():
    rising = run([4.0] * 8, maps={e: 0.1 * e for e in range(1, 9)})
    row = rows(run([4.0] * 4, maps={4: 0.49}), rising)["mAP after 40 images"]
    assert (row.reference, row.verdict) == (pytest.approx(0.4), WITHIN)
    assert row.allowed == pytest.approx(0.1 + 3 * 0.0017)
    row = rows(run([4.0] * 4, maps={4: 0.51}), rising)["mAP after 40 images"]
    assert row.verdict == OUTSIDE
    flat = run([4.0] * 8)
    assert rows(flat, flat)["mAP after 80 images"].allowed == pytest.approx(3 * 0.0017)


def test_mean_ap_so_far_changes_with_the_steeper_side():
    bend = run([4.0] * 8, maps={3: 0.1, 4: 0.4, 5: 0.45})
    row = rows(run([4.0] * 4, maps={4: 0.4}), bend)["mAP after 40 images"]
    assert row.allowed == pytest.approx(0.3 + 3 * 0.0017)


def test_mean_ap_where_the_reference_has_no_validation_is_not_comparable():
    late = run([4.0] * 20, maps={20: 0.5})
    row = rows(run([4.0] * 8, maps={8: 0.5}), late)["mAP after 80 images"]
    assert (row.verdict, row.why) == (
        NOT_COMPARABLE,
        "the reference has no validation after as many images",
    )
    assert (row.mine, row.reference) == (0.5, None)
    assert rows(run([4.0] * 19, maps={19: 0.5}), late)["mAP after 190 images"].verdict == WITHIN


def test_a_mean_ap_that_is_no_number_is_left_out_and_said():
    maps = {7: (0.2, 0.6), 8: (0.5, 0.5)}
    mine = run(maps=maps)
    text = entries_text(mine)
    lost = analyse(parse(text.replace("mAP=0.5", "mAP=nan"), "x"))
    found = rows(lost, run(maps={7: (0.2, 0.6), 8: 0.5}))
    assert (found["mAP after 70 images"].mine, found["mAP best"].mine) == (0.4, 0.4)
    assert (found["AP a"].mine, found["AP b"].mine) == (0.2, 0.6)
    assert found["mAP in phase gan"].why.startswith("diverged: nan in line")


def test_invariants_are_rows_with_the_line_of_the_first_breach():
    found = rows(run(), run())
    assert found["Loss_D = Loss_D_real - Loss_D_fake"].why == "16 lines, largest gap 0"
    broken = run(figures={**GAN, "Loss_D": 0.5, "CrossEntropy": 4.0, "SmoothL1": 1.0})
    row = rows(broken, run())["Loss_D = Loss_D_real - Loss_D_fake"]
    assert row.why == "16 lines, largest gap 1, 16 are too large, first in line 2"
    assert row.verdict == OUTSIDE


def test_a_run_without_validation_says_so():
    row = rows(run(maps={}), run())["mAP"]
    assert (row.verdict, row.why) == (NOT_COMPARABLE, "no validation yet")


def test_classes_are_those_of_the_best_validation():
    mine = run(maps={2: (0.2, 0.9), 3: (0.1, 0.2)})
    other = run(maps={2: (0.22, 0.88), 3: (0.9, 0.1)})
    found = rows(mine, other)
    assert (found["AP a"].mine, found["AP a"].reference) == (0.2, 0.22)
    assert (found["AP b"].verdict, found["AP b"].why) == (WITHIN, "at the best mAP")
    assert found["AP b"].allowed == pytest.approx(3 * 0.0071)


def test_a_class_without_objects_and_one_that_the_reference_lacks():
    mine = run(maps={8: 0.5})
    text = "".join(e.text() for e in mine.run.segments[0].entries)
    text = mine.run.start.text() + text
    nan = analyse(parse(text.replace("a=0.5", "a=nan"), "x"))
    assert "AP a" not in rows(nan, mine)
    assert rows(mine, nan)["AP a"].verdict == NO_REFERENCE


# --- arguments and the whole -----------------------------------------------------------------------


def arguments(mine, other):
    return {a.label: a for a in compare_arguments(mine, other)}


def test_arguments_are_told_with_both_values():
    rows_of = compare_arguments(run(lr=0.1, only=1), run(lr=0.2, theirs=2))
    assert len({a.name for a in rows_of}) == len(rows_of)
    found = {a.name: a for a in rows_of}
    assert asdict(found["lr"]) == {
        **{"name": "lr", "mine": "0.1", "reference": "0.2", "verdict": "different"},
        "observed": False,
    }
    assert (found["only"].mine, found["only"].reference) == ("1", None)
    assert found["only"].verdict == "only here"
    assert (found["theirs"].mine, found["theirs"].reference) == (None, "2")
    assert found["theirs"].verdict == "only in the reference"


def test_what_the_log_shows_stands_among_the_arguments():
    found = arguments(run(gan=4), run(batch_size="left out", gan=0))
    assert (found["(images per epoch)"].mine, found["(images per epoch)"].reference) == (
        "10 (10 batches)",
        "unknown",
    )
    assert found["(images per epoch)"].verdict == "different"
    assert (found["(first epoch)"].mine, found["(first epoch)"].verdict) == ("1", "same")
    assert (found["(phases)"].mine, found["(phases)"].reference) == ("gan, detection", "detection")
    assert found["(classes)"].mine == "2"


@pytest.mark.parametrize(
    "mine, other, verdict",
    [
        ("", "x_state.zip", "different, without effect on figures"),
        ("y_state.zip", "", "different, without effect on figures"),
        ("", "x.params", "different"),
        ("x_state.zip", "x.params", "different"),
        ("x.params", "x.params", "same"),
    ],
)
def test_to_resume_from_a_state_has_no_effect_and_from_weights_has(mine, other, verdict):
    assert arguments(run(resume=mine), run(resume=other))["resume"].verdict == verdict


def test_runs_without_that_option_have_no_row_of_it():
    assert "resume" not in arguments(run(), run())


def test_the_exit_code_counts_what_is_compared():
    assert compare(run(), run()).exit_code == 0
    assert compare(run(maps={8: 0.6}), run(maps={8: 0.5})).exit_code == 1
    different = compare(run(student="a"), run(student="b"))
    assert (different.exit_code, different.verdict) == (3, NOT_COMPARABLE)
    assert any(r.verdict == WITHIN for r in different.rows)  # what holds in the log by itself


def test_origins_are_those_of_the_tolerances_that_were_used():
    found = compare(run(), run())
    assert found.origins["mAP"] == settings()["mAP"]["origin"]
    assert found.origins["AP"] == settings()["AP"]["origin"]
    assert found.origins["Loss_D"] == settings()["losses"]["ssd"]["Loss_D"]["origin"]
    assert "cosine" not in found.origins
    assert compare(run(student="a"), run(student="b")).origins == {}


def test_an_outcome_can_be_written_as_json_and_not_be_changed():
    found = compare(run(), run())
    told = json.loads(json.dumps(found.as_dict()))
    assert (told["verdict"], told["exit_code"]) == ("within", 0)
    assert told["rows"][0]["name"] == "Loss_D in phase gan"
    for part in (found, found.rows[0], found.arguments[0]):
        with pytest.raises(FrozenInstanceError):
            part.verdict = "within"


def test_five_epochs_are_averaged_where_nothing_else_is_asked_for():
    published = analyse(reference("faster_rcnn"), published=True)
    found = rows(published, published)
    assert found["mAP mean of last"].why == "last 5 validations"
    assert found["RPN_Conf in phase gan"].why.startswith("epoch 22..26")
