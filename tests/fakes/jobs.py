"""Jobs that go well and badly, for the executors' tests."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.runner.news import Working
from bench.training import stopping


def add(a, b, *, report):
    report("adding")
    return a + b


def fail(*, report):
    raise ValueError("no such thing: bring one")


def die(*, report):
    os.kill(os.getpid(), signal.SIGKILL)


def dies_silently(settings, how, *, report):
    os.kill(os.getpid(), how)
    time.sleep(300)


def prints_and_dies(settings, *, report):
    os.write(1, b"its last words\n")
    die(report=report)


def prints(settings, *, report):
    print("printed by a model")  # noqa: T201 - as models do
    sys.stderr.write("warned by a model\n")
    os.write(1, b"written by a library\n")


def stop(code, *, report):
    sys.exit(code)


def interrupt(*, report):
    raise KeyboardInterrupt


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


def hang(*, report):
    """Report, then wait without end in a function whose name shows in a stack."""
    report("hanging")
    _without_end()


def _without_end():
    while True:
        time.sleep(0.01)


def hang_in_c(*, report):
    """Hold the interpreter in one call that takes hours, so that no other Python thread runs."""
    sum(range(10**15))


def keep_going(times, seconds, *, report):
    for _ in range(times):
        time.sleep(seconds)
        report(Working())
    return times


def leave_things_behind(folder, *, report):
    """Return with a thread and two processes still at work; one of the processes holds this one's pipes."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    forked = os.fork()
    if not forked:
        time.sleep(600)
        os._exit(0)
    for pid in (os.getpid(), child.pid, forked):
        Path(folder, str(pid)).touch()
    return "left"


def leave_a_thread(folder, *, report):
    """End with a thread that keeps the process until the next job has made its mark, and then writes `seen`."""

    def wait():
        while not any(Path(folder).glob("next-*")):
            time.sleep(0.01)
        Path(folder, "seen").write_text("")

    threading.Thread(target=wait).start()


def die_with_children(folder, *, report):
    leave_things_behind(folder, report=report)
    os.kill(os.getpid(), signal.SIGKILL)


def save_on_sigterm(folder, *, report):
    """Train, as far as signals see it: a wish to stop is granted after a moment."""
    with stopping.catching():
        Path(folder, "begun").touch()
        report("training")
        while not stopping.asked():
            time.sleep(0.01)
        time.sleep(0.2)
        Path(folder, "saved").touch()
        raise stopping.Stopped


def tell_gpus(folder, number, together, *, report):
    """Write which GPUs this process sees, wait until so many jobs have done so, and return it."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    part = Path(folder) / f".{number}"
    part.write_text(json.dumps(seen))
    part.replace(Path(folder) / f"{number}.json")
    until = time.monotonic() + 60
    while len(list(Path(folder).glob("*.json"))) < together and time.monotonic() < until:
        time.sleep(0.01)
    return seen


def cancel(*, report):
    raise asyncio.CancelledError("by its own loop")


def misname(*, report):
    name = os.fsdecode(b"caf\xe9")
    raise ValueError(f"{name}.csv has no rows")
