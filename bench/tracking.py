"""Weights & Biases as a mirror of finished records, never a part of a training.

Everything of W&B runs in one child process (`python -m bench.tracking`) that is fed JSON lines. A W&B that hangs, dies
or finds no server can neither stop nor slow a suite: sending puts a line into a queue, closing waits a bounded time and
then kills. The child sees neither the parent's arguments nor, unless it uploads, any of its secrets.
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
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import RecordError
from bench.records import Json, Record

Mode = Literal["offline", "online", "disabled"]
Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""A leaderboard: name of the dataset, columns, rows."""

PROBE_SECONDS = 5.0
ORPHAN_SECONDS = 3.0  # that the child may go on after its parent died
CURVE_POINTS = 200
CURVE_CLASSES = 10
MATRIX_ROWS = 10_000  # that W&B shows of a table

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

    def __init__(self, mode: Mode, suite: str, folder: Path, project: str = "audio-classification-bench") -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lost = 0
        if mode == "disabled":
            return
        self._log = folder.resolve() / "mirror.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "bench.tracking"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[1],
                env=_child_variables(mode, folder.resolve()),
                start_new_session=True,  # Ctrl-C is the parent's to handle: it closes the mirror
            )
        self._messages: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        # A hung child leaves its pipe full: only this thread waits for it, and it does not keep the process alive.
        threading.Thread(target=self._feed, args=(self._child,), name="mirror", daemon=True).start()
        self._put(start={"mode": mode, "suite": suite, "folder": str(folder.resolve()), "project": project})

    def send(self, record: Record, logits: Path | None = None) -> None:
        """Mirror a finished record as one W&B run, whose id is the record's key.

        Args:
            record: "ok" or "failed"; it is on disk already.
            logits: `.npz` with `logits (N, C)` and `targets (N,)` or `(N, C)`, for the precision-recall curves.
        """
        self._put(record=record, key=record.key, logits=str(logits.resolve()) if logits else None)

    def summary(self, tables: Sequence[Table]) -> None:
        """Mirror the suite's leaderboards as the tables of one W&B run."""
        self._put(tables=tables)

    def close(self, timeout_seconds: float = 15) -> str | None:
        """Let the child end, or kill it; return a line of warning if not everything was mirrored."""
        child, self._child = self._child, None
        if child is None:
            return None
        self._messages.put({"close": timeout_seconds})
        self._messages.put(None)
        try:
            code = child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
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


def precision_recall(scores: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return recall and precision at each distinct score, highest first, at most `CURVE_POINTS` of them.

    Args:
        scores: `(N,)`.
        positive: `(N,)`, at least one of them true.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # tied clips are retrieved together
    if len(last) > CURVE_POINTS:
        last = last[np.linspace(0, len(last) - 1, CURVE_POINTS).round().astype(int)]
    return hits[last] / hits[-1], hits[last] / (last + 1)


def precision_recall_rows(
    logits: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]
) -> Iterator[tuple[str, float, float]]:
    """Yield (class, recall, precision) of the micro-average and of the `CURVE_CLASSES` most frequent classes.

    Args:
        logits: `(N, C)`.
        targets: `(N,)` class indices, or `(N, C)` zeros and ones.
        classes: C names.
    """
    if targets.ndim == 1:
        positive = targets[:, None] == np.arange(logits.shape[1])  # (N, C)
        peak = logits.max(1, keepdims=True)
        scores = (
            logits - peak - np.log(np.exp(logits - peak).sum(1, keepdims=True))
        )  # log-softmax, comparable over clips
    else:
        positive, scores = targets > 0.5, logits
    columns = [("micro-average", scores.ravel(), positive.ravel())]
    frequent = np.argsort(-positive.sum(0), kind="stable")[:CURVE_CLASSES]
    columns += [(classes[c], scores[:, c], positive[:, c]) for c in frequent]
    for name, score, truth in columns:
        if truth.any():
            for recall, precision in zip(*precision_recall(score, truth), strict=True):
                yield name, round(float(recall), 5), round(float(precision), 5)


def confusion_rows(record: Record) -> list[tuple[str, str, int]]:
    """Return (true class, predicted class, clips) of every cell, or of those with clips if all are too many to show."""
    cells = [
        (actual, predicted, clips)
        for actual, row in zip(record.classes, record.confusion or (), strict=True)
        for predicted, clips in zip(record.classes, row, strict=True)
    ]
    return cells if len(cells) <= MATRIX_ROWS else [cell for cell in cells if cell[2]][:MATRIX_ROWS]


def summary(record: Record) -> Json:
    """Return the final numbers of a record by name; what has no value is left out."""
    values: Json = {f"test/{name}": value for name, value in record.scores.items()}
    values |= {f"seconds/{name}": value for name, value in record.seconds.items()}
    values |= {"status": record.status, "best_epoch": record.best_epoch, "conflict": record.conflict}
    if record.complexity:
        values |= {f"complexity/{name}": value for name, value in asdict(record.complexity).items()}
    for speed in record.latencies:
        backend = "" if speed.backend == "eager" else f"-{speed.backend}"
        values[f"latency/{speed.device_type}-{speed.threads}-{speed.scope}{backend}/p50_ms"] = speed.p50_ms
    if record.error:
        values |= {"error/kind": record.error.kind, "error/message": record.error.message}
    return {name: value for name, value in values.items() if value is not None}


def main() -> int:
    """Be the child: mirror what comes on standard input; return 1 if something could not be mirrored."""
    messages: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin, messages), daemon=True).start()
    code = 0
    begin: Json = {}
    while (message := messages.get()) is not None:
        try:
            if "start" in message:
                begin = _settings(**message["start"])
            elif "record" in message:
                _mirror_record(begin, Record.from_json(message["record"], message["key"]), message["logits"])
            elif "tables" in message:
                _mirror_tables(begin, message["tables"])
        except Exception as error:  # one record less in the mirror; the next may do
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            code = 1
    if "wandb" in sys.modules:
        sys.modules[
            "wandb"
        ].teardown()  # offline, `finish` returns before the file is whole; this waits for the service
    return code


def _receive(lines: Iterable[str], messages: "queue.SimpleQueue[Json | None]") -> None:
    """Pass the lines on; once they end, end the process within the time the parent gave, whatever it hangs in."""
    seconds = ORPHAN_SECONDS
    for line in lines:
        message = json.loads(line)
        seconds = message.get("close", seconds)
        messages.put(message)
    messages.put(None)
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _settings(mode: Mode, suite: str, folder: str, project: str) -> Json:
    """Return the arguments of every `wandb.init` here: nothing of machine, code, console or command line is kept."""
    import wandb

    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        host="",
        program="",
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        init_timeout=10,
        finish_timeout=10,
    )
    resume = {"resume": "allow"} if mode == "online" else {}  # offline it would make a second run
    return {"project": project, "group": suite, "dir": folder, "mode": mode, "settings": settings, **resume}


def _mirror_record(begin: Json, record: Record, logits: str | None) -> None:
    """Write one record as a W&B run."""
    run = record.run
    tags = [run.dataset, run.model, run.frontend]
    with _wandb_run(begin, record.key, run.model, tags, asdict(run), failed=record.status == "failed") as mirrored:
        mirrored.define_metric("epoch")
        mirrored.define_metric("*", step_metric="epoch")
        for epoch in range(max(map(len, record.curves.values()), default=0)):
            values = {name: curve[epoch] for name, curve in record.curves.items() if epoch < len(curve)}
            mirrored.log({"epoch": epoch, **values})
        mirrored.summary.update(summary(record))
        if record.confusion is not None:
            columns = ["Actual", "Predicted", "nPredictions"]
            chart = _chart(
                "wandb/confusion_matrix/v1", columns, confusion_rows(record), {name: name for name in columns}
            )
            mirrored.log({"confusion": chart})
        if logits is not None:
            with np.load(logits, allow_pickle=False) as arrays:
                rows = list(precision_recall_rows(arrays["logits"], arrays["targets"], record.classes))
            fields = {"x": "recall", "y": "precision", "class": "class"}
            mirrored.log(
                {
                    "precision-recall": _chart(
                        "wandb/area-under-curve/v0", ["class", "recall", "precision"], rows, fields
                    )
                }
            )


def _mirror_tables(begin: Json, tables: Sequence[Table]) -> None:
    """Write the leaderboards as one W&B run of the suite."""
    import wandb

    with _wandb_run(begin, f"{begin['group']}-summary", "summary", [], {}, failed=False) as mirrored:
        for dataset, columns, rows in tables:
            table = wandb.Table(columns=[*columns], data=[[*row] for row in rows], allow_mixed_types=True)
            mirrored.log({f"leaderboard/{dataset}": table})


@contextlib.contextmanager
def _wandb_run(begin: Json, name: str, job: str, tags: list[str], config: Json, *, failed: bool) -> Iterator[Any]:
    """Open the W&B run whose id is `name`, and finish it."""
    import wandb

    run = wandb.init(**begin, id=name, name=name, job_type=job, tags=tags, config=config)
    try:
        yield run
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish(exit_code=int(failed))


def _chart(spec: str, columns: list[str], rows: Sequence[Sequence[Any]], fields: dict[str, str]) -> Any:
    """Return one of W&B's own charts over a table."""
    import wandb

    return wandb.plot_table(spec, wandb.Table(columns=[*columns], data=[[*row] for row in rows]), fields)


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


if __name__ == "__main__":
    sys.exit(main())
