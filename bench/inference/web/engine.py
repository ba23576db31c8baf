"""A trained model that computes for many clients: one batch at a time, stoppable between its layers."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from bench.errors import RunError
from bench.inference.classifier import Classifier
from datamodules.audio.in_child import Stopped
from models.base import use_kernels

Stop = Callable[[], bool]


class Engine:
    """A trained model, as the server uses it.

    On a GPU it computes in mixed precision; a front-end that never learns still computes in single precision. On a CPU
    it computes in single precision.

    Args:
        model: takes sound.
        amp: whether to use mixed precision; None uses it on a GPU.

    Raises:
        RunError: the model takes embeddings.
    """

    def __init__(self, model: Classifier, amp: bool | None = None) -> None:
        if not model.takes_sound:
            raise RunError(f"{model.name} takes embeddings, not sound: serve a run on waveforms")
        self.model = model
        self.batch = 4 if model.device == "cpu" else 32
        self._amp = model.device != "cpu" if amp is None else amp
        self._lock = threading.Lock()
        use_kernels(model.module)
        self._stop: Stop = _never
        for module in model.module.modules():
            module.register_forward_pre_hook(self._look)

    def probabilities(self, clips: Tensor, stop: Stop = lambda: False) -> Tensor:
        """Return the probabilities `(B, C)` of clips `(B, S)`.

        Raises:
            Stopped: `stop` said so, before the computation or between two layers of it.
        """
        while not self._lock.acquire(timeout=0.02):
            if stop():
                raise Stopped
        try:
            self._stop = stop
            with self._autocast():
                return self.model.probabilities(self.model.logits(clips))
        finally:
            self._stop = _never
            self._lock.release()

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self._amp:
            return nullcontext()
        gpu = self.model.device != "cpu"
        return torch.autocast("cuda" if gpu else "cpu", torch.float16 if gpu else torch.bfloat16)

    def _look(self, module: object, given: object) -> None:
        if self._stop():
            raise Stopped


def _never() -> bool:
    return False
