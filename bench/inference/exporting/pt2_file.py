"""Files of torch.export, which torch reads without this project."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.inference.exporting.program import Program
from bench.profiling.backends.onnx_runtime import in_silence

FACTS = "bench.json"
"""Name of the facts among the archive's further files."""


def write(of: Program, path: Path, facts: Mapping[str, str]) -> None:
    """Write the graph; `torch.export.load(path, extra_files={"bench.json": ""})` reads it with the facts."""
    graph = of.graph
    graph._example_inputs = None  # a clip of noise, several times as large as a small model, with the traces below
    for part in graph.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            for name in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
                node.meta.pop(name, None)
    with in_silence():
        torch.export.save(graph, path, extra_files={FACTS: json.dumps(dict(facts), indent=1, ensure_ascii=False)})


def runner(path: Path) -> Any:
    """Return a function from inputs to logits, which runs the file in torch."""
    with in_silence():
        module = torch.export.load(path).module()

    def logits(x: Tensor) -> Tensor:
        with torch.inference_mode():
            out: Tensor = module(x)
        return out

    return logits
