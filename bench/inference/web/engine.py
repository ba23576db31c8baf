"""A trained model that computes for many clients: one batch at a time, stoppable between its layers."""

import threading
import time
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

MAX_BATCH = 4
"""Clips that a CPU computes at a time, at most."""
MAX_GAP = 0.1
"""Seconds between two looks at whether to stop above which a CPU's batches become smaller."""


class Engine:
    """A trained model, as the server uses it.

    On a GPU it computes in mixed precision; a front-end that never learns still computes in single precision. On a CPU
    it computes in single precision. There the first batch is one clip, and batches double while no layer takes long,
    so that the work of a large model, too, ends soon after it is to stop.

    Args:
        model: takes sound.
        amp: whether to use mixed precision; None uses it on a GPU.

    Attributes:
        batch: clips of the next batch.

    Raises:
        RunError: the model takes embeddings.
    """

    def __init__(self, model: Classifier, amp: bool | None = None) -> None:
        if not model.takes_sound:
            raise RunError(f"{model.name} takes embeddings, not sound: serve a run on waveforms")
        self.model = model
        self.batch = 1 if model.device == "cpu" else 32
        self._amp = model.device != "cpu" if amp is None else amp
        self._lock = threading.Lock()
        use_kernels(model.module)
        self._stop: Stop = _never
        self._looked = self._gap = 0.0
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
            self._stop, self._looked, self._gap = stop, time.perf_counter(), 0.0
            with self._autocast():
                found = self.model.probabilities(self.model.logits(clips))
            self._clock()
            self._adapt(len(clips))
            return found
        finally:
            self._stop = _never
            self._lock.release()

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self._amp:
            return nullcontext()
        gpu = self.model.device != "cpu"
        return torch.autocast("cuda" if gpu else "cpu", torch.float16 if gpu else torch.bfloat16)

    def _look(self, module: object, given: object) -> None:
        self._clock()
        if self._stop():
            raise Stopped

    def _clock(self) -> None:
        """Note the longest time between two looks of a batch."""
        now = time.perf_counter()
        self._gap, self._looked = max(self._gap, now - self._looked), now

    def _adapt(self, clips: int) -> None:
        """Choose the size of the next batch from the longest time between two looks of this one."""
        if self.model.device != "cpu":
            return
        if self._gap > MAX_GAP:
            self.batch = max(1, clips // 2)
        elif self._gap < MAX_GAP / 4 and clips == self.batch:
            self.batch = min(MAX_BATCH, 2 * clips)


def _never() -> bool:
    return False
