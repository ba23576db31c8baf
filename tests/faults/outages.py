"""F15: whole suites that are mirrored to a W&B server that is dead, silent, slow, full, or dies meanwhile."""

import itertools
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from fakes.answering import answering
from faults import runs
from faults.tally import Fault, Tally

SECONDS = 20.0
"""Most that an outage may cost a suite."""

SLOW = 8.0
MODELS, EPOCHS = ("fc", "cnn"), 2


@contextmanager
def serving(answer: Callable[[int], tuple[int, float]]) -> Iterator[str]:
    """Serve on a port of this machine.

    Args:
        answer: number of the request, from 0, to its status and the seconds until it comes.
    """
    numbers = itertools.count()

    def one(path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        status, seconds = answer(next(numbers))
        time.sleep(seconds)
        return status, {"errors": [{"message": "no"}]} if status >= 400 else {"data": {}}

    with answering(one) as url:
        yield url


@contextmanager
def dead() -> Iterator[str]:
    """Refuse connections."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def silent() -> Iterator[str]:
    """Accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_key() -> Iterator[str]:
    """Name a server that answers, and no key."""
    with serving(lambda number: (200, 0.0)) as url:
        yield url


def after(number: int, status: int, seconds: float = 0.0) -> AbstractContextManager[str]:
    """Serve well at first; from a request on, answer in another way."""
    return serving(lambda asked: (200, 0.0) if asked < number else (status, seconds))


WAYS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "silent after its first answer": lambda: after(1, 200, 600.0),
    "dead": dead,
    "silent": silent,
    "no key": no_key,
    "full": lambda: after(1, 507),
    "slow": lambda: after(1, 200, SLOW),
    "broken": lambda: after(1, 500),
    "broken later": lambda: after(4, 500),
}
WAITS = "BENCH_WAITS"
MEASURED = f"""
import os, time
from bench.tracking import loggers, mirror
def timed(call):
    def timing(*given, **named):
        began = time.monotonic()
        try:
            return call(*given, **named)
        finally:
            with open(os.environ["{WAITS}"], "a") as file:
                file.write(str(time.monotonic() - began) + chr(10))
    return timing
loggers.choose_mode, mirror.Mirror.close = timed(loggers.choose_mode), timed(mirror.Mirror.close)
"""
"""Python code that measures how long a suite waits for W&B: at its start and at its end, for nothing between waits."""

PATCH = ""
"""Python code that the commands begin with; a proof takes a guard out by it."""


def mirror_to(count: int, folder: Path) -> Tally:
    """Do a suite with each of these servers; it costs no record, and the suite waits at most 20 s for it."""
    tally = Tally()
    with runs.starting_quickly():
        runs.run(folder / "warm", MODELS[:1], 1)
        runs.run(folder / "alone", MODELS, EPOCHS)
        wanted = runs.results(folder / "alone")
        for number, name in enumerate([*WAYS][:count]):
            place, waits = folder / str(number), folder / f"waits{number}"
            given = [word if word != "disabled" else "online" for word in runs.command(place, MODELS, EPOCHS)]
            given[2] = MEASURED + PATCH + given[2]
            with WAYS[name]() as url:
                variables = runs.environment() | {"WANDB_BASE_URL": url, "WANDB_MODE": "online", "HOME": str(folder)}
                variables |= {WAITS: str(waits)} | ({} if name == "no key" else {"WANDB_API_KEY": "0" * 40})
                done = subprocess.run(
                    given, env=variables, capture_output=True, text=True, timeout=runs.PATIENCE, check=False
                )
            tally.injected += 1
            found, said = runs.results(place), done.stdout + done.stderr
            waited = sum(map(float, waits.read_text().split())) if waits.exists() else 0.0
            tally.note("hung", f"{name}: waited {waited:.1f} s", count=waited > SECONDS or not waits.exists())
            tally.notes.append(f"({name}: waited {waited:.1f} s)")
            tally.note("lost", f"{name}: exit code {done.returncode}: {said[-300:]}", count=done.returncode != 0)
            tally.note("lost", f"{name}: a record", count=found.keys() != wanted.keys())
            other = sum(not runs.same(found[key], wanted[key]) for key in found if key in wanted)
            tally.note("wrong", f"{name}: another result", count=other)
            tally.note("crashed", f"{name}: no word of it: {said[-300:]}", count="W&B" not in said)
    return tally


@contextmanager
def unlimited() -> Iterator[None]:
    """Wait for W&B as long as it takes, up to two minutes."""
    patch = "end = mirror.Mirror.close; mirror.Mirror.close = lambda self, seconds=15: end(self, 120); "
    with mock.patch(f"{__name__}.PATCH", patch):
        yield


FAULTS = (
    Fault("F15", "suites mirrored to a W&B server that is dead, silent, slow, full or breaks, or without a key", 0,
          len(WAYS), mirror_to, "the mirror has a process of its own and little time", unlimited, 1),
)  # fmt: skip
