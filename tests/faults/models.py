"""Models that exit, are killed, raise errors and print. The suites of the campaign have a copy of this file."""

import os
import signal
import sys

import torch

from models.cnn import CNN


class Prints(CNN):
    """Prints wherever it can."""

    def forward(self, x):
        sys.stdout.write("PRINTED BY A MODEL\n")
        os.write(1, b"WRITTEN BY A MODEL\n")
        return super().forward(x)


class _Once(CNN):
    """Does something in the first step of training."""

    def training_step(self, *batch):
        self.misbehave()
        return super().training_step(*batch)

    def misbehave(self):
        raise NotImplementedError


class Exits(_Once):
    """Ends its process."""

    def misbehave(self):
        os._exit(3)


class SystemExits(_Once):
    """Calls sys.exit."""

    def misbehave(self):
        sys.exit(0)


class Killed(_Once):
    """Is killed as by a lack of memory."""

    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Aborts(_Once):
    """Ends as a segmentation fault does."""

    def misbehave(self):
        os.kill(os.getpid(), signal.SIGSEGV)


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
