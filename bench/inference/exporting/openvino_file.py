"""OpenVINO's files: a graph in `.xml` and its weights in `.bin`, in 32-bit floats."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import RunError
from bench.extras import install
from bench.inference.exporting import onnx_file
from bench.inference.exporting.program import Program, cause
from bench.records import scratch

PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
"""Without it OpenVINO computes in bfloat16 where the processor has it."""

_IN_PLACE = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 0}
"""One thread: the caller's. With a stream for one thread, OpenVINO 2026.4 crashes after several models."""


def write(of: Program, name: str, what: str, path: Path, facts: Mapping[str, str]) -> None:
    """Write the graph by way of ONNX, with the facts as `rt_info` under "bench".

    Raises:
        RunError: openvino is not installed, or it has no counterpart of an operator.
    """
    openvino, core = _openvino(), _core()
    with scratch.folder("openvino") as folder:
        onnx_file.write(of, name, what, folder / "model.onnx", {})
        _keep_dimensions(folder / "model.onnx")
        try:
            model = core.read_model(folder / "model.onnx")  # convert_model reports its use to a server
        except RuntimeError as error:
            raise RunError(f"{name} cannot be exported to OpenVINO: {cause(error)}") from error
        for key, value in facts.items():
            model.set_rt_info(value, ["bench", key])
        openvino.save_model(model, path, compress_to_fp16=False)


def _keep_dimensions(path: Path) -> None:
    """Let means and sums keep their axes, which a further operator removes.

    Where OpenVINO 2026.4 removes the axis itself, a mean that is then scaled per channel is wrong for several clips.
    """
    import onnx

    model = onnx.load(str(path))
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        keep = next((each for each in node.attribute if each.name == "keepdims"), None)
        if node.op_type in ("ReduceMean", "ReduceSum", "ReduceMax") and keep and keep.i == 0 and len(node.input) > 1:
            keep.i = 1
            out, node.output[0] = node.output[0], f"{node.output[0]}_kept"
            nodes.append(onnx.helper.make_node("Squeeze", [node.output[0], node.input[1]], [out]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def runner(path: Path) -> Any:
    """Return a function from inputs to logits, which runs the file in OpenVINO on one thread, in 32-bit floats."""
    compiled = _core().compile_model(path, "CPU", {**PRECISION, **_IN_PLACE})

    def logits(x: Tensor) -> Tensor:
        request = compiled.create_infer_request()  # one that has failed may return an earlier result
        return torch.from_numpy(request.infer(x.numpy())[0].copy())

    return logits


@cache
def _core() -> Any:
    """Return the one core of this process, which is never freed.

    The first model of each core gives its thread another stack for signals. Where OpenVINO 2026.4 frees cores, the
    thread may keep one that is gone, and a signal, as of Ctrl-C, ends the process.
    """
    return _openvino().Core()


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise RunError(f"OpenVINO's format needs openvino ({error}): {install('export', 'openvino')}") from error
    return openvino
