"""Resumed runs: in the file of the run that they resume, and in another file."""

import pytest

from gan_kd_ssd.analysis.analysed_run import analyse, remarks_on
from gan_kd_ssd.analysis.comparison import Verdict, compare
from gan_kd_ssd.analysis.curves import Key, epoch_lines, points_of
from gan_kd_ssd.analysis.logged_figures import LOSS, epochs_before, run_figures
from gan_kd_ssd.analysis.plot import picture
from gan_kd_ssd.analysis.show import show_text, summarise
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.records import BestMap, EpochEnd, LearningRate, RunStart, Saved, Start, Step
from gan_kd_ssd.logs.records import Validation as Val
from gan_kd_ssd.logs.resume import resumed, with_resumed
from gan_kd_ssd.logs.write import format_record, json_record

STATE = "x_state.zip"


def head(resume="", **more):
    options = {
        "batch_size": 1,
        "log_interval": 1,
        "lrD": 0.1,
        "save_prefix": "x",
        "start_epoch": 1,
    }
    return RunStart({**options, "student": "s", "resume": resume, **more})


def losses(epoch):
    gan = {name: 0.0 for name in ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake")}
    return {**gan, "CrossEntropy": 8.0 / epoch, "SmoothL1": 2.0 / epoch}


def step(epoch, batch, images=None):
    return Step(epoch, batch, 9.0, losses(epoch), images=images)


def epoch(number, batches=4, first=0):
    """Step lines, the line of the epoch's end, and a validation."""
    told = [step(number, b, 4 * (number - 1) + b + 1) for b in range(first, batches)]
    end = EpochEnd(number, losses(number), 9.0, images=4 * number)
    mean = 0.1 * number
    return [*told, end, Val(number, {"a": mean}, mean), BestMap(mean)]


WHOLE = [head(), Start(1), *(r for number in (1, 2, 3, 4) for r in epoch(number))]
FIRST = [head(), Start(1), *epoch(1), *epoch(2), step(3, 0), step(3, 1)]
SECOND = [head(STATE), Start(3), *epoch(3, first=2), *epoch(4)]


def text(records):
    return parse("".join(map(format_record, records)), "x_train.log")


def lines(records):
    return parse_json_lines("".join(map(json_record, records)), "x_metrics.jsonl")


def both(records):
    return pytest.mark.parametrize("log", [text(records), lines(records)], ids=["text", "json"])


def places(run):
    return [(e.record.epoch, getattr(e.record, "batch", None)) for e in run.of(Step, EpochEnd)]


@both(FIRST + SECOND)
def test_a_run_resumed_in_the_middle_of_an_epoch_is_one_with_the_run_before(log):
    joined = with_resumed(log, log.runs[1])
    assert places(joined) == places(text(WHOLE).runs[0])
    assert [e.record.value for e in joined.of(BestMap)] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [f.place.images for f in run_figures(joined) if f.name == "CrossEntropy"][-5:] == [
        *(13, 14, 15, 16, 16)
    ]
    assert epochs_before(joined) == 0


def test_what_was_trained_again_after_a_kill_counts_once():
    again = [step(2, 0), step(2, 1), LearningRate(3, 0.1), step(3, 0)]
    log = text([head(), Start(1), *epoch(1), *again, head(STATE), Start(2), *epoch(2)])
    joined = with_resumed(log, log.runs[1])
    assert places(joined)[5:] == [(2, 0), (2, 1), (2, 2), (2, 3), (2, None)]
    assert [entry.line > 15 for entry in joined.of(Step)] == [False] * 4 + [True] * 4
    assert not list(joined.of(LearningRate))


def test_a_run_resumed_in_its_first_epoch_is_one_with_the_run_before():
    log = text([head(), Start(1), step(1, 0), head(STATE), Start(1), *epoch(1, first=1)])
    assert resumed(log, log.runs[1]) is log.runs[0]
    assert places(with_resumed(log, log.runs[1]))[:3] == [(1, 0), (1, 1), (1, 2)]


def test_a_run_stopped_in_its_validation_is_one_with_the_run_before():
    stopped = [head(), Start(1), *epoch(1)[:-2]]
    log = text([*stopped, head(STATE), Start(1), *epoch(1)[-2:], *epoch(2)])
    joined = with_resumed(log, log.runs[1])
    assert places(joined)[3:6] == [(1, 3), (1, None), (2, 0)]
    assert len(list(joined.of(Val))) == 2


def test_a_run_that_begins_where_the_run_before_began_continues_nothing():
    log = text([head(), Start(1), *epoch(1), head(STATE), Start(1), *epoch(1), *epoch(2)])
    assert resumed(log, log.runs[1]) is None


def test_three_runs_in_a_row_are_one():
    third = [head(STATE), Start(4), *epoch(4)]
    log = text(FIRST + SECOND[:-6] + third)
    assert resumed(log, log.runs[2]) is log.runs[1]
    assert places(with_resumed(log, log.runs[2])) == places(text(WHOLE).runs[0])


def test_a_run_that_failed_at_once_is_passed_over():
    log = text([*FIRST, head(STATE), Start(3), *SECOND])
    assert resumed(log, log.runs[2]) is log.runs[0]


@pytest.mark.parametrize(
    "start, why",
    [
        (head(""), "it resumes nothing"),
        (head("y_state.zip"), "the state is of other files"),
        (head(STATE, save_prefix="y"), "its own files are others"),
        (head("teacher_best.params"), "the weights are where it begins"),
    ],
)
def test_a_run_is_not_one_with_an_earlier_run_of_the_file(start, why):
    first = 1 if why == "the weights are where it begins" else 3
    log = text([*FIRST, start, Start(first), *(r for n in range(first, 5) for r in epoch(n))])
    assert resumed(log, log.runs[1]) is None, why
    assert with_resumed(log, log.runs[1]) is log.runs[1]


def test_a_run_that_begins_with_weights_is_apart_from_earlier_lines_of_its_first_epoch():
    again = [head("teacher_best.params"), Start(1), *epoch(1, first=1)]
    log = text([head(), Start(1), *epoch(1), *again])
    assert resumed(log, log.runs[1]) is None


def test_a_run_without_a_start_line_goes_on_at_its_first_figure():
    log = text([*FIRST, head("x_0002.params", start_epoch=3), *epoch(3), *epoch(4)])
    assert places(with_resumed(log, log.runs[1])) == places(text(WHOLE).runs[0])


def test_a_run_whose_first_line_is_of_a_later_epoch_is_left_out():
    log = text([head(), Saved(9, "x.params"), *epoch(1), head(STATE), Start(2), *epoch(2)])
    assert resumed(log, log.runs[1]) is log.runs[0]
    assert places(with_resumed(log, log.runs[1]))[0] == (2, 0)


def test_a_save_prefix_that_is_no_text_names_no_state():
    odd = {"save_prefix": 7}
    log = text([head("", **odd), *FIRST[1:], head(STATE, **odd), *SECOND[1:]])
    assert resumed(log, log.runs[1]) is log.runs[0]


def test_a_state_under_another_name_or_in_an_unnamed_file_may_be_of_the_run_before():
    renamed = text([*FIRST, head("kept.zip"), *SECOND[1:]])
    assert resumed(renamed, renamed.runs[1]) is renamed.runs[0]
    for prefix in ("out/", ""):
        unnamed = {"save_prefix": prefix}
        again = head(f"{prefix}ssd_state.zip", **unnamed)
        log = text([head("", **unnamed), *FIRST[1:], again, *SECOND[1:]])
        assert resumed(log, log.runs[1]) is log.runs[0]


def test_a_run_without_figures_goes_on_with_nothing():
    log = text([*FIRST, head(STATE), Start(3)])
    assert resumed(log, log.runs[1]) is None
    assert with_resumed(log, log.runs[1]) is log.runs[1]


def test_a_segment_that_was_trained_again_as_a_whole_is_left_out():
    log = text([head(), Start(1), *epoch(1), *epoch(2), *epoch(2), head(STATE), *epoch(2)])
    joined = with_resumed(log, log.runs[1])
    assert [segment.lines[0] for segment in log.runs[0].segments] == [2, 21]
    assert [segment.epochs for segment in joined.segments] == [(1, 2)]
    assert places(joined) == places(text(WHOLE).runs[0])[:10]


def test_segments_before_the_one_that_goes_on_stay_apart():
    log = text([head(), *epoch(1), *epoch(2), *epoch(1), *epoch(2), head(STATE), *epoch(2)])
    joined = with_resumed(log, log.runs[1])
    assert [segment.epochs for segment in joined.segments] == [(1, 1), (1, 2)]


def test_weights_of_an_earlier_epoch_resume_the_run_of_gluoncvs_script():
    options = {"start_epoch": 3}
    log = text([*FIRST, head("x_0002.params", **options), Start(3), *epoch(3), *epoch(4)])
    assert places(with_resumed(log, log.runs[1])) == places(text(WHOLE).runs[0])


@pytest.mark.parametrize(
    "options, first, before",
    [
        ({"resume": STATE, "start_epoch": 1}, 3, 2),
        ({"resume": STATE, "start_epoch": 0}, 3, 3),
        ({"resume": "x.params", "start_epoch": 3}, 3, 2),
        ({"resume": "x.params", "start_epoch": 1}, 1, 0),
        ({"resume": ""}, 3, 0),
    ],
)
def test_epochs_that_stand_in_another_file_are_counted(options, first, before):
    log = text([head(**options), Start(first), *epoch(first)])
    assert epochs_before(log.runs[0]) == before


def test_gluoncvs_ssd_counts_epochs_from_0():
    told = "Namespace(batch_size=1, network='a', resume='x.params', start_epoch=3)\n"
    log = parse(told + format_record(step(3, 0)))
    assert epochs_before(log.runs[0]) == 3


def test_faster_rcnn_counts_epochs_from_0():
    options = {"Teacher_param_path": "t", "start_epoch": 2}
    log = text([head("x.params", **options), Start(2), *epoch(2)])
    assert epochs_before(log.runs[0]) == 2


def epoch_curve(run):
    """The figures of CrossEntropy, one per epoch."""
    return points_of(epoch_lines(run.figures)[Key(LOSS, "CrossEntropy", "gan")])


@pytest.mark.parametrize("of", [text, lines], ids=["text", "json"])
def test_a_run_resumed_into_another_file_is_aligned_with_the_whole_one(of):
    mine, whole = analyse(of(SECOND)), analyse(of(WHOLE))
    (first, _) = epoch_curve(mine)
    assert (mine.images_seen, first.place.images) == (16, 12)
    found = compare(mine, whole)
    row = next(row for row in found.rows if row.label == "CrossEntropy in phase gan")
    assert (row.verdict, row.gap) == (Verdict.WITHIN, 0)
    assert row.why.startswith("epoch 3..4")
    assert [row.label for row in found.rows if row.verdict != Verdict.WITHIN] == ["cost of a phase"]
    assert "mAP after 16 images" in [row.label for row in found.rows]
    assert found.remarks == [
        "resumed from x_state.zip: the file does not contain the 2 epochs before epoch 3; they are "
        "counted nevertheless"
    ]
    (legend,) = picture([mine], [whole]).subfigs[0].legends
    assert legend.get_texts()[1].get_text() == f"{mine.name} (from epoch 3 on)"


@both(FIRST + SECOND)
def test_show_says_what_is_resumed_and_tells_of_both_runs_together(log):
    first, second = summarise(log)["runs"]
    assert (first["resumes"], second["resumes"]) == (None, 1)
    assert (first["remarks"], len(second["remarks"])) == ([], 1)
    assert second["mAP"]["validations"] == 4
    assert second["mAP"]["mean_of_last"] == pytest.approx(0.25)
    assert second["phases"]["gan"]["epochs"] == 4
    assert second["segments"][0]["phases"] == {"gan": "3..4"}
    assert "continues run 1: phases and mAP are those of both runs together" in show_text(
        summarise(log)
    )


def test_a_run_without_images_an_epoch_that_resumes_another_file_has_no_images():
    log = text([head(STATE), Start(3), step(3, 2)])
    assert {f.place.images for f in run_figures(log.runs[0])} == {None}
    assert remarks_on(log, log.runs[0])
