"""``gan-kd logs``: what a user types, sees, and gets as exit code."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.analysis.arguments import command_like, command_of, student_and_teacher
from gan_kd_ssd.cli.main import main
from gan_kd_ssd.config.command import COMMANDS, FASTER_RCNN, SSD, Command
from gan_kd_ssd.logs.log import encode
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, RunStart, Start, Step, Validation
from gan_kd_ssd.logs.write import format_record, json_record
from gan_kd_ssd.util.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
OURS = {  # a small run as train_ssd_gkd.py writes it
    "student": "resnet10_v1_0.25",
    "teacher": "resnet18_v1_0.5",
    "dataset": "shapes",
    "batch_size": 16,
    "log_interval": 5,
    "distill": "gan",
    "gan_epochs": 2,
    "pretrained_base": False,
    "quiet": True,
    "classes": None,
    "clamp_lower": -0.03,
    "save_prefix": "runs/a b",
    "lrD": 0.0005,
}
GAN = {"Loss_D": -0.5, "Loss_G": 1.0, "Loss_D_real": 0.5, "Loss_D_fake": 1.0}


def our_records():
    yield RunStart(OURS, {"data": {"train": {"images": 200}}})
    yield Start(1)
    for epoch in (1, 2, 3):
        phase = "gan" if epoch < 3 else "detection"
        figures = {**(GAN if phase == "gan" else {}), "CrossEntropy": 6.0 / epoch, "SmoothL1": 2.0}
        seen = 200 * (epoch - 1)
        yield Step(epoch, 9, 70.0 * epoch, {**figures, "cosine": 0.2}, seen + 160, phase)
        yield EpochEnd(epoch, figures, 60.0 * epoch, images=seen + 200, phase=phase)
        yield Validation(epoch, {"disc": 0.2 * epoch, "ring <b>": 0.0}, 0.1 * epoch, phase=phase)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    records = list(our_records())
    text, lines = folder / "a_train.log", folder / "a_metrics.jsonl"
    text.write_text("".join(map(format_record, records)), encoding="utf-8")
    lines.write_text("".join(map(json_record, records)), encoding="utf-8")
    return text


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    paths = {}
    for name in ("ssd", "faster_rcnn"):
        paths[name] = folder / f"{name}_train.log"
        paths[name].write_bytes(encode(reference(name).text()))
    return paths


def run(capsysbinary, *words):
    code = main(["logs", *map(str, words)])
    out, err = capsysbinary.readouterr()
    return code, out.decode(), err.decode()


@pytest.mark.parametrize("draws", [False, True], ids=["text", "plots"])
def test_no_command_imports_mxnet_and_only_plot_imports_matplotlib(published, tmp_path, draws):
    log, heavy = str(published["ssd"]), ["mxnet", "gluoncv"]
    commands = [["plot", log, "--html", "--out", f"{tmp_path}/x.html"]]
    if not draws:
        heavy += ["matplotlib", "numpy", "PIL"]
        commands = [["write", log], ["show", log], ["args", log], ["compare", log], ["show", "ssd"]]
        commands += [["tables", str(published["ssd"].parent)]]
    code = (
        "import sys; from gan_kd_ssd.cli.main import main; "
        f"codes = [main(['logs', *words]) for words in {commands!r}]; "
        f"found = set({heavy!r}) & set(sys.modules); "
        "sys.exit(f'imported {found}, {codes}' if found or any(codes) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_python_m_gives_the_exit_code(published):
    words = [sys.executable, "-m", "gan_kd_ssd", "logs", "compare", published["ssd"]]
    assert subprocess.run(words, cwd=ROOT, capture_output=True).returncode == 0
    words[-1] = "no.log"
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no.log" in done.stderr


@pytest.mark.parametrize("name", ["ssd", "faster_rcnn"])
def test_write_gives_the_file_to_the_byte(capsysbinary, published, name):
    assert main(["logs", "write", str(published[name])]) == 0
    assert capsysbinary.readouterr().out == published[name].read_bytes()


def test_write_turns_json_lines_into_the_text_log(capsysbinary, ours):
    assert main(["logs", "write", str(ours.with_name("a_metrics.jsonl"))]) == 0
    assert capsysbinary.readouterr().out == ours.read_bytes()


def test_write_keeps_bytes_that_are_not_utf8(capsysbinary, tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"caf\xe9\r\nStart training from [Epoch 1]")
    assert main(["logs", "write", str(path)]) == 0
    assert capsysbinary.readouterr().out == path.read_bytes()


def test_show_tells_segments_phases_mean_ap_and_speed(capsysbinary, published):
    code, out, _ = run(capsysbinary, "show", published["ssd"])
    assert code == 0
    assert "segment 2 lines 471..574  epochs by phase: detection 1..4; 4 validations" in out
    assert "inactive: Loss_D, Loss_G, Loss_D_real, Loss_D_fake in epochs 1..4" in out
    assert "best 0.7827 (epoch 221, line 449), last 0.7805" in out
    assert "every line was understood" in out
    assert "1.64x of detection only" in out


def test_show_counts_runs_without_figures(capsysbinary, published):
    _, out, _ = run(capsysbinary, "show", published["faster_rcnn"], "--last", 11)
    assert "run 1..39  lines 1..78  no figures" in out
    assert "mean of the last 11 0.7350 ± 0.0017" in out


def test_show_lists_what_was_not_understood(capsysbinary, tmp_path, ours):
    path = tmp_path / "x.log"
    path.write_text(ours.read_text() + "Segmentation \x1b[31mfault\nbest_map is 0.")
    _, out, _ = run(capsysbinary, "show", path)
    assert "not understood: 2 lines" in out
    assert "Segmentation \\x1b[31mfault" in out
    assert "the file ends within this line" in out


def test_show_prints_student_teacher_and_distillation(capsysbinary, ours, tmp_path):
    names = "student=resnet10_v1_0.25  teacher=resnet18_v1_0.5  distill=gan  dataset=shapes"
    assert names in run(capsysbinary, "show", ours)[1]
    plain = tmp_path / "x.log"
    plain.write_text(ours.read_text().replace("distill='gan'", "distill='none'"))
    shown = run(capsysbinary, "show", plain)[1]
    assert "student=resnet10_v1_0.25  distill=none  dataset=shapes" in shown
    published = run(capsysbinary, "show", "ssd")[1]
    assert "student=mobilenet1.0  teacher=resnet50_v1  dataset=voc" in published


def test_show_takes_the_images_per_epoch_from_the_json_lines_next_to_the_log(
    capsysbinary, ours, tmp_path
):
    assert "images    200 (12 batches) per epoch" in run(capsysbinary, "show", ours)[1]
    alone = tmp_path / "a_train.log"
    alone.write_bytes(ours.read_bytes())
    assert "145 to 239" in run(capsysbinary, "show", alone)[1]


@pytest.mark.parametrize("name", ["ssd", "faster_rcnn"])
def test_published_logs_are_read_by_their_names(capsysbinary, published, name, tmp_path):
    for words in (["show"], ["args"], ["write"], ["compare"]):
        by_name = run(capsysbinary, words[0], name)
        by_file = run(capsysbinary, words[0], published[name])
        original = reference(name).source
        assert by_name == tuple(
            text if i == 0 else text.replace(str(published[name]), original)
            for i, text in enumerate(by_file)
        )
    assert (
        command_like(name).options["batch_size"]
        == command_of(reference(name)).options["batch_size"]
    )
    out = tmp_path / "x.png"
    assert run(capsysbinary, "plot", name, "--reference", "none", "--out", out)[0] == 0


def test_show_json_is_strict_json(capsysbinary, ours):
    _, out, _ = run(capsysbinary, "show", ours, "--json")
    told = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert told["runs"][0]["mAP"]["best"] == pytest.approx(0.3)
    assert told["runs"][0]["phases"]["gan"]["epochs"] == 2


def test_args_of_the_ssd_log_are_taken_by_the_script(capsysbinary, published):
    from helpers.options import parse_train_ssd

    _, out, err = run(capsysbinary, "args", published["ssd"])
    words = shlex.split(out)
    assert words[:2] == ["gan-kd", COMMANDS[SSD]]
    options = parse_train_ssd(words[2:])
    namespace = reference("ssd").runs[-1].namespace
    assert {name: getattr(options, name) for name in namespace} == namespace
    assert (options.student, options.teacher) == ("mobilenet1.0", "resnet50_v1")
    assert (options.gan_epochs, options.gan_val_interval) == (221, 0)
    assert "save_prefix" in err


def test_all_ten_namespaces_become_command_lines():
    from helpers.options import parse_train_ssd

    seen = []
    for name in ("ssd", "faster_rcnn"):
        log = reference(name)
        for started in log.runs:
            if started.namespace not in seen:
                seen.append(started.namespace)
                command = command_of(log, started)
                assert command.script == (SSD if name == "ssd" else FASTER_RCNN)
                if name == "ssd":
                    assert parse_train_ssd(command.words()).lr == 0.001
                else:
                    _options_come_back(command, started.namespace)
    assert len(seen) == 10


def _options_come_back(command: Command, namespace: dict):
    words = command.words()
    for name, value in namespace.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            assert option not in words
        elif str(value).startswith("-"):
            assert f"{option}={value}" in words
        else:
            assert words[words.index(option) + 1] == str(value)


def test_args_of_our_own_log_repeat_it(capsysbinary, ours):
    _, out, err = run(capsysbinary, "args", ours)
    assert "--no-pretrained-base" in out and "--quiet" in out and "'runs/a b'" in out
    assert "--classes" not in out
    assert err == ""


def test_like_takes_the_options_of_a_log_of_its_own_script(published, ours):
    command = command_like(str(published["ssd"]), SSD)
    options = command.options
    assert (command.script, options["student"], options["batch_size"]) == (SSD, "mobilenet1.0", 64)
    assert command_like(str(ours)).options["teacher"] == "resnet18_v1_0.5"
    with pytest.raises(UserError, match=r"a log of train_faster_rcnn_gkd\.py"):
        command_like(str(published["faster_rcnn"]), SSD)


def test_a_plain_gluoncv_log_becomes_a_run_without_a_teacher():
    text = "Namespace(amp=False, batch_size=32, data_shape=512, dataset='voc', network='mobilenet1.0')\n"
    command = command_of(parse(text))
    assert command.options["student"] == "mobilenet1.0"
    assert command.options["distill"] == "none"
    assert "--amp" not in command.words() and "--network" not in command.words()


@pytest.mark.parametrize(
    "prefix, expected",
    [
        ("ssd_512_mobilenet1_0_resnet50_v1_voc_g_d_new", ("mobilenet1.0", "resnet50_v1")),
        ("ssd_512_mobilenetv2_1_0_resnet101_v2_voc", ("mobilenetv2_1.0", "resnet101_v2")),
        ("runs/ssd_300_resnet18_v1_vgg16_atrous_voc", ("resnet18_v1", "vgg16_atrous")),
        ("ssd_512_mobilenet0.75_voc", ("mobilenet0.75", None)),
        ("mine", (None, None)),
    ],
)
def test_student_and_teacher_are_read_from_save_prefix(prefix, expected):
    assert student_and_teacher(prefix) == expected


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_compare_of_a_small_run_says_not_comparable_and_why(capsysbinary, ours, form):
    code, out, _ = run(capsysbinary, "compare", ours, "--format", form)
    assert code == 3
    assert "mobilenet1.0" in out and "not comparable" in out
    if form == "json":
        assert json.loads(out)["exit_code"] == 3


def test_compare_with_a_file_as_reference(capsysbinary, ours):
    code, out, _ = run(capsysbinary, "compare", ours, "--reference", ours)
    assert (code, "verdict: within" in out) == (0, True)


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_compare_folds_arguments_that_are_the_same(capsysbinary, ours, tmp_path, form):
    path = tmp_path / "other.log"
    path.write_text(ours.read_text().replace("batch_size=16", "batch_size=8"))
    words = ["compare", path, "--reference", ours, "--format", form]
    _, folded, _ = run(capsysbinary, *words)
    _, whole, _ = run(capsysbinary, *words, "--all")
    assert "arguments are the same (see --all)" in folded and "are the same" not in whole
    for name, shown in {"batch_size": True, "log_interval": False, "clamp_lower": False}.items():
        assert (name in folded.replace("\\", "")) == shown
        assert name in whole.replace("\\", "")


def test_compare_of_a_changed_run_is_outside(capsysbinary, ours, tmp_path):
    path = tmp_path / "worse.log"
    path.write_text(ours.read_text().replace("CrossEntropy=2.000", "CrossEntropy=2.900"))
    code, out, _ = run(capsysbinary, "compare", path, "--reference", ours)
    assert (code, "outside" in out) == (1, True)


@pytest.mark.parametrize(
    "words, named",
    [
        (["show"], "log"),
        (["show", "/no/such.log"], "/no/such.log"),
        (["compare", "LOG", "--reference", "vgg"], "vgg"),
        (["compare", "LOG", "--run", "7"], "--run 7"),
        (["compare", "LOG", "--run", "0"], "'0'"),
        (["plot", "LOG", "--out", "x.gif"], "x.gif"),
        (["plot", "LOG", "LOG", "--html"], "--html"),
        (["plot", "LOG", "--out", "/no/such/x.png"], "/no/such/x.png"),
        (["plot", *["LOG"] * 5], "5 logs"),
        (["plot", "LOG", "--html", "--reference", "none"], "--html"),
        (["plot", "LOG", "--html", "--out", "x.png"], "x.png"),
        (["compare", "LOG", "--reference", "none"], "none"),
        (["compare", "LOG", "--ref", "ssd"], "--ref"),
        (["show", "LOG", "--las", "3"], "--las"),
        (["plot", "LOG", "--html", "--out", "LOG"], "--out"),
        (["tables", "/no/such"], "/no/such"),
        (["fly"], "fly"),
        ([], "COMMAND"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(capsysbinary, ours, words, named):
    before = ours.read_bytes()
    code, out, err = run(capsysbinary, *[ours if word == "LOG" else word for word in words])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
    assert ours.read_bytes() == before


@pytest.mark.parametrize("suffix, start", [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_plot_writes_a_picture(capsysbinary, ours, tmp_path, suffix, start):
    out = tmp_path / f"x.{suffix}"
    assert run(capsysbinary, "plot", "ssd", ours, "--out", out)[0] == 0
    assert out.read_bytes().startswith(start)
    assert len(out.read_bytes()) > 5000


def test_a_picture_replaces_an_earlier_one_whole_and_leaves_nothing_beside(
    capsysbinary, ours, tmp_path
):
    out = tmp_path / "x.svg"
    out.write_text("earlier")
    assert run(capsysbinary, "plot", ours, "--out", out)[0] == 0
    assert "<svg" in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


def test_a_plot_without_reference_shows_only_the_given_logs(capsysbinary, ours, tmp_path):
    pictures = []
    for words in ([], ["--reference", "none"]):
        pictures.append(tmp_path / f"{len(pictures)}.svg")
        run(capsysbinary, "plot", ours, *words, "--out", pictures[-1])
    assert [reference_line in path.read_text() for path in pictures] == [True, False]


#: The colour and the width of the curve of the reference.
reference_line = "stroke: #8a8a8a; stroke-width: 2.6"


def test_the_page_stands_alone_and_escapes_what_it_shows(capsysbinary, ours, tmp_path):
    out = tmp_path / "x.html"
    assert run(capsysbinary, "plot", ours, "--html", "--out", out)[0] == 0
    page = out.read_text(encoding="utf-8")
    assert "ring &lt;b&gt;" in page and "<b>" not in page
    assert "data:image/svg+xml;base64," in page
    assert f"against the published {reference('ssd').source}" in page
    assert 'src="http' not in page and "href" not in page and "<script" not in page
    for part in ("Verdicts", "Curves", "Classes", "Arguments", "not comparable", "--gan-epochs 2"):
        assert part in page


def test_tables_find_runs_and_give_commands(capsysbinary, published):
    from helpers.options import parse_train_ssd

    _, out, _ = run(capsysbinary, "tables", published["ssd"].parent, "--json")
    rows = json.loads(out)
    found = {row["cell"]: row["ours"] for row in rows if row["ours"]}
    assert {cell: round(value, 1) for cell, value in found.items()} == {
        "mobilenet1.0 from resnet50_v1 with cosine attention": 78.3,
        "resnet50_v1b from resnet101_v1d with cosine attention, RoI pool": 73.8,
    }
    for row in rows:
        words = shlex.split(row["command"])
        assert words[0] == "gan-kd" and words[1] in COMMANDS.values()
        if words[1] == COMMANDS[SSD]:
            parse_train_ssd(words[2:])


def test_tables_without_a_folder_show_the_published_figures(capsysbinary):
    code, out, _ = run(capsysbinary, "tables")
    assert code == 0
    assert "published 78.4" in out and "Table 3" in out
