"""Jobs that go well and badly, for the executors' tests."""

import os
import signal
import time
from pathlib import Path


def add(a, b, *, report):
    report("adding")
    return a + b


def fail(*, report):
    raise ValueError("no such thing: bring one")


def die(*, report):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(*, report):
    os._exit(3)


def mark(folder, name, seconds, *, report):
    Path(folder, f"{name}-{os.getpid()}").touch()
    time.sleep(seconds)
    return os.getpid()
