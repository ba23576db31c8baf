"""Driving a suite: do what is not in the store, keep failures as records, redraw the tables. Never imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bench.catalog import DATASETS, PRIMARY
from bench.errors import BenchError, RecordError, SuiteError
from bench.leaderboard import files
from bench.leaderboard.board import Leaderboard
from bench.records import Failure, Record, Run, Store, canonical, combined
from bench.runner.executors import Event, Executor, Job, executor
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings
from bench.suites import Suite, is_fusion
from bench.tracking import Mirror


@dataclass
class Outcome:
    """What a call of `bench run` did.

    Attributes:
        done: keys of runs done now.
        kept: keys of runs that were in the store already.
        failed: key to failure, of runs that failed now.
        elsewhere: keys that another process is working on.
        missing: dataset to what is missing of it and how to get it.
        warnings: one line each.
        interrupted: whether it was stopped.
        boards: the suite's leaderboards afterwards.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False
    boards: tuple[Leaderboard, ...] = ()


class Runner:
    """One call of `bench run`.

    Args:
        suite: the suite.
        settings: where, and with how many workers.
        progress: is told what happens.
        executor_name: of `bench.runner.executors`.
        mirror: is sent every finished record.

    Raises:
        SuiteError: no executor has that name.
    """

    def __init__(
        self,
        suite: Suite,
        settings: RunSettings,
        progress: Progress,
        executor_name: str = "processes",
        mirror: Mirror | None = None,
    ) -> None:
        self.suite = suite
        self.settings = settings
        self.progress = progress
        self.execute: Executor = executor(executor_name)
        self.mirror = mirror
        self.store = Store(settings.store)
        self.outcome = Outcome()
        self.again: set[str] = set()

    def run(self, runs: Sequence[Run], force: bool = False) -> Outcome:
        """Do those of the suite's runs that are not in the store, time them, and redraw the tables.

        Args:
            runs: all runs of the suite, or a selection.
            force: do also those that are in the store; a result stays until its successor is written.

        Raises:
            SuiteError: an argument in the suite fits no constructor; nothing was started.
        """
        self.store.sweep()
        todo, every = plan(self.suite, self.store, runs, force)
        self.again = {key for key, run in todo.items() if force or run in self.store}
        self.outcome.kept = [run.key for run in every if run.key not in todo]
        try:
            ready = {run.key: run for run in self._prepare(list(todo.values()))}
            waiting = [run for run in every if run.key not in ready and self._untimed(run)]
            self.progress.start(2 * len(ready) + len(waiting))
            self._do(ready)
            self._time([run for run in every if self._untimed(run)])
        except KeyboardInterrupt:
            self.outcome.interrupted = True
        finally:
            self.progress.stop()
            self.outcome.boards, damaged = files.draw(self.store, self.suite)
            self.outcome.warnings += [str(error) for error in damaged]
        return self.outcome

    def _prepare(self, todo: list[Run]) -> list[Run]:
        """Check every argument and read every dataset; returns the runs that can go on."""
        if not todo:
            return []
        self._check(todo)
        problems = self._read({_data(run): run for run in reversed(todo)})
        # What is missing may be one fold's only.
        missing = {data for data, failure in problems.items() if failure.kind == "DatasetMissing"}
        by_fold = self._read({(*_data(run), run.fold): run for run in reversed(todo) if _data(run) in missing})
        ready = []
        for run in todo:
            failure = by_fold.get((*_data(run), run.fold)) if _data(run) in missing else problems.get(_data(run))
            if failure is None:
                ready.append(run)
            elif failure.kind == "DatasetMissing":
                self.outcome.missing.setdefault(run.dataset, failure.message)
            else:
                self._fail(run, failure)
        return ready

    def _check(self, todo: list[Run]) -> None:
        """Bind every argument."""
        checked: list[Failure] = []

        def listen(event: Event) -> None:
            if event.kind == "started":
                self.progress.note("checking the suite")
            elif event.failure:
                checked.append(event.failure)

        self.execute([Job("suite", "bench.runner.worker:check", (tuple(todo), self.settings))], 1, listen)
        if checked:
            known = checked[0].kind in ("SuiteError", "RunError")
            raise SuiteError(checked[0].message) if known else BenchError(checked[0].traceback or checked[0].message)

    def _read(self, first: dict[tuple[Any, ...], Run]) -> dict[tuple[Any, ...], Failure]:
        """Read the data of these runs; returns what went wrong, by the same keys."""
        problems: dict[tuple[Any, ...], Failure] = {}
        keys = {run.key: data for data, run in first.items()}

        def listen(event: Event) -> None:
            run = first[keys[event.key]]
            if event.kind == "started":
                self.progress.note(f"reading {run.dataset}")
            elif event.failure:
                problems[keys[event.key]] = event.failure

        self.execute(
            [Job(run.key, "bench.runner.worker:prepare", (run, self.settings)) for run in first.values()], 1, listen
        )
        return problems

    def _do(self, todo: dict[str, Run]) -> None:
        """Train and combine these runs, each after those of them that it needs."""
        while todo:
            ready = {key: run for key, run in todo.items() if todo.keys().isdisjoint(run.needs)}
            todo = {key: run for key, run in todo.items() if key not in ready}
            elsewhere = set(self.outcome.elsewhere)
            blocked = [key for key, run in ready.items() if not elsewhere.isdisjoint(run.needs)]
            for key in blocked:
                self.outcome.elsewhere.append(key)
                self._end(ready[key], "needs a run that another process is doing")
            free = [run for key, run in ready.items() if key not in blocked]
            self._train([run for run in free if not is_fusion(run.model)])
            self._fuse([run for run in free if is_fusion(run.model)])

    def _fuse(self, runs: list[Run]) -> None:
        """Combine these runs' members, in one job for each dataset, fold and seed."""
        cells: dict[str, dict[str, Run]] = {}
        for run in runs:
            cell = f"fusions on {run.dataset}, fold {run.fold}, seed {run.seed} {run.data or ''}".strip()
            cells.setdefault(cell, {})[run.key] = run

        def listen(event: Event) -> None:
            if event.kind == "progress":
                key, result = event.value
                self._finish(cells[event.key].pop(key), result)
            elif event.failure:
                for run in cells[event.key].values():
                    self._fail(run, event.failure)
                    self._end(run, f"FAILED: {event.failure.message}")

        self.execute(
            [
                Job(
                    cell,
                    "bench.runner.worker:fuse",
                    (tuple(group.values()), self.settings, frozenset(self.again & group.keys())),
                )
                for cell, group in cells.items()
            ],
            self.settings.workers,
            listen,
        )

    def _train(self, runs: list[Run]) -> None:
        """Train these runs."""
        by_key = {run.key: run for run in runs}

        def listen(event: Event) -> None:
            run = by_key[event.key]
            if event.kind == "started":
                self.progress.show(run.key, "starting")
            elif event.kind == "progress":
                epoch, epochs, score = event.value
                self.progress.show(run.key, f"epoch {epoch}/{epochs}, validation {score:.3f}")
            elif event.failure:
                self._fail(run, event.failure)
                self._end(run, f"FAILED: {event.failure.message}")
            else:
                self._finish(run, event.value)

        self.execute(
            [Job(run.key, "bench.runner.worker:execute", (run, self.settings, run.key in self.again)) for run in runs],
            self.settings.workers,
            listen,
        )

    def _finish(self, run: Run, result: str | Failure) -> None:
        """Take note of what `work.execute` says of a run."""
        if result == "elsewhere":
            self.outcome.elsewhere.append(run.key)
            self._end(run, "is being done by another process")
            return
        failure = result if isinstance(result, Failure) else None
        record = self.store.get(run.key)
        if record is None:
            failure = Failure(kind="RecordError", message="its record is gone")
        if failure:
            self.outcome.failed[run.key] = failure = self._kept(run, failure)
            self._end(run, f"FAILED: {failure.message}")
            if record and record.error:
                self._send(record)
            return
        assert record
        self.outcome.done.append(run.key)
        metric = PRIMARY[DATASETS[run.dataset].task]
        score = record.scores.get(metric)
        self._end(run, f"{metric} {'undefined' if score is None else f'{score:.3f}'}, {record.seconds['train']:.1f} s")

    def _end(self, run: Run, line: str) -> None:
        if run.key not in self.outcome.done:
            self.progress.shrink(1)  # what has no result is not timed
        self.progress.end(run.key, f"{run.key}: {line}")

    def _fail(self, run: Run, failure: Failure) -> None:
        """Record a failure that the run's own process could not record."""
        self.outcome.failed[run.key] = self._kept(run, failure)
        record = Record(
            run=run, status="failed", error=failure, started=datetime.now(UTC).isoformat(timespec="seconds")
        )
        self.store.write(record)
        self._send(record)

    def _kept(self, run: Run, failure: Failure) -> Failure:
        """Say of a failure that the run has a result nonetheless."""
        if run not in self.store:
            return failure
        return replace(failure, message=f"{failure.message}. (The earlier result stays in the table.)")

    def time(self, runs: Sequence[Run], again: bool = False) -> Outcome:
        """Time those of these runs that are trained and lack a timing, train nothing, and redraw the tables.

        Args:
            runs: all runs of the suite, or a selection.
            again: time also those that have been timed. New timings replace all old ones (one of grade C
                never that of a better one), and those of the suite's fusions of these runs follow.
        """
        chosen = {run.key: run for run in runs if self._weights(run) and (again or self._untimed(run))}
        if again:
            chosen |= {run.key: run for run in self.suite.runs() if not chosen.keys().isdisjoint(run.members)}
        self.outcome.kept = [run.key for run in runs if run.key not in chosen]
        try:
            self.progress.start(len(chosen))
            self._time(list(chosen.values()), again)
        except KeyboardInterrupt:
            self.outcome.interrupted = True
        finally:
            self.progress.stop()
            self.outcome.boards, damaged = files.draw(self.store, self.suite)
            self.outcome.warnings += [str(error) for error in damaged]
        return self.outcome

    def _weights(self, run: Run) -> bool:
        """Whether a run has a result that can be timed."""
        return run in self.store and bool(run.members or (self.store.artifacts(run.key) / "model.pt").exists())

    def _untimed(self, run: Run) -> bool:
        try:
            record = self.store.get(run.key)
        except RecordError:
            return False
        if record is None or not self._weights(run):
            return False
        if not run.members:
            return not all(record.timed_on(name) for name in self.suite.backends)
        return bool(set(combined.latencies(self._members(run))) - set(record.latencies)) or not record.latencies

    def _members(self, run: Run) -> list[Record]:
        """Return the records of a fusion's members; none where one is missing."""
        members = self.store.finished(run.members)
        return members if len(members) == len(run.members) else []

    def _time(self, runs: list[Run], again: bool = False) -> None:
        """Time these runs one by one, on a machine that trains nothing meanwhile; fusions follow from their members."""
        fusions = [run for run in runs if run.members]
        runs = [run for run in runs if not run.members]
        left = {run.key: run for run in runs}
        ended: list[Run] = []

        def end(run: Run, failure: Failure | None) -> None:
            del left[run.key]
            ended.append(run)
            if failure:
                self.outcome.warnings.append(f"{run.key} was not timed: {failure.message}")
                self.progress.end(run.key, f"{run.key}: not timed, {failure.message}")
            elif record := self.store.get(run.key):
                self.progress.end(run.key, f"{run.key}: {_times(record)}")
                for name, reason in record.not_timed.items():
                    self.outcome.warnings.append(f"{run.key} was not timed on {name}: {reason}")

        def listen(event: Event) -> None:
            if event.kind == "progress":
                key, news = event.value
                if news == "timing":
                    self.progress.show(key, "timing")
                else:
                    end(left[key], news)
            elif event.failure:
                for run in list(left.values()):
                    end(run, event.failure)

        settings = replace(self.settings, workers=1)
        timed = tuple(runs), settings, self.suite.backends, again
        try:
            self.execute([Job("timings", "bench.runner.timings:time_runs", timed)] if runs else [], 1, listen)
            ended += self._add_up(fusions)
        finally:
            for run in ended:  # only now, lest the mirror works while another run is timed
                if record := self.store.get(run.key):
                    self._send(record)

    def _add_up(self, fusions: Sequence[Run]) -> list[Run]:
        """Give fusions the latencies that follow from their members'; returns those that now have some."""
        timed: list[Run] = []
        for run in fusions:
            record = self.store.get(run.key)
            latencies = combined.latencies(self._members(run))
            if record and latencies:
                record = record.with_latencies(latencies)
                self.store.write(record)
                timed.append(run)
            self.progress.end(run.key, f"{run.key}: {_times(record) if record and latencies else 'not timed'}")
        if untimed := [run.key for run in fusions if run not in timed]:
            more = f" and {len(untimed) - 1} more" if len(untimed) > 1 else ""
            self.outcome.warnings.append(f"{untimed[0]}{more} not timed: not all members have been, on one device")
        return timed

    def _send(self, record: Record) -> None:
        if self.mirror:
            self.mirror.send(record, self.store.artifacts(record.key) if record.status == "ok" else None)


def _data(run: Run) -> tuple[str, str]:
    return run.dataset, canonical(run.data)


def plan(suite: Suite, store: Store, runs: Sequence[Run], force: bool) -> tuple[dict[str, Run], list[Run]]:
    """Return by key the runs to do, with the results that follow from them, and all runs that there are then."""
    todo = {run.key: run for run in runs if force or run not in store}
    for run in suite.runs():  # each after those it needs, so that a teacher's fusions follow its students
        if run.key not in todo and not todo.keys().isdisjoint(run.needs) and run in store:
            todo[run.key] = run
    return todo, list(({run.key: run for run in runs} | todo).values())


def _times(record: Record) -> str:
    """Say what single clips take, end to end."""
    found = [t for t in record.latencies if t.scope == "end-to-end" and t.batch == 1]
    return ", ".join(
        f"{' '.join(filter(None, (t.device_type, t.backend if t.backend != 'eager' else '')))} p50 {t.p50_ms:.2f} ms"
        f"{f' {t.combined}' if t.combined else ''} ({t.grade})"
        for t in found
    )
