"""A training run becomes a release, which another machine fetches and evaluates to the same mAP."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gan_kd_ssd import zoo as model_zoo
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.files import digests
from gan_kd_ssd.util.mxnet import mx
from gan_kd_ssd.zoo.publish import card, find_run, publish
from gan_kd_ssd.zoo.releases import newest, parse_index, release_of
from gan_kd_ssd.zoo.store import Store
from helpers import model_zoo_index as zoo
from helpers.file_server import FileServer
from helpers.runs import CLASSES, SIZE, lines

ROOT = Path(__file__).resolve().parents[2]
TEACHER = f"ssd_{SIZE}_resnet10_v1_0.25_datashapes"
NAME = f"ssd_{SIZE}_resnet10_v1_0.125_datashapes_gkd_resnet10_v1_0.25"


@pytest.fixture(scope="module")
def releases(whole, teacher_params, tmp_path_factory):
    """A folder with a distilled student and its teacher, as two runs of the real script gave them."""
    folder = tmp_path_factory.mktemp("releases")
    publish(whole, folder)
    publish(teacher_params, folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    """Prefix of a copy of a run, to spoil."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in whole.parent.glob(f"{whole.name}_*"):
        shutil.copy(path, folder / path.name)
    return folder / whole.name


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Another machine: an empty store, no repository."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GAN_KD_SSD_REPO", raising=False)
    return tmp_path / "home" / "models"


def validation(prefix):
    """The validation of the best weights, as the run's own log has it."""
    found = [json.loads(line) for line in lines(prefix, "metrics.jsonl")]
    return max((v for v in found if v["kind"] == "validation"), key=lambda v: v["mAP"])


def metrics(prefix):
    return [json.loads(line) for line in lines(prefix, "metrics.jsonl")]


def rewrite(prefix, records):
    Path(f"{prefix}_metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


def test_train_publish_fetch_and_evaluate_give_the_same_map(
    releases, whole, shapes_folder, here, tmp_path
):
    """The whole way through the real scripts, in processes of their own, over HTTP."""
    with FileServer() as server:
        server.files = {path.name: path.read_bytes() for path in releases.iterdir()}
        env = {**os.environ, "GAN_KD_SSD_REPO": server.url, "MXNET_HOME": str(here.parent)}
        env.update({"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"})

        def script(*words):
            done = subprocess.run(
                [sys.executable, *map(str, words)],
                **{"env": env, "cwd": tmp_path, "capture_output": True, "text": True},
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        path = Path(script("-m", "gan_kd_ssd", "zoo", "fetch", NAME).strip())
        common = [ROOT / "eval_voc.py", "--network", NAME, "--dataset", shapes_folder, "--gpus", ""]
        common += ["--val-split", "val"]
        script(*common, "--pretrained", "True", "--json", "newest.json")
        server.files.clear()  # from here on without a repository
        version = path.stem.rpartition("-")[2]
        script(*common, "--pretrained", version, "--json", "version.json")
    assert path.read_bytes() == Path(f"{whole}_best.params").read_bytes()
    expected = validation(whole)
    for name in ("newest.json", "version.json"):
        found = json.loads((tmp_path / name).read_text())
        assert found["mAP"] == expected["mAP"]
        assert found["params"] == str(path) and found["data_shape"] == SIZE
    assert [sent for sent in server.requests if sent[0].endswith(".params")] == [(path.name, None)]


def test_the_published_network_comes_back_as_it_was_trained(releases, whole, here, monkeypatch):
    monkeypatch.setenv("GAN_KD_SSD_REPO", f"file:{releases}")
    net = model_zoo.get_model(NAME, pretrained=True)
    saved = mx.nd.load(f"{whole}_best.params")
    loaded = net._collect_params_with_prefix()
    assert set(saved) == set(loaded)
    for key, value in saved.items():
        np.testing.assert_array_equal(loaded[key].data().asnumpy(), value.asnumpy())
    assert list(net.classes) == metrics(whole)[0]["classes"]
    version = digests(Path(f"{whole}_best.params"))[0][:8]
    monkeypatch.delenv("GAN_KD_SSD_REPO")
    two = model_zoo.get_model(NAME, pretrained=version, ctx=[mx.cpu(0), mx.cpu(1)])
    assert two.collect_params().list_ctx() == [mx.cpu(0), mx.cpu(1)]
    with pytest.raises(UserError, match=r"weights of .* are for cross, disc"):
        model_zoo.get_model(NAME, pretrained=True, classes=CLASSES)


def test_a_release_is_all_that_its_index_says(releases, whole):
    index = parse_index((releases / "index.json").read_bytes(), "x")
    assert list(index) == sorted([NAME, TEACHER])
    entry, fields = newest(index[NAME]), newest(index[NAME]).fields
    best = Path(f"{whole}_best.params")
    assert hashlib.sha256(best.read_bytes()).hexdigest() == entry.weights.sha256
    assert entry.file == f"{NAME}-{hashlib.sha1(best.read_bytes()).hexdigest()[:8]}.params"
    expected, first = validation(whole), metrics(whole)[0]
    assert (entry.mean_ap, fields["epoch"]) == (expected["mAP"], expected["epoch"])
    assert fields["class_mAP"] == expected["classes"] and fields["last_epoch"] == 3
    assert (entry.classes, entry.input_size) == (first["classes"], (SIZE,))
    assert fields["network"] == "resnet10_v1_0.125" and fields["versions"] == first["versions"]
    assert fields["teacher"]["sha256"] == first["teacher"]["sha256"]
    assert "/" not in fields["teacher"]["file"]
    assert json.loads((releases / f"{entry.stem}.json").read_text()) == fields
    for kind, key in (("train.log", "log"), ("metrics.jsonl", "metrics")):
        released = releases / fields[key]
        assert released.read_bytes() == Path(f"{whole}_{kind}").read_bytes()
    from gan_kd_ssd.logs.run_metadata import classes_beside

    assert classes_beside(releases / entry.file) == entry.classes


def test_the_card_says_what_was_done_and_how_well(releases, whole):
    (path,) = releases.glob(f"{NAME}-*.md")
    text, first, best = path.read_text(), metrics(whole)[0], validation(whole)
    assert text.startswith(f"# {NAME}\n")
    for part in (
        f"| **mean (mAP)** | **{best['mAP']:.4f}** |",
        f"| cross | {best['classes']['cross']:.4f} |",
        "gan-kd train-ssd --student resnet10_v1_0.125",
        f"| train | {first['data']['train']['name']} | 24 |",
        f"mAP {first['teacher']['mAP']:.4f} on the same validation data",
        first["teacher"]["sha256"],
        f"| git | {first['versions']['git']} |",
        f"({best['epoch']} of 3)",
        "`--update separate`",
        "`--student-head teacher`",
        "Licence of these weights: not stated",
    ):
        assert part in text
    for name, digest in re.findall(r"\| `(\S+)` \| [\d,]+ \| `(\w{64})` \|", text):
        assert digests(releases / name)[1] == digest
    (teacher,) = releases.glob(f"{TEACHER}-*.md")
    assert "without a teacher" in teacher.read_text() and "inferred" not in teacher.read_text()


def test_publishing_again_changes_nothing_but_the_time(run, tmp_path):
    first = publish(run, tmp_path / "zoo")
    before = {p.name: p.read_bytes() for p in (tmp_path / "zoo").iterdir()}
    second = publish(run, tmp_path / "zoo")
    after = {p.name: p.read_bytes() for p in (tmp_path / "zoo").iterdir()}
    assert (
        first.weights.sha1 == second.weights.sha1
        and first.fields["published"] < second.fields["published"]
    )
    changed = {name for name in before if before[name] != after[name]}
    assert set(before) == set(after) and changed == {"index.json", f"{first.stem}.json"}


def test_other_weights_of_a_name_become_its_newest_version(run, tmp_path):
    first = publish(run, tmp_path / "zoo")
    arrays = mx.nd.load(f"{run}_best.params")
    name = "class_predictors.0.predictor.bias"
    mx.nd.save(f"{run}_best.params", {**arrays, name: arrays[name] + 1})
    second = publish(run, tmp_path / "zoo", licence="CC0 |\nall of it")
    index = parse_index((tmp_path / "zoo" / "index.json").read_bytes(), "x")
    assert [e.weights.sha1 for e in index[NAME]] == [first.weights.sha1, second.weights.sha1]
    assert newest(index[NAME]).weights.sha1 == second.weights.sha1
    assert newest(index[NAME], first.version).weights.sha1 == first.weights.sha1
    assert "CC0 | all of it" in (tmp_path / "zoo" / second.fields["card"]).read_text()


def test_a_run_is_found_by_its_prefix_its_weights_or_its_folder(run):
    for text in (run, f"{run}_best.params", run.parent):
        assert find_run(str(text)).prefix == str(run)
    shutil.copy(f"{run}_metrics.jsonl", run.parent / "other_metrics.jsonl")
    with pytest.raises(UserError, match=r"the folder holds 2 runs.*name one"):
        find_run(str(run.parent))


@pytest.mark.parametrize("kind", ["best.params", "train.log", "metrics.jsonl"])
def test_a_run_that_lacks_a_file_is_refused(run, tmp_path, kind):
    Path(f"{run}_{kind}").unlink()
    with pytest.raises(UserError, match=f"_{kind}: no such file"):
        publish(run, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_a_run_without_a_finite_map_is_refused(run, tmp_path):
    rewrite(run, [r for r in metrics(run) if r["kind"] != "validation"])
    with pytest.raises(UserError, match="no validation with a finite mAP"):
        publish(run, tmp_path / "zoo")
    rewrite(run, [{**r, "mAP": "nan"} if "mAP" in r else r for r in metrics(run)])
    with pytest.raises(UserError, match="no validation with a finite mAP"):
        publish(run, tmp_path / "zoo")


def test_weights_that_are_not_the_run_s_are_refused(run, teacher_params, tmp_path):
    best = Path(f"{run}_best.params")
    arrays = mx.nd.load(str(best))
    shutil.copy(teacher_params, best)
    with pytest.raises(UserError, match=r"resnet10_v1_0\.125"):
        publish(run, tmp_path / "zoo")
    name = "class_predictors.0.predictor.bias"
    mx.nd.save(str(best), {**arrays, name: arrays[name] * np.nan})
    with pytest.raises(UserError, match=f"{name} has a value that is not finite"):
        publish(run, tmp_path / "zoo")
    best.write_bytes(best.read_bytes()[:1000])
    with pytest.raises(UserError, match="truncated"):
        publish(run, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_the_map_is_that_of_the_weights_that_were_kept(run):
    """A resumed run's log has the epochs after its state twice: the last line of best_map.log tells."""
    records = metrics(run)
    first = records[0]
    (number, best) = max(
        ((i, r) for i, r in enumerate(records) if r["kind"] == "validation"),
        key=lambda pair: pair[1]["mAP"],
    )
    stopped = {**best, "mAP": best["mAP"] + 0.1}  # was measured, then lost: the state is older
    resumed = {**first, "namespace": {**first["namespace"], "resume": "x_state.zip"}}
    rewrite(run, [*records[:number], stopped, resumed, *records[number:]])
    found = find_run(str(run))
    assert found.best.mean == best["mAP"] and found.last_epoch == 3
    Path(f"{run}_best_map.log").write_text("0009:\t0.1234\n")
    with pytest.raises(UserError, match=r"best_map.log: .*last line \(epoch 0009, mAP 0.1234\)"):
        find_run(str(run))


def test_an_earlier_run_in_the_same_log_does_not_count(run):
    records = metrics(run)
    earlier = [{**r, "mAP": 0.99} if r["kind"] == "validation" else r for r in records]
    rewrite(run, [*earlier, *records])
    Path(f"{run}_best_map.log").unlink()
    assert find_run(str(run)).best.mean == validation_of(records)


def test_the_runs_that_a_run_goes_on_from_count(run):
    records = metrics(run)
    earlier = [{**r, "mAP": 0.99} if r["kind"] == "validation" else r for r in records]
    first = next(i for i, r in enumerate(records) if r["kind"] == "validation") + 1
    state, other, weights = (
        {**records[0], "namespace": {**records[0]["namespace"], "resume": name}}
        for name in ("x_state.zip", "y_state.zip", "x_best.params")
    )
    Path(f"{run}_best_map.log").unlink()
    best = validation_of(records[first:])
    for lines_of_file, expected in (
        ([*earlier, state, *records[first:]], 0.99),
        ([*earlier, state, *records[first:], state], 0.99),  # there was nothing left to train
        ([*earlier, records[0]], 0.99),  # begun anew: the weights are still the earlier run's
        ([*earlier, other, *records[first:]], best),
        ([*earlier, weights, *records[first:]], best),
    ):
        rewrite(run, lines_of_file)
        found = find_run(str(run))
        assert (found.best.mean, found.last_epoch) == (expected, 3)


def validation_of(records):
    return max(r["mAP"] for r in records if r["kind"] == "validation")


def test_a_log_of_another_program_is_refused(run):
    records = metrics(run)
    del records[0]["namespace"]["student"]
    rewrite(run, records)
    with pytest.raises(UserError, match="does not name student and classes"):
        find_run(str(run))


def with_options(run, **changes):
    """The name of a run with other options."""
    records = metrics(run)
    options = {**records[0]["namespace"], **changes}
    records[0].pop("detector", None)  # as in older runs: the options decide the kind
    rewrite(run, [{**records[0], "namespace": options}, *records[1:]])
    return find_run(str(run))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"dataset": "shapes", "cosine_attention": 1.0}, "{}_shapes_gkd_resnet10_v1_0.25_cos"),
        ({"dataset": "coco", "distill": "none"}, "{}_coco"),
        ({"dataset": "voc07", "distill": "none", "cosine_attention": 1.0}, "{}_voc07"),
        ({"dataset": "/data/BCCD-2 (new)/", "distill": "none"}, "{}_bccd2new"),
        ({"dataset": "/data/07", "distill": "none"}, "{}_data07"),
        ({"dataset": "/data/voc", "distill": "none"}, "{}_datavoc"),
    ],
)
def test_a_name_follows_from_the_options(run, changes, name):
    expected = name.format(f"ssd_{SIZE}_resnet10_v1_0.125")
    assert str(with_options(run, **changes).name) == expected


def test_a_network_that_gluoncv_publishes_is_plain(run):
    options = {"student": "ssd_512_mobilenet1.0_voc", "data_shape": 512, "dataset": "voc"}
    found = with_options(run, **options, distill="none")
    assert str(found.name) == "ssd_512_mobilenet1.0_voc_plain"


def test_faster_rcnn_is_named_with_its_pooling(run):
    first, *others = metrics(run)
    rewrite(run, [{**first, "detector": "faster_rcnn"}, *others])
    student = {"student": "faster_rcnn_fpn_resnet50_v1b_coco", "teacher": "resnet101_v1d"}
    found = with_options(run, **student, use_fpn=False, roi_mode="pool", dataset="voc")
    assert str(found.name) == "faster_rcnn_fpn_resnet50_v1b_voc_gkd_resnet101_v1d_roipool"
    found = with_options(run, student="resnet50_v1b", dataset="voc07", cosine_attention=1.0)
    assert str(found.name) == "faster_rcnn_resnet50_v1b_voc_gkd_resnet101_v1d_cos_roipool"


def test_a_faster_rcnn_is_published_and_comes_back_with_its_pooling_and_sides(
    train_rcnn, shapes_folder, tmp_path, here, monkeypatch
):
    from gan_kd_ssd.cli.eval_command import run as evaluate

    prefix = tmp_path / "run" / "x"
    train_rcnn(*("--distill", "none", "--epochs", 1, "--roi-mode", "pool", "--save-prefix", prefix))
    entry = publish(prefix, tmp_path / "zoo")
    assert entry.name == "faster_rcnn_resnet10_v1_0.125_datashapes_roipool"
    assert entry.input_size == (64, 96)
    text = (tmp_path / "zoo" / f"{entry.stem}.md").read_text()
    assert "RoI pool, short side 64, longest side 96 pixels" in text
    monkeypatch.setenv("GAN_KD_SSD_REPO", f"file:{tmp_path / 'zoo'}")
    net = model_zoo.get_model(entry.name, pretrained=True)
    assert (net.short, net.max_size, net._roi_mode) == (64, 96, "pool")
    saved = mx.nd.load(f"{prefix}_best.params")
    for key, parameter in net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), saved[key].asnumpy())
    words = ["--network", entry.name, "--dataset", shapes_folder, "--val-split", "val"]
    words += ["--gpus", "", "--json", tmp_path / "eval.json"]
    assert evaluate([str(word) for word in words]) == 0
    assert json.loads((tmp_path / "eval.json").read_text())["mAP"] == validation(prefix)["mAP"]
    (path,) = here.glob("*.params")  # the file alone knows what it is, by what stands beside it
    words[1], words[-1] = "faster_rcnn_resnet10_v1_0.125", tmp_path / "alone.json"
    assert evaluate([str(word) for word in [*words, "--params", path]]) == 0
    assert json.loads((tmp_path / "alone.json").read_text())["mAP"] == validation(prefix)["mAP"]


def test_weights_that_change_while_they_are_copied_are_not_released(run, tmp_path, monkeypatch):
    copy = shutil.copyfile

    def changing(source, target):
        copy(source, target)
        if str(source).endswith(".params"):
            with open(target, "ab") as file:
                file.write(b"more")

    monkeypatch.setattr(shutil, "copyfile", changing)
    with pytest.raises(UserError, match="is still being written"):
        publish(run, tmp_path / "zoo")
    assert not (tmp_path / "zoo" / "index.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "x",
        f"ssd_{SIZE}_resnet10_v1_0.25_mine_gkd_resnet10_v1_0.25",
        f"ssd_{SIZE}_resnet10_v1_0.125_mine_gkd_resnet10_v1_0.5",
        f"ssd_{SIZE}_resnet10_v1_0.125_mine_gkd_resnet10_v1_0.25_cos",
        f"ssd_{SIZE}_resnet10_v1_0.125_mine",
        f"ssd_{SIZE}_resnet10_v1_0.125_voc_gkd_resnet10_v1_0.25",
        "ssd_128_resnet10_v1_0.125_mine_gkd_resnet10_v1_0.25",
    ],
)
def test_a_name_that_does_not_fit_the_run_is_refused(run, tmp_path, name):
    with pytest.raises(UserError, match=f"--name '?{re.escape(name)}.*{re.escape(NAME)}"):
        publish(run, tmp_path / "zoo", name=name)
    assert not (tmp_path / "zoo").exists()


def test_a_folder_of_images_may_have_another_name(run, teacher_params, tmp_path):
    name = NAME.replace("datashapes", "mine")
    assert publish(run, tmp_path / "zoo", name=name).name == name
    plain = TEACHER.replace("datashapes", "mine_plain")
    assert publish(teacher_params, tmp_path / "zoo", name=plain).name == plain
    with_options(run, dataset="shapes")
    with pytest.raises(UserError, match="contradicts the run"):
        publish(run, tmp_path / "zoo", name=name)


def test_the_card_of_a_row_of_the_paper_compares_with_the_paper(whole):
    name = "ssd_512_mobilenet1.0_voc_gkd_resnet50_v1_cos"
    fields = {"metric": "VOC07", "evaluated_on": "x", "epoch": 3, "last_epoch": 3}
    teacher = {"file": "t.params"}
    fields.update(licence="CC0", teacher=teacher)
    release = release_of(zoo.entry(b"x", name, data_shape=512, mAP=0.7771, **fields))
    text = card(release, find_run(str(whole)), {})
    assert "table 1 has 78.4 for this pair; these weights have 77.7 (-0.7)" in text


def test_an_index_that_is_damaged_is_not_written_over(run, tmp_path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "index.json").write_text("{")
    with pytest.raises(UserError, match=r"index.json: the index is damaged"):
        publish(run, tmp_path / "zoo")
    assert (tmp_path / "zoo" / "index.json").read_text() == "{"


def test_a_folder_that_cannot_be_made_is_named(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--to .*file/zoo"):
        publish(run, tmp_path / "file" / "zoo")


def test_two_publishers_at_once_lose_nothing(whole, teacher_params, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gan_kd_ssd", "zoo", "publish", "--to", tmp_path / "zoo"]
    running = [
        subprocess.Popen([*map(str, command), str(run)], env=env) for run in (whole, teacher_params)
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    index = parse_index((tmp_path / "zoo" / "index.json").read_bytes(), "x")
    assert sorted(index) == sorted([NAME, TEACHER])


def test_the_demo_publishes_its_networks(whole, teacher_params, tmp_path, monkeypatch):
    from gan_kd_ssd import demo

    monkeypatch.setattr(demo, "ZOO", tmp_path / "zoo")
    prefixes = {"teacher": Path(str(teacher_params)[: -len("_best.params")]), "gkd": whole}
    networks = [SimpleNamespace(files=SimpleNamespace(prefix=p)) for p in prefixes.values()]
    monkeypatch.setattr(demo, "NETWORKS", networks)
    assert demo.publish() == [TEACHER, NAME]
    monkeypatch.setenv("GAN_KD_SSD_REPO", f"file:{tmp_path / 'zoo'}")
    assert Store(tmp_path / "root").fetch(NAME).path.exists()
