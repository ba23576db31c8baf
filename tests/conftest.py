"""Fixtures and settings of all tests."""

import faulthandler
import gc
import multiprocessing
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs inherit it, and so would children
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on the machine and on what else it does.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tests")


STARTING = {"browser", "finished", "mirrored", "offline", "running", "start"}
"""Fixtures that start processes."""
WEIGHT = {"process": 3, "slow": 2}


ERRORS = pytest.StashKey[int]()
"""Where this process writes why it dies, while tests have another standard error."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ERRORS] = os.dup(2)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a process that runs tests has died: xdist says only that it has."""
    if error:
        with suppress(subprocess.TimeoutExpired):
            code = node.gateway._io.popen.wait(timeout=5)
            print(f"{node.gateway.id} ended with exit code {code}", flush=True)  # noqa: T201 - pytest's own output


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes, and put the files that take longest first, so that no worker ends with one."""
    weights: Counter[Path] = Counter()
    for item in items:
        if STARTING.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
        weights[item.path] += sum(weight for name, weight in WEIGHT.items() if item.get_closest_marker(name))
    items.sort(key=lambda item: -weights[item.path])


def pytest_collection_finish() -> None:
    """Keep the garbage collector from the libraries' objects: every timing collects garbage before it starts."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Shorten the timings and compilations of this process and of the processes that it forks.

    The modules are imported here, so that the process that only distributes the tests does not import torch.
    """
    import_module("fakes.brief")
    with pytest.MonkeyPatch.context() as patch:
        given = os.environ.get("PYTHONPATH")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *([given] if given else [])]))
        # Set before a fork server starts, whose children have its environment.
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        patch.setenv("TORCHINDUCTOR_VEC_ISA_OK", "1")  # compile no program for each instruction set to try it
        servers = import_module("fakes.forkservers")
        with servers.serving() as address:
            patch.setenv(servers.VARIABLE, address)
            servers.shorten_timings()
            yield


@pytest.fixture(autouse=True)
def _say_why_it_dies(pytestconfig: pytest.Config) -> None:
    """Write a traceback where compiled code ends this process. Lightning's Trainer takes the handlers away."""
    faulthandler.disable()
    faulthandler.enable(pytestconfig.stash[ERRORS])


@pytest.fixture(autouse=True)
def _reap() -> Iterator[None]:
    """End what `multiprocessing` started in a test that failed, so that the next test does not meet it."""
    yield
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[Any]"]]:
    """Start processes as `subprocess.Popen` does; none outlives the test, whether it passes or fails."""
    started: list[subprocess.Popen[Any]] = []

    def call(*arguments: Any, **options: Any) -> "subprocess.Popen[Any]":
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        process.wait()
