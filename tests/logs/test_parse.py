"""The parser: published logs, GluonCV's dialects, and every way in which a log may be damaged."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.namespace import Verbatim, parse_namespace
from gan_kd_ssd.logs.parse import parse, parse_line
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.read import read
from gan_kd_ssd.logs.records import (
    STYLES,
    BestMap,
    EpochEnd,
    LearningRate,
    NewBest,
    RunStart,
    Saved,
    Start,
    Step,
    Unknown,
    Validation,
)
from gan_kd_ssd.logs.write import format_record, json_record
from gan_kd_ssd.util.errors import UserError

GLUONCV_SSD = """Namespace(batch_size=32, data_shape=512, dataset='voc', network='mobilenet1.0')
Start training from [Epoch 0]
[Epoch 0][Batch 99], Speed: 93.276 samples/sec, CrossEntropy=8.802, SmoothL1=3.208
[Epoch 0] Training cost: 201.500, CrossEntropy=6.502, SmoothL1=2.708
[Epoch 0] Validation: \naeroplane=0.1
bicycle=nan
mAP=0.1
[Epoch 160] Set learning rate to 0.0001
"""
GLUONCV_FASTER_RCNN = """Namespace(batch_size=1, dataset='voc', network='resnet50_v1b')
[Epoch 0 Iteration 100] Set learning rate to 0.0005
[Epoch 0][Batch 99], Speed: 3.1 samples/sec, RPN_Conf=0.655,RPN_SmoothL1=0.2
[Epoch 0] Training cost: 1802.123, RPN_Conf=0.300,RPN_SmoothL1=0.100
[Epoch 0] Validation: \naeroplane=0.5\nmAP=0.5
[Epoch 0] mAP 0.5 higher than current best [0.0] saving to faster_rcnn_best.params
[Epoch 0] Saving parameters to faster_rcnn_0000_0.5000.params
"""


def rewritten(log):
    """The text that the records alone give."""
    return "".join(format_record(entry.record) for entry in log.entries)


def kinds(log):
    return [type(entry.record).__name__ for entry in log.entries]


@pytest.mark.parametrize("name", ["ssd", "faster_rcnn"])
def test_a_published_log_is_parsed_and_written_again_from_records_alone(name):
    text = reference(name).text()
    log = parse(text)
    assert log.text() == text
    assert not log.unknown
    assert rewritten(log) == text


def test_the_ssd_log_has_two_runs_and_a_segment_where_epochs_go_back():
    short, long = parse(reference("ssd").text()).runs
    assert (short.lines, long.lines) == ((1, 3), (4, 574))
    assert [(s.lines, s.epochs) for s in long.segments] == [
        ((5, 470), (1, 221)),
        ((471, 574), (1, 4)),
    ]


def test_the_faster_rcnn_log_has_45_runs_of_8_namespaces():
    log = parse(reference("faster_rcnn").text())
    assert len(log.runs) == 45
    assert len({str(sorted(run.namespace.items())) for run in log.runs}) == 8
    assert sum(run.trained for run in log.runs) == 6
    assert log.runs[-1].lines == (159, 1545)
    assert log.runs[-1].segments[-1].epochs == (0, 37)


def test_records_know_their_lines():
    log = parse(reference("ssd").text())
    best = [entry.line for entry in log.entries if isinstance(entry.record, BestMap)]
    assert best == [496, 522, 548, 574]
    first = next(entry for entry in log.entries if isinstance(entry.record, Validation))
    assert (first.line, first.count) == (449, 22)


@pytest.mark.parametrize("text", [GLUONCV_SSD, GLUONCV_FASTER_RCNN], ids=["ssd", "faster_rcnn"])
def test_plain_gluoncv_logs_are_understood(text):
    log = parse(text)
    assert log.text() == text
    assert not log.unknown
    assert len(log.runs) == 1


def test_a_plain_gluoncv_ssd_log_gives_its_figures():
    step, epoch, validation = (parse(GLUONCV_SSD).entries[i].record for i in (2, 3, 4))
    assert step == Step(0, 99, 93.276, {"CrossEntropy": 8.802, "SmoothL1": 3.208}, style="ssd")
    assert (epoch.seconds, epoch.style) == (201.5, "ssd")
    assert math.isnan(validation.classes["bicycle"])
    assert validation.mean == 0.1


def test_estimators_of_gluoncv_0_10_print_six_decimals():
    text = (
        "INFO:gluoncv.auto.estimators.ssd.ssd:[Epoch 0][Batch 9], Speed: 30.125125 samples/sec,"
        " CrossEntropy=5.123456, SmoothL1=2.000000\n"
    )
    log = parse(text)
    assert log.entries[0].record.figures == {"CrossEntropy": 5.123456, "SmoothL1": 2.0}
    assert log.text() == text


def test_a_coco_validation_is_read_in_parts_of_one():
    text = (
        "[Epoch 3] Validation: \n~~~~ Summary metrics ~~~~\n= Average Precision  (AP) @[ IoU=0.50:"
        "0.95 | area=   all | maxDets=100 ] = 0.254\n Average Recall     (AR) @[ IoU=0.50 ] = 0.3\n"
        "person=52.3\ntraffic light=nan\n~~~~ MeanAP @ IoU=[0.50,0.95] ~~~~\n=25.4\n"
    )
    log = parse(text)
    record = log.entries[0].record
    assert (record.mean, record.classes["person"]) == (0.254, 0.523)
    assert len(record.summary) == 2
    assert log.text() == text
    assert rewritten(log) == text


@pytest.mark.parametrize(
    "prefix",
    [
        "INFO:root:",
        "2019-06-20 12:00:00,123 - INFO - ",
        "[12:00:00] train.py:77: ",
        "[INFO] ",
    ],
)
def test_logger_prefixes_are_seen_through(prefix):
    lines = GLUONCV_SSD.splitlines(keepends=True)
    text = "".join(
        prefix + line if "=0.1" not in line and "=nan" not in line else line for line in lines
    )
    log = parse(text)
    assert kinds(log) == kinds(parse(GLUONCV_SSD))
    assert log.text() == text


def test_a_prefix_on_every_line_of_a_block_is_seen_through():
    text = "".join("INFO:root:" + line for line in GLUONCV_SSD.splitlines(keepends=True))
    log = parse(text)
    assert kinds(log) == kinds(parse(GLUONCV_SSD))
    assert log.text() == text


@pytest.mark.parametrize("name", ["x.log", "x.jsonl"])
def test_a_byte_order_mark_hides_nothing(tmp_path, name):
    text = GLUONCV_SSD if name == "x.log" else '{"kind": "run", "namespace": {"lr": 1}}\n'
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    log = read(path)
    assert not log.unknown
    assert log.runs[0].namespace
    assert name != "x.log" or log.text().encode() == path.read_bytes()


def test_windows_line_ends_are_kept():
    text = GLUONCV_SSD.replace("\n", "\r\n")
    log = parse(text)
    assert kinds(log) == kinds(parse(GLUONCV_SSD))
    assert log.text() == text


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_last_line_that_is_cut_short_is_unknown_and_said_so(cut):
    text = reference("ssd").text().splitlines(keepends=True)[:7]
    whole = "".join(text)
    log = parse(whole[:-cut])
    if cut == 1:  # without its line end, but whole: the published line ends with a full stop
        assert isinstance(log.entries[-1].record, Step)
    else:
        assert log.entries[-1].record.cut
    assert log.text() == whole[:-cut]


@pytest.mark.parametrize(
    "line",
    [
        "best_map is 0.78",
        "[Epoch 5] Set learning rate to 0.0001",
        "[Epoch 0] Saving parameters to x_0000_0.38",
        "[Epoch 0] Training cost: 1.000, RPN_Conf=0.1",
    ],
)
def test_a_last_line_whose_digits_may_be_missing_is_not_believed(line):
    assert isinstance(parse(line).entries[0].record, Unknown)
    assert not isinstance(parse(line + "\n").entries[0].record, Unknown)


def test_a_mean_cut_short_at_the_end_is_not_believed():
    log = parse("[Epoch 1] Validation: \na=0.123\nmAP=0.12")
    assert log.entries[0].record.mean is None
    assert log.entries[1].record == Unknown("mAP=0.12", cut=True)


def test_other_classes_and_few_digits():
    text = "[Epoch 1] StudentNet Validation: \nRBC=0.78\ntraffic light=1.0\na=b=0.5\nmAP=0.760\n"
    log = parse(text)
    assert log.entries[0].record.classes == {"RBC": 0.78, "traffic light": 1.0, "a=b": 0.5}
    assert log.entries[0].record.mean == 0.76
    assert log.text() == text


def test_an_unknown_line_is_kept_counted_and_numbered():
    text = "hello\n" + GLUONCV_SSD + "\nTraceback (most recent call last):\n"
    log = parse(text)
    assert [(entry.line, entry.record.text) for entry in log.unknown] == [
        (1, "hello"),
        (12, "Traceback (most recent call last):"),
    ]
    assert log.text() == text


@pytest.mark.parametrize(
    "line",
    [
        "[Epoch 1][Batch 9], Speed: 3.0 samples/sec, CrossEntropy=5.1, SmoothL1=x",
        "[Epoch 1][Batch 9], Speed: 3.0 samples/sec, CrossEntropy=5.1 extra",
        "[Epoch 1][Batch 99999999999], Speed: 3.0 samples/sec, CrossEntropy=5.1",
        "[Epoch ²][Batch 9], Speed: 3.0 samples/sec, CrossEntropy=5.1",
        format_record(Step(1, 9, 9.0, {"cosine": 0.5}))[:-1] + " cosine_length_loss_metric=0.5.",
        "Start training from [Epoch 1] now",
        "Namespace(a=1",
        "Namespace(a=__import__('os').system('true'))",
        "best_map is high",
    ],
)
def test_a_line_that_is_not_wholly_known_is_no_record(line):
    assert parse_line(line) is None


def test_batches_that_go_back_within_an_epoch_begin_a_segment():
    line = "[Epoch 0][Batch {}], Speed: 9.000 samples/sec, CrossEntropy=5.000, SmoothL1=2.000\n"
    log = parse("Namespace(a=1)\n" + "".join(line.format(i) for i in (9, 19, 9, 19)))
    assert [segment.lines for segment in log.runs[0].segments] == [(2, 3), (4, 5)]


def test_a_line_that_is_repeated_begins_a_segment():
    line = "[Epoch 0][Batch 9], Speed: 9.000 samples/sec, CrossEntropy=5.000, SmoothL1=2.000\n"
    end = "[Epoch 0] Training cost: 9.000, CrossEntropy=5.000, SmoothL1=2.000\n"
    log = parse("Namespace(a=1)\n" + 2 * line + 2 * end)
    assert [segment.lines for segment in log.runs[0].segments] == [(2, 2), (3, 4), (5, 5)]


def test_a_text_log_takes_the_metadata_of_its_runs_from_the_json_lines_next_to_it(tmp_path):
    first, second, third, fourth = (
        RunStart({"lr": 0.1 * (number % 2)}, {"data": number}) for number in range(4)
    )
    lines = map(json_record, (first, second, third, fourth))
    (tmp_path / "x_metrics.jsonl").write_text('{"kind": "run", "nam\n' + "".join(lines))
    path = tmp_path / "x_train.log"
    path.write_text("".join(map(format_record, (first, third, fourth, fourth))))
    log = read(path)
    assert [run.metadata.get("data") for run in log.runs] == [0, 2, 3, None]
    assert log.text().encode() == path.read_bytes()


def test_figures_of_further_terms_are_in_step_lines_and_come_back():
    figures = {name: 0.5 for name in ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake")}
    figures |= {"CrossEntropy": 1.0, "SmoothL1": 2.0, "hint": 0.25}
    for more in ({}, {"cosine": 0.125}):
        record = Step(1, 9, 9.0, {**figures, **more})
        assert parse(format_record(record)).entries[0].record == record
        (entry,) = parse_json_lines(json_record(record)).entries
        assert entry.record == record


def test_a_log_without_a_namespace_is_one_run():
    log = parse(GLUONCV_SSD.split("\n", 1)[1])
    assert len(log.runs) == 1
    assert log.runs[0].namespace == {}


def test_namespace_values_come_back_as_they_were():
    text = "Namespace(a='it\\'s', b=[1, [2, ']']], c=(3,), d=None, e=-0.03, f={'x': 1}, g=<class 'int'>)"
    found = parse_namespace(text)
    assert found == {
        "a": "it's",
        "b": [1, [2, "]"]],
        "c": (3,),
        "d": None,
        "e": -0.03,
        "f": {"x": 1},
        "g": "<class 'int'>",
    }
    assert isinstance(found["g"], Verbatim)
    assert parse(text + "\n").text() == text + "\n"


def test_a_value_that_is_nearly_a_number_is_kept_without_a_warning(recwarn):
    assert parse_namespace("Namespace(a=1or 2, b=3)") == {"a": "1or 2", "b": 3}
    assert not recwarn.list


def test_options_in_another_order_are_written_in_that_order():
    text = "Namespace(b=1, a=2)\n"  # as Python 3.9 and later print them
    assert parse(text).runs[0].namespace == {"a": 2, "b": 1}
    assert parse(text).text() == text


@pytest.mark.parametrize("content", [b"", b"nothing\nof use\n", b"\0\1\2", b"\xff\xfe"])
def test_what_is_no_training_log_gives_one_clear_error(tmp_path, content):
    path = tmp_path / "x.log"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.log"):
        read(path)


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.log: cannot read"):
        read(tmp_path / "no.log")
    with pytest.raises(UserError, match="is a folder"):
        read(tmp_path)


def test_published_files_are_given_back_to_the_byte(shared):
    for path in sorted((shared / "published_logs").glob("*.log")):
        log = read(path)
        assert log.text().encode() == path.read_bytes()
        assert rewritten(log) == log.text()


# --- generated records ---------------------------------------------------------------------------

fixed = st.one_of(
    st.floats(-1e6, 1e6).map(lambda x: float(f"{x:.3f}")), st.sampled_from([math.nan, math.inf])
)
free = st.one_of(st.floats(0, 1), st.floats(allow_nan=False), st.integers(0, 10))
counts = st.integers(0, 999_999_999)
letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="=,\n\r")
names = st.text(letters, min_size=1, max_size=12).filter(
    lambda s: s.strip() == s and s != "mAP" and "][" not in s
)
paths = names.map(lambda name: name + ".params")
ssd_gkd = st.fixed_dictionaries(
    {
        name: fixed
        for name in ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake", "CrossEntropy", "SmoothL1")
    }
)
any_figures = st.dictionaries(names, fixed, min_size=2, max_size=6)
values = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(allow_nan=False), st.none(), st.booleans()
)
identifiers = st.from_regex(r"[A-Za-z_][A-Za-z_0-9]{0,8}", fullmatch=True)


@st.composite
def records(draw):
    style = draw(st.sampled_from(STYLES))
    figures = ssd_gkd if style == "ssd_gkd" else any_figures
    epoch = draw(counts)
    time = {"speed" if style == "ssd_gkd" else "seconds": draw(fixed)}
    return draw(
        st.one_of(
            st.dictionaries(identifiers, values, max_size=5).map(RunStart),
            st.just(Start(epoch)),
            figures.map(lambda f: Step(epoch, draw(counts), draw(fixed), f, style=style)),
            ssd_gkd.map(lambda f: Step(epoch, 9, 1.0, {**f, "cosine": draw(fixed)})),
            figures.map(lambda f: EpochEnd(epoch, f, style=style, **time)),
            st.dictionaries(names, free, max_size=5).map(
                lambda classes: Validation(epoch, classes, draw(free), style=style)
            ),
            free.map(BestMap),
            free.map(lambda rate: LearningRate(epoch, rate, draw(st.booleans()))),
            free.map(lambda rate: LearningRate(epoch, rate, iteration=draw(counts))),
            paths.map(lambda path: NewBest(epoch, draw(free), draw(free), path)),
            paths.map(lambda path: Saved(epoch, path)),
        )
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(records(), max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_generated_records_are_read_back_and_written_again(written, newline, prefixed):
    texts = [format_record(record) for record in written]
    prefix = "INFO:root:" if prefixed else ""
    text = "".join(prefix + one for one in texts).replace("\n", newline)
    log = parse(text)
    assert log.text() == text
    assert not log.unknown
    assert [type(entry.record) for entry in log.entries] == [type(record) for record in written]
    assert [format_record(entry.record) for entry in log.entries] == texts


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "event", "event": "best_map", "value": "x"}',
        '{"kind": "event", "event": "learning_rate", "epoch": 1, "rate": []}',
        '{"kind": "event", "event": "text", "text": 5}',
        '{"kind": "event", "event": "new_best", "epoch": 1, "value": null, "previous": 0, "path": ""}',
        '{"kind": "event", "event": "start", "epoch": 1, "colour": 3}',
        '{"kind": "validation", "epoch": 1, "phase": NaN, "mAP": 0.5, "classes": {}}',
        '{"kind": "step", "epoch": 1, "batch": 1, "speed": 1.0, "phase": 7, "CrossEntropy": 1.0}',
    ],
)
def test_json_lines_with_fields_of_a_wrong_kind_are_kept_as_unknown(line):
    (entry,) = parse_json_lines(line + "\n").entries
    assert entry.record == Unknown(line)
