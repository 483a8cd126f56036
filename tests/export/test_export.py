"""Detectors as files for other programs: what the files give is what the network gives."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gan_kd_ssd.cli.main import main
from gan_kd_ssd.config.export_options import parse
from gan_kd_ssd.detectors.base import detector_class
from gan_kd_ssd.export import blocks, differences
from gan_kd_ssd.export import export_run as run
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["disc", "square", "cross"]
SIZE = 64
NETWORK = "resnet10_v1_0.125"


FASTER_RCNN = detector_class("faster_rcnn")


def rcnn_settings(fpn, **more):
    return FASTER_RCNN.settings({"use_fpn": fpn, "short": 96, "max_size": 128, **more})


def statistics(net):
    """BatchNorm's statistics as a trained network has them, so that values stay small."""
    for name, parameter in net.collect_params().items():
        if name.endswith(("_var", "_mean")):
            value = mx.nd.random.uniform(0.5, 1.5, parameter.shape)
            parameter.set_data(value if name.endswith("_var") else value - 1)


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """Weights of a tiny SSD that tells its classes apart, its run's metrics beside them."""
    mx.random.seed(0)
    kind = detector_class("ssd")
    detector = kind.build(NETWORK, CLASSES, kind.settings({"data_shape": SIZE}))
    detector.initialize([mx.cpu()])
    statistics(detector.net)
    for predictor in detector.net.class_predictors:  # scores that differ from anchor to anchor
        weight = predictor.predictor.weight
        weight.set_data(mx.nd.random.normal(scale=0.2, shape=weight.shape))
    file = tmp_path_factory.mktemp("run") / "tiny_best.params"
    detector.net.save_parameters(str(file))
    metrics = file.with_name("tiny_metrics.jsonl")
    metrics.write_text(json.dumps({"kind": "run", "namespace": {}, "classes": CLASSES}) + "\n")
    return file


@pytest.fixture(scope="module")
def rcnn_params(tmp_path_factory):
    """Weights of tiny Faster R-CNNs: by whether they have a pyramid."""
    files = {}
    for fpn in (False, True):
        mx.random.seed(1)
        detector = FASTER_RCNN.build(NETWORK, CLASSES, rcnn_settings(fpn))
        detector.initialize([mx.cpu()])
        statistics(detector.net)
        files[fpn] = tmp_path_factory.mktemp("rcnn") / f"fpn{fpn}.params"
        detector.net.save_parameters(str(files[fpn]))
    return files


def words_of(params, out, *more):
    return [
        *("--network", NETWORK, "--params", str(params), "--data-shape", str(SIZE)),
        *("--out", str(out), *map(str, more)),
    ]


def rcnn_words(rcnn_params, out, fpn, *more):
    return [
        *("--network", f"faster_rcnn_{NETWORK}", "--params", str(rcnn_params[fpn])),
        *("--classes", ",".join(CLASSES), "--short", "96", "--max-size", "128"),
        *(["--use-fpn"] if fpn else []),
        *("--out", str(out), *map(str, more)),
    ]


def export(words):
    return main(["export", *words])


def images(batch, height=SIZE, width=SIZE, seed=0):
    """Inputs as the detectors get them: about -2 to 2."""
    return np.random.default_rng(seed).uniform(-2, 2, (batch, 3, height, width)).astype("f")


def arrays(outputs):
    return [output.asnumpy() for output in outputs]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def onnx_session():
    """session(file) -> (run, onnxruntime's session)."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
    pytest.importorskip("onnx", reason="needs requirements-onnx.txt")

    def open_file(file):
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"data": x}), session

    return open_file


def detector_of(params):
    kind = detector_class("ssd")
    settings = kind.settings({"data_shape": SIZE})
    return kind.load_trained(NETWORK, CLASSES, settings, params, [mx.cpu()])


def rcnn_of(rcnn_params, fpn, **more):
    settings = rcnn_settings(fpn, **more)
    return FASTER_RCNN.load_trained(NETWORK, CLASSES, settings, rcnn_params[fpn], [mx.cpu()])


def test_a_symbol_gives_the_networks_detections_for_any_batch(params, tmp_path, capsys):
    out = tmp_path / "made" / "ssd"
    assert export(words_of(params, out)) == 0
    assert names(out.parent) == ["ssd-0000.params", "ssd-detector.json", "ssd-symbol.json"]
    loaded = mx.gluon.SymbolBlock.imports(f"{out}-symbol.json", ["data"], f"{out}-0000.params")
    detector = detector_of(params)
    for batch in (1, 3):
        x = mx.nd.array(images(batch))
        want = arrays(detector.detect(x))
        assert [value.shape for value in want] == [(batch, 100, n) for n in (1, 1, 4)]
        assert (want[0] >= 0).any()
        for one, other in zip(want, arrays(loaded(x))):
            np.testing.assert_array_equal(one, other)
    told = capsys.readouterr().out
    assert "grace_hopper.jpg" in told and "scores (batch, 100, 1)" in told
    symbol = mx.sym.load(f"{out}-symbol.json")
    assert symbol.list_outputs() == ["ids_output", "scores_output", "boxes_output"]


def test_what_a_program_must_know_stands_beside_a_symbol(params, tmp_path):
    assert export(words_of(params, tmp_path / "ssd", "--raw")) == 0
    facts = json.loads((tmp_path / "ssd-detector.json").read_text())
    assert facts["classes"] == CLASSES  # of the run's metrics
    assert facts["input"] == {"data": ["batch", 3, SIZE, SIZE]}
    assert facts["mean"] == [0.485, 0.456, 0.406] and facts["std"] == [0.229, 0.224, 0.225]
    assert list(facts["outputs"]) == ["class_scores", "class_boxes"]
    assert "suppression" not in facts and len(facts["sha256"]) == 64
    assert facts["boxes"].startswith("xmin, ymin, xmax, ymax in pixels of the input")
    assert "beyond the input" in facts["boxes"] and "background" in facts["ids"]
    assert export(words_of(params, tmp_path / "ssd")) == 0
    facts = json.loads((tmp_path / "ssd-detector.json").read_text())
    assert "rows with id -1 are padding" in facts["ids"] and facts["suppression"]["kept"] == 100


def test_raw_outputs_of_an_ssd_suppressed_are_its_detections(params, tmp_path):
    assert export(words_of(params, tmp_path / "ssd", "--raw")) == 0
    prefix = tmp_path / "ssd"
    loaded = mx.gluon.SymbolBlock.imports(
        f"{prefix}-symbol.json", ["data"], f"{prefix}-0000.params"
    )
    detector = detector_of(params)
    x = mx.nd.array(images(2))
    scores, boxes = loaded(x)
    np.testing.assert_allclose(scores.sum(axis=-1).asnumpy(), 1, rtol=1e-5)
    assert scores.shape[:2] == boxes.shape[:2] == (2, len(detector.anchors))
    for one, other in zip(blocks.suppress(detector.net, scores, boxes), detector.detect(x)):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


@pytest.mark.parametrize("fpn", [False, True])
def test_raw_outputs_of_a_faster_rcnn_suppressed_by_class_are_its_detections(rcnn_params, fpn):
    detector = rcnn_of(rcnn_params, fpn)
    net, x = detector.net, mx.nd.array(images(1, 96, 120))
    scores, boxes = blocks.exported(detector, raw=True)(x)
    assert scores.shape == (1, 50, 4) and boxes.shape == (1, 50, 3, 4)
    want = np.concatenate(arrays(net(x)), axis=-1)[0].reshape(3, 50, 6)
    for number in range(3):
        score = scores[0, :, number + 1 : number + 2]
        ids = mx.nd.where(score > 0.01, mx.nd.full((50, 1), number), mx.nd.full((50, 1), -1))
        score = score * (score > 0.01)  # GluonCV's decoder
        rows = mx.nd.concat(ids, score, boxes[0, :, number], dim=1)
        kept = mx.nd.contrib.box_nms(
            rows, net.nms_thresh, valid_thresh=1e-4, topk=net.nms_topk, id_index=0, score_index=1
        )
        np.testing.assert_array_equal(kept.asnumpy(), want[number])
    assert (want[..., 0] >= 0).any()


def test_an_onnx_file_gives_the_networks_detections_for_any_batch(params, tmp_path, onnx_session):
    assert export(words_of(params, tmp_path / "ssd", "--format", "onnx")) == 0
    assert names(tmp_path) == ["ssd.onnx"]
    once, session = onnx_session(tmp_path / "ssd.onnx")
    assert [output.name for output in session.get_outputs()] == ["ids", "scores", "boxes"]
    assert session.get_inputs()[0].shape == ["batch", 3, SIZE, SIZE]
    detector = detector_of(params)
    for batch in (1, 3):
        x = images(batch, seed=batch)
        want, got = arrays(detector.detect(mx.nd.array(x))), once(x)
        for row in range(batch):
            pair = [
                {name: value[row : row + 1] for name, value in zip(blocks.DETECTIONS, outputs)}
                for outputs in (want, got)
            ]
            same = differences.row_by_row("", *pair)
            # Scores that differ in their last bits: of random weights' boxes, a few change places at
            # the end of the best 100. The suppression itself is compared to the bit by the command.
            assert same.rows == 100 and same.found >= 95, same
        assert (want[0] >= 0).sum() > 1 and len(np.unique(want[0])) > 2


def test_an_onnx_file_holds_its_classes_and_how_pixels_are_prepared(params, tmp_path, onnx_session):
    words = words_of(params, tmp_path / "ssd", "--format", "onnx", "--raw", "--batch-size", 2)
    assert export(words) == 0
    once, session = onnx_session(tmp_path / "ssd.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == CLASSES and json.loads(facts["mean"])[0] == 0.485
    assert session.get_inputs()[0].shape == [2, 3, SIZE, SIZE]
    scores, boxes = once(images(2))
    raw = blocks.exported(detector_of(params), raw=True)
    for one, other, limit in zip(
        arrays(raw(mx.nd.array(images(2)))), (scores, boxes), (1e-5, 1e-3)
    ):
        np.testing.assert_allclose(one, other, atol=limit)
    with pytest.raises(Exception, match="invalid dimensions"):
        once(images(1))


@pytest.mark.parametrize("fpn", [False, True])
@pytest.mark.parametrize("mode", ["align", "pool"])
def test_a_faster_rcnn_goes_through_onnx_at_any_size(
    rcnn_params, tmp_path, onnx_session, fpn, mode
):
    words = rcnn_words(rcnn_params, tmp_path / "rcnn", fpn, "--format", "onnx", "--roi-mode", mode)
    assert export(words) == 0
    once, _ = onnx_session(tmp_path / "rcnn.onnx")
    detector = rcnn_of(rcnn_params, fpn, roi_mode=mode)
    for height, width in ((96, 128), (110, 96)):
        x = images(1, height, width)
        pair = [
            dict(zip(blocks.DETECTIONS, outputs))
            for outputs in (arrays(detector.detect(mx.nd.array(x))), once(x))
        ]
        assert not differences.row_by_row("", *pair).excess


@pytest.mark.parametrize("fpn", [False, True])
def test_a_faster_rcnn_goes_through_a_symbol(rcnn_params, tmp_path, fpn):
    out = tmp_path / "rcnn"
    assert export(rcnn_words(rcnn_params, out, fpn)) == 0
    loaded = mx.gluon.SymbolBlock.imports(f"{out}-symbol.json", ["data"], f"{out}-0000.params")
    x = mx.nd.array(images(1, 100, 130))
    for one, other in zip(arrays(rcnn_of(rcnn_params, fpn).detect(x)), arrays(loaded(x))):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["symbol", "onnx"])
def test_a_file_that_differs_from_the_network_is_not_written(
    params, tmp_path, monkeypatch, capsys, kind
):
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
    out = tmp_path / "ssd"
    assert export(words_of(params, out, "--format", kind)) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    right = run.export_symbol

    def wrong(folder, block):
        symbol, file = right(folder, block)
        stored = mx.nd.load(str(file))
        key = next(key for key in stored if key.endswith("convpredictor0_conv0_weight"))
        stored[key] = stored[key] * 1.01
        mx.nd.save(str(file), stored)
        return symbol, file

    monkeypatch.setattr(run, "export_symbol", wrong)
    assert export(words_of(params, out, "--format", kind)) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kind", ["symbol", "onnx"])
def test_a_full_disk_leaves_what_was_there(params, tmp_path, capsys, kind):
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
    words = words_of(params, tmp_path / "ssd", "--format", kind)
    assert export(words) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    # A limit on the size of files does to a writer what a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (params.stat().st_size // 2, limits[1]))
        assert export(words) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--out" in told and "free some space" in told
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_onnx_cannot_have_is_one_line(params, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnx", reason="needs requirements-onnx.txt")
    from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph

    known = {
        version: {name: how for name, how in table.items() if name != "Convolution"}
        for version, table in MXNetGraph.registry_.items()
    }
    monkeypatch.setattr(MXNetGraph, "registry_", known)
    assert export(words_of(params, tmp_path / "ssd", "--format", "onnx")) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "Convolution" in told and "--format symbol" in told
    assert names(tmp_path) == []


def test_without_onnx_the_remedy_is_named(params, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export(words_of(params, tmp_path / "ssd", "--format", "onnx")) == 2
    assert 'pip install "onnx' in capsys.readouterr().err


def test_bad_input_is_one_line_that_names_what_to_mend(params, rcnn_params, tmp_path, capsys):
    alone = tmp_path / "alone.params"  # no metrics beside it
    shutil.copy(params, alone)
    picture = tmp_path / "picture.jpg"
    picture.write_text("not a picture")
    out = tmp_path / "out"
    for words, named in (
        (words_of(tmp_path / "none.params", out, "--classes", "a,b,c"), "none.params"),
        (words_of(alone, out), "--classes"),
        (words_of(alone, out, "--classes", "a,b"), "--classes"),
        (words_of(params, out, "--classes", "square,disc,cross"), "--classes"),
        (words_of(params, out, "--data-shape", 96), "--data-shape"),
        (words_of(params, out, "--network", "resnet7"), "resnet7"),
        (words_of(params, out, "--use-fpn"), "--use-fpn"),
        (words_of(params, out, "--batch-size", 2), "--batch-size"),
        (words_of(params, out, "--image", picture), "picture.jpg"),
        (words_of(params, tmp_path), "--out"),
        (words_of(params, picture / "x"), "--out"),
        (words_of(params, out, "--format", "torch"), "--format"),
        (rcnn_words(rcnn_params, out, True, "--format", "onnx", "--batch-size", 2), "--batch-size"),
    ):
        assert export(words) == 2, words
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and named in told, told
    assert names(tmp_path) == ["alone.params", "picture.jpg"]


def test_the_image_to_compare_on_can_be_given(params, tmp_path, capsys):
    picture = tmp_path / "mine.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    assert export(words_of(params, tmp_path / "ssd", "--image", picture)) == 0
    assert "mine.png" in capsys.readouterr().out


@pytest.mark.parametrize(("dataset", "number"), [("voc", 20), ("coco", 80)])
def test_classes_of_a_name_are_those_of_its_data_set(tmp_path, dataset, number):
    kind, params = detector_class("ssd"), tmp_path / "x.params"
    classes = [str(i) for i in range(number)]
    detector = kind.build(NETWORK, classes, kind.settings({"data_shape": SIZE}))
    detector.initialize([mx.cpu()])
    detector.net.save_parameters(str(params))
    words = words_of(
        params, tmp_path / "x", "--raw", "--network", f"ssd_{SIZE}_{NETWORK}_{dataset}"
    )
    assert export(words) == 0
    facts = json.loads((tmp_path / "x-detector.json").read_text())
    assert len(facts["classes"]) == number and facts["classes"][0] in ("aeroplane", "person")


def test_the_input_size_is_that_given_else_the_run_s_else_the_name_s(params, tmp_path):
    def size(params, *words):
        path = tmp_path / "x"
        words = [*words, "--params", params, "--classes", ",".join(CLASSES), "--out", path, "--raw"]
        assert export([str(word) for word in words]) == 0
        return json.loads((tmp_path / "x-detector.json").read_text())["input"]["data"][2]

    named = ["--network", f"ssd_{SIZE}_{NETWORK}_custom"]
    assert size(params, *named) == SIZE
    run = tmp_path / "run_best.params"
    shutil.copy(params, run)
    record = {"kind": "run", "namespace": {"data_shape": SIZE}, "classes": CLASSES}
    (tmp_path / "run_metrics.jsonl").write_text(json.dumps(record) + "\n")
    assert size(run, "--network", f"ssd_96_{NETWORK}_custom") == SIZE
    assert size(params, "--network", f"ssd_96_{NETWORK}_custom", "--data_shape", SIZE) == SIZE


def test_the_options_are_frozen():
    config = parse(["--params", "p", "--out", "o", "--network", "x"])
    with pytest.raises(AttributeError):
        config.raw = True
    with pytest.raises(UserError, match="--network"):
        parse(["--params", "p", "--out", "o"])


def test_help_needs_no_mxnet():
    code = (
        "import sys\nfrom gan_kd_ssd.cli.main import main\n"
        "try: main(['export', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'mxnet', 'gluoncv', 'numpy', 'cv2', 'onnx'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--raw" in done.stdout and "None" not in done.stdout


def test_a_missing_file_of_weights_is_named_before_its_classes_are_sought(tmp_path, capsys):
    none = str(tmp_path / "none")
    assert export(["--network", NETWORK, "--params", none, "--out", str(tmp_path / "x")]) == 2
    assert f"--params {none}: no such file" in capsys.readouterr().err
