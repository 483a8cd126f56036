"""The paper's matrix as data: figures, origins, commands at both scales."""

import json
import re

import pytest

from gan_kd_ssd.analysis.arguments import command_of
from gan_kd_ssd.config import evaluation_options as evaluation
from gan_kd_ssd.config.command import COMMANDS, FASTER_RCNN, Command
from gan_kd_ssd.config.faster_rcnn_options import FasterRCNNConfig
from gan_kd_ssd.config.ssd_options import SSDConfig
from gan_kd_ssd.config.training_config import from_options, from_words
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import REFERENCES
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.logs.write import format_record
from gan_kd_ssd.paper import paper_tables as paper
from gan_kd_ssd.paper import rows
from gan_kd_ssd.paper import scale as scales
from gan_kd_ssd.paper.job import Job, with_teachers
from gan_kd_ssd.paper.rows import by_name, cells
from gan_kd_ssd.util.errors import UserError
from helpers.options import parse_train_faster_rcnn, parse_train_ssd

ALL = rows.rows()
EVERY_ROW = pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
EVERY_SCALE = pytest.mark.parametrize("scale", ["paper", "tiny"])

# Tables 1, 2 and 3 of arXiv 1906.08467, by row and column of the paper.
TABLES = {
    1: [
        [75.4, 77.3, 77.7, 77.6, 78.4],
        [75.9, 77.2, 77.7, 77.5],
        [74.8, 77.2, 77.6, 77.3],
    ],
    2: [[18.0, 23.0], [21.7, 25.4], [22.0, 24.6]],
    3: [[67.0, 73.8], [71.7, 74.0]],
}
NAMES = {
    (1, 1, 1): "mobilenet1.0-plain",
    (1, 1, 5): "mobilenet1.0-resnet50-cos",
    (1, 2, 4): "mobilenetv2-resnet101",
    (1, 3, 2): "resnet18-vgg16",
    (2, 1, 2): "coco-mobilenet0.75-resnet50",
    (2, 3, 1): "coco-mobilenetv2-plain",
    (3, 1, 2): "faster-rcnn-roipool",
    (3, 2, 1): "faster-rcnn-roialign-plain",
}


def job(row, scale="paper", *extra):
    return Job(row, scales.load(scale), rows.FOLDER, extra)


def parsed(job):
    """The options of a row's training, as its script reads them."""
    parse = parse_train_faster_rcnn if job.row.script == FASTER_RCNN else parse_train_ssd
    command, *words = job.train_command()
    assert command == COMMANDS[job.row.script]
    return parse(words)


def test_figures_are_those_of_the_paper():
    found = {row.figure.place: row.published for row in cells()}
    assert found == {
        (table, i, j): figure
        for table, lines in TABLES.items()
        for i, line in enumerate(lines, 1)
        for j, figure in enumerate(line, 1)
    }
    assert {place: by_name(name).figure.place for place, name in NAMES.items()} == {
        p: p for p in NAMES
    }


def test_figures_are_those_of_the_reference(shared):
    text = (shared / "PAPER.md").read_text(encoding="utf-8")
    section = text.split("## 2. Tables")[1].split("## 3.")[0]
    _, one, two, three = re.split(r"\nTable [123],", section)
    lines = [line for line in one.splitlines() if line.startswith("|")][2:]
    table1 = [[float(cell) for cell in line.split("|")[2:-1] if cell.strip()] for line in lines]
    pair = re.compile(r"(\d+\.?\d*) -> (\d+\.?\d*)")
    table2 = [[float(a), float(b)] for a, b in pair.findall(two)]
    table3 = [[float(a), float(b)] for a, b in pair.findall(three)][:2]
    assert {1: table1, 2: table2, 3: table3} == TABLES


def test_rows_come_in_the_papers_order_and_teachers_last():
    places = [row.figure.place for row in ALL]
    assert len(cells()) == 23 and len(ALL) == 28
    assert places[:23] == sorted(places[:23]) and places[23:] == [()] * 5
    assert [row.name for row in ALL[23:]] == sorted(row.name for row in ALL[23:])


@EVERY_ROW
def test_each_choice_of_a_row_has_an_origin(row):
    choices = {"student", "dataset", "other options", *row.options}
    choices |= {"teacher"} if row.teacher else set()
    choices |= {"weights"} if row.networks.weights else set()
    assert choices <= set(row.origin) <= choices | {"published"}
    for name in choices:
        assert re.search(r"published|inferred|defaults", row.origin[name]), name


@EVERY_ROW
def test_a_row_has_only_options_that_differ_from_the_script_s_defaults(row):
    parser = FasterRCNNConfig.parser if row.script == FASTER_RCNN else SSDConfig.parser
    defaults = vars(parser().parse_args([]))
    for name, value in row.options.items():
        said_in_the_table = row.script == FASTER_RCNN and name == "roi_mode"
        assert name in defaults and (value != defaults[name] or said_in_the_table), name


@EVERY_ROW
def test_a_teacher_s_row_trains_the_network_that_the_student_s_row_names(row):
    if row.teacher is None:
        assert row.networks.teacher_row is None and row.options["distill"] == "none"
        return
    teacher = by_name(row.networks.teacher_row)
    assert (teacher.student, teacher.script, teacher.dataset, teacher.teacher) == (
        *(row.teacher, row.script, row.dataset),
        None,
    )


def test_rows_of_the_published_logs_name_them():
    found = {row.name: row.figure.published_log for row in ALL if row.figure.published_log}
    assert found == {"mobilenet1.0-resnet50-cos": "ssd", "faster-rcnn-roipool": "faster_rcnn"}
    assert set(found.values()) == set(REFERENCES)


@EVERY_SCALE
@EVERY_ROW
def test_commands_are_taken_by_the_scripts(row, scale):
    one = job(row, scale)
    options = parsed(one)
    for name, value in row.options.items():
        assert getattr(options, name) == value, name
    assert options.distill == ("gan" if row.teacher else "none")
    command, *words = one.eval_command()
    measured = evaluation.parse(words)
    assert command == "eval"
    assert str(measured.params) == f"{options.save_prefix}_best.params"
    assert read_name(measured.network).kind == (
        "faster_rcnn" if row.script == FASTER_RCNN else "ssd"
    )
    if row.script != FASTER_RCNN:
        assert measured.data_shape == options.data_shape == {"paper": 512, "tiny": 128}[scale]


@EVERY_SCALE
@EVERY_ROW
def test_a_row_its_command_line_and_its_log_give_the_same_configuration(row, scale):
    one = job(row, scale)
    command = one.command()
    config = from_words(row.script, one.train_command()[1:])
    assert from_options(row.script, command.options) == config
    logged = parse(format_record(RunStart(dict(config.namespace))))
    repeated = command_of(logged)
    assert from_options(repeated.script, repeated.options) == config


@EVERY_ROW
def test_at_the_papers_scale_nothing_but_the_row_s_options_is_set(row):
    options, parser = vars(parsed(job(row))), SSDConfig.parser
    if row.script == FASTER_RCNN:
        parser = FasterRCNNConfig.parser
    defaults = vars(parser().parse_args([]))
    differ = {name for name, value in options.items() if value != defaults[name]}
    own = {"save_prefix", "quiet", "student", "teacher", "dataset", "Teacher_param_path"}
    assert differ <= own | set(row.options)


@EVERY_ROW
def test_a_run_is_found_in_its_cell_by_the_logs_and_a_tiny_one_in_none(row):
    for scale in ("paper", "tiny"):
        options = vars(parsed(job(row, scale)))
        found = [cell.name for cell in cells() if paper.is_of(cell, Command(row.script, options))]
        assert found == ([row.name] if scale == "paper" and row.figure.place else [])


def test_published_weights_save_the_training_of_a_teacher():
    names = [each.name for each in with_teachers([job(row) for row in cells()])]
    assert len(names) == 24 and names[20:22] == [
        "teacher-faster-rcnn-resnet101",
        "faster-rcnn-roipool",
    ]
    assert parsed(job(by_name("mobilenet1.0-vgg16"))).teacher_params == ""
    assert {row.networks.weights for row in ALL} == {
        *("ssd_512_vgg16_atrous_voc", "ssd_512_resnet50_v1_voc", "ssd_512_resnet101_v2_voc"),
        *("ssd_512_resnet50_v1_coco", None),
    }


def test_the_zoo_has_the_weights_that_rows_count_on():
    from gluoncv.model_zoo.model_store import short_hash

    for row in ALL:
        if row.networks.weights:
            assert short_hash(row.networks.weights)
    with pytest.raises(ValueError):
        short_hash("faster_rcnn_resnet101_v1d_voc")


@EVERY_ROW
def test_at_tiny_scale_networks_are_narrow_and_the_teacher_is_trained_first(row):
    options = parsed(job(row, "tiny"))
    assert options.student == f"{row.student}_w0.25" and not options.pretrained_base
    if row.teacher:
        first, last = with_teachers([job(row, "tiny")])
        assert (first.name, last.name) == (row.networks.teacher_row, row.name)
        file = getattr(options, "Teacher_param_path", None) or options.teacher_params
        assert file == f"{parsed(first).save_prefix}_best.params"
        assert options.teacher == f"{row.teacher}_w0.25" == parsed(first).student
    layout = "coco" if row.dataset == "coco" else "voc"
    assert options.dataset == f"runs/tiny/data/shapes_{layout}"
    assert job(row, "tiny").commands()[0][-2:] == ["--layout", layout]


def test_a_teacher_is_trained_once_for_all_its_students():
    jobs = with_teachers([job(row, "tiny") for row in cells()])
    names = [each.name for each in jobs]
    assert len(names) == len(set(names)) == 28
    for place, each in enumerate(jobs):
        assert (
            each.row.networks.teacher_row is None or each.row.networks.teacher_row in names[:place]
        )


@pytest.mark.parametrize("gpus", ["0,1", ""])
def test_what_the_network_does_not_depend_on_is_not_in_its_recipe(gpus):
    row = by_name("mobilenet1.0-plain")
    plain, other = (
        job(row),
        job(row, "paper", f"--gpus={gpus}", "--num-workers=2", "--log-interval=7"),
    )
    assert plain.training().recipe == other.training().recipe
    assert plain.training().recipe != job(row, "paper", "--lr=0.5").training().recipe
    assert plain.training().recipe == {"script": "train_ssd_gkd.py", "options": {"distill": "none"}}
    assert other.eval_command()[-2:] == ["--gpus", gpus]


def test_words_that_a_script_does_not_take_are_named():
    with pytest.raises(
        UserError, match=r"faster-rcnn-roipool, train_faster_rcnn_gkd.py: .*--data-shape"
    ):
        job(by_name("faster-rcnn-roipool"), "paper", "--data-shape", "300").options  # noqa: B018


OWN = {"script": "train_ssd_gkd.py", "student": "resnet34_v1", "dataset": "voc"}


def row_file(folder, content):
    file = folder / "mine.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def test_a_row_of_ones_own_needs_script_student_and_dataset_only(tmp_path):
    row = by_name(row_file(tmp_path, OWN))
    assert (row.name, row.student, row.teacher, row.table, row.published) == (
        *("mine", "resnet34_v1", None, None, None),
    )
    assert parsed(job(row, "tiny")).student == "resnet34_v1_w0.25"


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "does not describe a row"),
        ("[]", "does not describe a row"),
        ({**OWN, "place": 3}, "does not describe a row"),
        ({**OWN, "options": "--lr 1"}, "does not describe a row"),
        ({"cell": "x"}, "'script' is missing"),
        ({**OWN, "teacher_net": "x"}, "unknown field 'teacher_net'"),
        ({**OWN, "name": "x"}, "unknown field 'name'"),
        ("[" * 100000, "does not describe a row"),
        ({**OWN, "dataset": ["voc"]}, "'dataset' is not a text"),
        ({**OWN, "teacher_row": 7}, "'teacher_row' is not a text"),
        ({**OWN, "student": None}, "'student' is missing"),
        ({**OWN, "published": "75.4"}, "'published' is not a number"),
        ({**OWN, "place": "abc"}, "'place' is not the table"),
        ({**OWN, "place": [9, 1, 1]}, "'place' is not the table"),
        ({**OWN, "script": "train_yolo.py"}, "script 'train_yolo.py' is not train_ssd_gkd.py"),
    ],
)
def test_a_file_that_is_not_a_row_is_one_clear_line(content, message, tmp_path):
    with pytest.raises(UserError, match=f"mine.json:? {message}") as error:
        by_name(row_file(tmp_path, content))
    assert "\n" not in str(error.value)


def test_a_row_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.json does not describe a row .*No such file"):
        by_name(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    "script, dataset, option",
    [
        ("train_ssd_gkd.py", "voc", "voc"),
        ("train_ssd_gkd.py", "voc07", "voc07"),
        ("train_faster_rcnn_gkd.py", "voc07", "voc"),
        ("train_faster_rcnn_gkd.py", "voc", "voc0712"),
    ],
)
def test_a_data_set_has_one_name_in_rows_whatever_the_script_calls_it(
    script, dataset, option, tmp_path
):
    row = by_name(row_file(tmp_path, {**OWN, "script": script, "dataset": dataset}))
    assert row.command().options["dataset"] == option


def test_similar_names_are_suggested():
    with pytest.raises(
        UserError, match=r"'mobilenet1.0-resnet5': did you mean mobilenet1.0-resnet50"
    ):
        by_name("mobilenet1.0-resnet5")


def scale_text(**changes):
    options = {"train_ssd_gkd.py": {}, "train_faster_rcnn_gkd.py": {}}
    images = dict.fromkeys(("train", "val", "test"), 8)
    return json.dumps({"width": 0.25, "images": images, "options": options, **changes})


@pytest.mark.parametrize(
    "text",
    [
        *(None, "{", "[]", "[" * 100000, '{"wide": 1}', '{"options": {}}'),
        scale_text(width="x"),
        scale_text(width=0),
        scale_text(images=["train", "val", "test"]),
        scale_text(images={"train": -1, "val": 1, "test": 1}),
        scale_text(options={"train_ssd_gkd.py": 3, "train_faster_rcnn_gkd.py": {}}),
        scale_text(student_options=[1]),
        scale_text(student_options={"mobilenet1.0": 3}),
    ],
)
def test_a_file_that_is_not_a_scale_is_one_clear_line(text, tmp_path):
    file = tmp_path / "own.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=r"--scale .*own.json: give paper, tiny, or a file"):
        scales.load(str(file))


def test_a_scale_of_ones_own_needs_width_images_and_options_only(tmp_path):
    file = tmp_path / "own.json"
    file.write_text(scale_text())
    assert scales.load(str(file)).name == "own"
