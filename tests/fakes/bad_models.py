"""Models that hang, leak, exit, die, fork, start threads and print, while they train or while they are timed.

The suite of `bench/runner/test_bad_models.py` has a copy of this file next to it. Each process that a model starts or
hangs in writes a file named after its number into the folder `processes` next to the copy.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from models.fc import FC

PROCESSES = Path(__file__).parent / "processes"
LONG = 600.0
LEAKED: list[torch.Tensor] = []


def known(number: int) -> None:
    """Write down the number of a process."""
    PROCESSES.mkdir(exist_ok=True)
    (PROCESSES / str(number)).touch()


def hang() -> None:
    """Wait without end, in a function whose name shows in a stack."""
    known(os.getpid())
    time.sleep(LONG)


class _InTraining(FC):
    """Misbehaves in each step of its training."""

    def training_step(self, *batch):
        self.misbehave()
        return super().training_step(*batch)

    def misbehave(self):
        raise NotImplementedError


class Hangs(_InTraining):
    """Waits without end."""

    def misbehave(self):
        hang()


class Leaks(_InTraining):
    """Keeps 8 MB more in each step."""

    def misbehave(self):
        LEAKED.append(torch.ones(1_000_000, dtype=torch.float64))


class Exits(_InTraining):
    """Ends its process without a word."""

    def misbehave(self):
        os._exit(0)


class SystemExits(_InTraining):
    """Calls sys.exit."""

    def misbehave(self):
        sys.exit(0)


class Segfaults(_InTraining):
    """Ends as by a segmentation fault, and leaves a process."""

    def misbehave(self):
        _fork()
        os.kill(os.getpid(), signal.SIGSEGV)


class Forks(_InTraining):
    """Leaves processes: a fork, a program, and a program with a session of its own."""

    def misbehave(self):
        if not PROCESSES.exists() or len(list(PROCESSES.iterdir())) < 20:
            _fork()
            sleep = [sys.executable, "-c", f"import time; time.sleep({LONG})"]
            known(subprocess.Popen(sleep).pid)
            known(subprocess.Popen(sleep, start_new_session=True).pid)


class ForksAndGoesOn(_InTraining):
    """Forks, and the fork trains on as if it were the run."""

    forked = False

    def misbehave(self):
        if not ForksAndGoesOn.forked:
            ForksAndGoesOn.forked = True
            if os.fork() == 0:
                known(os.getpid())


class HangsAfterTraining(FC):
    """Waits without end when its multiply-adds are counted, in features without values."""

    def classify(self, features):
        if features.is_meta:
            hang()
        return super().classify(features)


class LeavesSessions(_InTraining):
    """Leaves forks that have left its session or its group, one of them a daemon, and a program without variables."""

    done = False

    def misbehave(self):
        if not LeavesSessions.done:
            LeavesSessions.done = True
            _fork(os.setsid)
            _fork(lambda: os.setpgid(0, 0))
            _daemon()
            sleep = [sys.executable, "-c", f"import time; time.sleep({LONG})"]
            known(subprocess.Popen(sleep, start_new_session=True, env={}).pid)


class LeavesSessionsAndDies(_InTraining):
    """Leaves a fork in a session of its own and a daemon, and ends as by a segmentation fault."""

    def misbehave(self):
        _fork(os.setsid)
        _daemon()
        os.kill(os.getpid(), signal.SIGSEGV)


class StartsThreads(_InTraining):
    """Leaves threads that nobody waits for."""

    def misbehave(self):
        known(os.getpid())
        for _ in range(3):
            threading.Thread(target=time.sleep, args=(LONG,)).start()


class Prints(FC):
    """Prints wherever it can."""

    def forward(self, x):
        sys.stdout.write("PRINTED BY A MODEL\n")
        os.write(1, b"WRITTEN BY A MODEL\n")
        return super().forward(x)


class _WhileTimed(FC):
    """Misbehaves in a process that has not trained it: the one that times it."""

    trained = False

    def training_step(self, *batch):
        _WhileTimed.trained = True
        return super().training_step(*batch)

    def forward(self, x):
        if not self.training and not self.trained and torch.is_inference_mode_enabled():
            self.misbehave()
        return super().forward(x)

    def misbehave(self):
        raise NotImplementedError


class HangsWhileTimed(_WhileTimed):
    """Waits without end when it is timed."""

    def misbehave(self):
        hang()


class SegfaultsWhileTimed(_WhileTimed):
    """Ends as by a segmentation fault when it is timed."""

    def misbehave(self):
        _fork()
        os.kill(os.getpid(), signal.SIGSEGV)


def _fork(first: Callable[[], object] = int) -> None:
    """Start a process that does something and then nothing for a long time, and holds the pipes of this one."""
    forked = os.fork()
    if not forked:
        first()
        time.sleep(LONG)
        os._exit(0)
    known(forked)
    time.sleep(0.1)  # until it has done it


def _daemon() -> None:
    """Start a process as daemons do: in a session of its own, its parent gone, its files closed."""
    forked = os.fork()
    if not forked:
        os.setsid()
        if (second := os.fork()) != 0:
            known(second)
            os._exit(0)
        os.closerange(3, 400)
        time.sleep(LONG)
        os._exit(0)
    os.waitpid(forked, 0)
