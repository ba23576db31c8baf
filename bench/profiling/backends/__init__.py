"""Ways of running a trained model from its features on; the front-end is torch's own with all of them.

A backend is a file here and a line in `bench.catalog.BACKENDS`.
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
"""Features `(B, F, T)` to logits `(B, C)`, both where the model is, for one B and one T."""


class Backend(ABC):
    """What makes a model ready to be called many times.

    Attributes:
        devices: where it runs, of "cpu" and "cuda".
        exact: whether its logits have to be the model's own up to rounding; those of others are compared and recorded.
        prepares: whether it needs `prepare`; what is `ready` then makes no use of the model.
        dtype: of its numbers where that is not the weights'.
        packages: whose versions can change its speed.
    """

    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    exact: ClassVar[bool] = True
    prepares: ClassVar[bool] = False
    dtype: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    def prepare(self, model: AudioModel, features: Tensor, calibration: Sequence[Tensor], folder: Path) -> None:  # noqa: B027
        """Write to `folder` what `ready` reads, once for each number of clips; most backends need nothing.

        Args:
            model: in eval mode.
            features: `(B, F, T)`, as it will be called with.
            calibration: features of other clips, each `(1, F, T)`, that show what values to expect.
            folder: of this model and this number of clips.

        Raises:
            ProfileError: the backend cannot run this model; says why, and what to do.
        """

    @abstractmethod
    def ready(self, model: AudioModel, features: Tensor, folder: Path, threads: int) -> Classify:
        """Return what stands in for `model.classify`.

        Args:
            model: in eval mode on its device; a copy, which may be changed.
            features: `(B, F, T)`, as it will be called with.
            folder: where `prepare` wrote.
            threads: intra-operator threads.

        Raises:
            ProfileError: the backend cannot run this model; says why, and what to do.
        """

    def software(self) -> str:
        """Return the packages it rests on, with their versions."""
        return ", ".join(
            f"{name} {torch.__version__ if name == 'torch' else importlib.metadata.version(name)}"
            for name in self.packages
        )


def backend(name: str, device: str = "cpu") -> Backend:
    """Return a backend by name.

    Raises:
        SuiteError: there is none of that name.
        ProfileError: it does not run on such a device.
    """
    found: Backend = catalog.load(catalog.find(catalog.BACKENDS, name, "backend").target)()
    if device not in found.devices:
        raise ProfileError(f"the backend {name} runs on {' and '.join(sorted(found.devices))}, not on {device}")
    return found
