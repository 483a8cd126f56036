"""ONNX models of networks, made by MXNet's own translator (mxnet.onnx)."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gan_kd_ssd.util.errors import UserError
from gan_kd_ssd.util.mxnet import mx

#: The newest opset that mx2onnx 1.9.1 translates to. Its default is the newest of the onnx package.
OPSET = 13
#: The version of the file format that came with this opset, so that older runtimes read the file.
IR_VERSION = 7


def check_installed() -> None:
    """Raise a UserError if a package that writes or checks the file is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--format onnx needs more packages ({error}): "
            'pip install "onnx>=1.16,<1.19" "onnxruntime>=1.19" protobuf'
        ) from error


def translate(symbol_file: Path, params_file: Path, shape: Sequence, example: Sequence[int]):
    """Translate an exported symbol, whose input is ``data``, to an ONNX graph.

    Args:
        symbol_file: The symbol.
        params_file: Its parameters.
        shape: Shape of the input; a text in place of a number names a free size.
        example: A shape of numbers.

    Raises:
        UserError: mx2onnx does not know an operator of the network.
    """
    from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
    from onnx import TensorProto, helper

    symbol = mx.sym.load(str(symbol_file))
    stored = mx.nd.load(str(params_file))
    params = {key.partition(":")[2]: value for key, value in stored.items()}
    free = any(isinstance(side, str) for side in shape)
    try:
        with _quiet():
            graph = MXNetGraph().create_onnx_graph_proto(
                symbol,
                params,
                [tuple(example)],
                [TensorProto.FLOAT],
                opset_version=OPSET,
                dynamic=free,
                dynamic_input_shapes=[tuple(shape)] if free else None,
            )
    except (AttributeError, NotImplementedError, AssertionError, mx.MXNetError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--format onnx: mx2onnx cannot translate this network ({reason}); give --format symbol"
        ) from error
    # mx2onnx lists the weights as inputs too, which keeps runtimes from folding them.
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("data", TensorProto.FLOAT, list(shape)))
    return graph


def model(graph, outputs: dict[str, Sequence], metadata: dict):
    """Complete a model with named outputs of these shapes and with metadata; onnx checks it."""
    from onnx import TensorProto, checker, helper

    del graph.output[:]
    for name, shape in outputs.items():
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for index, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{index}"  # onnxruntime needs unique names
    opset = helper.make_opsetid("", OPSET)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    helper.set_model_props(
        made, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    )
    checker.check_model(made)
    return made


def session(
    made, extra_outputs: Sequence[str] = ()
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function that runs a model in ONNX Runtime: input (B, 3, H, W) -> arrays by output.

    Values within the graph that ``extra_outputs`` names are returned as well.
    """
    import onnxruntime
    from onnx import ModelProto, ValueInfoProto

    watched = ModelProto()
    watched.CopyFrom(made)
    watched.graph.output.extend(ValueInfoProto(name=name) for name in extra_outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    running = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in running.get_outputs()]
    return lambda x: dict(zip(names, running.run(names, {"data": x})))


@contextlib.contextmanager
def _quiet():
    """Silence the warnings of mx2onnx: of deprecated names, and that box_nms loses its classes.

    Here box_nms is translated only within Faster R-CNN, where the rows of a batch have one class.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
