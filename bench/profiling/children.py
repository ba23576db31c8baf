"""Child processes with a clean start, whose messages come back through a pipe. Importing this never imports torch.

A fork server imports the heavy modules once; each child is forked from it in milliseconds, with no thread started yet.
Where there is no fork server (Windows), each child is a new interpreter.

A child leads a process group of its own, which ends with it, and so does what has left that group: no program that a
model has started outlives it. A child's own children are in its group, so that they end with it whatever they do. A
child that hangs can be asked for its Python stack, which it writes whatever holds the interpreter.
"""

import atexit
import faulthandler
import gc
import os
import re
import select
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import current_process, get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from bench import lookup
from bench.profiling import descendants, output
from bench.profiling.reaper import keep_orphans, signal_at_parents_end
from bench.records import scratch, sources


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
        shares_stack: whether a child's child writes its stack where that child does, for `stacks` of the first parent.

    Attributes:
        connection: where the messages arrive.
        sentinel: is ready when the process has ended; `multiprocessing.connection.wait` waits for several of both. A
            process that the child has started may keep the connection open.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        preload: Sequence[str],
        name: str | None = None,
        shares_stack: bool = False,
    ) -> None:
        context = _context(preload)
        self.connection, theirs = context.Pipe()
        self._stack, their_stack = context.Pipe(duplex=False)
        self._token = uuid.uuid4().hex
        self._server: int | None = None
        self._process = context.Process(
            target=_run,
            args=(
                function,
                theirs,
                _stacks[-1] if shares_stack and _stacks else their_stack,
                _own_group(),
                arguments,
                lookup.permitted(),
                output.current(),
                descendants.mark(self._token),
                sources.known(),
            ),
            name=name,
        )
        try:
            self._start()
            theirs.close()
            their_stack.close()
        except BaseException:  # an interruption while it starts must end it, too
            self.end()
            raise
        if isinstance(context, ForkServerContext) and self._process.pid is not None:
            self._server = _server_of(self._process.pid)

    def _start(self) -> None:
        """Start the process; a fork server that has died meanwhile is started again."""
        for pause in (0.05, 0.5, None):
            try:
                with _without_main():
                    self._process.start()
                break
            except (EOFError, ConnectionError):
                if pause is None:
                    raise
                time.sleep(pause)

    @property
    def sentinel(self) -> int:
        """Becomes ready when the process ends."""
        return self._process.sentinel

    def receive(self, seconds: float | None = None) -> Any:
        """Return the child's next message, and wait for it.

        Args:
            seconds: longest time to wait; None waits for ever.

        Raises:
            ChildEnded: there are no more messages.
            TimeoutError: none came within this time.
        """
        ready = wait([self.connection, self._process.sentinel], seconds)
        if not ready:
            raise TimeoutError
        if self.connection not in ready:
            self._kill_group()  # whoever keeps the connection open
        try:
            if self.connection not in ready and not self.connection.poll():  # somebody keeps it open all the same
                raise EOFError
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise ChildEnded(self._process.exitcode) from None

    def stack(self, patience: float = 2.0) -> str:
        """Return the Python stacks of the child's threads; empty where it cannot write them.

        Args:
            patience: seconds to wait for them.
        """
        return "" if self._process.pid is None else self._stack_of(self._process.pid, patience)

    def stacks(self, patience: float = 2.0) -> list[str]:
        """Return the stacks of the child, and of each of its own children that share its stack.

        Args:
            patience: seconds to wait for each.
        """
        own = self._process.pid
        others = descendants.in_group(own, self._server) if own is not None and self._server is not None else []
        return [self.stack(patience), *(self._stack_of(number, patience) for number in others)]

    def _stack_of(self, number: int, patience: float) -> str:
        if not hasattr(signal, "SIGUSR1"):
            return ""
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGUSR1)
        found, until = b"", time.monotonic() + patience
        while select.select([self._stack], [], [], max(0.0, until - time.monotonic()))[0]:
            part = os.read(self._stack.fileno(), 2**16)
            found += part
            if not part:
                break
            until = min(until, time.monotonic() + 0.2)  # the rest comes at once
        return found.decode(errors="replace")

    def ask_to_end(self) -> None:
        """Send SIGTERM, on which a training saves and stops."""
        if self._process.pid is not None and self._process.is_alive():
            self._process.terminate()

    def end(self, patience: float = 0) -> None:
        """Wait `patience` seconds for the process to end by itself, then kill it and every process of its group."""
        if self._process.pid is not None:
            if patience:
                self._process.join(patience)
            self._kill_group()
            self._process.kill()
            self._process.join()
        self.connection.close()
        self._stack.close()

    def _kill_group(self) -> None:
        if self._process.pid is not None and hasattr(os, "killpg"):
            if self._process.is_alive():
                descendants.kill_started(self._token, self._process.pid)
            with suppress(ProcessLookupError, PermissionError):  # it has no group yet, or all are gone
                os.killpg(self._process.pid, signal.SIGKILL)
            descendants.kill_started(self._token)
            if self._server is not None:
                descendants.kill_orphans(self._server)


def main_thread(stack: str) -> str:
    """Return the part of `Child.stack` that is of the main thread, the innermost frame first."""
    threads = stack.split("\n\n")
    return next((each for each in threads if "Current thread" in each), threads[-1])


def innermost(stack: str, frames: int = 6) -> str:
    """Return the innermost frames of the main thread's stack in one line, from the inside to the outside.

    Args:
        stack: of `Child.stack`.
        frames: largest number of frames.
    """
    found = re.findall(r'File "([^"]*)", line (\d+) in (\S+)', main_thread(stack))[:frames]
    return ", called from ".join(f"{name} ({Path(path).name}:{line})" for path, line, name in found)


def end_all(children: Sequence[Child], patience: float) -> None:
    """Ask children to end, wait for all of them together, and kill those that are left; a second Ctrl-C kills at once.

    Args:
        children: to end.
        patience: seconds to wait.
    """
    try:
        for child in children:
            child.ask_to_end()
        until = time.monotonic() + patience
        left = [child.sentinel for child in children]
        while left and (seconds := until - time.monotonic()) > 0:
            gone = wait(left, seconds)
            left = [sentinel for sentinel in left if sentinel not in gone]
    finally:
        for child in children:
            child.end()


_stacks: list[Connection] = []
"""Where this process writes its stack, if it is a child."""


_servers: list[int] = []
"""The fork server that this process came from, if it is a child."""


def _server_of(child: int) -> int | None:
    """Return the fork server that a child came from; None where it has died, so that the child has another parent."""
    from multiprocessing import forkserver

    server: Any = forkserver._forkserver
    known = [*_servers, *filter(None, [server._forkserver_pid])]
    found = descendants.parent(child)
    return found if found in known or not known else None


def _own_group() -> int:
    """Return the process group of this process if it is a child, and 0 otherwise."""
    return os.getpgrp() if _stacks and hasattr(os, "getpgrp") else 0


def write_stack_on_signal() -> None:
    """Let this process, if it is a child, write its stack on SIGUSR1; again after what has taken the handler away.

    Lightning's Trainer puts all handlers back that Python knew of before `fit`, and it does not know of this one.
    """
    if _stacks and hasattr(faulthandler, "register"):
        faulthandler.unregister(signal.SIGUSR1)  # what it believes to be registered it does not register again
        faulthandler.register(signal.SIGUSR1, file=_stacks[-1].fileno(), all_threads=True)


@contextmanager
def not_in_forks() -> Iterator[None]:
    """End a fork of this process that comes out of the block, because it would do everything after it a second time.

    It cleans nothing up on its way: files and locks are those of the process.
    """
    own = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own:
            os._exit(1)


def not_from_forks(call: Callable[..., None]) -> Callable[..., None]:
    """Return a function that calls this one, and that ends a fork of this process which calls it."""
    own = os.getpid()

    def guarded(*arguments: Any) -> None:
        if os.getpid() != own:
            os._exit(1)
        call(*arguments)

    return guarded


def end_with(connection: Connection) -> None:
    """End this process and its group when the other end of the connection closes: its parent is gone.

    The fork server, which is the parent to the system, may live on.
    """
    threading.Thread(target=_watch, args=(connection,), daemon=True).start()


def _watch(connection: Connection) -> None:
    try:
        connection.recv()
    except (EOFError, OSError):
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            descendants.kill_started(os.environ.get(descendants.MARK, "none").split()[-1], os.getpid())
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)


def begin(preload: Sequence[str]) -> None:
    """Let the fork server import modules while this process goes on; the first child then need not wait as long."""
    if "forkserver" not in get_all_start_methods():
        return
    from multiprocessing import forkserver

    _context(preload)
    server: Any = forkserver._forkserver
    with _without_main():
        server.ensure_running()


def _context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    _own_temporary_folder()
    context = get_context("forkserver")
    context.set_forkserver_preload(["bench.profiling.fork_server", *preload])
    return context


def _own_temporary_folder() -> None:
    """Let `multiprocessing` keep its sockets in a folder that a later call sweeps if this process is killed."""
    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is not None:
        return
    stack = ExitStack()
    config["tempdir"] = str(stack.enter_context(scratch.folder("processes")))

    def remove(owner: int = os.getpid()) -> None:
        if os.getpid() == owner:
            with suppress(OSError):
                stack.close()

    atexit.register(remove)


_LOCK = Lock()


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main script, so that no child process imports it again.

    `multiprocessing` imports the main script in every child, so that what the script defines can be unpickled there.
    What this project sends to its children stands in modules, and a user's script that calls `bench.run` outside
    `if __name__ == "__main__"` would start the suite again in every child.
    """
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _run(
    function: Callable[..., object],
    connection: Connection,
    stack: Connection,
    group: int,
    arguments: tuple[object, ...],
    named: dict[str, Path | None],
    printed: Path | None,
    marks: str,
    known: Mapping[Path, sources.Known],
) -> None:
    """Call the function.

    Args:
        function: is given the connection and the arguments.
        connection: to the parent.
        stack: where this process writes its stack.
        group: process group to be in; 0 for one of its own.
        arguments: of the function.
        named: classes of other packages that the user has named.
        printed: file to which goes what the function prints; None for the standard error.
        marks: by which programs that this process starts are found.
        known: what the parent knows about source files.
    """
    gc.freeze()  # a collection need not look at what the fork server has imported, nor copy its pages
    gc.enable()  # the fork server may have turned it off
    sources.trust(known)
    if hasattr(os, "setpgid"):
        try:
            os.setpgid(0, group)
        except PermissionError:  # the parent, whose group it is, has been ended
            os._exit(1)
    keep_orphans()
    _servers.append(os.getppid())
    _end_with_server()
    os.set_blocking(stack.fileno(), False)  # a parent that does not read must not stop this process
    _stacks.append(stack)
    write_stack_on_signal()
    os.environ[descendants.MARK] = marks
    output.keep(printed, append=True)
    lookup.permit(named)
    _share_fork_server()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it ends this process, even if the driver ignores it
    own = os.getpid()
    try:
        function(connection, *arguments)
    finally:
        if os.getpid() == own:  # and not a fork of the function's
            descendants.kill_started(marks.split()[-1], own)


def _end_with_server() -> None:
    """Let the system kill this process when the fork server that it came from is killed."""
    if "bench.profiling.fork_server" in sys.modules:  # which the server alone imports
        signal_at_parents_end(signal.SIGKILL)


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
