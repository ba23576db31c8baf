"""Fork servers that start in a moment, and whose children time for a moment only.

A fork server of `multiprocessing` is a new interpreter that imports torch and Lightning: 5 s of a processor. Here it is
forked from one process that has imported them already, and takes from the process that asks for it what a new
interpreter would: environment, working folder, process group and standard streams.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver, resource_tracker
from typing import Any

VARIABLE = "BENCH_TESTS_FORK_SERVERS"
"""Environment variable: the address where `serve` waits."""
PRELOAD = ["bench.runner.driver", "bench.runner.worker", "bench.runner.timings", "fakes.brief"]


@contextmanager
def serving() -> Iterator[str]:
    """Start the process that fork servers come from; returns its address. It imports torch when it is first asked."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # Linux chooses an address
        address = listener.getsockname().decode("latin-1")
        listener.listen()
        command = [sys.executable, "-m", "fakes.forkservers", str(listener.fileno())]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    try:
        yield address[1:]
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait()


def shorten_timings() -> None:
    """Let the fork servers of this process start in a moment, and import `fakes.brief`, too.

    Every later job of a server finds `bench.runner.worker` imported, whoever started the server. This process
    does not import torch for it. The folder `tests` must be on PYTHONPATH.
    """
    preload = forkserver.set_forkserver_preload
    forkserver.set_forkserver_preload = lambda names: preload([*names, "bench.runner.worker", "fakes.brief"])
    if VARIABLE in os.environ:
        server: Any = forkserver._forkserver
        server.ensure_running = lambda: _ensure_running(server)


def _ensure_running(server: Any) -> None:
    """Do what `ForkServer.ensure_running` does, but fork the server from a process that has imported torch."""
    with server._lock:
        resource_tracker.ensure_running()
        if server._forkserver_address is not None:
            return
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as request:
            address = connection.arbitrary_address("AF_UNIX")
            listener.bind(address)
            listener.listen()
            alive_r, alive_w = os.pipe()
            about = {
                "environment": dict(os.environ),
                "folder": os.getcwd(),  # noqa: PTH109
                "group": os.getpgrp(),
                "preload": server._preload_modules,
            }
            request.connect("\0" + os.environ[VARIABLE])
            socket.send_fds(request, [b"."], [listener.fileno(), alive_r, 0, 1, 2])
            request.sendall(json.dumps(about).encode())
            request.shutdown(socket.SHUT_WR)
            os.close(alive_r)
            server._forkserver_address, server._forkserver_alive_fd = address, alive_w


def serve(listener: socket.socket) -> None:
    """Fork a fork server for every process that asks, until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while sys.stdin not in (ready := [key.fileobj for key, _ in selector.select()]):
            if listener in ready:
                _answer(listener)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(listener: socket.socket) -> None:
    request, _ = listener.accept()
    with request:
        _, descriptors, _, _ = socket.recv_fds(request, 1, 5)
        about = json.loads(b"".join(iter(lambda: request.recv(65536), b"")))
    for name in PRELOAD:
        __import__(name)
    if not os.fork():
        code = 1
        try:
            listener.close()
            code = _become(descriptors, **about)
        except Exception:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    for descriptor in descriptors:
        os.close(descriptor)


def _become(
    descriptors: Sequence[int], environment: dict[str, str], folder: str, group: int, preload: list[str]
) -> int:
    """Be the fork server of the process that asked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listening, alive, *streams = descriptors
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.setpgid(0, group)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    forkserver.main(listening, alive, preload)
    return 0


BENCH = "from fakes.forkservers import shorten_timings; shorten_timings(); from bench.cli import main; main()"
"""Python code of the command `bench` with short timings."""

if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
