"""Child processes that do not import the program's main script."""

import sys
from multiprocessing.process import BaseProcess
from threading import Lock
from types import ModuleType

_LOCK = Lock()


def start(process: BaseProcess) -> None:
    """Start a process of a fork server that does not import the main script again.

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
