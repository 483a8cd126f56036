"""The paper's tables: their commands, and the runs that belong to a cell."""

import shlex

import pytest

from gan_kd_ssd.config.command import FASTER_RCNN, SSD
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import RunStart, Start, Step, Validation
from gan_kd_ssd.logs.write import format_record
from gan_kd_ssd.paper.paper_tables import best_runs, cells, runs_in, tables_as_dict, tables_text
from helpers.options import parse_train_faster_rcnn, parse_train_ssd

PARSERS = {SSD: parse_train_ssd, FASTER_RCNN: parse_train_faster_rcnn}


def options_of(cell, **changed):
    """What a run of the cell's command writes as its Namespace."""
    command = cell.command()
    return {**vars(PARSERS[command.script](command.words())), **changed}


def log(*runs, source="x_train.log"):
    """``runs``: (options, mAP of each epoch)."""
    text = ""
    for options, means in runs:
        style = "faster_rcnn" if "use_fpn" in options else "ssd_gkd"
        name = "RPN_Conf" if style == "faster_rcnn" else "CrossEntropy"
        text += format_record(RunStart(options))
        text += format_record(Start(min(means)))
        for epoch, mean in means.items():
            figures = {name: 1.0, "SmoothL1": 1.0, "Loss_G": 0.0}
            text += format_record(Step(epoch, 0, 1.0, figures, style=style))
            text += format_record(Validation(epoch, {"a": mean}, mean, style=style))
    return parse(text, source)


def labels(*logs):
    return {cell.label: round(found.mean_ap, 6) for cell, found in best_runs(logs).items()}


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: f"{cell.table} {cell.label}")
def test_a_run_of_a_cells_command_is_found_in_that_cell_alone(cell):
    assert labels(log((options_of(cell), {1: 0.5}))) == {cell.label: 50.0}


def test_a_teacher_that_the_zoo_does_not_have_is_trained_first():
    rows = tables_as_dict({})
    assert [bool(row["teacher_command"]) for row in rows] == [False] * 20 + [True, False, True]
    words = shlex.split(rows[-1]["teacher_command"])
    teacher = parse_train_faster_rcnn(words[2:])
    student = parse_train_faster_rcnn(shlex.split(rows[-1]["command"])[2:])
    assert (teacher.student, teacher.distill, teacher.roi_mode) == (
        "resnet101_v1d",
        "none",
        "align",
    )
    assert student.Teacher_param_path == f"{teacher.save_prefix}_best.params"
    assert f"{rows[-1]['teacher_command']}  # its teacher" in tables_text({})


def by_label(label):
    (cell,) = (cell for cell in cells() if cell.label == label and cell.table != 2)
    return cell


@pytest.mark.parametrize(
    "label, changed",
    [
        ("mobilenet1.0 from resnet50_v1", {"data_shape": 300}),
        ("mobilenet1.0 from resnet50_v1", {"dataset": "shapes"}),
        ("mobilenet1.0 from resnet50_v1", {"student": "mobilenet0.5"}),
        ("mobilenet1.0 from resnet50_v1", {"teacher": "resnet18_v1"}),
        ("resnet50_v1b without a teacher, RoI align", {"use_fpn": True}),
        ("resnet50_v1b without a teacher, RoI align", {"student": "resnet10_v1_0.25"}),
        ("resnet50_v1b without a teacher, RoI align", {"short": 300}),
        ("resnet50_v1b without a teacher, RoI align", {"max_size": 500}),
        ("resnet50_v1b without a teacher, RoI align", {"dataset": "voc0712"}),
        (
            "resnet50_v1b from resnet101_v1d with cosine attention, RoI align",
            {"cosine_attention": 0.0},
        ),
        (
            "resnet50_v1b from resnet101_v1d with cosine attention, RoI align",
            {"teacher": "resnet50_v1b"},
        ),
    ],
)
def test_a_run_that_differs_in_what_a_cell_is_about_is_not_its_run(label, changed):
    assert labels(log((options_of(by_label(label), **changed), {1: 0.5}))) == {}


def test_names_of_the_zoo_and_sizes_that_are_the_zoos_make_no_difference():
    cell = by_label("mobilenet1.0 from resnet50_v1")
    options = options_of(cell, student="ssd_512_mobilenet1.0", teacher="ssd_512_resnet50_v1_voc")
    assert labels(log((options, {1: 0.5}))) == {cell.label: 50.0}
    cell = by_label("resnet50_v1b without a teacher, RoI pool")
    options = options_of(cell, short=600, max_size=1000)
    assert labels(log((options, {1: 0.5}))) == {cell.label: 50.0}


def test_the_best_run_and_its_best_epoch_stand_in_a_cell():
    cell = cells()[0]
    one = log((options_of(cell), {1: 0.5, 2: 0.7, 3: 0.6}), source="one")
    two = log((options_of(cell), {1: 0.65}), source="two")
    for logs in ([one, two], [two, one]):
        (found,) = best_runs(logs).values()
        assert (found.mean_ap, found.log) == (70.0, "one")


def test_a_resumed_run_has_the_best_of_the_run_before_too():
    cell = cells()[0]
    first = options_of(cell, save_prefix="x")
    second = options_of(cell, save_prefix="x", resume="x_state.zip")
    assert labels(log((first, {1: 0.7, 2: 0.5}), (second, {3: 0.6}))) == {cell.label: 70.0}


def test_the_published_logs_are_found():
    assert labels(reference("ssd"), reference("faster_rcnn")) == {
        "mobilenet1.0 from resnet50_v1 with cosine attention": 78.270569,
        "resnet50_v1b from resnet101_v1d with cosine attention, RoI pool": 73.837774,
    }


def test_runs_without_options_or_validation_are_passed_over():
    cell = cells()[0]
    no_maps = log((options_of(cell), {1: 0.5})).text()
    no_maps = parse(no_maps[: no_maps.index("[Epoch 1] StudentNet")])
    assert labels(no_maps, parse("best_map is 0.5\n"), parse("")) == {}
    without = log((options_of(cell), {1: 0.5})).text().split("\n", 1)[1]
    assert labels(parse(without)) == {}


def test_tables_show_ours_beside_the_published_figure_and_the_gap():
    cell = cells()[0]
    found = best_runs([log((options_of(cell), {1: 0.75}), source="deep/x_train.log")])
    assert "published 75.4  ours 75.0 (-0.4), deep/x_train.log" in tables_text(found)
    row = tables_as_dict(found)[0]
    assert (row["published"], row["ours"], row["log"]) == (75.4, 75.0, "deep/x_train.log")
    assert tables_as_dict({})[0]["ours"] is None


def test_logs_are_found_at_any_depth_and_other_files_passed_over(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "x_train.log").write_text(log((options_of(cells()[0]), {1: 0.5})).text())
    (folder / "y_train.log").write_text("nothing of a training\n")
    (folder / "x_metrics.jsonl").write_text('{"kind": "event", "event": "start", "epoch": 1}\n')
    assert [one.source for one in runs_in(tmp_path)] == [str(folder / "x_train.log")]
