"""ONNX files, in 32-bit floats or with a quantised classifier."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import ProfileError, RunError
from bench.extras import install
from bench.inference.exporting.program import Program, cause, program, traced
from bench.inference.exporting.subject import Classify, Subject
from bench.profiling.backends.int8 import quantise
from bench.profiling.backends.onnx_runtime import in_silence, session
from bench.records import scratch
from models.base import AudioModel
from models.export_forms import faster

INSIDE = 1 << 30
"""Bytes of weights up to which they are inside of the file; a larger file's are beside it."""


def write(of: Program, name: str, what: str, path: Path, facts: Mapping[str, str]) -> int:
    """Write the graph to an ONNX file.

    Args:
        of: the graph.
        name: of the model, in messages.
        what: name of the input.
        path: of the file.
        facts: texts that the file carries as `metadata_props`.

    Returns:
        The version of ONNX's set of operators.

    Raises:
        RunError: the packages are not installed, or an operator has no counterpart in ONNX.
    """
    converted = _converted(of, name, what, "logits")
    converted.model.metadata_props.update(facts)
    converted.model.graph.name = "audio classifier"
    size = sum(tensor.numel() * tensor.element_size() for tensor in of.graph.state_dict.values())
    converted.save(path, external_data=size > INSIDE)
    return int(converted.model.opset_imports[""])


def _converted(of: Program, name: str, what: str, out: str) -> Any:
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise RunError(f"ONNX needs onnx, onnxscript and onnxruntime ({error}): {install('export')}") from error
    try:
        with in_silence(), torch.no_grad():
            converted: Any = torch.onnx.export(
                of.graph, (of.example,), dynamo=True, input_names=[what], output_names=[out], verbose=False
            )
    except Exception as error:  # the exporter passes on any exception of an operator
        raise RunError(f"{name} cannot be exported to ONNX: {cause(error)}") from error
    _strip(converted.model.graph)
    return converted


def _strip(graph: Any) -> None:
    """Remove stack traces and the formulas of inner sizes, which are several times as large as a small model."""
    graph.metadata_props.clear()
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            if not value.is_graph_output():
                value.shape = value.type = None
    for value in graph.initializers.values():
        value.metadata_props.clear()


def write_int8(of: Subject, fixed: bool, path: Path, facts: Mapping[str, str], calibration: Sequence[Tensor]) -> int:
    """Write an ONNX file whose classifier is quantised, and whose front-end is in 32-bit floats.

    Args:
        of: clips or features of one model.
        fixed: as in `program`.
        path: of the file.
        facts: as in `write`.
        calibration: inputs, each of one clip, that give the ranges of values.

    Returns:
        As `write`.

    Raises:
        RunError: as `write`, or nothing can be quantised.
    """
    import onnx

    model = of.eager.model if isinstance(of.eager, Classify) else of.eager
    if not isinstance(model, AudioModel):
        raise RunError(f"{of.name} combines several models: export them one by one in 8 bits, or all as onnx")
    with scratch.folder("int8") as folder:
        if of.input == "features":
            opset = write(program(of, fixed), of.name, "features", folder / "plain.onnx", {})
            ranges = list(calibration)
        else:
            with torch.inference_mode():
                ranges = [model.extract(clip) for clip in calibration]
            example = of.signals(2, of.length if fixed else of.odd_length)
            with torch.inference_mode():
                found = model.extract(example).clone()
            batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames", min=1)
            shapes: dict[int, Any] = {0: batch} if fixed else {0: batch, 2: frames}
            inner = traced(Classify(portable_model(model)), found, shapes, of.name, not fixed)
            opset = write(inner, of.name, "features", folder / "plain.onnx", {})
        try:
            with in_silence():
                quantise(folder / "plain.onnx", folder / "int8.onnx", [clip.numpy() for clip in ranges], of.name)
        except ProfileError as error:
            raise RunError(f"{error}".replace("use onnxruntime", "export it as onnx")) from error
        whole = onnx.load(str(folder / "int8.onnx"))
        if of.input != "features":
            ends = {0: torch.export.Dim("batch")} | (
                {} if fixed else {of.axis: torch.export.Dim("length", min=of.least)}
            )
            front = traced(faster(model.frontend), example, ends, of.name, not fixed)
            first = folder / "front.onnx"
            start = _converted(front, of.name, of.input, "features")
            start.save(first, external_data=False)
            whole = _joined(onnx.load(str(first)), whole, of.input)
        del whole.graph.value_info[:]
        for key, value in facts.items():
            whole.metadata_props.add(key=key, value=value)
        onnx.checker.check_model(whole)
        onnx.save(whole, str(path))
    return opset


def portable_model(model: AudioModel) -> Any:
    """Return a model in its portable form, without its front-end."""
    frontend, model.frontend = model.frontend, torch.nn.Identity()
    try:
        return faster(model)
    finally:
        model.frontend = frontend


def _joined(front: Any, classifier: Any, what: str) -> Any:
    """Return the graph of a front-end followed by a classifier."""
    import onnx
    from onnx import compose

    version = max(front.ir_version, classifier.ir_version)
    front.ir_version = classifier.ir_version = version
    front = compose.add_prefix(front, "frontend_")
    for node in front.graph.node:
        for names in (node.input, node.output):
            for place, each in enumerate(names):
                if each == f"frontend_{what}":
                    names[place] = what
    front.graph.input[0].name = what
    versions = {each.domain: each.version for each in (*front.opset_import, *classifier.opset_import)}
    for part in (front, classifier):
        del part.opset_import[:]
        part.opset_import.extend(onnx.helper.make_opsetid(domain, number) for domain, number in versions.items())
    return compose.merge_models(front, classifier, io_map=[("frontend_features", "features")])


def runner(path: Path, what: str) -> Any:
    """Return a function from inputs to logits, which runs the file in ONNX Runtime on one thread."""
    run = session(path, 1)

    def logits(x: Tensor) -> Tensor:
        return torch.from_numpy(run.run(None, {what: np.ascontiguousarray(x.numpy())})[0])

    return logits
