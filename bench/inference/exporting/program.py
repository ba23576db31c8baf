"""The graph of a module, which all formats are written from."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config
from torch.overrides import TorchFunctionMode

from bench.errors import RunError
from bench.inference.exporting.subject import Subject
from bench.profiling.backends.onnx_runtime import in_silence


class _PlainLayout(TorchFunctionMode):
    """Traces a change of a tensor's layout to `channels_last` as none: other runtimes choose their own.

    ExecuTorch's maximum refuses a tensor whose layout is not that of its result.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("memory_format") in (torch.channels_last, torch.channels_last_3d):
            kwargs["memory_format"] = torch.contiguous_format
        return func(*args, **kwargs)


@dataclass(frozen=True)
class Program:
    """A module as a graph.

    Attributes:
        graph: of torch.export.
        example: the input that it was traced with.
        open: whether it takes clips of other lengths than the example.
    """

    graph: Any
    example: Tensor
    open: bool


def program(of: Subject, fixed: bool, single: bool = False) -> Program:
    """Trace a module.

    Args:
        of: the module.
        fixed: whether the graph takes clips of the model's own length alone, so that no axis but the batch is open.
        single: whether the graph takes one clip at a time.

    Raises:
        RunError: the module has no such graph.
    """
    example = of.signals(1 if single else 2, of.length if fixed else of.odd_length)
    shapes: dict[int, Any] = {} if single else {0: torch.export.Dim("batch")}
    if not fixed:
        shapes[of.axis] = torch.export.Dim("length", min=of.least)
    return traced(of.module, example, shapes, of.name, not fixed)


def traced(module: nn.Module, example: Tensor, shapes: dict[int, Any], name: str, is_open: bool) -> Program:
    """Return the graph of a module for an example and its open axes.

    Raises:
        RunError: there is none.
    """
    graph = None
    for ones in (True, False, False):
        try:
            graph = _graph(module, example, shapes, ones)
            break
        except Exception as error:  # any exception of the module or of the tracer
            problem = error
            found = re.search(r"generated guard (\d+) <= L\['\w+'\]\.size\(\)\[(\d+)\]", str(error))
            if found and (axis := int(found[2])) in shapes:  # shorter clips take another way
                shapes = shapes | {axis: torch.export.Dim(shapes[axis].__name__, min=int(found[1]))}
    if graph is None:
        raise RunError(f"{name} has no graph: {cause(problem)}") from problem
    # Each assertion says that one size is not another, and refuses clips that the graph is right for.
    for part in graph.graph_module.modules():
        if isinstance(part, torch.fx.GraphModule):  # the whole, and the bodies of loops
            for node in [each for each in part.graph.nodes if each.target is torch.ops.aten._assert_scalar.default]:
                part.graph.erase_node(node)
            part.graph.eliminate_dead_code()
            part.recompile()
    return Program(graph, example, is_open)


def _graph(module: nn.Module, example: Tensor, shapes: dict[int, Any], ones: bool) -> Any:
    """Return the graph; with `ones`, an open size that is 1 is traced as any other, which not all modules permit."""
    oblivious = _config.patch(backed_size_oblivious=ones)  # type: ignore[attr-defined]
    with in_silence(), torch.no_grad(), oblivious, _PlainLayout():
        return torch.export.export(
            module.eval(), (example,), dynamic_shapes=(shapes,) if shapes else None, strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )  # fmt: skip


def cause(error: BaseException) -> str:
    """Return which operator an exporter's error is about, and its first line."""
    text = str(error)
    below: BaseException | None = error
    while below is not None:
        text += f"\n{below}"
        below = below.__cause__
    found = re.search(r"(?:op='|torch\.ops\.)?\b((?:aten|higher_order|torchvision|prims)(?:[.:]+\w+)+)", text)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    operator = f"operator {found[1].replace('::', '.')}: " if found else ""
    return f"{operator}{first[:300]} ({type(error).__name__})"
