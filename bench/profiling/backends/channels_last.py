"""PyTorch with the weights and activations of 2-D convolutions in the channels-last memory format."""

from pathlib import Path

import torch
from torch import Tensor, nn

from bench.errors import ProfileError
from bench.profiling.backends import Backend, Classify
from models.base import AudioModel


class ChannelsLast(Backend):
    """The channels-last memory format, in which convolutions are faster on many processors."""

    devices = frozenset({"cpu", "cuda"})

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return the model's `classify`, with the weights in the channels-last format.

        Raises:
            ProfileError: the model has no 2-D convolution.
        """
        if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
            raise ProfileError(
                f"{type(model).__name__} has no 2-D convolution, so channels-last is the same as eager: use eager"
            )
        model.to(memory_format=torch.channels_last)
        return model.classify
