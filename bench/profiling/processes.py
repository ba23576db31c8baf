"""How child processes are started."""

import sys
from collections.abc import Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from threading import Lock
from types import ModuleType

_LOCK = Lock()


def process_context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return what starts child processes: a fork server, or new interpreters where there is none (Windows).

    Args:
        preload: modules that the fork server imports once; new interpreters import what they need themselves.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context


def start(process: BaseProcess) -> None:
    """Start a process that does not import the main script again.

    `multiprocessing` imports the main script in every child, so that what the script defines can be unpickled there.
    What this project sends to its children stands in modules, and a user's script that calls `bench.run` outside
    `if __name__ == "__main__"` would start the suite again in every child.
    """
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            process.start()
        finally:
            sys.modules["__main__"] = main
