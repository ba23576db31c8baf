"""PyTorch's eager mode, as in training: one operator after another."""

from pathlib import Path

from torch import Tensor

from bench.profiling.backends import Backend, Classify
from models.base import AudioModel


class Eager(Backend):
    """The unchanged model."""

    devices = frozenset({"cpu", "cuda"})

    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return the model's own `classify`."""
        return model.classify
