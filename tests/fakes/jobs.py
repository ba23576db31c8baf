"""Jobs that go well and badly, for the executors' tests."""

import os
import signal
import sys
import time
from pathlib import Path


def add(a, b, *, report):
    report("adding")
    return a + b


def fail(*, report):
    raise ValueError("no such thing: bring one")


def die(*, report):
    os.kill(os.getpid(), signal.SIGKILL)


def prints(settings, *, report):
    print("printed by a model")  # noqa: T201 - as models do
    sys.stderr.write("warned by a model\n")
    os.write(1, b"written by a library\n")


def stop(*, report):
    raise SystemExit(3)


def leave(*, report):
    os._exit(3)


def mark(folder, name, seconds, *, report):
    Path(folder, f"{name}-{os.getpid()}").touch()
    time.sleep(seconds)
    return os.getpid()


def wait_for_answer(answer, *, report):
    report("waiting")
    until = time.monotonic() + 300
    while not Path(answer).exists() and time.monotonic() < until:
        time.sleep(0.01)
    return Path(answer).exists()


def mark_slowly(folder, *, report):
    for i in range(100):
        Path(folder, f"{i}-{os.getpid()}").touch()
        report(i)
        time.sleep(0.05)
