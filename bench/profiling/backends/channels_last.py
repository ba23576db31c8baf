"""PyTorch with the weights of 2-D convolutions, and so what they work on, laid out with channels last."""

from pathlib import Path

import torch
from torch import Tensor, nn

from bench.errors import ProfileError
from bench.profiling.backends import Backend, Classify
from models.base import AudioModel


class ChannelsLast(Backend):
    """Another order of the same numbers in memory, which many processors' convolutions prefer."""

    devices = frozenset({"cpu", "cuda"})

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return the `classify` of the model with its weights in that order.

        Raises:
            ProfileError: nothing in the model has two dimensions and channels.
        """
        if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
            raise ProfileError(
                f"{type(model).__name__} has no 2-D convolution, so channels-last is eager once more: use eager"
            )
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.classify
