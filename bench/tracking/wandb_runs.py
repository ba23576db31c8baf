"""The W&B runs that the mirror's process holds open, and what they get."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bench.errors import RunError
from bench.records import Json, Record
from bench.records.artifacts import HARDEST, LOGITS, arrays
from bench.records.redaction import clean, redacted
from bench.tracking import charts, limits, media
from bench.tracking.charts import CHARTS, Chart
from bench.tracking.limits import fitted
from bench.tracking.live import WITHIN_EPOCHS, Logged
from bench.tracking.mirror import Mode
from bench.tracking.tracker import Table

TRAINED = "trained"
"""Name in a W&B run's summary: when the training began whose curves the W&B run has, all of them."""

CONTENT = "record"
"""Name in a W&B run's summary: the digest of the record that the W&B run has, whole."""

PATIENCE = 5.0
"""Seconds until W&B lists what it has accepted."""

API_SECONDS = 10
"""Time limit for an answer of W&B."""


@dataclass
class _Open:
    """An open W&B run of a training, and the points that it has."""

    wandb_run: Any
    logged: Logged = field(default_factory=Logged)


class WandbRuns:
    """The W&B runs of one suite; several are open at once, because several trainings run at once.

    A run stays open from the start of its training until its record comes, which is after the suite's timings: offline,
    a run that is opened twice is two runs.

    Args:
        tick: is called each time that W&B has accepted something.
        mode: "offline" or "online".
        suite: name of the suite; it groups the runs.
        folder: folder of W&B's files.
        project: W&B project.
        entity: W&B user or team; None for the account's default.
    """

    def __init__(
        self, tick: Callable[[], None], mode: Mode, suite: str, folder: str, project: str, entity: str | None = None
    ) -> None:
        self.tick = tick
        self.mode = mode
        self.suite = fitted(suite, limits.NAME)
        self._begin: Json = {
            "project": project,
            "entity": entity,
            "group": self.suite,
            "dir": folder,
            "mode": mode,
        }
        self._open: dict[str, _Open] = {}
        self._known: dict[str, Json] | None = None

    def start(self, key: str, run: Json) -> None:
        """Open a W&B run when a training starts; it replaces an earlier W&B run of the same key.

        Args:
            key: of the run, which is the id of the W&B run.
            run: the fields of the run.
        """
        if key in self._open:
            self._open.pop(key).wandb_run.finish(exit_code=1)
        self._open[key] = _Open(self._init_run(key, run, resume=False))

    def point(self, key: str, values: Mapping[str, float]) -> None:
        """Log a point of an open W&B run.

        Raises:
            LookupError: the W&B run could not be opened.
        """
        if key not in self._open:
            raise LookupError(f"{key} has no open W&B run for its live values")
        self._open[key].wandb_run.log(dict(values))
        self._open[key].logged.add(values)

    def record(self, record: Record, artifacts: Path | None, *, whole: bool = False) -> None:
        """Write a record into its W&B run, which is opened if it is not open, and finish that run.

        Args:
            record: the record.
            artifacts: folder of the run's files.
            whole: whether an earlier W&B run of the same id is replaced.
        """
        opened = self._open.pop(record.key, None) or _Open(
            self._init_run(record.key, asdict(record.run), resume=not whole)
        )
        wandb_run = opened.wandb_run
        with _finishing(wandb_run, failed=record.status == "failed"):
            if getattr(wandb_run, "resumed", False) is not True:  # else W&B has the curves from an earlier call
                for point in opened.logged.missing(record.curves):
                    wandb_run.log(point)
                wandb_run.summary.update({TRAINED: record.started})
            wandb_run.summary.update(clean(summary(record)) | {CONTENT: digest(record)})
            self.tick()
            if record.status == "ok":
                drawn = {}
                for name, chart in _drawn(record, _checked(wandb_run, record, artifacts, LOGITS)):
                    drawn[name] = chart
                    self.tick()
                wandb_run.log(drawn)
                self.tick()
            if (hardest := _checked(wandb_run, record, artifacts, HARDEST)) is not None:
                wandb_run.log(media.hardest_clips(hardest))
                self.tick()
            media.link(wandb_run, record, artifacts, self.mode)
            self.tick()

    def tables(
        self, tables: Sequence[Table], scatters: Sequence[tuple[str, Json, Sequence[Sequence[Any]]]], *,
        missing: bool = False,
    ) -> None:  # fmt: skip
        """Write the leaderboards, and the scatters of scores against costs, as one W&B run of the suite.

        Args:
            tables: the leaderboards.
            scatters: name, chart and rows of each scatter.
            missing: whether to write them only if W&B lacks them, or has others.
        """
        name, identity = f"{self.suite}-summary", limits.summary_id(self.suite)
        content = hashlib.sha256(json.dumps([tables, scatters]).encode()).hexdigest()
        if missing and self._there().get(identity, {}).get(CONTENT) == content:
            return
        wandb_run = self._init(identity, name, "summary", [], {}, resume=True)
        with _finishing(wandb_run, failed=False):
            wandb_run.summary.update({CONTENT: content})
            for board, columns, rows in tables:
                dataset = limits.dataset_of(self.suite, board)
                wandb_run.log({f"leaderboard/{dataset}": _table(columns, rows)})
                self.tick()
            for name, chart, rows in scatters:
                wandb_run.log({name: _chart(Chart(**chart), rows)})
                self.tick()

    def sync(self, record: Record, artifacts: Path | None) -> bool:
        """Write a record into W&B if W&B lacks it or has another version of it; return whether it was written.

        The curves are written again unless W&B has them from the same training.
        """
        there = self._there().get(fitted(record.key, limits.RUN_ID, limits.RESERVED), {})
        same = there.get(TRAINED) == record.started
        if same and there.get(CONTENT) == digest(record):
            return False
        self.record(record, artifacts, whole=not same)
        return True

    def has(self, records: Sequence[Record], patience: float = PATIENCE) -> list[str]:
        """Return the keys of those of these records that W&B has, whole; wait a little for what is on its way."""
        until = time.monotonic() + patience
        while True:
            self._known = None
            there = self._there()
            found = [
                record.key
                for record in records
                if (kept := there.get(fitted(record.key, limits.RUN_ID, limits.RESERVED)))
                and (kept.get(TRAINED), kept.get(CONTENT)) == (record.started, digest(record))
            ]
            if len(found) == len(records) or time.monotonic() > until:
                return found
            time.sleep(0.5)

    def _there(self) -> dict[str, Json]:
        """Return the summaries of the suite's finished W&B runs, by id."""
        if self._known is None:
            import wandb

            given = self._begin["entity"], self._begin["project"]
            listed = wandb.Api(timeout=API_SECONDS).runs(
                "/".join(filter(None, given)), filters={"group": self.suite}, per_page=500, lazy=False
            )
            try:
                self._known = {
                    run.id: dict(run.summary_metrics) for run in listed if run.state in ("finished", "failed")
                }
            except ValueError as error:  # of a project that does not exist yet
                if "Could not find project" not in str(error):
                    raise
                self._known = {}
        return self._known

    def close(self) -> None:
        """Finish the W&B runs of trainings that were interrupted, as failed ones."""
        while self._open:
            _, opened = self._open.popitem()
            opened.wandb_run.summary.update({"status": "interrupted"})
            opened.wandb_run.finish(exit_code=1)
            self.tick()

    def _init_run(self, key: str, run: Json, *, resume: bool) -> Any:
        tags = [fitted(tag, limits.TAG) for tag in (run["dataset"], run["model"], run["frontend"]) if tag]
        identity = fitted(key, limits.RUN_ID, limits.RESERVED)
        config = clean({name: value for name, value in run.items() if name != "sources" or value})
        wandb_run = self._init(identity, key, run["model"], tags, config, resume=resume)
        wandb_run.define_metric("epoch")
        wandb_run.define_metric("step")
        wandb_run.define_metric("*", step_metric="epoch")
        for name in WITHIN_EPOCHS:
            wandb_run.define_metric(name, step_metric="step")
        return wandb_run

    def _init(self, identity: str, name: str, job: str, tags: list[str], config: Json, *, resume: bool) -> Any:
        """Open a W&B run; `resume` adds to an earlier run of that id, where W&B has one."""
        import wandb

        # Offline, `resume` would make a second run.
        again: Json = {"resume": "allow"} if resume and self.mode == "online" else {}
        name, job = fitted(name, limits.NAME), fitted(job, limits.NAME)
        # `init` writes its arguments into the settings, and `resume` would hold for the next run, too.
        given = {"settings": _settings(), **self._begin, **again}
        return wandb.init(**given, id=identity, name=name, job_type=job, tags=tags, config=config)


def _settings() -> Any:
    """Return W&B's settings: it keeps nothing about machine, code, console or command line."""
    import wandb

    return wandb.Settings(
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
        finish_timeout_raises=True,  # what was not sent is not counted as sent
        reinit="create_new",  # a new run leaves the open ones open
    )


@contextlib.contextmanager
def _finishing(wandb_run: Any, *, failed: bool) -> Iterator[None]:
    """Finish a W&B run, as a failed one if it failed or could not be written."""
    try:
        yield
    except BaseException:
        wandb_run.finish(exit_code=1)
        raise
    wandb_run.finish(exit_code=int(failed))


def digest(record: Record) -> str:
    """Return the digest of a record's content."""
    return str(json.loads(record.to_json())["digest"])


def summary(record: Record) -> Json:
    """Return the final numbers of a record by name, without those that have no value."""
    values: Json = {f"test_{name}": value for name, value in record.scores.items()}
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


def _checked(wandb_run: Any, record: Record, artifacts: Path | None, name: str) -> Mapping[str, NDArray[Any]] | None:
    """Return the arrays of a file of a record; None where there is none, or another one, which the summary says."""
    if artifacts is None or not (artifacts / name).exists():
        return None
    try:
        return arrays(artifacts / name, record)
    except RunError as error:
        wandb_run.summary[f"left out, {name}"] = redacted(str(error))
        return None


def _drawn(record: Record, kept: Mapping[str, NDArray[Any]] | None) -> Iterator[tuple[str, Any]]:
    """Yield the charts of a record and of its logits, by name."""
    if record.confusion is not None:
        yield "confusion", _chart(CHARTS["confusion"], charts.confusion_rows(record))
    if record.per_class:
        yield "per-class", _table(*charts.per_class(record))
        yield "average-precision", _chart(CHARTS["average-precision"], charts.average_precision_rows(record))
    if kept is None:
        return
    logits, targets = kept["logits"], kept["targets"]
    for name, rows in (
        ("precision-recall", charts.precision_recall_rows(logits, targets, record.classes)),
        ("roc", charts.roc_rows(logits, targets, record.classes)),
        ("calibration", charts.calibration_rows(logits, targets)),
    ):
        yield name, _chart(CHARTS[name], list(rows))


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    import wandb

    return wandb.Table(columns=[*columns], data=[[*row] for row in rows], allow_mixed_types=True)


def _chart(chart: Chart, rows: Sequence[Sequence[Any]]) -> Any:
    """Return a chart of W&B over a table."""
    import wandb

    return wandb.plot_table(chart.spec, _table(chart.columns, rows), chart.fields, chart.words)
