"""F15b: whole suites that are mirrored to a W&B server that is dead, silent, slow, full, or dies meanwhile."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from faults import runs
from faults.tally import Fault, Tally

SECONDS = 20.0
"""Most that an outage may cost a suite."""

SLOW = 8.0
MODELS, EPOCHS = ("fc", "cnn"), 2


@contextmanager
def serving(answer: Callable[[int], tuple[int, float]]) -> Iterator[str]:
    """Serve on a port of this machine.

    Args:
        answer: number of the request, from 0, to its status and the seconds until it comes.
    """
    asked = 0

    class Answer(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            nonlocal asked
            status, seconds = answer(asked)
            asked += 1
            time.sleep(seconds)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = json.dumps({"errors": [{"message": "no"}]} if status >= 400 else {"data": {}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def handle(self) -> None:
            with suppress(OSError):  # the client has left
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def dead() -> Iterator[str]:
    """Refuse connections."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def silent() -> Iterator[str]:
    """Accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


WAYS = {
    "dead": dead,
    "silent": silent,
    "full": lambda: serving(lambda number: (200, 0.0) if number == 0 else (507, 0.0)),
    "slow": lambda: serving(lambda number: (200, 0.0 if number == 0 else SLOW)),
    "broken": lambda: serving(lambda number: (200, 0.0) if number == 0 else (500, 0.0)),
    "silent after its first answer": lambda: serving(lambda number: (200, 0.0 if number == 0 else 600.0)),
}


def mirror_to(count: int, folder: Path) -> Tally:
    """Do a suite with each of these servers; it costs no record and at most 20 s."""
    tally = Tally()
    runs.run(folder / "warm", MODELS[:1], 1)
    began = time.monotonic()
    runs.run(folder / "alone", MODELS, EPOCHS)
    alone, wanted = time.monotonic() - began, runs.results(folder / "alone")
    for number, (name, way) in enumerate([*WAYS.items()][:count]):
        place = folder / str(number)
        given = [word if word != "disabled" else "online" for word in runs.command(place, MODELS, EPOCHS)]
        with way() as url:
            variables = runs.environment() | {"WANDB_BASE_URL": url, "WANDB_API_KEY": "0" * 40, "WANDB_MODE": "online"}
            variables |= {"HOME": str(folder)}
            began = time.monotonic()
            done = subprocess.run(
                given, env=variables, capture_output=True, text=True, timeout=runs.PATIENCE, check=False
            )
            more = time.monotonic() - began - alone
        tally.injected += 1
        found = runs.results(place)
        tally.note("hung", f"{name}: {more:.1f} s more", count=more > SECONDS)
        tally.notes.append(f"({name}: {more:.1f} s more than {alone:.1f} s)")
        tally.note("lost", f"{name}: exit code {done.returncode}: {done.stderr[-300:]}", count=done.returncode != 0)
        tally.note("lost", name, count=found.keys() != wanted.keys())
        tally.note("wrong", name, count=sum(not runs.same(found[key], wanted[key]) for key in found if key in wanted))
        tally.note(
            "crashed", f"{name}: no word of it: {done.stderr[-300:]}", count="W&B" not in done.stdout + done.stderr
        )
    return tally


FAULTS = (
    Fault("F15b", "suites mirrored to a W&B server that is dead, silent, slow, full or breaks", 0, len(WAYS), mirror_to,
          "the mirror has a process of its own and little time", prove=0),
)  # fmt: skip
