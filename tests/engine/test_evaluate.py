"""eval_voc.py from its options to its files, and what it says when it cannot."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gan_kd_ssd.config import evaluation_options as options
from gan_kd_ssd.engine import evaluate as eval_run
from gan_kd_ssd.util.errors import UserError, exit_on_user_error
from gan_kd_ssd.util.mxnet import mx

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "resnet10_v1_0.25"
CLASSES = ["disc", "square"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine images of discs and squares in VOC layout; the test split, four of them, has no disc."""
    root = tmp_path_factory.mktemp("data")
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(9):
        image = rng.integers(0, 80, (90, 120, 3), dtype=np.uint8)
        objects = ""
        for name in ["square"] if index > 4 else CLASSES:
            x, y = rng.integers(0, 60, 2).tolist()
            if name == "disc":
                cv2.circle(image, (x + 15, y + 15), 15, (40, 80, 250), -1)
            else:
                cv2.rectangle(image, (x, y), (x + 29, y + 29), (250, 200, 30), -1)
            corners = zip(("xmin", "ymin", "xmax", "ymax"), (x + 1, y + 1, x + 30, y + 30))
            box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
            objects += f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"
        cv2.imwrite(str(root / f"JPEGImages/{index}.png"), image)
        size = "<size><width>120</width><height>90</height><depth>3</depth></size>"
        text = f"<annotation><filename>{index}.png</filename>{size}{objects}</annotation>"
        (root / f"Annotations/{index}.xml").write_text(text)
    for split, ids in (("train", range(5)), ("test", range(5, 9))):
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{i}\n" for i in ids))
    return root


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """Parameters of an untrained detector of the two classes."""
    from helpers.detectors import build_ssd

    mx.random.seed(3)
    detector = build_ssd(NETWORK, CLASSES, 64)
    detector.initialize([mx.cpu()])
    path = tmp_path_factory.mktemp("params") / "net.params"
    detector.net.save_parameters(str(path))
    return path


def run_script(*words):
    return subprocess.run(
        [sys.executable, str(ROOT / "eval_voc.py"), *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def complaint(capsys, *words):
    """The one line on stderr of a call that must fail with exit code 2."""

    def main():
        return eval_run.run(options.parse([str(word) for word in words]))

    assert exit_on_user_error("eval_voc.py", main) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("eval_voc.py: ")
    return lines[0]


def test_the_script_prints_a_table_and_writes_json_and_pictures(folder, params, tmp_path):
    results, plots = tmp_path / "results.json", tmp_path / "plots"
    done = run_script(
        *("--network", NETWORK, "--data_shape", 64, "--params", params, "--dataset", folder),
        *("--batch_size=3", "--cpu-devices", 2, "--gpus", "", "--metric", "both"),
        *("--json", results, "--plot", plots, "--plot-images", 3, "--score-threshold", 1),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("devices: CPU, 2 contexts")
    assert "4 images, 4 objects" in lines[1]
    assert "VOC07 11-point AP" in lines[2] and "VOC12 area AP" in lines[2]
    assert lines[4].split() == ["disc", "0", "-", "-"]  # named by the training split alone
    assert lines[-1] == "no detection above 1 in any picture: lower --score-threshold"
    assert "4/4" in done.stderr  # the progress bar's end
    read = json.loads(results.read_text(encoding="utf-8"))
    assert (read["images"], read["timed_images"], read["warm"]) == (4, 1, True)
    assert read["classes"]["disc"] is None
    assert read["mAP"] == read["classes"]["square"] == read["metrics"]["voc07"]["mAP"]
    shown = lines[5].split()
    assert shown[:2] == ["square", "4"]
    assert float(shown[2]) == pytest.approx(100 * read["mAP"], abs=0.005)
    assert float(shown[3]) == pytest.approx(100 * read["metrics"]["voc12"]["mAP"], abs=0.005)
    assert sorted(path.name for path in plots.iterdir()) == [
        "00000_5.png",
        "00002_7.png",
        "00003_8.png",
        "grid.png",
    ]
    assert cv2.imread(str(plots / "grid.png")).std() > 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_detections_of_an_image_are_in_its_own_pixels():
    """The left upper quarter of a 100 x 60 image, whatever the input's size."""

    class Quarter:
        def prepare(self, image):
            return np.zeros((3, 64, 64), np.float32)

        def detect(self, x):
            assert x.shape == (1, 3, 64, 64)
            ids = mx.nd.array([[[1], [-1]]])
            boxes = mx.nd.array([[[-5, 0, 32, 32], [-1, -1, -1, -1]]])
            return ids, mx.nd.array([[[0.5], [-1]]]), boxes

    image = np.zeros((60, 100, 3), np.uint8)
    ids, scores, boxes = eval_run.voc.detect_image(Quarter(), image, mx.cpu())
    assert ids.tolist() == [1] and scores.tolist() == [0.5]
    np.testing.assert_allclose(boxes, [[0, 0, 50, 30]], atol=1e-5)


def test_every_option_of_gluoncvs_script_is_read_with_dashes_or_underscores():
    words = ["--network", "ssd_300_vgg16_atrous_voc", "--batch_size", "4", "--dataset", "voc07"]
    words += ["--gpus", "0,1", "--num_workers", "3", "--pretrained", "some.params"]
    words += ["--save_prefix", "runs/a_b"]
    for argv in (words, [word.replace("m_w", "m-w").replace("e_p", "e-p") for word in words]):
        read = options.parse(argv)
        assert (read.data_shape, read.batch_size, read.num_workers) == (300, 4, 3)
        assert (read.dataset, read.gpus) == ("voc07", "0,1")
        assert read.params == Path("some.params")
        assert read.json == Path("runs/a_b_eval.json")


def test_data_shape_is_the_published_one_unless_given():
    assert options.parse([]).data_shape == 512
    assert options.parse(["--data-shape", "128", "--network", "ssd_512_x"]).data_shape == 128


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--netwrok", "x"], "--netwrok"),
        (["--batch-size", "0"], "--batch-size"),
        (["--num-workers", "-1"], "--num-workers"),
        (["--score-threshold", "2"], "--score-threshold"),
        (["--metric", "coc"], "--metric"),
        (["--classes", "a,,b"], "--classes"),
        (["--pretrained", "False"], "--params"),
    ],
)
def test_an_option_that_cannot_be_right_is_named(words, named):
    with pytest.raises(UserError, match=named):
        options.parse(words)


def test_bad_input_is_one_line_that_names_what_to_mend(capsys, folder, params, tmp_path):
    good = {
        "--network": NETWORK,
        "--data-shape": 64,
        "--params": params,
        "--dataset": folder,
        "--gpus": "",
    }
    damaged = tmp_path / "damaged.params"
    damaged.write_bytes(params.read_bytes()[:-1000])
    for change, named in (
        ({"--params": tmp_path / "none.params"}, "none.params"),
        ({"--params": damaged}, "damaged.params"),
        ({"--network": "mobilenet0.25"}, "mobilenet0.25"),
        ({"--network": "resnet7"}, "resnet7"),
        ({"--classes": "disc,square,third"}, "--classes"),
        ({"--dataset": tmp_path / "nowhere"}, "nowhere"),
        ({"--dataset": "voc", "--data-root": tmp_path}, "VOC2007"),
        ({"--val-split": "nosuch"}, "nosuch"),
        ({"--batch-size": 2, "--cpu-devices": 3}, "--batch-size 2"),
        ({"--json": tmp_path / "no" / "r.json"}, "--json"),
        ({"--plot": damaged}, "--plot"),
    ):
        words = [word for pair in {**good, **change}.items() for word in pair]
        assert named in complaint(capsys, *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged.params"]
