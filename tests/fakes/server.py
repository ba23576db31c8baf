"""A web server on this machine that misbehaves as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    """What was asked, and how many bytes of a body were sent."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0


@dataclass
class Server:
    """What it has and how it behaves; a list is used up, one element for each request.

    Attributes:
        files: content by path.
        cuts: after how many bytes of the body to hang up; None not to.
        statuses: to answer instead; None to behave.
        ranges: whether it can send a part.
        heeds_if_range: whether it sends all of a file that has changed.
        framing: "length", "chunked", or "close", where the end of the connection is the end of the body.
        etag: of all files; "" for none.
        claim: Content-Length if it is to be a lie.
        headers: more of them.
        hold: waited for in the middle of each body.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    ranges: bool = True
    heeds_if_range: bool = True
    framing: str = "length"
    etag: str = '"1"'
    claim: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    requests: list[Request] = field(default_factory=list)
    address: str = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


@contextmanager
def serving() -> Iterator[Server]:
    state = Server()
    http = Quiet(("127.0.0.1", 0), handler(state))
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        if state.hold:
            state.hold.set()
        http.shutdown()
        http.server_close()
        thread.join()


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up, which is what they are here for."""


def handler(state: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def do_GET(self) -> None:
            request = Request(self.path, self.headers["Range"], self.headers["If-Range"])
            state.requests.append(request)
            status = state.statuses.pop(0) if state.statuses else None
            cut = state.cuts.pop(0) if state.cuts else None
            content = state.files.get(self.path.lstrip("/"))
            if status or content is None:
                self.send_response(status or 404)
                self.send_header("Content-Length", "0")
                for name, value in state.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            start = None
            end = len(content)
            if request.range and state.ranges:
                first, _, last = request.range.removeprefix("bytes=").partition("-")
                start, end = int(first), int(last) + 1 if last else end
            if request.if_range not in (None, state.etag) and state.heeds_if_range:
                start, end = None, len(content)
            if start is not None and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[start or 0 : end]
            self.send_response(200 if start is None else 206)
            if start is not None:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            if state.etag:
                self.send_header("ETag", state.etag)
            for name, value in state.headers.items():
                self.send_header(name, value)
            if state.framing == "length":
                self.send_header("Content-Length", str(len(body) if state.claim is None else state.claim))
            elif state.framing == "chunked":
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            sending = body if cut is None else body[:cut]
            half = len(sending) // 2
            try:
                for number, piece in enumerate((sending[:half], sending[half:])):
                    if number and state.hold:
                        state.hold.wait(600)
                    if state.framing == "chunked" and piece:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    else:
                        self.wfile.write(piece)
                    request.sent += len(piece)
                if state.framing == "chunked" and cut is None:
                    self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            if cut is not None or state.framing == "close" or state.claim is not None:
                self.close_connection = True

    return Handler
