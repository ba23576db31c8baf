"""The suite's side of the mirror: the choice of the mode, and the child process in which W&B runs.

The child process (`bench.tracking.child`) receives JSON lines. If W&B hangs, dies or finds no server, it can neither
stop nor slow down a suite: sending puts a line into a queue, and closing waits for a limited time and then kills the
child. At most `POINTS` live points wait for W&B; further ones are dropped and counted. The child does not see the
parent's arguments, and sees no secrets unless it uploads.
"""

import contextlib
import http.client
import json
import netrc
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Self, cast

from bench.errors import RecordError
from bench.records import Json, Record, Run
from bench.records.redaction import clean
from bench.tracking.limits import NAME, fitted
from bench.tracking.live import finite
from bench.tracking.tracker import CLOSE_SECONDS, Table

if TYPE_CHECKING:
    from bench.leaderboard.pareto import Plot

Mode = Literal["offline", "online", "disabled"]
PROJECT = "audio-classification-bench"
PROBE_SECONDS = 5.0
TAKEN = "taken"
"""Line that the child writes to standard output each time that W&B has accepted something. The child writes it only
offline, because online an outage would look like slow progress."""
LOGGED, LOST = "logged", "lost"
"""Lines that the child writes for every live point: W&B has accepted it, or has not."""
THERE, SENT = "there", "sent"
"""Words before the key of a record that W&B had, or that was sent and has arrived."""
POINTS = 1000
"""Largest number of live points that wait for W&B. They come every two seconds from each training at most."""

_MODES: dict[str, Mode] = {
    "offline": "offline",
    "online": "online",
    "disabled": "disabled",
    "dryrun": "offline",  # W&B's older words
    "run": "online",
}
LOGIN = "set WANDB_API_KEY or run `wandb login`"
"""What a user without an API key has to do."""

_VARIABLES = frozenset(
    {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "XDG_CONFIG_HOME"}
    | {"SYSTEMROOT", "USERPROFILE", "TEMP", "TMP"}  # required by processes on Windows
)
_ONLINE_VARIABLES = frozenset(
    {"WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "NETRC", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}
    | {name for proxy in ("http_proxy", "https_proxy", "no_proxy") for name in (proxy, proxy.upper())}
)


def choose_mode(requested: str | None) -> tuple[Mode, str | None]:
    """Return the mode, and one line of warning if it is not the requested mode.

    The default is offline; `requested` or else WANDB_MODE changes it. Online needs a key (WANDB_API_KEY or netrc) and a
    server that answers within `PROBE_SECONDS`. Otherwise the mode is offline, and `bench sync` can upload the runs
    later.
    """
    asked = requested or os.environ.get("WANDB_MODE") or "offline"
    mode = _MODES.get(asked.lower())
    if mode is None:
        return "offline", f"W&B mode {asked!r} does not exist (online, offline, disabled): logging offline"
    if mode != "online":
        return mode, None
    url = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    host = urllib.parse.urlsplit(url).hostname or ""
    if not _has_key(host):
        return "offline", f"W&B has no key for {host}: logging offline; {LOGIN}"
    if trouble := _probe(url):
        return "offline", f"W&B at {host} {trouble}: logging offline; upload later with `bench sync`"
    return "online", None


class Mirror:
    """A mirror of a suite's records in W&B, in a separate process; no method raises an error or waits because of W&B.

    Args:
        mode: the mode, from `choose_mode`.
        suite: name of the suite; it groups the W&B runs.
        folder: folder of the files `<folder>/wandb/offline-run-*` and of the child's log, `<folder>/mirror.log`.
        project: W&B project.
        entity: W&B user or team; None for the account's default.
    """

    def __init__(self, mode: Mode, suite: str, folder: Path, project: str = PROJECT, entity: str | None = None) -> None:
        self._suite = fitted(suite, NAME)
        self._child: subprocess.Popen[bytes] | None = None
        self._lost = 0
        self._points = self._points_dropped = 0  # of the thread that trains
        self._points_logged = self._points_lost = 0  # of the thread that reads the child's lines
        self.synced: dict[str, str] = {}
        if mode == "disabled":
            return
        self._log = folder.resolve() / "mirror.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "bench.tracking.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env=_child_variables(mode, folder.resolve()),
                start_new_session=True,  # Ctrl-C is the parent's to handle: it closes the mirror
            )
        self._messages: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._latest = time.monotonic()
        # If the child hangs, its pipe stays full: only this thread waits, and it does not keep the process alive.
        threading.Thread(target=self._feed, args=(self._child,), name="mirror", daemon=True).start()
        self._reader = threading.Thread(
            target=self._read_progress, args=(self._child,), name="mirror-progress", daemon=True
        )
        self._reader.start()
        folder = folder.resolve()
        self._put(start={"mode": mode, "suite": suite, "folder": str(folder), "project": project, "entity": entity})

    def started(self, run: Run) -> None:
        """Open the W&B run of a training that starts now; its id is the run's key."""
        self._put(started=run.key, run=asdict(run))

    def point(self, key: str, values: Mapping[str, float]) -> None:
        """Log a live point of a training, or drop it if `POINTS` points wait for W&B.

        Args:
            key: of the run, whose training has started.
            values: numbers by name, with the `epoch`; NaN and infinity are left out.
        """
        if self._points - self._points_logged - self._points_lost >= POINTS:
            self._points_dropped += 1
            return
        self._points += 1
        self._put(point=key, values=finite(values))

    def record(self, record: Record, artifacts: Path | None = None) -> None:
        """Mirror a finished record in the W&B run whose id is the record's key, and finish that run.

        A run without live points gets the record's learning curves; other runs get what is missing of them.

        Args:
            record: "ok" or "failed"; it is already on disk.
            artifacts: folder of the run's files, each optional: `logits.npz` with `logits (N, C)` and `targets (N,)` or
                `(N, C)` for the curves, `worst.npz` of `bench.evaluation.mistakes`, and the weights
                `weights.safetensors`.
        """
        self._put(record=record, key=record.key, artifacts=str(artifacts.resolve()) if artifacts else None)

    def sync(self, record: Record, artifacts: Path | None = None) -> None:
        """Mirror a record if W&B lacks it; `synced` gets `THERE` or `SENT` by its key, or nothing if it did not arrive.

        Args:
            record: as for `record`.
            artifacts: as for `record`.
        """
        self._put(sync=record, key=record.key, artifacts=str(artifacts.resolve()) if artifacts else None)

    def summary(self, tables: Sequence[Table], plots: "Sequence[Plot]" = (), *, missing: bool = False) -> None:
        """Mirror the suite's leaderboards as the tables and charts of one W&B run.

        Args:
            tables: the leaderboards.
            plots: their Pareto plots, as the pages show them.
            missing: whether to send them only if W&B lacks them, or has others.
        """
        from bench.tracking.charts import pareto_chart, pareto_name, pareto_rows  # not needed until a suite has ended

        self._put(
            missing=missing,
            tables=[(name, columns, clean(rows)) for name, columns, rows in tables],
            scatters=[
                (pareto_name(self._suite, plot), asdict(pareto_chart(plot)), clean(pareto_rows(plot))) for plot in plots
            ],
        )

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> str | None:
        """Wait for the end of the child, or kill it; return a line of warning if not everything was mirrored.

        Args:
            timeout_seconds: time limit online. Offline, the limit applies to the time since W&B last accepted
                something, because a suite sends all timings at its end and the queue may be long.
        """
        child, self._child = self._child, None
        if child is None:
            return None
        self._messages.put({"close": timeout_seconds})
        self._messages.put(None)
        self._latest = time.monotonic()
        trouble = ""
        while True:
            try:
                code = child.wait(max(0.0, self._latest + timeout_seconds - time.monotonic()))
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() < self._latest + timeout_seconds:
                    continue
                child.kill()  # W&B's own service ends with it
                code = child.wait()
                trouble = f"W&B did not finish within {timeout_seconds:g} s and was stopped"
        self._reader.join(1.0)
        lost = self._points + self._points_dropped - self._points_logged
        if not trouble and (code or self._lost or lost):
            trouble = f"W&B did not mirror everything (see {self._log})"
        points = f"; {lost} of {self._points + self._points_dropped} live points are lost" if lost else ""
        return f"{trouble}{points}; the records are complete" if trouble else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _put(self, **message: Any) -> None:
        if self._child is not None:
            self._messages.put(message)

    def _feed(self, child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError), cast(IO[bytes], child.stdin) as pipe:  # a dead child's pipe is broken
            while (message := self._messages.get()) is not None:
                try:
                    line = json.dumps(message, default=_plain)
                except (RecordError, ValueError, TypeError):
                    self._lost += 1
                    continue
                pipe.write(line.encode() + b"\n")
                pipe.flush()

    def _read_progress(self, child: subprocess.Popen[bytes]) -> None:
        with cast(IO[bytes], child.stdout) as pipe:
            for line in pipe:
                said = line.decode(errors="replace").strip()
                if said == TAKEN:
                    self._latest = time.monotonic()
                self._points_logged += said == LOGGED
                self._points_lost += said == LOST
                word, _, key = said.partition(" ")
                if word in (THERE, SENT):
                    self.synced[key] = word
                    self._latest = time.monotonic()


def _plain(value: Any) -> str:
    return value.to_json() if isinstance(value, Record) else str(value)


def _child_variables(mode: Mode, folder: Path) -> dict[str, str]:
    """Return the child's environment: only the variables that it needs, and W&B's folders."""
    allowed = _VARIABLES | _ONLINE_VARIABLES if mode == "online" else _VARIABLES
    return {name: value for name, value in os.environ.items() if name in allowed} | {
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_ERROR_REPORTING": "false",
    }


def _has_key(host: str) -> bool:
    """Return whether there is a W&B key for this host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            return netrc.netrc(str(path)).authenticators(host) is not None
    return False


def _probe(url: str) -> str | None:
    """Request a page from the server; return what is wrong with the server, or None."""
    problems: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                problems.append(None)
        except urllib.error.HTTPError as error:  # the server refuses this page, but it answers
            problems.append(f"has an error {error.code}" if error.code >= 500 else None)
        except (OSError, ValueError, http.client.HTTPException) as error:
            problems.append(f"cannot be reached ({type(error).__name__})")

    thread = threading.Thread(target=ask, daemon=True)  # the timeout covers neither name resolution nor slow answers
    thread.start()
    thread.join(PROBE_SECONDS)
    return problems[0] if problems else f"did not answer within {PROBE_SECONDS:g} s"
