"""Images an epoch and images seen: what a log tells, what it leaves open, how runs are aligned."""

from dataclasses import replace

import pytest

from gan_kd_ssd.analysis.analysed_run import analyse, with_common_size
from gan_kd_ssd.analysis.compare_arguments import compare_arguments
from gan_kd_ssd.analysis.comparison import Verdict, compare
from gan_kd_ssd.analysis.epoch_size import EpochSize, agree, epoch_size, narrower
from gan_kd_ssd.analysis.logged_figures import run_figures
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record, json_record

WITHIN, OUTSIDE, NOT_COMPARABLE, NO_REFERENCE = Verdict

RANGE = EpochSize(1920, 2239, (60, 69))
EXACT = EpochSize(2000, 2000, (62, 62))
VOC = EpochSize(12800, 19199, (200, 299), "VOC 07+12 trainval")


def losses(value):
    return {"CrossEntropy": value, "SmoothL1": value / 4}


def run(batches=(4, 9), epochs=3, scale=1.0, told=None, **options):
    """A run of 12 batches of 10 an epoch, with lines after some of them; text, or with images told."""
    records = [RunStart({"batch_size": 10, "log_interval": 5, "dataset": "d", **options})]
    for epoch in range(1, epochs + 1):
        seen = (epoch - 1) * 123
        for batch in batches:
            value = scale * (9.0 / epoch + 3.0 / (batch + 1))
            images = seen + 10 * (batch + 1) if told else None
            records.append(Step(epoch, batch, 9.0, losses(value), images))
        end = losses(scale * (9.0 / epoch + 0.25))
        records.append(EpochEnd(epoch, end, 9.0, images=seen + 123 if told else None))
        records.append(Validation(epoch, {"a": 0.1 * epoch}, 0.1 * epoch))
    if told:
        records[0] = RunStart(records[0].namespace, {"data": {"train": {"images": told}}})
        return parse_json_lines("".join(map(json_record, records)), "x_metrics.jsonl")
    return parse("".join(map(format_record, records)), "x_train.log")


def rows(found):
    return {row.label: row for row in found.rows}


def test_a_text_log_leaves_a_range_and_json_lines_do_not():
    assert epoch_size(run().runs[0]) == EpochSize(91, 149, (10, 14))
    assert epoch_size(run(told=123).runs[0]).span == (123, 123)
    assert str(epoch_size(run().runs[0])) == "91 to 149 (10 to 14 batches)"
    assert str(EXACT) == "2000 (62 batches)"
    assert str(VOC) == "16551 (VOC 07+12 trainval; 200 to 299 batches)"


@pytest.mark.parametrize("batches", [(12, 13), (13, 12), (13, 13)])
def test_an_epoch_that_has_a_batch_more_does_not_exclude_the_truth(batches):
    """125 images in batches of 10 are 12 or 13 of them: what is left over begins the next epoch."""
    records = [RunStart({"batch_size": 10, "log_interval": 1})]
    for epoch, count in enumerate(batches, start=1):
        records += [Step(epoch, batch, 9.0, losses(1.0)) for batch in range(count)]
        records.append(EpochEnd(epoch, losses(1.0), 9.0))
    size = epoch_size(parse("".join(map(format_record, records))).runs[0])
    assert (size.low, size.high) == (121, 139)


def test_a_damaged_line_does_not_exclude_the_truth():
    text = reference("ssd").text().replace("[Epoch 7][Batch 199]", "[Epoch 7][Batch 1")
    assert epoch_size(parse(text).runs[-1]).name == "VOC 07+12 trainval"


@pytest.mark.parametrize(
    "dataset, images, name",
    [
        ("coco", 117266, "COCO 2017 train"),
        ("coco", 5011, None),
        ("voc", 5011, "VOC 07 trainval"),
        ("voc07", 5011, "VOC 07 trainval"),
        ("voc0712", 16551, "VOC 07+12 trainval"),
        ("voc", 117266, None),
        ("mine", 5011, None),
    ],
)
def test_known_data_has_its_name(dataset, images, name):
    log = run(told=images, dataset=dataset)
    assert epoch_size(log.runs[0]).name == name


@pytest.mark.parametrize("told", [0, -1, "125", None, True])
def test_without_the_number_of_images_json_lines_tell_it_by_their_counts(told):
    log = run(told=123)
    info = {"data": {"train": {"images": told}}}
    records = [RunStart(log.runs[0].namespace, info), *(e.record for e in log.entries[1:])]
    log = parse_json_lines("".join(map(json_record, records)))
    assert epoch_size(log.runs[0]) == EpochSize(114, 132, (12, 12))


def test_json_lines_of_epochs_that_differ_by_a_batch_tell_it_more_closely():
    records = [RunStart({"batch_size": 10})]
    records += [EpochEnd(e, losses(1.0), 9.0, images=i) for e, i in ((1, 120), (2, 250), (3, 370))]
    log = parse_json_lines("".join(map(json_record, records)))
    assert epoch_size(log.runs[0]) == EpochSize(121, 129, (12, 13))  # 125


def test_a_known_split_and_one_number_are_exact_and_the_middle_of_a_range_is_not():
    assert (VOC.exact, VOC.images, VOC.span) == (True, 16551, (16551, 16551))
    assert (EXACT.exact, EXACT.images) == (True, 2000)
    assert (RANGE.exact, RANGE.images) == (False, 2079)


@pytest.mark.parametrize(
    "a, b, same",
    [
        (RANGE, EXACT, True),
        (RANGE, replace(EXACT, low=2239, high=2239), True),
        (RANGE, replace(EXACT, low=2240, high=2240), False),
        (RANGE, replace(EXACT, low=1919, high=1919), False),
        (VOC, VOC, True),
        (VOC, EpochSize(13000, 13000, (203, 203)), False),  # in its range of batches, but not it
        (VOC, EpochSize(16500, 16600, (258, 259)), True),
    ],
)
def test_sizes_agree_where_one_number_may_be_both(a, b, same):
    assert agree(a, b) == agree(b, a) == same


def test_two_logs_tell_more_than_one():
    assert narrower(RANGE, EXACT).span == narrower(EXACT, RANGE).span == (2000, 2000)
    assert narrower(RANGE, EpochSize(2100, 2300, (65, 71))).span == (2100, 2239)
    assert narrower(EpochSize(16500, 16600, (258, 259)), VOC).name == "VOC 07+12 trainval"


@pytest.mark.parametrize(
    "images, low, high, text",
    [
        (16551, 300, 300, "16,551"),
        (6237, 290, 310, "about 6,200"),
        (123456, 290, 310, "about 120,000"),
        (95, 290, 310, "about 95"),
        (0, 300, 300, "0"),
    ],
)
def test_an_estimate_is_printed_as_one(images, low, high, text):
    one = replace(analyse(run()), size=EpochSize(low, high, (1, 1)))
    assert one.counted(images) == text


def test_images_of_custom_data_are_called_an_estimate_unless_the_other_log_counts_them():
    text, told = analyse(run()), analyse(run(told=123))
    assert not text.counts_exactly and told.counts_exactly
    names = [row.label for row in compare(text, text).rows]
    assert "mAP after about 360 images" in names
    names = [row.label for row in compare(text, told).rows]
    assert "mAP after 369 images" in names


def test_a_text_log_is_aligned_with_json_lines_of_the_same_data():
    found = compare(analyse(run()), analyse(run(told=123)))
    row = rows(found)["CrossEntropy in phase detection"]
    assert (row.verdict, round(row.gap, 3)) == (WITHIN, 0.0)
    assert rows(found)["mAP best"].verdict == WITHIN


def test_arguments_call_images_an_epoch_the_same_where_they_may_be():
    told = {a.label: a for a in compare_arguments(analyse(run()), analyse(run(told=123)))}
    assert told["(images per epoch)"].verdict == "same"
    other = analyse(run(told=200))
    told = {a.label: a for a in compare_arguments(analyse(run()), other)}
    assert told["(images per epoch)"].verdict == "different"
    reasons = {r.why for r in compare(analyse(run()), other).rows if r.verdict == NOT_COMPARABLE}
    assert "images_per_epoch is 91 to 149 (10 to 14 batches) here, 200 (20 batches) in the" in str(
        reasons
    )


def test_runs_of_other_data_keep_their_own_counts():
    text, other = analyse(run()), analyse(run(told=200))
    together = with_common_size([text, other])
    assert [one.size for one in together] == [text.size, other.size]
    assert together[0].figures is text.figures


def test_several_runs_are_counted_by_what_all_of_them_tell():
    text, longer, told = analyse(run()), analyse(run(batches=(4, 9, 11))), analyse(run(told=123))
    sizes = [one.size.span for one in with_common_size([text, longer, told])]
    assert sizes == [(123, 123)] * 3
    last = with_common_size([text, told])[0].images_seen
    assert last == 3 * 123


def test_a_validation_stands_where_the_json_lines_of_its_epoch_do():
    log = run(told=125)  # the middle would be 125 an epoch, the lines tell 123
    seen = [f.place.images for f in run_figures(log.runs[0]) if f.name == "mAP"]
    assert seen == [123, 246, 369]


@pytest.mark.parametrize("batch_size", [0, -3, "x", None, True, 2.5])
def test_images_are_unknown_without_a_batch_size(batch_size):
    log = run(batch_size=batch_size)
    assert epoch_size(log.runs[0]) is None
    assert {f.place.images for f in run_figures(log.runs[0])} == {None}


# --- lines of one epoch against each other --------------------------------------------------------


def test_lines_are_held_against_lines_of_the_same_part_of_an_epoch():
    """The published SSD log has no line after batch 199 of 258; our runs have one at the end."""
    published = analyse(reference("ssd"), published=True)
    text = reference("ssd").text()
    end = EpochEnd(1, {"CrossEntropy": 4.9, "SmoothL1": 2.3}, 9.0)
    start = text.index("[Epoch 2][Batch 99]")
    mine = analyse(parse(text[:start] + format_record(end) + text[start:], "mine.log"))
    found = rows(compare(mine, published))["CrossEntropy in phase gan"]
    assert found.gap == 0


@pytest.mark.parametrize("lines, epochs", [(6, "epoch 1"), (7, "epoch 1"), (8, "epoch 1..2")])
def test_a_run_in_the_middle_of_an_epoch_is_within_the_published_one(lines, epochs):
    text = "".join(reference("ssd").text().splitlines(keepends=True)[3:][: lines - 3])
    found = compare(analyse(parse(text, "mine.log")), analyse(reference("ssd"), published=True))
    row = rows(found)["CrossEntropy in phase gan"]
    assert (row.verdict, row.gap) == (WITHIN, 0)
    assert row.why.startswith(epochs + ", line")
    assert found.exit_code == 0


def test_a_running_mean_early_in_an_epoch_is_not_held_against_one_at_its_end():
    early = run(batches=(0,), epochs=1)
    text = "".join(entry.text() for entry in early.entries[:2])
    found = compare(analyse(parse(text, "mine.log")), analyse(run(told=123)))
    row = rows(found)["CrossEntropy in phase detection"]
    assert row.verdict == NOT_COMPARABLE
    assert row.why == "the reference has no line at the same part of an epoch"


def test_an_epoch_without_a_common_line_is_held_against_whole_epochs():
    mine, other = analyse(run(batches=(), told=123)), analyse(run(batches=(2,), told=123))
    other = replace(other, figures=[f for f in other.figures if f.place.record is not EpochEnd])
    row = rows(compare(mine, other, last=1))["CrossEntropy in phase detection"]
    assert row.reference == pytest.approx(4.0)  # of the last line, 93 images before
    row = rows(compare(mine, other, last=3))["CrossEntropy in phase detection"]
    share = 93 / 123  # of the way from a line to the next
    between = [10 - 4.5 * share, 5.5 - 1.5 * share, 4.0]
    assert row.reference == pytest.approx(sum(between) / 3)


def test_a_line_is_held_against_the_same_line_before_anything_else():
    mine, other = analyse(run()), analyse(run())
    other = replace(other, figures=[f for f in other.figures if f.place.record is not EpochEnd])
    row = rows(compare(mine, other, last=3))["CrossEntropy in phase detection"]
    assert (row.gap, row.why) == (0, "epoch 1..3, line 15")  # of batch 9, not of the epochs' ends


def test_counts_that_differ_by_a_batch_are_the_same_images():
    mine = analyse(run(batches=(0,), epochs=1, told=125))
    moved = [
        replace(f, place=replace(f.place, images=125)) if f.place.record is EpochEnd else f
        for f in mine.figures
    ]
    mine = replace(mine, figures=moved)
    row = rows(compare(mine, analyse(run(told=125))))["CrossEntropy in phase detection"]
    assert (row.mine, row.reference) == (9.25, 9.25)


def test_the_references_last_epoch_is_no_point_of_its_curve_before_its_end():
    mine = analyse(run(batches=(), told=123))
    text = run(batches=(2,), told=123)
    begun = [e for e in text.runs[0].segments[0].entries if not is_end_of(e.record, 3)]
    head, lines = text.runs[0].start.record, [entry.record for entry in begun]
    log = parse_json_lines("".join(map(json_record, [head, *lines])), "x.jsonl")
    last = compare(mine, analyse(log), last=1)
    row = rows(last)["CrossEntropy in phase detection"]
    assert row.reference == pytest.approx(9 / 2 + 0.25)  # of epoch 2, the last whole one


def is_end_of(record, epoch):
    return record.epoch == epoch and not isinstance(record, Step)


def test_a_wrong_loss_is_outside_in_the_middle_of_an_epoch_too():
    text = "".join(reference("ssd").text().splitlines(keepends=True)[3:8])
    text = text.replace("CrossEntropy=3.924", "CrossEntropy=4.924")
    found = compare(analyse(parse(text, "mine.log")), analyse(reference("ssd"), published=True))
    assert rows(found)["CrossEntropy in phase gan"].verdict == OUTSIDE


def test_without_batch_sizes_epochs_are_counted_on_both_sides():
    text = run(batch_size=None).text()
    mine, other = analyse(parse(text, "a")), analyse(parse(text.replace("9.25", "9.45"), "b"))
    row = rows(compare(mine, other))["CrossEntropy in phase detection"]
    assert row.verdict == WITHIN and row.why.startswith("epoch 1..3")
    assert rows(compare(mine, analyse(run())))["losses"].verdict == NOT_COMPARABLE


def test_means_of_the_last_validations_count_as_many_on_both_sides():
    many = analyse(run())
    few = replace(many, figures=[f for f in many.figures if f.name != "mAP" or f.place.epoch > 1])
    row = rows(compare(few, many, last=5))["mAP mean of last"]
    assert (row.why, row.mine, row.reference) == (
        "last 2 validations",
        pytest.approx(0.25),
        pytest.approx(0.25),
    )
    row = rows(compare(many, many, last=1))["mAP mean of last"]
    assert (row.why, row.mine) == ("last 1 validation", pytest.approx(0.3))


def test_a_validation_block_that_is_cut_does_not_tell_the_classes():
    text = reference("faster_rcnn").text().splitlines(keepends=True)
    mine = analyse(parse("".join(text[158:180]), "mine.log"))
    assert mine.classes == ()
    found = compare(mine, analyse(reference("faster_rcnn"), published=True))
    assert found.exit_code == 0
    assert rows(found)["RPN_Conf in phase discriminator"].verdict == WITHIN


def test_a_reference_that_has_no_validation_gives_no_verdict_on_mean_ap():
    mine = analyse(run())
    other = replace(mine, figures=[f for f in mine.figures if f.place.record is not Validation])
    found = rows(compare(mine, other))
    assert found["mAP best"].verdict == found["mAP last"].verdict == NO_REFERENCE
