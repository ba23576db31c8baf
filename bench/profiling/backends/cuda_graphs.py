"""CUDA graphs: the GPU's kernels are recorded once and replayed by one call, in 32-bit floats or in bfloat16."""

from pathlib import Path

import torch
from torch import Tensor

from bench.errors import ProfileError
from bench.profiling.backends import Backend, Classify
from bench.profiling.backends.compiled import refuse_own_kernels
from models.base import AudioModel

_WARM_UP = 3  # so that cuDNN has chosen its kernels before they are recorded


class CudaGraphs(Backend):
    """The recorded model. Without a graph, small models spend most of a clip's time on starting kernels."""

    devices = frozenset({"cuda"})
    precision = torch.float32

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return a function that copies features to the graph's input and replays the graph.

        Raises:
            ProfileError: the model does something that cannot be recorded.
        """
        refuse_own_kernels(model, "a CUDA graph")
        model.to(self.precision)
        inside = features.to(self.precision, copy=True)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                model.classify(inside)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                logits = model.classify(inside).float()
        except RuntimeError as error:
            first = str(error).strip().partition("\n")[0]
            raise ProfileError(f"{type(model).__name__} cannot be recorded ({first}): use eager or compile") from error

        def classify(features: Tensor) -> Tensor:
            inside.copy_(features)
            graph.replay()
            return logits

        return classify


class CudaGraphsBf16(CudaGraphs):
    """The recorded model in bfloat16; the front-end stays in 32-bit floats, because powers have a wide range."""

    exact = False
    dtype = "bfloat16"
    precision = torch.bfloat16
