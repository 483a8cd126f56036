"""Curves over the images seen, and the values between their points."""

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.curves import Key, LinesOfEpochs, epoch_lines, points_of, value_at
from gan_kd_ssd.analysis.logged_figures import LOSS, counted_by_epoch, run_figures
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, RunStart
from gan_kd_ssd.logs.write import json_record
from helpers.log_runs import entries_text, point, run


def lines_of(log, phase="detection", by_epoch=False):
    figures = run_figures(log.runs[-1])
    figures = counted_by_epoch(figures) if by_epoch else figures
    return epoch_lines(figures)[Key(LOSS, "CrossEntropy", phase)]


def last_places(epochs):
    return [lines[-1].place for lines in epochs]


def test_between_points_a_curve_is_straight_and_ends_within_reach():
    points = [point(10, 1.0), point(20, 3.0)]
    assert value_at(points, 15, reach=0) == 2.0
    assert (value_at(points, 7, 3), value_at(points, 6, 3)) == (1.0, None)
    assert (value_at(points, 23, 3), value_at(points, 24, 3)) == (3.0, None)
    assert value_at([], 1, reach=1) is None


def test_the_last_point_is_incomplete_unless_the_epoch_is_at_its_end():
    text = entries_text(run([4.0] * 3, gan=0, maps={}))
    whole, begun = parse(text), parse(text[: text.index("[Epoch 3], Speed")])
    assert [(p.epoch, p.whole) for p in last_places(lines_of(whole))] == [
        *((1, True), (2, True), (3, True)),
    ]
    assert [p.whole for p in last_places(lines_of(begun))] == [True, True, False]
    assert [f.place.epoch for f in points_of(lines_of(begun))] == [1, 2]
    only = parse(text[: text.index("[Epoch 1], Speed")])
    assert [f.place.whole for f in points_of(lines_of(only))] == [False]


def test_an_epoch_is_complete_if_another_begins_though_no_line_records_its_end():
    text = reference("ssd").text().splitlines(keepends=True)
    assert [p.whole for p in last_places(lines_of(parse("".join(text)), "gan"))] == [True] * 221
    begun = parse("".join(text[:447]))  # before the line of the end of epoch 221
    assert [p.whole for p in last_places(lines_of(begun, "gan"))] == [True] * 220 + [False]


def test_a_figure_that_only_step_lines_have_is_complete_with_its_epoch():
    figures = {"CrossEntropy": 1.0, "SmoothL1": 1.0, "cosine": 0.5}
    mine = run([4.0] * 2, figures=figures, gan=0)
    (lines,) = (of for key, of in epoch_lines(mine.figures).items() if key.name == "cosine")
    assert [p.whole for p in last_places(lines)] == [True, True]


def test_epochs_are_in_the_order_of_their_images():
    records = [RunStart({"batch_size": 1})]
    losses = {"CrossEntropy": 1.0, "SmoothL1": 1.0}
    records += [EpochEnd(e, losses, 9.0, images=i) for e, i in ((1, 30), (2, 10), (3, 20))]
    log = parse_json_lines("".join(map(json_record, records)))
    assert [(p.images, p.epoch) for p in last_places(lines_of(log))] == [(10, 2), (20, 3), (30, 1)]


def test_epochs_are_counted_on_over_segments():
    head, rest = entries_text(run([4.0] * 3, gan=0, batch_size="left out")).split("\n", 1)
    places = last_places(lines_of(parse(f"{head}\n{rest}{rest}"), by_epoch=True))
    assert [place.images for place in places] == [1, 2, 3, 4, 5, 6]


def test_lines_of_epochs_answer_only_within_their_reach():
    one, two = [point(10, 9.0), point(20, 5.0)], [point(30, 4.0)]
    lines = LinesOfEpochs([one, two])
    assert lines.value_at(15, 0) == 7.0
    assert (lines.value_at(21, 1), lines.value_at(21, 0)) == (5.0, None)
    assert (lines.value_at(29, 1), lines.value_at(30, 0)) == (4.0, 4.0)
    assert (lines.value_at(9, 1), lines.value_at(8, 1)) == (9.0, None)
    assert lines.value_at(32, 1) is None
    assert LinesOfEpochs([]).value_at(1, 5) is None


def test_inactive_and_diverged_figures_are_in_no_curve():
    diverged = run([4.0, float("nan"), 4.0], gan=0)
    assert [p.epoch for p in last_places(epoch_lines(diverged.figures)[KEY])] == [1, 3]
    assert {key.name for key in epoch_lines(analyse(parse(entries_text(diverged))).figures)} == {
        *("CrossEntropy", "SmoothL1", "mAP", "a", "b"),
    }


KEY = Key(LOSS, "CrossEntropy", "detection")
