"""PyTorch's compiler: operators fused to C++ code for the processor, or to Triton kernels for a GPU."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import ProfileError
from bench.profiling.backends import Backend, Classify
from models.base import AudioModel

OPTIONS: dict[str, str | int | bool | Callable[..., object]] = {"freezing": True, "layout_optimization": False}
"""Options of the compiler. Its choice of channels-last makes CNN14 a quarter slower (`benchmarks/latency.py`)."""


class Compile(Backend):
    """`torch.compile` for one shape, with frozen weights, because they are no longer trained."""

    devices = frozenset({"cpu", "cuda"})

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return `classify`, already compiled as one graph.

        Raises:
            ProfileError: there is no C++ compiler, the model has its own kernels, or torch would run a part of the
                model (`nn.LSTM`, `nn.GRU`, `nn.RNN`) in eager.
        """
        refuse_own_kernels(model, "compile")
        if features.device.type == "cpu" and compiler() is None:
            raise ProfileError(
                "the backend compile needs a C++ compiler, and there is none: install g++, or name a compiler with CXX"
            )
        classify: Classify = torch.compile(model.classify, dynamic=False, fullgraph=True, options=OPTIONS)
        if classify == model.classify:
            raise ProfileError("torch.compile is switched off here: unset TORCHDYNAMO_DISABLE")
        try:
            classify(features)
        except RuntimeError as error:  # the base of Dynamo's exceptions and of "no compiled frames"
            first = str(error).strip().partition("\n")[0]
            raise ProfileError(
                f"torch.compile cannot compile all of {type(model).__name__} as one graph ({first}): use eager"
            ) from error
        return classify


def compiler() -> str | None:
    """Return the path of the C++ compiler that torch calls; None if there is none."""
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))), None)


def refuse_own_kernels(model: AudioModel, name: str) -> None:
    """Refuse a model whose solver has kernels that are not operators of torch.

    Raises:
        ProfileError: the model has such a solver.
    """
    if model.has_own_kernels():
        raise ProfileError(
            f"the liquid layer of {type(model).__name__} has its own kernels, which {name} cannot use; it would "
            f"unroll every sub-step of every frame to operators: use eager, which runs these kernels"
        )
