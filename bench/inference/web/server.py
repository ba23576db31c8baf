"""The server: uvicorn, with limits that it has none of."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from bench.inference.web import guard
from bench.inference.web.app import create_app
from bench.inference.web.limits import Limits


def protocol(limits: Limits) -> type[H11Protocol]:
    """Return the HTTP protocol with a limit of connections, and of the time outside requests.

    That is the time in which the headers of a request arrive, or the rest of a body after its answer.
    """

    class Impatient(H11Protocol):
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.close()
            self._look()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._look()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unset()
            super().connection_lost(exc)

        def _look(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._unset()
            elif self._clock is None:
                self._clock = self.loop.call_later(limits.patience, self.transport.close)

        def _unset(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

    return Impatient


def configured(app: Any, limits: Limits) -> uvicorn.Config:
    """Return the settings of a server, which logs errors of its own and none of its clients'."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app, http=protocol(limits), ws="none", loop="asyncio", log_level="error", access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=5, timeout_graceful_shutdown=1, lifespan="on",
    )  # fmt: skip
    logging.getLogger("uvicorn.error").addFilter(_is_fault)
    return config


def _is_fault(record: logging.LogRecord) -> bool:
    """Say whether a line of the log is of a fault, not of requests that the end of the server interrupts."""
    return not str(record.msg).startswith("Cancel ")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        RunError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"{host} port {port} cannot be used ({words}): give another --port, or an address of this machine as --host"
        ) from error


def address(listening: socket.socket) -> str:
    """Return the address of the page."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(
    models: Sequence[Classifier],
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    token: str | None = None,
    limits: Limits | None = None,
    ready: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve the page and its interface until a signal ends this process.

    Args:
        models: that clients choose from; the first is the default.
        port: to listen at; 0 takes a free one.
        host: the address to listen at; one that other machines reach needs a token.
        token: what requests need.
        limits: of what clients may ask.
        ready: receives the address of the page, once it can be opened.

    Raises:
        ArgumentError: the address needs a token, or the token is too short.
        RunError: the address or a model cannot be used.
    """
    for problem in guard.problems(host, token):
        raise ArgumentError(problem)
    limits = limits or Limits()
    with listen(host, port) as listening:
        server = uvicorn.Server(configured(create_app(models, limits=limits, host=host, token=token), limits))
        ready(address(listening))
        server.run([listening])
