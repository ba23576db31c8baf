"""Files that clients send: written piece by piece to a temporary file without a name, never held in memory."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import IO, Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from bench.inference.web.limits import Limits, Refused, busy

FIELD = "file"
NAME_LENGTH = 120
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # browsers write these three letters so
_OVERHEAD = 64 << 10  # bytes of a body in addition to its file
_HOW = "send one file as multipart/form-data in the field `file`, such as `curl -F file=@dog.wav ADDRESS`"


@dataclass
class Upload:
    """A file that has arrived.

    Attributes:
        name: its last part, for messages; no file of this name is opened.
        size: in bytes.
        spool: its content; the file has no name and is gone when it is closed.
    """

    name: str
    spool: IO[bytes]
    size: int = 0

    def read(self, place: int, length: int) -> bytes:
        """Return up to `length` bytes from a place."""
        if hasattr(os, "pread"):
            return os.pread(self.spool.fileno(), length, place)
        self.spool.seek(place)
        return self.spool.read(length)

    def close(self) -> None:
        """Delete the file."""
        self.spool.close()


async def receive(request: Request, limits: Limits) -> Upload:
    """Return the file of a request.

    Raises:
        Refused: the body is too long, too slow, no form, or has another field than one file.
        ClientDisconnect: the client went away.
    """
    form = _Form(_boundary(request), limits)
    try:
        async for chunk in _chunks(request, limits):
            form.write(chunk)
        return form.finished()
    except BaseException:
        form.close()
        raise


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        stated = kind.decode("latin-1")[:80] or "no type"
        raise Refused(415, "content-type", f"the request has {stated}: {_HOW}")
    if not (boundary := options.get(b"boundary")):
        raise Refused(400, "multipart", f"the form has no boundary: {_HOW}")
    return boundary


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the parts of a body; raise where it is too long or too slow."""
    most = limits.max_bytes + _OVERHEAD
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > most:
        raise _too_long(limits)
    began, received, more = time.monotonic(), 0, True
    while more:
        left = began + limits.patience + received / limits.bytes_per_second - time.monotonic()
        try:
            async with asyncio.timeout(left):
                message = await request.receive()
        except TimeoutError:
            raise Refused(
                408, "slow", f"the file did not arrive within {time.monotonic() - began:.0f} s: send it again"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(chunk)
        if received > most:
            raise _too_long(limits)
        yield chunk


def _too_long(limits: Limits) -> Refused:
    return Refused(
        413, "too-large",
        f"the file has more than {limits.max_bytes / 2**20:g} MiB: cut it, or compress it as mp3 or flac",
    )  # fmt: skip


@dataclass
class _Form:
    """A form as it arrives."""

    boundary: bytes
    limits: Limits
    upload: Upload | None = None
    _header: dict[str, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _ended: bool = False

    def __post_init__(self) -> None:
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._part,
            "on_part_data": self._data,
            "on_end": self._end,
        }
        try:
            known: Any = callbacks
            self._parser = MultipartParser(self.boundary, known)
        except FormParserError as error:
            raise Refused(400, "multipart", f"the form has an unusable boundary: {_HOW}") from error

    def write(self, chunk: bytes) -> None:
        """Take the next part of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Refused(400, "multipart", f"the form is damaged ({error}): {_HOW}") from error
        except OSError as error:  # no space is left
            raise busy(f"the file cannot be kept ({error.strerror})") from error

    def finished(self) -> Upload:
        """Return the file, once the body has arrived."""
        if self.upload is None:
            raise Refused(422, "no-file", f"the form has no file: {_HOW}")
        if not self._ended:
            raise Refused(400, "multipart", "the form ends before its end: send it again")
        try:
            self.upload.spool.flush()
        except OSError as error:
            raise busy(f"the file cannot be kept ({error.strerror})") from error
        return self.upload

    def close(self) -> None:
        """Delete what has arrived."""
        if self.upload is not None:
            self.upload.close()

    def _begin(self) -> None:
        self._header, self._name, self._value = {}, b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > _OVERHEAD // 8:
            raise Refused(400, "multipart", f"the form is damaged (a header is too long): {_HOW}")

    def _header_end(self) -> None:
        self._header[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def _part(self) -> None:
        _, options = parse_options_header(self._header.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != FIELD:
            raise Refused(
                422,
                "field",
                f"the form has the field {_shown(name)!r}: {_HOW}; parameters stand behind the address, as in ?top=3",
            )
        if b"filename" not in options:
            raise Refused(422, "no-file", f"the field `file` holds text and no file: {_HOW}")
        if self.upload is not None:
            raise Refused(422, "several", "the form has several files: send one at a time")
        name = options[b"filename"].decode("utf-8", "replace")
        for code, letter in _ESCAPES.items():
            name = name.replace(code, letter)
        self.upload = Upload(_shown(name.replace("\\", "/").rpartition("/")[2]) or "sound", _unnamed())

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self.upload is not None
        self.upload.size += end - start
        if self.upload.size > self.limits.max_bytes:
            raise _too_long(self.limits)
        self.upload.spool.write(data[start:end])

    def _end(self) -> None:
        self._ended = True


def _unnamed() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="bench-serve-")
    except OSError as error:
        raise busy(f"the file cannot be kept ({error.strerror})") from error


def _shown(name: str) -> str:
    """Return a name that can stand in a message: of limited length, without control characters."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return printable if len(printable) <= NAME_LENGTH else printable[: NAME_LENGTH - 1] + "…"
