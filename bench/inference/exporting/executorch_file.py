"""ExecuTorch's files, lowered to XNNPACK's kernels where it has them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.errors import RunError
from bench.extras import install
from bench.inference.exporting.program import Program, cause
from bench.profiling.backends.onnx_runtime import in_silence


def write(of: Program, name: str, path: Path, facts: Mapping[str, str]) -> None:
    """Write the graph, and the facts to a file of the same name with the ending `.json`.

    Raises:
        RunError: executorch is not installed, or it has no counterpart of an operator.
    """
    try:
        with in_silence():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
    except (ImportError, OSError) as error:
        raise RunError(_missing(error)) from error
    try:
        with in_silence():
            lowered = to_edge_transform_and_lower(of.graph, partitioner=[XnnpackPartitioner()]).to_executorch()
    except Exception as error:  # the compiler passes on any exception of its passes
        raise RunError(f"{name} cannot be exported to ExecuTorch: {cause(error)}") from error
    path.write_bytes(lowered.buffer)
    path.with_suffix(".json").write_text(json.dumps(dict(facts), indent=1, ensure_ascii=False), encoding="utf-8")


def runner(path: Path) -> Any:
    """Return a function from inputs to logits, which runs the file in ExecuTorch."""
    from executorch.runtime import Runtime

    loaded = Runtime.get().load_program(path)  # the method needs it to stay
    method = loaded.load_method("forward")

    def logits(x: Tensor) -> Tensor:
        return method.execute([x.contiguous()])[0].clone()  # type: ignore[no-any-return]

    logits.program = loaded  # type: ignore[attr-defined]
    return logits


def _missing(error: BaseException) -> str:
    return f"ExecuTorch's format needs executorch 1.5.1, which runs with torch 2.13 ({error}): {install('executorch')}"
