"""Models that are killed, raise errors, learn NaN, or follow from no seed.

The suites of the campaign have a copy of this file.
"""

import os
import signal

import torch

from models.cnn import CNN


class _Once(CNN):
    """Does something in the first step of training."""

    def training_step(self, *batch):
        self.misbehave()
        return super().training_step(*batch)

    def misbehave(self):
        raise NotImplementedError


class Killed(_Once):
    """Is killed as by a lack of memory."""

    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Raises(_Once):
    """Raises an error of its own."""

    def misbehave(self):
        raise RuntimeError("an error of a model")


class OutOfMemory(_Once):
    """Asks for more memory than there is."""

    def misbehave(self):
        raise MemoryError("not enough memory")


class NotFinite(_Once):
    """Learns weights that are not finite."""

    def misbehave(self):
        for parameter in self.parameters():
            parameter.data.fill_(float("nan"))


class Unseeded(CNN):
    """Draws weights that follow from no seed."""

    def __init__(self, *given, **named):
        torch.seed()
        super().__init__(*given, **named)
