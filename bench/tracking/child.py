"""The mirror's process: it reads JSON lines from standard input and writes W&B runs."""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from bench.records import Json, Record
from bench.records.redaction import redacted
from bench.tracking.mirror import LOGGED, LOST, SENT, TAKEN, THERE
from bench.tracking.wandb_runs import WandbRuns

ORPHAN_SECONDS = 3.0
"""Time that the child may run after its parent has died."""


def main() -> int:
    """Mirror the messages on standard input; return 1 if something could not be mirrored."""
    messages: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
    clock = Clock()
    threading.Thread(target=receive, args=(sys.stdin, messages, clock), daemon=True).start()
    _allow_many_files()
    code = 0
    synced: list[Record] = []
    runs: WandbRuns | None = None
    while (message := messages.get()) is not None:
        try:
            if "start" in message:
                clock.counts = message["start"]["mode"] == "offline"
                runs = WandbRuns(clock.tick, **message["start"])
            elif runs is not None and "sync" in message:
                _sync(message, runs, synced, clock)
            elif runs is not None:
                _pass_on(message, runs)
            clock.tick()
        except Exception as error:  # the mirror lacks this record, but the next one may succeed
            _complain(error)
            code = 1
            if "point" in message:
                _tell(LOST)
    try:
        if runs is not None:
            runs.close()
            for key in runs.has(synced) if synced else ():
                _tell(f"{SENT} {key}")
    except Exception as error:
        _complain(error)
        code = 1
    if "wandb" in sys.modules:
        # Offline, `finish` returns before the file is complete; this waits for the service.
        sys.modules["wandb"].teardown()
    return code


def _pass_on(message: Json, runs: WandbRuns) -> None:
    if "started" in message:
        runs.start(message["started"], message["run"])
    elif "point" in message:
        runs.point(message["point"], message["values"])
        _tell(LOGGED)
    elif "record" in message:
        record = Record.from_json(message["record"], message["key"])
        runs.record(record, Path(message["artifacts"]) if message["artifacts"] else None)
    elif "tables" in message:
        runs.tables(message["tables"], message["scatters"], missing=message["missing"])


def _sync(message: Json, runs: WandbRuns, synced: list[Record], clock: "Clock") -> None:
    record = Record.from_json(message["sync"], message["key"])
    if runs.sync(record, Path(message["artifacts"]) if message["artifacts"] else None):
        synced.append(record)
        clock.move()
    else:
        _tell(f"{THERE} {record.key}")


def _complain(error: Exception) -> None:
    print(redacted(f"{type(error).__name__}: {error}"), file=sys.stderr, flush=True)  # noqa: T201


def _tell(line: str) -> None:
    """Write a line to the parent."""
    with contextlib.suppress(OSError):  # the parent is dead
        print(line, flush=True)  # noqa: T201


def _allow_many_files() -> None:
    """Raise the limit of open files to what the system allows: every open W&B run has a file of messages."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Clock:
    """Time at which W&B last accepted something; ticks count only offline (`counts`)."""

    def __init__(self) -> None:
        self.latest = time.monotonic()
        self.counts = False

    def tick(self) -> None:
        """Record that W&B has accepted something now, and report it to the parent."""
        if self.counts:
            self.move()

    def move(self) -> None:
        """Record that W&B has accepted something, whatever the mode."""
        self.latest = time.monotonic()
        _tell(TAKEN)


def receive(lines: Iterable[str], messages: "queue.SimpleQueue[Json | None]", clock: Clock) -> None:
    """Pass the lines on; after the last line, end the process within the parent's time limit, even if it hangs.

    The time is counted from the clock's latest tick, as in the parent. If the parent has given no time limit it is
    dead, and the time is `ORPHAN_SECONDS` from now.
    """
    seconds: float | None = None
    for line in lines:
        message = json.loads(line)
        seconds = message.get("close", seconds)
        messages.put(message)
    messages.put(None)
    parent = os.getppid()
    end = time.monotonic()
    while True:
        if seconds is None or os.getppid() != parent:
            time.sleep(ORPHAN_SECONDS)
            os._exit(1)
        if time.monotonic() > max(end, clock.latest) + seconds:
            os._exit(1)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
