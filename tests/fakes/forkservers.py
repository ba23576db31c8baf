"""Fork servers that start in a moment, and whose children time for a moment only; programs that start as quickly.

A fork server of `multiprocessing` is a new interpreter that imports torch and Lightning: 5 s of a processor. Here it is
forked from one process that has imported them already, and takes from the process that asks for it what a new
interpreter would: environment, working folder, process group and standard streams. `run` calls Python in the same way.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import Any

VARIABLE = "BENCH_TESTS_FORK_SERVERS"
"""Environment variable: the address where `serve` waits."""
PRELOAD = [
    "bench.runner.driver", "bench.runner.worker", "bench.runner.timings", "datamodules.synthetic", "fakes.brief",
    "filelock", "models.cnn", "models.fc", "models.frontends.logmel", "pydantic.dataclasses", "torchaudio.functional",
]  # fmt: skip
"""Modules that most jobs import."""


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
        with socket.socket(socket.AF_UNIX) as listener:
            address = connection.arbitrary_address("AF_UNIX")
            listener.bind(address)
            listener.listen()
            alive_r, alive_w = os.pipe()
            _ask([0, 1, 2, listener.fileno(), alive_r], os.environ, Path.cwd(), preload=server._preload_modules)
            os.close(alive_r)
            server._forkserver_address, server._forkserver_alive_fd = address, alive_w


def run(arguments: Iterable[object], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Call Python as `subprocess.run([sys.executable, *arguments], ..., capture_output=True, text=True)` does.

    What the program imports first, it finds imported, and its timings are short; all else is as in a new interpreter.

    Args:
        arguments: of Python: `-c CODE`, `-m MODULE` or a file's path, and the program's own.
        cwd: the working folder.
        env: the environment.
    """
    given = [str(argument) for argument in arguments]
    ended, tells = os.pipe()
    with open(os.devnull) as nothing, TemporaryFile() as output, TemporaryFile() as errors:  # noqa: PTH123
        _ask([nothing.fileno(), output.fileno(), errors.fileno(), tells], env, cwd, arguments=given)
        os.close(tells)
        with os.fdopen(ended) as told:
            code = int(told.readline() or -signal.SIGKILL)
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(given, code, output.read().decode(), errors.read().decode())


def _ask(descriptors: Sequence[int], environment: Mapping[str, str], folder: Path, **what: object) -> None:
    about = {"environment": dict(environment), "folder": str(folder), "group": os.getpgrp(), **what}
    with socket.socket(socket.AF_UNIX) as request:
        request.connect("\0" + os.environ[VARIABLE])
        socket.send_fds(request, [b"."], descriptors)
        request.sendall(json.dumps(about).encode())


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


@cache
def _prepare() -> None:
    """Import what jobs import, read the sources that their digests are of, and keep the collector from all this."""
    for name in PRELOAD:
        import_module(name)
    catalog, sources = import_module("bench.catalog"), import_module("bench.records.sources")
    for entry in (*catalog.MODELS.values(), *catalog.FRONTENDS.values(), *catalog.DATASETS.values()):
        sources.digest(entry.target)
    sources.refresh()  # files that a test changes are read again
    gc.collect()
    gc.freeze()


def _answer(listener: socket.socket) -> None:
    request, _ = listener.accept()
    with request:
        _, descriptors, _, _ = socket.recv_fds(request, 1, 5)
        about = json.loads(b"".join(iter(lambda: request.recv(65536), b"")))
    _prepare()
    if not os.fork():
        code = 1
        try:
            listener.close()
            code = _become(descriptors, **about)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    for descriptor in descriptors:
        os.close(descriptor)


def _become(
    descriptors: Sequence[int], environment: dict[str, str], folder: str, group: int,
    preload: list[str] | None = None, arguments: list[str] | None = None,
) -> int:  # fmt: skip
    """Be a fork server or a program of the process that asked for it; returns the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, stream in enumerate(descriptors[:3]):
        os.dup2(stream, target)
        os.close(stream)
    os.setpgid(0, group)
    os.chdir(folder)
    ours = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(environment)
    if arguments is None:
        import_module("bench.profiling.reaper").keep_orphans()  # `bench.profiling.fork_server` may be imported already
        with suppress(SystemExit):
            forkserver.main(descriptors[3], descriptors[4], preload)
        return 0
    shorten_timings()
    code = _interpret(arguments, [path for path in sys.path[1:] if path not in ours])
    os.write(descriptors[3], f"{code}\n".encode())
    return code


def _interpret(arguments: list[str], paths: list[str]) -> int:
    """Do what Python does with its arguments; returns the exit code.

    Args:
        arguments: as for `run`.
        paths: where Python looks for modules after PYTHONPATH.
    """
    what = arguments[0]
    sys.argv = arguments[1:] if what == "-m" else arguments if what != "-c" else ["-c", *arguments[2:]]
    first = "" if what == "-c" else os.getcwd() if what == "-m" else str(Path(what).parent)  # noqa: PTH109
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*([] if os.environ.get("PYTHONSAFEPATH") else [first]), *given, *paths]
    code = 0
    try:
        if what == "-c":
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(arguments[1], "<string>", "exec"), main.__dict__)
        elif what == "-m":
            for name in (arguments[1], f"{arguments[1]}.__main__"):
                sys.modules.pop(name, None) if "." in name else None
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(what, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


BENCH = "from fakes.forkservers import shorten_timings; shorten_timings(); from bench.cli import main; main()"
"""Python code of the command `bench` with short timings."""

if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
