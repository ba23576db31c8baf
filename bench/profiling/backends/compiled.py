"""PyTorch's compiler: operators fused to C++ for the processor, or to Triton kernels for a GPU."""

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
"""Of the compiler. Its own choice of channels-last costs CNN14 a quarter on a processor (`benchmarks/latency.py`)."""


class Compile(Backend):
    """`torch.compile` for one shape, with the weights frozen, as they are no longer trained."""

    devices = frozenset({"cpu", "cuda"})

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return the compiled `classify`, compiled already, as one graph.

        Raises:
            ProfileError: there is no C++ compiler, the model has kernels of its own, or torch would run a part of it
                (`nn.LSTM`, `nn.GRU`, `nn.RNN`) in eager, whose time would not be the compiler's.
        """
        refuse_own_kernels(model, "compile")
        if features.device.type == "cpu" and compiler() is None:
            raise ProfileError(
                "the backend compile writes C++, and there is no compiler here: install g++, or name one with CXX"
            )
        classify: Classify = torch.compile(model.classify, dynamic=False, fullgraph=True, options=OPTIONS)
        if classify == model.classify:
            raise ProfileError("torch.compile is switched off here: unset TORCHDYNAMO_DISABLE")
        try:
            classify(features)
        except RuntimeError as error:  # Dynamo's own are RuntimeErrors; so is "no compiled frames"
            first = str(error).strip().partition("\n")[0]
            raise ProfileError(
                f"torch.compile cannot compile all of {type(model).__name__} as one graph ({first}): use eager"
            ) from error
        return classify


def compiler() -> str | None:
    """Return the path of the C++ compiler that torch would call; None without one."""
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))), None)


def refuse_own_kernels(model: AudioModel, name: str) -> None:
    """Refuse a model whose solver has kernels that are no operators of torch.

    Raises:
        ProfileError: the model has one.
    """
    if model.has_own_kernels():
        raise ProfileError(
            f"the liquid layer of {type(model).__name__} has kernels of its own, which {name} cannot take over; it "
            f"would unroll every sub-step of every frame to operators: use eager, which runs those kernels"
        )
