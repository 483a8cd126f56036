"""``gan-kd export``: load a detector, translate it, compare the result, write it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from gan_kd_ssd.config.export_options import ExportConfig
from gan_kd_ssd.data.batches.normalise import MEAN, STD
from gan_kd_ssd.detectors.base import Detector
from gan_kd_ssd.detectors.names import read_name
from gan_kd_ssd.engine import load_trained
from gan_kd_ssd.engine.checkpoint import write_atomically
from gan_kd_ssd.engine.provenance import versions
from gan_kd_ssd.export import blocks, differences, onnx_file, onnx_nms
from gan_kd_ssd.logs.run_metadata import classes_beside, metadata_beside
from gan_kd_ssd.util import files
from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx
from gan_kd_ssd.zoo.networks import classes_of


def run(config: ExportConfig) -> int:
    """Export a detector.

    Returns:
        0, or 1 if the exported file differs from the network; then nothing is written.

    Raises:
        UserError: The network, the weights, the image or the place is not usable, or ONNX lacks an
            operator of the network.
    """
    if config.format == "onnx":
        onnx_file.check_installed()
    folder = files.writable_folder(config.out.parent.absolute(), "--out")
    detector = load(config)
    if config.batch_size not in (None, 1) and detector.any_size:
        raise UserError(f"--batch-size {config.batch_size}: give 1 for a Faster R-CNN")
    block = blocks.exported(detector, config.raw)
    inputs = example_inputs(detector, config.image, config.batch_size)
    metadata = describe(config, detector, _outputs(block, inputs[0][1]))
    write = _write_onnx if config.format == "onnx" else _write_symbol
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{config.out.name}.") as temporary:
        try:
            written, comparisons = write(Path(temporary), block, detector, inputs, metadata)
        except (OSError, mx.MXNetError) as error:
            reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
            raise UserError(
                f"--out {config.out}: cannot be written and read again ({reason}); free some space or "
                "choose another place"
            ) from error
        _print_summary(metadata)
        print(differences.table(comparisons))
        excess = [text for one in comparisons for text in one.excess]
        if excess:
            print(
                "gan-kd export: nothing was written, because the exported file differs from the network "
                f"by more than is allowed ({', '.join(excess)}); train the network longer, or use "
                "--format symbol",
                file=sys.stderr,
            )
            return 1
        for suffix, source in written.items():
            write_atomically(Path(f"{config.out}{suffix}"), partial(os.replace, source))
    print("written: " + ", ".join(f"{config.out}{suffix}" for suffix in written))
    return 0


def load(config: ExportConfig) -> Detector:
    """Load the detector with its weights, for inference on the CPU."""
    name = read_name(config.network)
    if name.kind == "ssd" and (config.use_fpn or config.short or config.max_size):
        raise UserError(
            f"--network {config.network} is an SSD, and --use-fpn, --short and --max-size belong to a "
            f"Faster R-CNN (faster_rcnn_{name.backbone})"
        )
    if not config.params.is_file():
        raise UserError(f"--params {config.params}: no such file; give a .params file")
    trained = metadata_beside(config.params)
    if config.data_shape is None and not (trained and trained.namespace.get("data_shape")):
        config = replace(config, data_shape=name.data_shape)
    classes = config.classes or classes_beside(config.params) or classes_of(name.dataset)
    if classes is None:
        raise UserError(
            f"--params {config.params}: the PREFIX_metrics.jsonl of its run, which lists the classes, is "
            "missing; give --classes A,B,…"
        )
    return load_trained.load(config, classes, config.params, [mx.cpu()], "--params")


def example_inputs(detector: Detector, file: Path | None, batch_size: int | None) -> list[tuple]:
    """Inputs for the comparison: names and arrays (B, 3, H, W) of noise and of a photograph.

    If any batch size is allowed, two images are used; the second is the first upside down.
    """
    import matplotlib

    from gan_kd_ssd.data.formats.images import read_image

    path = file or Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    photograph = read_image(path)
    height, width = photograph.shape[:2]
    # The sides are swapped, so that a Faster R-CNN is compared at two sizes.
    noise = np.random.default_rng(0).integers(0, 256, (width, height, 3), np.uint8)
    batch = 1 if detector.any_size else batch_size or 2
    inputs = []
    for name, image in (("noise", noise), (path.name, photograph)):
        both = [detector.prepare(image), detector.prepare(np.ascontiguousarray(image[::-1]))]
        inputs.append((name, mx.nd.array(np.stack([both[i % 2] for i in range(batch)]))))
    return inputs


def _outputs(block, x, network: Callable | None = None) -> dict[str, np.ndarray]:
    """The outputs of a block by name, or those of a network that should have the same outputs."""
    return {name: value.asnumpy() for name, value in zip(block.outputs, (network or block)(x))}


def export_symbol(folder: Path, block) -> tuple[Path, Path]:
    """Write the symbol and the parameters of a block into a folder."""
    block.export(str(folder / "net"))
    return folder / "net-symbol.json", folder / "net-0000.params"


def _write_symbol(folder: Path, block, detector: Detector, inputs, metadata: dict):
    """Write the symbol and its parameters; compare what they compute after loading."""
    symbol, params = export_symbol(folder, block)
    loaded = mx.gluon.SymbolBlock.imports(str(symbol), ["data"], str(params), ctx=mx.cpu())
    comparisons = [
        differences.one_by_one(name, _outputs(block, x), _outputs(block, x, loaded))
        for name, x in inputs
    ]
    about = folder / "detector.json"
    about.write_text(json.dumps(metadata, indent=2) + "\n", "utf-8")
    written = {"-0000.params": params, "-symbol.json": symbol, "-detector.json": about}
    return written, comparisons


def _write_onnx(folder: Path, block, detector: Detector, inputs, metadata: dict):
    """Write the ONNX file; compare what it computes in ONNX Runtime."""
    suppressed = not detector.any_size and isinstance(block, blocks.Detections)
    if suppressed:  # the suppression of an SSD is added in ONNX's own operators
        block = blocks.exported(detector, raw=True)
        block(inputs[0][1])  # traces the block, which is exported next
    shape = metadata["input"]["data"]
    graph = onnx_file.translate(*export_symbol(folder, block), shape, inputs[0][1].shape)
    if suppressed:
        onnx_nms.append(graph, onnx_nms.Suppression.of(detector))
    model = onnx_file.model(graph, metadata["outputs"], metadata)
    run_onnx = onnx_file.session(model, extra_outputs=blocks.RAW if suppressed else ())
    comparisons = []
    for name, x in inputs:
        want, got = _outputs(block, x), run_onnx(x.asnumpy())
        if detector.any_size:
            comparisons.append(differences.row_by_row(name, want, got))
        else:
            comparisons.append(differences.one_by_one(name, want, got, differences.ALLOWED))
        if suppressed:
            arrays = blocks.suppress(detector.net, *(mx.nd.array(got[key]) for key in blocks.RAW))
            kept = dict(zip(blocks.DETECTIONS, (array.asnumpy() for array in arrays)))
            own = {key: got[key] for key in kept}
            comparisons.append(differences.as_sets(f"{name}, its suppression", kept, own))
    file = folder / "net.onnx"
    file.write_bytes(model.SerializeToString())
    return {".onnx": file}, comparisons


def describe(config: ExportConfig, detector: Detector, outputs: dict) -> dict:
    """Describe the file for programs that use it, as JSON.

    It is written next to a symbol and into an ONNX file.
    """
    if detector.any_size:
        batch, sides = 1, ["height", "width"]
        resized = "short side {short}, but longest side at most {max_size} pixels"
        resized = resized.format(**detector.sizes)
    else:
        batch, sides = config.batch_size or "batch", [detector.data_shape] * 2  # or a free size
        resized = f"{detector.data_shape} x {detector.data_shape} pixels"
    metadata = {
        "network": detector.name,
        "classes": detector.classes,
        "input": {"data": [batch, 3, *sides]},
        "pixels": f"RGB, 0 to 1, minus mean, divided by std; resized to {resized}",
        "mean": list(MEAN),
        "std": list(STD),
        "outputs": {name: [batch, *value.shape[1:]] for name, value in outputs.items()},
        "boxes": "xmin, ymin, xmax, ymax in pixels of the input; boxes may extend beyond the input",
        "params": config.params.name,
        "sha256": files.digests(config.params, ["sha256"])[0],
        "versions": versions(),
    }
    if config.raw:
        metadata["ids"] = "class 0 of class_scores is the background; the others follow classes"
    else:
        metadata["ids"] = "indices of classes; rows with id -1 are padding"
        net = detector.net
        suppression = {"overlap": net.nms_thresh, "topk": net.nms_topk, "kept": net.post_nms}
        metadata["suppression"] = suppression
    return metadata


def _print_summary(metadata: dict) -> None:
    def shape(sides) -> str:
        return "(" + ", ".join(map(str, sides)) + ")"

    outputs = ", ".join(f"{name} {shape(sides)}" for name, sides in metadata["outputs"].items())
    print(
        f"{metadata['network']}, {len(metadata['classes'])} classes: "
        f"data {shape(metadata['input']['data'])}, {metadata['pixels']}\noutputs: {outputs}"
    )
