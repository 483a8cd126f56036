"""What ``gan-kd export`` does: load, translate, compare, write."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from gan_kd_ssd.config.export_options import PROGRAM
from gan_kd_ssd.data.batches.ssd_augment import MEAN, STD
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.engine import checkpoint, runlog
from gan_kd_ssd.engine import load_trained as trained
from gan_kd_ssd.export import blocks, compare, onnx_file, onnx_nms
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

#: Side that an ONNX file leaves free.
ANY = "batch"


def run(options: argparse.Namespace) -> int:
    """Export as the options of :func:`gan_kd_ssd.config.export_options.parse` ask.

    Returns 0, or 1 where the file does not give what the network gives: then nothing is written.

    Raises:
        UserError: a network, weights, image or place that cannot be used, or an operator that ONNX
            cannot have.
    """
    if options.format == "onnx":
        onnx_file.check_installed()
    folder = _folder(options.out)
    detector = load(options)
    if options.batch_size not in (None, 1) and detector.any_size:
        raise UserError(
            f"--batch-size {options.batch_size}: a Faster R-CNN detects one image alone"
        )
    block = blocks.exported(detector, options.raw)
    inputs = example_inputs(detector, options.image, options.batch_size)
    outputs = _outputs(block, inputs[0][1])
    facts = describe(options, detector, outputs)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{options.out.name}.") as temporary:
        write = _write_onnx if options.format == "onnx" else _write_symbol
        try:
            files, comparisons = write(Path(temporary), block, detector, inputs, options, facts)
        except (OSError, mx.MXNetError) as error:
            raise UserError(
                f"--out {options.out}: cannot be written and read again ({reason(error)}); free some "
                "space, or choose another place"
            ) from error
        print(summary(facts))
        print(compare.table(comparisons))
        if not all(one.equal for one in comparisons):
            print(
                f"{PROGRAM}: the file differs from the network by more than is allowed ("
                f"{compare.excess(comparisons)}); not written: train the network on, or take "
                "--format symbol",
                file=sys.stderr,
            )
            return 1
        for suffix, source in files.items():
            checkpoint.write_atomically(Path(f"{options.out}{suffix}"), partial(os.replace, source))
    print("written: " + ", ".join(f"{options.out}{suffix}" for suffix in files))
    return 0


def reason(error: Exception) -> str:
    """One line of an error of the system or of MXNet, whose own are many lines."""
    return getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]


def _folder(out: Path) -> Path:
    """Where the files go, made and writable."""
    folder = out.parent.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"--out {out}: {folder} cannot be written ({error.strerror}); choose another place"
        ) from error
    return folder


def load(options: argparse.Namespace):
    """The detector of the options, with its weights, for inference on the CPU."""
    classes = _classes(options)
    network = read_name(options.network)
    if network.kind == "ssd" and (options.use_fpn or options.short or options.max_size):
        raise UserError(
            f"--network {options.network}: is an SSD; --use-fpn, --short and --max-size are of a "
            f"Faster R-CNN (faster_rcnn_{network.backbone})"
        )
    return trained.load(options, classes, options.params, [mx.cpu()], "--params")


def _classes(options: argparse.Namespace) -> list[str]:
    classes = options.classes or runlog.classes_beside(options.params)
    if classes is not None:
        return classes
    dataset = read_name(options.network).dataset
    if dataset == "voc":
        from gan_kd_ssd.data.formats.voc import VOC_CLASSES

        return list(VOC_CLASSES)
    if dataset == "coco":
        from gluoncv.data import COCODetection

        return list(COCODetection.CLASSES)
    raise UserError(
        f"--params {options.params}: no metrics of its run beside it to take the classes from; give "
        "--classes A,B,…"
    )


def example_inputs(detector, file: Path | None, batch_size: int | None) -> list[tuple]:
    """Inputs to compare on, name and array (B, 3, H, W): noise, and a photograph.

    Where any batch goes, one of two images: the second is the first upside down, so that it differs.
    """
    import matplotlib

    from gan_kd_ssd.data.formats.images import read_image

    path = file or Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    photograph = read_image(path)
    height, width = photograph.shape[:2]
    # Turned sides: where any size goes, two are compared.
    noise = np.random.default_rng(0).integers(0, 256, (width, height, 3), np.uint8)
    batch = 1 if detector.any_size else batch_size or 2
    inputs = []
    for name, image in (("noise", noise), (path.name, photograph)):
        both = [detector.prepare(image), detector.prepare(np.ascontiguousarray(image[::-1]))]
        inputs.append((name, mx.nd.array(np.stack([both[i % 2] for i in range(batch)]))))
    return inputs


def _outputs(block, x) -> dict[str, np.ndarray]:
    """Outputs by name."""
    return {name: value.asnumpy() for name, value in zip(block.outputs, block(x))}


def _export_symbol(folder: Path, block) -> tuple[Path, Path]:
    block.export(str(folder / "net"))
    return folder / "net-symbol.json", folder / "net-0000.params"


def _write_symbol(folder, block, detector, inputs, options, facts):
    """The symbol and its parameters, and what they give once loaded again."""
    symbol, params = _export_symbol(folder, block)
    loaded = mx.gluon.SymbolBlock.imports(str(symbol), ["data"], str(params), ctx=mx.cpu())
    comparisons = []
    for name, x in inputs:
        got = {key: value.asnumpy() for key, value in zip(block.outputs, loaded(x))}
        comparisons.append(compare.one_by_one(name, _outputs(block, x), got))
    about = folder / "detector.json"
    about.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    files = {"-0000.params": params, "-symbol.json": symbol, "-detector.json": about}
    return files, comparisons


def _write_onnx(folder, block, detector, inputs, options, facts):
    """The ONNX file, and what onnxruntime gives with it."""
    suppressed = not options.raw and not detector.any_size
    if suppressed:  # an SSD's suppression is made of ONNX's own operators, after the raw outputs
        block = blocks.exported(detector, raw=True)
        block(inputs[0][1])  # traces it, which its export needs
    example = inputs[0][1].shape
    if detector.any_size:
        shape = (1, 3, "height", "width")
    else:
        shape = (options.batch_size or ANY, *example[1:])
    graph = onnx_file.translate(*_export_symbol(folder, block), shape, example)
    if suppressed:
        onnx_file.append_suppression(graph, _suppression(detector))
    made = onnx_file.model(graph, facts["outputs"], facts)
    run_onnx = onnx_file.session(made, extra_outputs=blocks.RAW if suppressed else ())
    comparisons = []
    for name, x in inputs:
        want, got = _outputs(block, x), run_onnx(x.asnumpy())
        if detector.any_size:
            comparisons.append(compare.row_by_row(name, want, got))
        else:
            comparisons.append(compare.one_by_one(name, want, got, compare.ALLOWED))
        if suppressed:
            arrays = blocks.suppress(detector.net, *(mx.nd.array(got[key]) for key in blocks.RAW))
            kept = dict(zip(blocks.DETECTIONS, (array.asnumpy() for array in arrays)))
            comparisons.append(
                compare.as_sets(f"{name}, its suppression", kept, {key: got[key] for key in kept})
            )
    file = folder / "net.onnx"
    file.write_bytes(made.SerializeToString())
    return {".onnx": file}, comparisons


def _suppression(detector) -> onnx_nms.Suppression:
    net = detector.net
    return onnx_nms.Suppression(
        classes=net.num_classes,
        anchors=len(detector.anchors),
        nms_thresh=net.nms_thresh,
        nms_topk=net.nms_topk,
        post_nms=net.post_nms,
        score_thresh=net.cls_decoder._thresh,
    )


def describe(options: argparse.Namespace, detector, outputs: dict) -> dict:
    """What a program that uses the file must know; stands beside a symbol, and in an ONNX file."""
    one = detector.any_size
    batch = 1 if one else options.batch_size or ANY
    sides = ["height", "width"] if one else [detector.data_shape] * 2
    facts = {
        "network": detector.name,
        "classes": detector.classes,
        "input": {"data": [batch, 3, *sides]},
        "pixels": "RGB, 0 to 1, less mean, over std; resized to "
        + (
            f"a short side of {detector.short}, at most {detector.max_size}"
            if one
            else f"{detector.data_shape} x {detector.data_shape}"
        ),
        "mean": list(MEAN),
        "std": list(STD),
        "outputs": {name: [batch, *value.shape[1:]] for name, value in outputs.items()},
        "params": options.params.name,
        "sha256": runlog.sha256(options.params),
        "versions": runlog.versions(),
    }
    if not options.raw:
        net = detector.net
        facts["suppression"] = {
            "overlap": net.nms_thresh,
            "topk": net.nms_topk,
            "kept": net.post_nms,
        }
    return facts


def summary(facts: dict) -> str:
    """Two lines: what goes in, what comes out."""

    def shape(sides) -> str:
        return "(" + ", ".join(map(str, sides)) + ")"

    outputs = ", ".join(f"{name} {shape(sides)}" for name, sides in facts["outputs"].items())
    return (
        f"{facts['network']}, {len(facts['classes'])} classes: data {shape(facts['input']['data'])}, "
        f"{facts['pixels']}\nout: {outputs}"
    )
