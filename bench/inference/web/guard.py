"""What every request passes: a check of where it comes from, and headers of every answer."""

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.inference.web.limits import Refused, stopping

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
}
GUARDED = ("/predict", "/runs")
"""Paths that need the token; the page itself holds nothing of anybody."""


class Guard:
    """An application that answers only requests which name this server, come from no other page, and have the token.

    A page of another site can make a browser send requests here, and can give its own name this server's address. Such
    requests name the other site in their headers.

    Args:
        app: the application.
        host: the address that the server was told to use.
        token: what requests must have in `Authorization: Bearer`; None asks for none.
        retry_after: seconds, for answers with status 503.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None, retry_after: int) -> None:
        self._app, self._token, self._retry_after = app, token, retry_after
        self._local = is_loopback(host)
        self._names = {"localhost", host.lower()}
        if not self._local:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        started = ended = False

        async def sending(message: Message) -> None:
            nonlocal started, ended
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if message["status"] == 503:
                    headers["Retry-After"] = str(self._retry_after)
                if message["status"] == 401:
                    headers["WWW-Authenticate"] = "Bearer"
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["path"])
        except Refused as error:
            await JSONResponse(error.content(), error.status)(scope, receive, sending)
            return
        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:  # the server ends, and does not wait for requests that take longer than a second
            if not started:
                answer = stopping()
                await JSONResponse(answer.content(), answer.status)(scope, receive, sending)
            elif not ended:
                await sending({"type": "http.response.body"})

    def _check(self, headers: Mapping[str, str], path: str) -> None:
        host = headers.get("host", "")
        if not self._is_here(host):
            raise Refused(421, "host", "the request names another host than this server: use the address it printed")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise Refused(403, "origin", "the request comes from a page of another site: open this server's own page")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and path in GUARDED:
            raise Refused(403, "origin", "the request comes from a page of another site: open this server's own page")
        if self._token is not None and path in GUARDED:
            kind, _, given = headers.get("authorization", "").partition(" ")
            known = hmac.compare_digest(given.strip().encode(), self._token.encode())
            if kind.lower() != "bearer" or not known:
                raise Refused(401, "token", "the request lacks the token: send it as `Authorization: Bearer TOKEN`")

    def _is_here(self, host: str) -> bool:
        """Say whether a Host header names this server: by address, or by a name that only this machine has."""
        name = _without_port(host)
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback if self._local else True


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() and (name.count(":") == 0 or name.startswith("[")) else host.lower()


def problems(host: str, token: str | None) -> Iterable[str]:
    """Yield what is wrong with an address and a token."""
    if token is not None and len(token) < 16:
        yield "a token needs 16 characters or more: make one by `openssl rand -hex 16`"
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        yield "a token has letters, digits and signs of ASCII without spaces: make one by `openssl rand -hex 16`"
    if token is None and not is_loopback(host):
        yield f"--host {host} can be reached from other machines: give --token, too, or leave --host out"
