"""Names say what a network is; those of the paper's tables come from its data."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_kd_ssd import zoo as model_zoo
from gan_kd_ssd.detectors.names import NetworkName
from gan_kd_ssd.paper.rows import cells
from gan_kd_ssd.zoo import model_names
from gan_kd_ssd.zoo.model_names import ModelName

ROOT = Path(__file__).resolve().parents[2]


def test_every_student_of_the_three_tables_has_a_name_with_its_teacher_in_it():
    listed = model_zoo.get_model_list()
    for name in (
        "ssd_512_mobilenet1.0_voc_gkd_vgg16_atrous",
        "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1",
        "ssd_512_mobilenet1.0_voc_gkd_resnet101_v2",
        "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos",
        "ssd_512_mobilenetv2_1.0_voc_gkd_resnet50_v1",
        "ssd_512_resnet18_v1_voc_gkd_resnet101_v2",
        "ssd_512_mobilenet0.75_coco_gkd_resnet50_v1",
        "ssd_512_mobilenet1.0_coco_gkd_resnet50_v1",
        "ssd_512_mobilenetv2_1.0_coco_gkd_resnet50_v1",
        "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roipool",
        "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roialign",
    ):
        assert name in listed
    assert len(set(listed)) == len(listed)


def test_every_figure_of_the_tables_is_listed_or_published_by_gluoncv():
    listed = set(model_zoo.get_model_list())
    for cell in cells():
        name = str(model_names.of_row(cell))
        assert name in listed or (cell.teacher is None and name in model_names.GLUONCV_PUBLISHES)
    own = {
        name for name in listed if model_names.parse(name).cell is None
    }  # teachers to be trained
    assert own == {"faster_rcnn_resnet101_v1d_voc_roialign"}


def test_a_name_of_the_paper_has_its_figure():
    cosine = model_names.parse("ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos")
    assert cosine.cell.published == 78.4
    pool = model_names.parse("faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roipool")
    assert (pool.cell.published, pool.roi_mode) == (73.8, "pool")
    assert model_names.parse("ssd_256_mobilenet1.0_voc_gkd_resnet50_v1_cos").cell is None


def test_names_that_gluoncv_publishes_are_known_exactly():
    from gluoncv.model_zoo import model_store

    theirs = {name for name in model_store._model_sha1 if model_names.parse(name)}
    assert theirs == model_names.GLUONCV_PUBLISHES
    assert not any(model_names.ours(name) for name in theirs)


def ssd(student, data, size, **more):
    return ModelName(NetworkName("ssd", student, data_shape=size), data, **more)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "ssd_128_resnet10_v1_0.125_shapes_gkd_resnet10_v1_0.5",
            ssd("resnet10_v1_0.125", "shapes", 128, teacher="resnet10_v1_0.5"),
        ),
        (
            "ssd_128_resnet18_v1_w0.25_shapes_gkd_vgg16_atrous_w0.25",
            ssd("resnet18_v1_w0.25", "shapes", 128, teacher="vgg16_atrous_w0.25"),
        ),
        ("ssd_300_mobilenet1.0_lite_coco", ssd("mobilenet1.0_lite", "coco", 300)),
        ("ssd_512_mobilenet1.0_voc_plain", ssd("mobilenet1.0", "voc", 512, plain=True)),
        (
            "faster_rcnn_fpn_resnet50_v1b_coco_gkd_resnet101_v1d_roipool",
            ModelName(
                NetworkName("faster_rcnn", "resnet50_v1b", fpn=True),
                "coco",
                teacher="resnet101_v1d",
                roi_mode="pool",
            ),
        ),
    ],
)
def test_a_name_is_read_and_written_again(text, what):
    assert model_names.parse(text) == what and str(what) == text


def test_roialign_may_be_left_out():
    short = "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d"
    assert str(model_names.parse(short)) == f"{short}_roialign"


@pytest.mark.parametrize(
    "text",
    [
        "ssd_512_resnet50_v1",  # no data set
        "ssd_512_resnet50_v1_custom",  # GluonCV's
        "ssd_300_mobilenet1.0_lite",
        "ssd_512_mobilenet1.0_voc_roipool",
        "ssd_512_mobilenet1.0_voc_cos",
        "ssd_512_mobilenet1.0_voc_plain_gkd_resnet50_v1",
        "ssd_0_mobilenet1.0_voc",
        "resnet50_v1",
        "../ssd_512_resnet18_v1_voc",
        "ssd_512_resnet18_v1_voc/..",
        "ssd_512_resnet18_v1_voc\n",
        "ssd_512_resnet18_v1_v\0c",
        "ssd_٥١٢_resnet18_v1_voc",
    ],
)
def test_what_is_no_name_of_the_zoo_is_not_read(text):
    assert model_names.parse(text) is None


@given(st.text(alphabet="sd_512resnt18v1.voc/\\-\0gkdatrus", max_size=60))
def test_no_name_leads_out_of_a_folder(text):
    what = model_names.parse(text)
    assert what is None or not set("/\\\0-") & set(str(what))


def test_the_command_of_a_row_is_that_of_the_tables():
    for cell in cells():
        assert model_names.of_row(cell).command() == cell.command()


def test_the_commands_are_options_that_the_scripts_take():
    from helpers.options import parse_train_faster_rcnn, parse_train_ssd

    for text in (
        *model_zoo.get_model_list(),
        "ssd_128_resnet10_v1_0.125_shapes_gkd_resnet10_v1_0.5_cos",
        "faster_rcnn_fpn_resnet10_v1_0.25_bccd_gkd_resnet18_v1_0.25_roipool",
    ):
        name = model_names.parse(text)
        command = name.command()
        ssd = command.script == "train_ssd_gkd.py"
        options = (parse_train_ssd if ssd else parse_train_faster_rcnn)(command.words())
        assert ssd == name.is_ssd
        assert options.student == name.student
        assert (options.distill == "gan") == (name.teacher is not None)
        assert name.teacher in (None, options.teacher)
        assert bool(options.cosine_attention) == name.cosine
        if ssd:
            assert options.data_shape == name.size
        else:
            assert (options.use_fpn, options.roi_mode) == (name.network.fpn, name.roi_mode)


def test_a_teacher_that_nobody_publishes_comes_first_in_the_advice():
    tables = model_names.parse("ssd_512_mobilenet1.0_voc_gkd_resnet50_v1")
    assert tables.teacher_name() == "ssd_512_resnet50_v1_voc"
    assert tables.teacher_command() is None and "--teacher-params" not in tables.advice()
    faster = model_names.parse("faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roipool")
    assert faster.teacher_name() == "faster_rcnn_resnet101_v1d_voc_roialign"
    first, _, then = faster.advice().partition("train the network with")
    assert "--student resnet101_v1d" in first and "--distill none" in first
    assert "--roi-mode" not in first and "--roi-mode pool" in then
    thin = model_names.parse("ssd_128_resnet10_v1_0.125_shapes_gkd_resnet10_v1_0.5")
    prefix = thin.teacher_command().options["save_prefix"]
    assert thin.command().options["teacher_params"] == f"{prefix}_best.params"


def test_names_are_answered_without_mxnet():
    code = (
        "import sys\n"
        "from gan_kd_ssd import zoo\n"
        "assert len(zoo.get_model_list()) > 20\n"
        "from gan_kd_ssd.cli.main import main\n"
        "assert main(['zoo', 'list']) == 0\n"
        "sys.exit(' '.join({'mxnet', 'gluoncv', 'numpy'} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
