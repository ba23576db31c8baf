"""The suite's end of the mirror: whether to mirror, and the process that everything of W&B runs in.

That one child process (`bench.tracking.child`) is fed JSON lines. A W&B that hangs, dies or finds no server can neither
stop nor slow a suite: sending puts a line into a queue, closing waits a bounded time and then kills. The child sees
neither the parent's arguments nor, unless it uploads, any of its secrets.
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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

from bench.errors import RecordError
from bench.leaderboard.pareto import Plot
from bench.records import Json, Record
from bench.records.redaction import clean
from bench.tracking.charts import pareto_chart, pareto_name, pareto_rows

Mode = Literal["offline", "online", "disabled"]
Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""A leaderboard: name of the dataset, columns, rows."""

PROJECT = "audio-classification-bench"
PROBE_SECONDS = 5.0
TAKEN = "taken"
"""What the child says on standard output each time that W&B has taken something. Online it never does: there an outage
would look like slow progress."""

_MODES: dict[str, Mode] = {
    "offline": "offline",
    "online": "online",
    "disabled": "disabled",
    "dryrun": "offline",  # W&B's older words
    "run": "online",
}
_VARIABLES = frozenset(
    {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "XDG_CONFIG_HOME"}
)
_ONLINE_VARIABLES = frozenset(
    {"WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "NETRC", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}
    | {name for proxy in ("http_proxy", "https_proxy", "no_proxy") for name in (proxy, proxy.upper())}
)


def choose_mode(requested: str | None) -> tuple[Mode, str | None]:
    """Say how to mirror, and one line of warning where that is not what was asked for.

    Offline unless `requested` or WANDB_MODE says otherwise. Online needs a key (WANDB_API_KEY or netrc) and a server
    that answers within `PROBE_SECONDS`; else it is offline, and `wandb sync` can upload the files later.
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
        return "offline", f"W&B has no key for {host}: logging offline; set WANDB_API_KEY or run `wandb login`"
    if trouble := _probe(url):
        return "offline", f"W&B at {host} {trouble}: logging offline; upload later with `wandb sync`"
    return "online", None


class Mirror:
    """Mirrors a suite's records to W&B from a process of its own; no method raises or waits because of W&B.

    Args:
        mode: as `choose_mode` says.
        suite: name of the suite, the group of its W&B runs.
        folder: where the files go: `<folder>/wandb/offline-run-*` and the child's `<folder>/mirror.log`.
        project: W&B project.
    """

    def __init__(self, mode: Mode, suite: str, folder: Path, project: str = PROJECT) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lost = 0
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
        # A hung child leaves its pipe full: only this thread waits for it, and it does not keep the process alive.
        threading.Thread(target=self._feed, args=(self._child,), name="mirror", daemon=True).start()
        threading.Thread(target=self._listen, args=(self._child,), name="mirror-says", daemon=True).start()
        self._put(start={"mode": mode, "suite": suite, "folder": str(folder.resolve()), "project": project})

    def send(self, record: Record, artifacts: Path | None = None) -> None:
        """Mirror a finished record as one W&B run, whose id is the record's key.

        Args:
            record: "ok" or "failed"; it is on disk already.
            artifacts: folder that may hold `logits.npz` with `logits (N, C)` and `targets (N,)` or `(N, C)`, for the
                curves; `worst.npz`, of `bench.evaluation.mistakes`; and the checkpoint `model.pt`.
        """
        self._put(record=record, key=record.key, artifacts=str(artifacts.resolve()) if artifacts else None)

    def summary(self, tables: Sequence[Table], plots: Sequence[Plot] = ()) -> None:
        """Mirror the suite's leaderboards as the tables and charts of one W&B run.

        Args:
            tables: the leaderboards.
            plots: their Pareto plots, as the pages show them.
        """
        self._put(
            tables=[(name, columns, clean(rows)) for name, columns, rows in tables],
            scatters=[(pareto_name(plot), asdict(pareto_chart(plot)), clean(pareto_rows(plot))) for plot in plots],
        )

    def close(self, timeout_seconds: float = 15) -> str | None:
        """Let the child end, or kill it; return a line of warning if not everything was mirrored.

        Args:
            timeout_seconds: how long it may take online; offline, how long W&B may take nothing. (A suite's timings
                are sent at its end, all at once: a long queue that moves is no reason to lose it.)
        """
        child, self._child = self._child, None
        if child is None:
            return None
        self._messages.put({"close": timeout_seconds})
        self._messages.put(None)
        self._latest = time.monotonic()
        while True:
            try:
                code = child.wait(max(0.0, self._latest + timeout_seconds - time.monotonic()))
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() < self._latest + timeout_seconds:
                    continue
                child.kill()  # W&B's own service ends with it
                child.wait()
                return f"W&B did not finish within {timeout_seconds:g} s and was stopped; the records are complete"
        if code or self._lost:
            return f"W&B did not mirror everything (see {self._log}); the records are complete"
        return None

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

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        with cast(IO[bytes], child.stdout) as pipe:
            for line in pipe:
                if line.decode(errors="replace").strip() == TAKEN:
                    self._latest = time.monotonic()


def _plain(value: Any) -> str:
    return value.to_json() if isinstance(value, Record) else str(value)


def _child_variables(mode: Mode, folder: Path) -> dict[str, str]:
    """Return the child's whole environment: by name what it needs, and W&B's folders."""
    allowed = _VARIABLES | _ONLINE_VARIABLES if mode == "online" else _VARIABLES
    return {name: value for name, value in os.environ.items() if name in allowed} | {
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_ERROR_REPORTING": "false",
    }


def _has_key(host: str) -> bool:
    """Say whether there is a W&B key for this host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            return netrc.netrc(str(path)).authenticators(host) is not None
    return False


def _probe(url: str) -> str | None:
    """Ask the server for anything; return what is wrong with it, or None."""
    outcome: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                outcome.append(None)
        except urllib.error.HTTPError as error:  # refuses this page, but is there
            outcome.append(f"has an error {error.code}" if error.code >= 500 else None)
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome.append(f"cannot be reached ({type(error).__name__})")

    thread = threading.Thread(target=ask, daemon=True)  # neither a name server nor a trickle knows of the timeout
    thread.start()
    thread.join(PROBE_SECONDS)
    return outcome[0] if outcome else f"did not answer within {PROBE_SECONDS:g} s"
