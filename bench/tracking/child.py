"""The mirror's process: it reads JSON lines from standard input and writes W&B runs."""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.records import Json, Record
from bench.records.redaction import clean, redacted
from bench.tracking import charts, limits, media
from bench.tracking.charts import CHARTS, Chart
from bench.tracking.limits import fitted
from bench.tracking.mirror import TAKEN, Mode, Table

ORPHAN_SECONDS = 3.0
"""Time that the child may run after its parent has died."""


def main() -> int:
    """Mirror the messages on standard input; return 1 if something could not be mirrored."""
    messages: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
    clock = Clock()
    threading.Thread(target=receive, args=(sys.stdin, messages, clock), daemon=True).start()
    code = 0
    begin: Json = {}
    while (message := messages.get()) is not None:
        try:
            if "start" in message:
                begin = _settings(**message["start"])
                clock.counts = begin["mode"] == "offline"
            elif "record" in message:
                record = Record.from_json(message["record"], message["key"])
                _mirror_record(begin, clock, record, Path(message["artifacts"]) if message["artifacts"] else None)
            elif "tables" in message:
                _mirror_tables(begin, clock, message["tables"], message["scatters"])
            clock.tick()
        except Exception as error:  # the mirror lacks this record, but the next one may succeed
            print(redacted(f"{type(error).__name__}: {error}"), file=sys.stderr, flush=True)  # noqa: T201
            code = 1
    if "wandb" in sys.modules:
        # Offline, `finish` returns before the file is complete; this waits for the service.
        sys.modules["wandb"].teardown()
    return code


class Clock:
    """Time at which W&B last accepted something; ticks count only offline (`counts`)."""

    def __init__(self) -> None:
        self.latest = time.monotonic()
        self.counts = False

    def tick(self) -> None:
        """Record that W&B has accepted something now, and report it to the parent."""
        if self.counts:
            self.latest = time.monotonic()
            with contextlib.suppress(OSError):  # the parent is dead
                print(TAKEN, flush=True)  # noqa: T201


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


def summary(record: Record) -> Json:
    """Return the final numbers of a record by name, without those that have no value."""
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


def _settings(mode: Mode, suite: str, folder: str, project: str) -> Json:
    """Return the arguments of `wandb.init`: W&B keeps nothing about machine, code, console or command line."""
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
    return {
        "project": project,
        "group": fitted(suite, limits.NAME),
        "dir": folder,
        "mode": mode,
        "settings": settings,
        **resume,
    }


def _mirror_record(begin: Json, clock: Clock, record: Record, artifacts: Path | None) -> None:
    """Write one record as a W&B run."""
    run = record.run
    tags = [fitted(tag, limits.TAG) for tag in (run.dataset, run.model, run.frontend) if tag]
    config = clean({name: value for name, value in asdict(run).items() if name != "sources" or value})
    identity = fitted(record.key, limits.RUN_ID, limits.RESERVED)
    with _wandb_run(begin, identity, record.key, run.model, tags, config, failed=record.status == "failed") as mirrored:
        mirrored.define_metric("epoch")
        mirrored.define_metric("*", step_metric="epoch")
        for epoch in range(max(map(len, record.curves.values()), default=0)):
            values = {name: curve[epoch] for name, curve in record.curves.items() if epoch < len(curve)}
            mirrored.log({"epoch": epoch, **values})
        mirrored.summary.update(clean(summary(record)))
        clock.tick()
        if record.status == "ok":
            drawn = {}
            for name, chart in _drawn(record, artifacts):
                drawn[name] = chart
                clock.tick()
            mirrored.log(drawn)
            clock.tick()
        if artifacts and (artifacts / "worst.npz").exists():
            mirrored.log(media.hardest_clips(artifacts / "worst.npz"))
            clock.tick()
        media.link(mirrored, record, artifacts, begin["mode"])
        clock.tick()


def _drawn(record: Record, artifacts: Path | None) -> Iterator[tuple[str, Any]]:
    """Yield the charts of a record and of its logits, by name."""
    if record.confusion is not None:
        yield "confusion", _chart(CHARTS["confusion"], charts.confusion_rows(record))
    if record.per_class:
        yield "per-class", _table(*charts.per_class(record))
        yield "average-precision", _chart(CHARTS["average-precision"], charts.average_precision_rows(record))
    if artifacts is None or not (artifacts / "logits.npz").exists():
        return
    with np.load(artifacts / "logits.npz", allow_pickle=False) as arrays:
        logits, targets = arrays["logits"], arrays["targets"]
    for name, rows in (
        ("precision-recall", charts.precision_recall_rows(logits, targets, record.classes)),
        ("roc", charts.roc_rows(logits, targets, record.classes)),
        ("calibration", charts.calibration_rows(logits, targets)),
    ):
        yield name, _chart(CHARTS[name], list(rows))


def _mirror_tables(
    begin: Json, clock: Clock, tables: Sequence[Table], scatters: Sequence[tuple[str, Json, Sequence[Sequence[Any]]]]
) -> None:
    """Write the leaderboards, and the scatters of their scores against their costs, as one W&B run of the suite."""
    suite = begin["group"]
    with _wandb_run(begin, limits.summary_id(suite), f"{suite}-summary", "summary", [], {}, failed=False) as mirrored:
        for board, columns, rows in tables:
            dataset = limits.dataset_of(suite, board)
            mirrored.log({f"leaderboard/{dataset}": _table(columns, rows)})
            clock.tick()
        for name, chart, rows in scatters:
            mirrored.log({name: _chart(Chart(**chart), rows)})
            clock.tick()


@contextlib.contextmanager
def _wandb_run(
    begin: Json, identity: str, name: str, job: str, tags: list[str], config: Json, *, failed: bool
) -> Iterator[Any]:
    """Open a W&B run, and finish it."""
    import wandb

    name, job = fitted(name, limits.NAME), fitted(job, limits.NAME)
    run = wandb.init(**begin, id=identity, name=name, job_type=job, tags=tags, config=config)
    try:
        yield run
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish(exit_code=int(failed))


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    import wandb

    return wandb.Table(columns=[*columns], data=[[*row] for row in rows], allow_mixed_types=True)


def _chart(chart: Chart, rows: Sequence[Sequence[Any]]) -> Any:
    """Return a chart of W&B over a table."""
    import wandb

    return wandb.plot_table(chart.spec, _table(chart.columns, rows), chart.fields, chart.words)


if __name__ == "__main__":
    sys.exit(main())
