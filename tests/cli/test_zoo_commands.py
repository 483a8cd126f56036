"""gan-kd zoo: what it prints, and its exit codes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gan_kd_ssd.cli.main import main
from gan_kd_ssd.util.download import part_name
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import Expected
from gan_kd_ssd.zoo import model_names
from helpers import model_zoo_index as zoo

CONTENT = b"weights" * 100
NAME = zoo.NAME
ENTRY = zoo.entry(CONTENT, metric="VOC07", evaluated_on="shapes val", command="python train")
FILE = ENTRY["file"]
BESIDE = FILE.replace(".params", ".json")
THEIRS = "ssd_512_resnet50_v1_voc-9c8b225a.params"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder that publishes one network."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "index.json").write_bytes(zoo.index(ENTRY))
    (folder / FILE).write_bytes(CONTENT)
    monkeypatch.setenv("GAN_KD_SSD_REPO", f"file:{folder}")
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty store with a file of GluonCV's and one of nobody's."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    for name in (THEIRS, "resnet50_v1-0ee57f85.params", "notes.json", "mine.params"):
        (folder / name).write_text("not ours")
    return folder


def call(capsys, *words):
    """Exit code, and what was printed to both streams."""
    code = main(["zoo", *map(str, words)])
    return code, *capsys.readouterr()


def test_the_list_is_an_aligned_table_with_the_names_of_the_paper_s_rows(repository, root, capsys):
    code, out, _ = call(capsys, "list")
    head, *lines = out.splitlines()
    found = lines[: lines.index("")]
    assert code == 0 and len(found) == len(model_names.paper_names()) + 1
    for column in ("row", "weights"):
        at = head.index(column)
        assert all(line[at - 1] == " " and line[at] != " " for line in found)
    cosine = next(line for line in found if "mobilenet1.0_voc_gkd_resnet50_v1_cos" in line)
    assert cosine.split()[1:] == ["mobilenet1.0-resnet50-cos", "78.4", "-", "none"]
    mine = next(line for line in found if line.startswith(NAME))
    assert mine.split()[1:] == ["-", "-", "25.0", "published"]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("mobilenet1.0-resnet50-cos", "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos"),
        ("teacher-resnet50", "ssd_512_resnet50_v1_voc"),
        ("coco-mobilenet1.0-plain", "ssd_512_mobilenet1.0_coco"),
    ],
)
def test_a_row_of_the_experiments_is_a_name(root, capsys, row, name):
    code, out, _ = call(capsys, "show", row)
    assert code == 0 and out.splitlines()[0] == name


def test_the_list_tells_what_is_here_and_what_is_published(repository, root, capsys):
    def row():
        _, out, _ = call(capsys, "list", "--json")
        return next((r for r in json.loads(out) if r["name"] == NAME), None)

    assert row()["weights"] == "published"
    call(capsys, "fetch", NAME, "--quiet")
    assert row()["weights"] == "here"
    shutil.rmtree(repository)
    code, _, err = call(capsys, "list")
    assert code == 0 and "the repository is not available" in err
    assert row() == {
        "name": NAME,
        "row": None,
        "student": "resnet10_v1_0.125, 128 px",
        "teacher": "resnet10_v1_0.5",
        "data": "shapes",
        "paper": None,
        "ours": 25.0,
        "weights": "here",
    }
    (root / FILE).unlink()
    assert row() is None


def test_show_tells_a_row_of_the_paper(root, capsys):
    code, out, _ = call(capsys, "show", "SSD_512_mobilenet1.0_voc_gkd_resnet50_v1_cos")
    assert code == 0
    assert "paper: table 1, mAP 78.4" in out
    assert "teacher: name ssd_512_resnet50_v1_voc, weights published by GluonCV" in out
    assert "command: gan-kd train-ssd --dataset voc --student mobilenet1.0" in out
    assert "weights: none are published" in out


def test_show_tells_the_files_of_a_network(repository, root, capsys):
    call(capsys, "fetch", NAME)
    code, out, _ = call(capsys, "show", NAME)
    assert code == 0
    for text in (
        f"file: {FILE}",
        "size: 700",
        "mAP: 0.25",
        "metric: VOC07",
        "evaluated_on: shapes val",
        f"sha256: {ENTRY['sha256']}",
        f"published: {repository / FILE}",
        f"here: {root / FILE}",
    ):
        assert text in out
    found = json.loads(call(capsys, "show", NAME, "--json")[1])
    assert [v["sha1"] for v in found["versions"]] == [ENTRY["sha1"]]


@pytest.mark.parametrize("words", [["list"], ["show", "mobilenet1.0-resnet50-cos"]])
def test_the_zoo_of_an_installed_package_works_from_any_folder(root, tmp_path, words):
    package = Path(__file__).resolve().parents[2] / "gan_kd_ssd"
    shutil.copytree(package, tmp_path / "site" / "gan_kd_ssd")
    done = subprocess.run(
        [sys.executable, "-m", "gan_kd_ssd", "zoo", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos" in done.stdout


def test_show_leads_from_a_name_without_cosine_attention_to_the_paper_s(root, capsys):
    name = "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d"
    _, out, _ = call(capsys, "show", name)
    assert f"the paper has {name}_cos_roialign: with cosine attention" in out


def test_show_knows_gluoncv_s_names_and_no_others(root, capsys):
    code, out, _ = call(capsys, "show", "yolo3_darknet53_voc")
    assert code == 0 and "GluonCV's zoo" in out
    code, _, err = call(capsys, "show", "yolo3_darknet35_voc")
    assert code == 2 and "did you mean yolo3_darknet53_voc" in err


def test_fetch_prints_the_paths_alone(repository, root, capsys):
    code, out, err = call(capsys, "fetch", NAME, "--quiet")
    assert (code, out, err) == (0, f"{root / FILE}\n", "")
    version, other = ENTRY["sha1"][:8], root.parent / "other"
    code, out, _ = call(capsys, "fetch", NAME, "--version", version, "--root", other)
    assert (code, out) == (0, f"{other / FILE}\n") and (other / FILE).read_bytes() == CONTENT


def test_fetch_asks_gluoncv_for_its_own(root, capsys, monkeypatch):
    from gluoncv.model_zoo import model_store

    asked = []
    monkeypatch.setattr(
        model_store,
        "get_model_file",
        lambda name, **given: asked.append((name, given)) or "x.params",
    )
    assert call(capsys, "fetch", "ssd_512_resnet50_v1_voc")[:2] == (0, "x.params\n")
    assert asked == [("ssd_512_resnet50_v1_voc", {"root": str(root)})]
    code, _, err = call(capsys, "fetch", "ssd_512_resnet50_v1_custom")
    assert code == 2 and "GluonCV publishes no weights of this network" in err

    def fail(*_, **__):
        raise OSError("no way\nmore")

    monkeypatch.setattr(model_store, "get_model_file", fail)
    code, _, err = call(capsys, "fetch", "resnet50_v1")
    assert code == 2 and "(no way)" in err


def test_verify_reads_all_of_ours_and_none_of_theirs(repository, root, capsys):
    code, out, _ = call(capsys, "verify")
    assert code == 0 and out == f"no weights of this zoo in {root}\n"
    call(capsys, "fetch", NAME)
    code, out, _ = call(capsys, "verify")
    assert (code, out.split()) == (0, [FILE, "intact"])
    (root / FILE).write_bytes(CONTENT[:-1] + b"?")
    code, out, _ = call(capsys, "verify", "--json")
    assert code == 1
    assert [one["file"] for one in json.loads(out)] == [FILE] and "sha1" in out
    (root / FILE).unlink()
    code, out, _ = call(capsys, "verify")
    assert code == 1 and "missing" in out
    (root / BESIDE).write_text("{")
    code, out, _ = call(capsys, "verify")
    assert code == 1 and f"fetch {BESIDE[:-5]} again" in out


def test_verify_compares_weights_without_a_release_with_their_name(root, capsys):
    (root / FILE).write_bytes(CONTENT)
    assert call(capsys, "verify")[0] == 0
    (root / FILE).write_bytes(CONTENT + b"?")
    code, out, _ = call(capsys, "verify")
    assert code == 1 and "damaged or renamed: sha1" in out


def test_a_file_beside_weights_that_is_another_s_is_damage(repository, root, capsys):
    call(capsys, "fetch", NAME)
    other = zoo.entry(b"other")
    (root / other["file"].replace(".params", ".json")).write_text(json.dumps(ENTRY))
    code, out, _ = call(capsys, "verify")
    assert code == 1 and "it describes" in out


def test_purge_removes_ours_and_nothing_else(repository, root, capsys):
    theirs = sorted(path.name for path in root.iterdir())
    other = zoo.entry(b"other", "ssd_64_resnet10_v1_0.25_shapes")
    (repository / "index.json").write_bytes(zoo.index(ENTRY, other))
    (repository / other["file"]).write_bytes(b"other")
    call(capsys, "fetch", NAME, other["name"])
    part = root / ".gan_kd_ssd" / part_name(FILE, Expected(sha256=ENTRY["sha256"]))
    part.write_bytes(b"half")
    code, out, _ = call(capsys, "purge", NAME)
    assert code == 0 and out.count("removed") == 3 and not part.exists()
    assert not (root / FILE).exists() and not (root / BESIDE).exists()
    assert (root / other["file"]).exists()
    code, out, _ = call(capsys, "purge", NAME)
    assert code == 0 and out == f"nothing to remove in {root}\n"
    assert call(capsys, "purge", "--all")[0] == 0
    assert sorted(path.name for path in root.iterdir() if path.is_file()) == theirs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either names or --all"),
        (["--all", NAME], "give either names or --all"),
        (["ssd_512_resnet50_v1_voc"], "belongs to GluonCV"),
        (["resnet50_v1"], "no network is called"),
        (["../x"], "no network is called"),
    ],
)
def test_purge_of_what_is_not_ours_is_refused(root, capsys, words, message):
    code, _, err = call(capsys, "purge", *words)
    assert code == 2 and message in err and len(err.splitlines()) == 1
    assert (root / THEIRS).exists()


def test_purge_never_empties_a_repository(repository, capsys):
    code, _, err = call(capsys, "purge", "--all", "--root", repository)
    assert code == 2 and "it is a repository" in err
    assert (repository / FILE).exists()


def test_publish_prints_the_name_and_says_the_rest_on_stderr(whole, tmp_path, capsys, monkeypatch):
    code, out, err = call(capsys, "publish", whole, "--to", tmp_path / "zoo")
    name, (weights, card, use) = out.strip(), err.splitlines()[-3:]
    assert code == 0 and model_names.ours(name) and out == f"{name}\n"
    assert Path(weights.partition(": ")[0]).name.startswith(f"{name}-") and "mAP 0.0" in weights
    assert Path(card.partition(": ")[2]).is_file()
    assert use.endswith(f"export GAN_KD_SSD_REPO={tmp_path / 'zoo'}")
    assert call(capsys, "verify", "--root", tmp_path / "zoo")[0] == 0
    monkeypatch.setenv("GAN_KD_SSD_REPO", str(tmp_path / "zoo"))
    code, out, _ = call(capsys, "fetch", name, "--root", tmp_path / "root")
    assert code == 0 and Path(out.strip()).is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch"], "NAME"),
        (["fetch", NAME, NAME, "--version", "12345678"], "--version"),
        (["fetch", NAME, "--version", "../x"], "--version ../x: give 8 hexadecimal digits"),
        (["fetch", "nothing_like_it"], "no network is called"),
        (["publish", "nowhere/x"], "nowhere/x_metrics.jsonl: no such file"),
        (["publsh"], "publsh"),
        (["list", "--jsn"], "--jsn"),
    ],
)
def test_wrong_use_is_one_line(root, capsys, words, message):
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "") and message in err and len(err.splitlines()) == 1
    assert err.startswith("gan-kd zoo: ")


def test_a_name_of_ours_becomes_what_eval_voc_takes(repository, root, tmp_path):
    from gan_kd_ssd.config.evaluation_options import parse
    from gan_kd_ssd.zoo import resolve

    options = parse(["--network", NAME, "--pretrained", "True"])
    options = resolve(options)
    assert options.params == root / FILE
    assert (options.network, options.data_shape) == ("resnet10_v1_0.125", 128)
    mine = tmp_path / "mine.params"
    mine.write_text("")
    for words, params in (([f"--params={mine}"], mine), (["--params", "no/x"], Path("no/x"))):
        options = parse(["--network", NAME, *words])
        options = resolve(options)
        assert (options.params, options.network) == (params, "resnet10_v1_0.125")
    options = parse(["--network", "ssd_512_resnet50_v1_voc"])
    assert resolve(options) == options
    with pytest.raises(UserError, match=r"--data-shape 64.*has 128 x 128 pixels"):
        resolve(parse(["--network", NAME, "--data-shape", "64"]))


def test_a_faster_rcnn_of_ours_brings_its_pooling_and_its_sides(repository, root):
    from gan_kd_ssd.config.evaluation_options import parse
    from gan_kd_ssd.zoo import resolve

    name = "faster_rcnn_fpn_resnet10_v1_0.25_shapes_gkd_resnet18_v1_0.25_roipool"
    entry = zoo.entry(b"faster", name, data_shape=[96, 160], norm_layer="bn")
    (repository / "index.json").write_bytes(zoo.index(entry))
    (repository / entry["file"]).write_bytes(b"faster")
    config = resolve(parse(["--network", name, "--max-size", "128"]))
    assert config.network == "faster_rcnn_fpn_resnet10_v1_0.25"
    assert config.params == root / entry["file"]
    assert (config.roi_mode, config.norm_layer) == ("pool", "bn")
    assert (config.short, config.max_size) == (96, 128)
    with pytest.raises(UserError, match=r"--roi-mode align.*has pool"):
        resolve(parse(["--network", name, "--roi-mode", "align"]))
