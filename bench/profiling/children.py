"""Child processes with a clean start, whose messages come back through a pipe. Importing this never imports torch.

A fork server imports the heavy modules once; each child is forked from it in milliseconds, with no thread started yet.
Where there is no fork server (Windows), each child is a new interpreter.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from bench import lookup
from bench.profiling import output


class ChildEnded(Exception):  # noqa: N818 - it may have ended well
    """A child process has ended, and all of its messages have been received.

    Attributes:
        exitcode: of the process; -N if signal N ended it.
    """

    def __init__(self, exitcode: int | None) -> None:
        super().__init__(f"the process ended with exit code {exitcode}")
        self.exitcode = exitcode


class Child:
    """A child process that calls one function; Ctrl-C is left to the parent.

    Args:
        function: of a module; it is called as `function(connection, *arguments)` and sends messages by the connection.
        arguments: picklable.
        preload: modules that the fork server imports once.
        name: of the process, for people who look for it.

    Attributes:
        connection: where the messages arrive; `multiprocessing.connection.wait` waits for several.
    """

    def __init__(
        self, function: Callable[..., object], *arguments: object, preload: Sequence[str], name: str | None = None
    ) -> None:
        context = _context(preload)
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(function, theirs, arguments, lookup.permitted(), output.current()), name=name
        )
        try:
            _start(self._process)
            theirs.close()
        except BaseException:  # an interruption while it starts must end it, too
            self.end()
            raise

    def receive(self) -> Any:
        """Return the child's next message, and wait for it.

        Raises:
            ChildEnded: there are no more messages.
        """
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise ChildEnded(self._process.exitcode) from None

    def end(self, patience: float = 0) -> None:
        """Wait `patience` seconds for the process to end by itself, then kill it."""
        if self._process.pid is not None:
            if patience:
                self._process.join(patience)
            self._process.kill()
            self._process.join()
        self.connection.close()


def _context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context


_LOCK = Lock()


def _start(process: BaseProcess) -> None:
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


def _run(
    function: Callable[..., object],
    connection: Connection,
    arguments: tuple[object, ...],
    named: dict[str, Path | None],
    printed: Path | None,
) -> None:
    """Call the function; `named` are the classes of other packages that the user has named.

    What it prints goes to the file `printed`, or to the standard error.
    """
    output.keep(printed, append=True)
    lookup.permit(named)
    _share_fork_server()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    function(connection, *arguments)


def _share_fork_server() -> None:
    """Let this process's own children come from the fork server that it came from itself.

    `multiprocessing` gives a child the server's address, but starts another server, which imports torch again, when
    the child asks for a process. (Its comment says that a child will just reuse its parent's.)
    """
    if "forkserver" not in get_all_start_methods():
        return
    from multiprocessing import forkserver, resource_tracker

    server: Any = forkserver._forkserver
    if server._forkserver_pid is None and server._forkserver_address is not None:
        server.ensure_running = resource_tracker.ensure_running
