"""Backends: libraries that compute the logits of a trained model from its features. The front-end always runs in torch.

A backend is a module here and an entry in `bench.catalog.BACKENDS`.
"""

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench import catalog
from bench.errors import ProfileError
from models.base import AudioModel

Classify = Callable[[Tensor], Tensor]
"""Function from features `(B, F, T)` to logits `(B, C)`, on the model's device, for one B and one T."""


class Backend(ABC):
    """A library that makes a model ready for many calls.

    Attributes:
        devices: supported devices, of "cpu" and "cuda".
        exact: whether its logits must equal the model's up to rounding; deviations of other backends are recorded.
        prepares: whether it needs `prepare`; the function from `ready` then does not use the model.
        dtype: number format; None if it is that of the weights.
        packages: packages whose versions can change its speed.
    """

    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    exact: ClassVar[bool] = True
    prepares: ClassVar[bool] = False
    dtype: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    def prepare(self, model: AudioModel, features: Tensor, calibration: Sequence[Tensor], folder: Path) -> None:  # noqa: B027
        """Write the files that `ready` reads to `folder`, once for each batch size; most backends need no files.

        Args:
            model: in eval mode.
            features: `(B, F, T)`, with the shape of later calls.
            calibration: features of several clips, each `(1, F, T)`, for value ranges.
            folder: folder of this model and this batch size.

        Raises:
            ProfileError: the backend cannot run this model; the message says why, and what to do.
        """

    @abstractmethod
    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return a function that replaces `model.classify`.

        Args:
            model: a copy in eval mode on its device; the backend may change it.
            features: `(B, F, T)`, with the shape of later calls.
            folder: folder that `prepare` wrote.
            threads: intra-operator threads.

        Raises:
            ProfileError: the backend cannot run this model; the message says why, and what to do.
        """

    def software(self) -> str:
        """Return the backend's packages with their versions."""
        return ", ".join(
            f"{name} {torch.__version__ if name == 'torch' else importlib.metadata.version(name)}"
            for name in self.packages
        )


def backend(name: str, device: str = "cpu") -> Backend:
    """Return a backend by name.

    Raises:
        SuiteError: no backend has that name.
        ProfileError: the backend does not run on this device.
    """
    found: Backend = catalog.load(catalog.backend(name).target)()
    if device not in found.devices:
        raise ProfileError(f"the backend {name} runs on {' and '.join(sorted(found.devices))}, not on {device}")
    return found
