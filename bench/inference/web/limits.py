"""Limits of what clients may ask of the server, and the errors that tell them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the server.

    Attributes:
        max_bytes: of a file.
        max_seconds: of a sound.
        max_windows: of a sound.
        workers: sounds that are worked on at the same time; the models compute one batch at a time.
        waiting: sounds that wait; one more is refused for now.
        uploads: files that arrive at the same time; one more is refused for now.
        connections: connections at the same time; one more is closed.
        patience: seconds for the headers of a request, and for a body in addition to `bytes_per_second`.
        bytes_per_second: slowest rate at which a body may arrive.
        retry_after: seconds that a client is asked to wait when it is refused for now.
    """

    max_bytes: int = 100 << 20
    max_seconds: float = 3600.0
    max_windows: int = 10_000
    workers: int = 2
    waiting: int = 32
    uploads: int = 64
    connections: int = 512
    patience: float = 15.0
    bytes_per_second: int = 32 << 10
    retry_after: int = 2


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request that gets an error for an answer.

    Attributes:
        status: of HTTP.
        code: kind of the error, for programs.
        message: what is wrong and what to do, for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def content(self) -> dict[str, dict[str, str]]:
        """Return the answer's content."""
        return {"error": {"code": self.code, "message": self.message}}


def busy(why: str) -> Refused:
    """Return the answer to a request that may be repeated later."""
    return Refused(503, "busy", f"{why}: try again in a moment")


def stopping() -> Refused:
    """Return the answer to a request that the end of the server interrupts."""
    return busy("the server is stopping")


def unexpected() -> Refused:
    """Return the answer to a request that meets a fault of this program."""
    return Refused(500, "unexpected", "this is a fault of the server, whose log says more")
