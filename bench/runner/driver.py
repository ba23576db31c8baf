"""Execution of a suite: do the unfinished runs, record failures, redraw the tables. Never imports torch."""

import errno
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from operator import methodcaller
from typing import Any

from bench import catalog
from bench.catalog import PRIMARY
from bench.errors import BenchError, RunError, SuiteError
from bench.leaderboard import files
from bench.records import Failure, Record, Run, Snapshot, Store, canonical, combined, sources
from bench.runner import executors, shortage
from bench.runner.executors import Event, Executor, Failed, Finished, Job, Limits, Reported, Started, executor
from bench.runner.news import (
    ClipsRead,
    DataRead,
    EpochEnded,
    Noted,
    RunEnded,
    StepsDone,
    TimingEnded,
    TimingStarted,
    TimingTurned,
    TrainingStarted,
)
from bench.runner.outcome import Outcome
from bench.runner.plan import plan
from bench.runner.progress import Progress, rounded
from bench.runner.settings import RunSettings
from bench.runner.standings import Standings
from bench.suites import Suite, is_fusion
from bench.tracking import Tracker, epoch_point, step_point

WIDE = 4.0
"""Times `--stall-minutes`: longest time without news of a job that reads data, imports classes or times runs."""

READERS = 4
"""Largest number of datasets that are read at the same time: each may take a gigabyte and several threads."""


class Runner:
    """One call of `bench run`.

    Args:
        suite: the suite.
        settings: folders, device, threads and workers.
        progress: shows the progress.
        executor_name: of `bench.runner.executors`.
        trackers: receive every training's points and every finished record.

    Raises:
        SuiteError: no executor has that name.
    """

    def __init__(
        self,
        suite: Suite,
        settings: RunSettings,
        progress: Progress,
        executor_name: str = "processes",
        trackers: Sequence[Tracker] = (),
    ) -> None:
        self.suite = suite
        self.settings = replace(settings, metrics=suite.metrics)
        self.progress = progress
        self.executor_name = executor_name
        self.execute: Executor = executor(executor_name)
        self.limits = Limits(settings.stall_seconds, settings.run_seconds)
        # Parts of these jobs have no pulse, or limits of their own.
        self.wide_limits = Limits(WIDE * settings.stall_seconds if settings.stall_seconds else None)
        self.trackers = tuple(trackers)
        self.live: set[str] = set()
        self.store = Store(settings.store)
        self.snapshot = Snapshot(self.store, suite.runs())
        self.outcome = Outcome()
        self.again: set[str] = set()
        self.blocked: set[str] = set()

    def run(self, runs: Sequence[Run], force: bool = False) -> Outcome:
        """Do the suite's unfinished runs, time them, and redraw the tables.

        Args:
            runs: all runs of the suite, or a selection.
            force: do the finished runs again, too; an old result stays until the new one is written.

        Raises:
            SuiteError: a constructor does not accept an argument in the suite; no run was started.
        """
        self.store.sweep()
        self.suite.permit()
        planned = plan(self.suite, self.snapshot, runs, force)
        todo, every = planned.todo, planned.every
        self.outcome.changed, self.outcome.new_data = planned.changed, planned.new_data
        self.again = {key for key, run in todo.items() if force or run in self.snapshot}
        self.outcome.kept = [run.key for run in every if run.key not in todo]
        self.outcome.total = len(every)
        self._follow_standings(every)
        for line in self.outcome.changed_words():
            self.progress.note(line)
        self.outcome.warnings += planned.warnings
        with self._ending():
            ready = {run.key: run for run in self._prepare(list(todo.values()))}
            waiting = [run for run in every if run.key not in ready and self._untimed(run)]
            self._start(list(ready.values()), [*ready.values(), *waiting] if self.settings.timings else [])
            todo = ready
            while todo:
                self._do(todo)
                todo = self._freed(ready)
            if self.settings.timings:
                self._time([run for run in every if self._untimed(run)])
        return self.outcome

    def _follow_standings(self, runs: Iterable[Run]) -> None:
        """Show the standings of these runs while they end."""
        self.standings = Standings(self.suite.names(), self.suite.dataset_names(), runs)
        for run in runs:
            if (record := self.snapshot.finished(run.key)) is not None:
                self.standings.add(record)
        self.progress.follow(self.standings.table, self.standings.line)

    def time(self, runs: Sequence[Run], again: bool = False) -> Outcome:
        """Time the trained runs that have no timing, without any training, and redraw the tables.

        Args:
            runs: all runs of the suite, or a selection.
            again: time runs with a timing again, too. New timings replace the old ones, but a timing of grade C never
                replaces a better one. The timings of the suite's fusions of these runs are updated.
        """
        chosen = {run.key: run for run in runs if self._weights(run) and (again or self._untimed(run))}
        if again:
            chosen |= {run.key: run for run in self.suite.runs() if not chosen.keys().isdisjoint(run.members)}
        self.outcome.kept = [run.key for run in runs if run.key not in chosen]
        self.outcome.total = len(self.outcome.kept) + len(chosen)
        self._follow_standings(runs)
        with self._ending():
            self._start([], list(chosen.values()))
            self._time(list(chosen.values()), again)
        return self.outcome

    def has_work(self, runs: Sequence[Run]) -> bool:
        """Return whether one of these runs is to be done or timed."""
        self.suite.permit()
        planned = plan(self.suite, self.snapshot, runs, force=False)
        return bool(planned.todo) or (self.settings.timings and any(map(self._untimed, planned.every)))

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Record an interruption, and draw the tables in any case."""
        try:
            yield
        except KeyboardInterrupt:
            self.outcome.interrupted = True
        finally:
            self.progress.stop()
            self.outcome.untimed = self.progress.timings - self.progress.timings_done
            self.snapshot.refresh()
            self._settle()
            self._send_untimed()
            self._draw()
            self.outcome.warnings += [str(error) for error in self.snapshot.damaged]

    def _draw(self) -> None:
        """Draw the tables, or say why they cannot be written."""
        try:
            self.outcome.boards = files.draw(
                self.snapshot, self.suite, passed_over=self.outcome.warnings, keep_page=True
            )
        except OSError as error:
            self.outcome.boards = files.boards(self.snapshot, self.suite)
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and not (
                self.outcome.done or self.outcome.failed
            ):
                self.outcome.warnings.append(f"the tables' files stay as they are ({error})")
            else:
                self.outcome.not_drawn = shortage.failure(error)

    def _events(self, jobs: Sequence[Job], workers: int) -> Generator[Event]:
        """Yield the events of these jobs; no job is running after the loop over them ends."""
        if jobs:
            places = self.settings.places if workers != 1 else self.settings.places[:1]
            with closing(self.execute(jobs, workers, places)) as events:  # type: ignore[type-var]
                yield from events

    def _prepare(self, todo: list[Run]) -> list[Run]:
        """Check every argument and read every dataset; return the runs that can start."""
        todo = [run for run in todo if not self._lacks_code(run)]
        if not todo:
            return []
        executors.prepare(self.executor_name)
        for run in todo:
            sources.digests(run)  # every child process is told, and this one has time now
        broken = self._check(todo)
        for run in todo:
            if run.key in broken:
                self._fail(run, broken[run.key])
        todo = [run for run in todo if run.key not in broken]
        unfit: dict[str, Failure] = {}
        problems = self._read(_grouped(todo, _data), unfit)
        # Only the data of one fold may be missing.
        missing = {data for data, problem in problems.items() if problem.code == "dataset-missing"}
        rest = [run for run in todo if _data(run) in missing]
        by_fold = self._read(_grouped(rest, lambda run: (*_data(run), run.fold)), unfit)
        ready = []
        for run in todo:
            problem = by_fold.get((*_data(run), run.fold)) if _data(run) in missing else problems.get(_data(run))
            if run.key in unfit:
                self._fail(run, unfit[run.key])
            elif problem is None:
                ready.append(run)
            elif problem.code == "dataset-missing":
                self.outcome.missing.setdefault(run.dataset, problem.failure.message)
            else:
                self._fail(run, problem.failure)
        return ready

    def _lacks_code(self, run: Run) -> bool:
        """Whether a package of the run is not installed; the outcome then names it."""
        found = sources.missing(run)
        self.outcome.missing |= {target: f"{target}: {problem}" for target, problem in found.items()}
        return bool(found)

    def _check(self, todo: list[Run]) -> dict[str, Failure]:
        """Check that the constructors accept every argument; return failures of classes that cannot be imported."""
        broken: dict[str, Failure] = {}
        self.progress.note("checking the suite")
        for event in self._events(
            [Job("suite", "bench.runner.worker:check", (tuple(todo), self.settings), self.wide_limits)], 1
        ):
            if isinstance(event, Failed):
                if event.code in ("suite", "run"):
                    raise SuiteError(event.failure.message)
                raise BenchError(event.failure.traceback or event.failure.message)
            if isinstance(event, Finished) and isinstance(event.value, dict):
                broken = event.value
        return broken

    def _read(
        self, groups: dict[tuple[Any, ...], tuple[Run, ...]], unfit: dict[str, Failure]
    ) -> dict[tuple[Any, ...], Failed]:
        """Read the data of each group of runs, and check that their models take the clips.

        Args:
            groups: runs that share their data, by any key.
            unfit: gets the failure of each run whose model does not take the clips, by the run's key.

        Returns:
            The failures to read, by the groups' keys.
        """
        problems: dict[tuple[Any, ...], Failed] = {}
        found: dict[str, DataRead] = {}
        keys = {runs[0].key: data for data, runs in groups.items()}
        names = {key: groups[data][0].dataset for key, data in keys.items()}
        jobs = [
            Job(runs[0].key, "bench.runner.worker:prepare", (runs, self.settings), self.wide_limits)
            for runs in groups.values()
        ]
        at_once = self._readers([*names.values()])
        try:
            for event in self._events(jobs, at_once):
                match event:
                    case Started(job):
                        self.progress.note(f"reading {names[job]}")
                    case Reported(job, ClipsRead(done, of)):
                        self.progress.read(done, of, names[job])
                    case Finished(job, DataRead() as news):
                        self.progress.end_reading(names[job])
                        found[job] = news
                        whose = f"{names[job]}: " if at_once > 1 < len(jobs) else ""
                        for line in (*news.remarks, *(f"warning: {line}" for line in news.warnings)):
                            self.progress.note(f"{whose}{line}")
                    case Failed(job):
                        self.progress.end_reading(names[job])
                        problems[keys[job]] = event
        finally:  # also where it is interrupted
            for news in (found[job] for job in keys if job in found):
                unfit |= news.failures
                self.outcome.warnings += [line for line in news.warnings if line not in self.outcome.warnings]
        return problems

    def _readers(self, names: Sequence[str]) -> int:
        """Return how many datasets are read at the same time.

        It is one where several have one name, because they may share what they decode, and where one is another
        package's: Lightning promises that `prepare_data` runs alone, and two may share a download.
        """
        own = all(catalog.dataset(name).target.startswith("datamodules.") for name in names)
        apart = own and len({*names}) == len(names)
        return min(self.settings.workers, READERS) if self.executor_name == "processes" and apart else 1

    def _do(self, todo: dict[str, Run]) -> None:
        """Train and combine these runs, each after the runs that it needs."""
        while todo:
            ready = {key: run for key, run in todo.items() if todo.keys().isdisjoint(run.needs)}
            todo = {key: run for key, run in todo.items() if key not in ready}
            elsewhere = set(self.outcome.elsewhere)
            blocked = [key for key, run in ready.items() if not elsewhere.isdisjoint(run.needs)]
            for key in blocked:
                self.outcome.elsewhere.append(key)
                self.blocked.add(key)
                self._end(ready[key], "needs a run that another process is doing")
            free = [run for key, run in ready.items() if key not in blocked]
            self._train([run for run in free if not is_fusion(run.model)])
            self._fuse([run for run in free if is_fusion(run.model)])

    def _freed(self, runs: Mapping[str, Run]) -> dict[str, Run]:
        """Count the runs that another process has done meanwhile, and return those that only waited for them.

        Of several processes that share a suite, the last one to end a run that others wait for finds all of them done.
        """
        self.snapshot.refresh()
        self._settle()
        waited = [key for key in self.outcome.elsewhere if key not in self.again]
        left = set(self.outcome.elsewhere)
        freed = {
            key: runs[key]
            for key in waited
            if key in left and key in self.blocked and left.isdisjoint(runs[key].needs)
            and all(self.snapshot.finished(needed) for needed in runs[key].needs)
        }  # fmt: skip
        self.outcome.elsewhere = [key for key in self.outcome.elsewhere if key not in freed]
        for run in freed.values():
            self.progress.begin_again(fusion=bool(run.members))
        self.blocked -= freed.keys()
        return freed

    def _settle(self) -> None:
        """Count the runs that another process has done meanwhile as done before."""
        done = [key for key in self.outcome.elsewhere if key not in self.again and self.snapshot.finished(key)]
        self.outcome.elsewhere = [key for key in self.outcome.elsewhere if key not in done]
        self.outcome.kept += done

    def _train(self, runs: list[Run]) -> None:
        """Train these runs, each in its own job."""
        jobs = [
            Job(run.key, "bench.runner.worker:execute", (run, self.settings, run.key in self.again), self.limits)
            for run in runs
        ]
        self._follow(jobs, {run.key: {run.key: run} for run in runs})

    def _fuse(self, runs: list[Run]) -> None:
        """Combine these runs' members, in one job for each dataset, fold and seed."""
        groups: dict[str, dict[str, Run]] = {}
        for run in runs:
            name = f"fusions on {run.dataset}, fold {run.fold}, seed {run.seed} {run.data or ''}".strip()
            groups.setdefault(name, {})[run.key] = run
        jobs = [
            Job(
                name,
                "bench.runner.worker:fuse",
                (tuple(group.values()), replace(self.settings, devices=1), frozenset(self.again & group.keys())),
                self.limits,
            )
            for name, group in groups.items()
        ]
        self._follow(jobs, groups)

    def _follow(self, jobs: Sequence[Job], groups: dict[str, dict[str, Run]]) -> None:
        """Do jobs, show their reports, and keep the results of their runs.

        Args:
            jobs: each does one or more runs.
            groups: key of a job to its runs by key; a run is removed when it ends.
        """
        events = self._events(jobs, self.settings.workers)
        try:
            for event in events:
                left = groups[event.job]
                match event:
                    case Started(job) if job in left:
                        self.progress.show(job, "starting")
                    case Reported(job, Noted(line)):
                        self.progress.note(f"{job}: {line}")
                    case Reported(job, TrainingStarted()):
                        self._log_start(left[job])
                    case Reported(job, StepsDone() as news):
                        self._log(job, step_point(news.epoch, news.values))
                    case Reported(job, EpochEnded() as news):
                        self.progress.epoch(job, news.epoch, news.epochs, news.score)
                        metric = PRIMARY[catalog.task(left[job].dataset, left[job].data)]
                        self._log(job, epoch_point(news.epoch, metric, news.score, news.values))
                    case Reported(_, RunEnded(key, result)) if key in left:
                        self._finish(left.pop(key), result)
                    case Failed(_, failure):
                        for key in list(left):
                            run = left.pop(key)
                            self._sweep(key)  # a process that died has left its files
                            self._fail(run, failure)
                            self._end(run, f"FAILED: {failure.message}")
        finally:
            events.close()
            for group in groups.values():
                for key in group:  # after an interruption: their processes have ended
                    self._sweep(key)

    def _finish(self, run: Run, result: str | Record) -> None:
        """Keep the result of a run."""
        if result == "elsewhere":
            self.outcome.elsewhere.append(run.key)
            self._end(run, "is being done by another process")
            return
        record = self.snapshot.read(run.key) if isinstance(result, str) else None
        if result == "kept" and record is not None:
            self.outcome.kept.append(run.key)
            self._end(run, "was done by another process meanwhile")
        elif isinstance(result, Record):
            failure = self._fail(run, result.error or Failure(kind="unknown", message="no error is named"), result)
            self._end(run, f"FAILED: {failure.message}")
        elif record is None:
            failure = self._fail(run, Failure(kind="RecordError", message="its record is gone"))
            self._end(run, f"FAILED: {failure.message}")
        else:
            self.outcome.done.append(run.key)
            self.standings.add(record)
            self.outcome.warnings += [
                f"{run.key} has no {name}: {reason}" for name, reason in record.not_scored.items()
            ]
            metric = PRIMARY[catalog.task(run.dataset, run.data)]
            score = record.scores.get(metric)
            words = "undefined" if score is None else f"{score:.3f}"
            self._end(run, f"{metric} {words}, {rounded(record.seconds['train'], 1, ' s')}")

    def _fail(self, run: Run, failure: Failure, record: Record | None = None) -> Failure:
        """Write the record of a failed run, and return the failure with a message for the terminal.

        No other function writes such records.

        Args:
            run: the failed run.
            failure: the reason.
            record: the run's own record of its failure; None if its process could not make one.
        """
        had_result = run in self.snapshot
        if record is None:
            started = datetime.now(UTC).isoformat(timespec="seconds")
            record = Record(run=run, status="failed", error=failure, started=started)
        try:
            self.snapshot.write(record)
        except OSError as error:  # the other runs are done all the same, and space may be freed meanwhile
            failure = replace(failure, message=f"{failure.message}. (Nor was this written: {error})")
        if had_result:
            failure = replace(failure, message=f"{failure.message}. (The earlier result stays in the table.)")
        self.outcome.failed[run.key] = failure
        self._send(record)
        return failure

    def _end(self, run: Run, line: str) -> None:
        timed = run.key in self.outcome.done
        self.progress.end_run(run.key, f"{run.key}: {line}", fusion=bool(run.members), timed=timed)

    def _start(self, runs: list[Run], timings: list[Run]) -> None:
        fusions, combined_timings = (sum(bool(run.members) for run in group) for group in (runs, timings))
        self.progress.start(
            trainings=len(runs) - fusions, fusions=fusions, timings=len(timings) - combined_timings,
            combined=combined_timings, workers=max(1, self.settings.workers), backends=len(self.suite.backends),
        )  # fmt: skip

    def _sweep(self, key: str) -> None:
        """Remove temporary folders of an interrupted training."""
        for leftover in self.store.artifacts(key).glob(".tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _weights(self, run: Run) -> bool:
        """Whether a run has a result that can be timed."""
        return run in self.snapshot and bool(run.members or self.store.weights(run.key))

    def _untimed(self, run: Run) -> bool:
        record = self.snapshot.finished(run.key)
        if record is None or (not run.members and all(record.timed_on(name) for name in self.suite.backends)):
            return False
        if not self._weights(run):
            return False
        if not run.members:
            return True
        members = self.snapshot.all_finished(run.members)
        return bool(set(combined.fusion_latencies(members)) - set(record.latencies)) or not record.latencies

    def _time(self, runs: list[Run], again: bool = False) -> None:
        """Time these runs one by one, while the machine trains nothing; fusions are computed from their members."""
        fusions = [run for run in runs if run.members]
        left = {run.key: run for run in runs if not run.members}
        ended: list[Run] = []
        idle = 0
        try:
            while left and idle < 2:
                before = len(left)
                failure = self._time_until_a_process_dies(left, ended, again)
                idle = idle + 1 if len(left) == before else 0
                if failure and idle == 2:  # it does not come to any run
                    for run in left.values():
                        ended.append(run)
                        self._end_timing(run, failure)
            ended += self._add_up(fusions)
        finally:
            graded = self.snapshot.graded() if ended else {}
            for run in ended:  # not before, because the trackers must not work while a run is timed
                if run.key in graded:
                    self._send(graded[run.key])

    def _time_until_a_process_dies(self, left: dict[str, Run], ended: list[Run], again: bool) -> Failure | None:
        """Time runs in one process; if it dies or hangs, the run that it was working for counts as not timed.

        Args:
            left: runs to time, by key; runs that have ended are removed.
            ended: gets the runs that have ended.
            again: as for `time`.

        Returns:
            The failure of a process that was timing none of these runs.
        """
        settings = replace(self.settings, workers=1)
        arguments = tuple(left.values()), settings, self.suite.backends, again
        current = ""
        jobs = [Job("timings", "bench.runner.timings:time_runs", arguments, self.wide_limits)]
        for event in self._events(jobs, 1):
            match event:
                case Reported(_, TimingStarted(key)):
                    current = key
                    self.progress.show(key, "timing")
                case Reported(_, TimingTurned(key)):
                    current = key
                case Reported(_, TimingEnded(key, failure)):
                    ended.append(left.pop(key))
                    self._end_timing(ended[-1], failure)
                case Failed(_, failure):
                    if current not in left:
                        return failure
                    ended.append(left.pop(current))
                    self._end_timing(ended[-1], failure)
                case Finished():
                    left.clear()
        return None

    def _end_timing(self, run: Run, failure: Failure | None) -> None:
        record = self.snapshot.read(run.key)
        if failure or record is None:
            failure = failure or Failure(kind="RecordError", message="its record is gone")
            self.outcome.not_timed[run.key] = failure
            self.outcome.warnings.append(f"{run.key} was not timed: {failure.message}")
            self.progress.end_timing(run.key, f"{run.key}: not timed, {failure.message}", fusion=False)
            return
        self.standings.add(record)
        self.progress.end_timing(run.key, f"{run.key}: {self._times(record)}", fusion=False)
        for name, reason in record.not_timed.items():
            self.outcome.warnings.append(f"{run.key} was not timed on {name}: {reason}")

    def _add_up(self, fusions: Sequence[Run]) -> list[Run]:
        """Write the latencies of fusions, computed from their members'; return the fusions that have latencies."""
        timed: list[Run] = []
        if fusions:
            self.snapshot.refresh()  # another process may have done a run again during the timings
        for run in fusions:
            record = self.snapshot.get(run.key)
            latencies = combined.fusion_latencies(self.snapshot.all_finished(run.members))
            words = "not timed"
            if record and latencies:
                try:
                    record = self.snapshot.amend(record, methodcaller("with_latencies", latencies))
                except (RunError, OSError) as error:
                    self.outcome.not_timed[run.key] = failure = shortage.failure(error)
                    self.outcome.warnings.append(f"{run.key} was not timed: {failure.message}")
                else:
                    words = self._times(record)
                timed.append(run)
            self.progress.end_timing(run.key, f"{run.key}: {words}", fusion=True)
        if untimed := [run.key for run in fusions if run not in timed]:
            more = f" and {len(untimed) - 1} more" if len(untimed) > 1 else ""
            self.outcome.warnings.append(
                f"{untimed[0]}{more} not timed: not all members have a timing on the same device"
            )
        return timed

    def _times(self, record: Record) -> str:
        """Return the end-to-end times of single clips in words, with the grades that the table will show."""
        graded = self.snapshot.graded().get(record.key, record)
        found = [t for t in graded.latencies if t.scope == "end-to-end" and t.batch == 1]
        return ", ".join(
            f"{' '.join(filter(None, (t.device_type, t.backend if t.backend != 'eager' else '')))} p50 "
            f"{rounded(t.p50_ms, 2, ' ms')}{f' {t.combined}' if t.combined else ''} ({t.grade})"
            for t in found
        )

    def _log_start(self, run: Run) -> None:
        self.live.add(run.key)
        for tracker in self.trackers:
            tracker.started(run)

    def _log(self, key: str, point: Mapping[str, float]) -> None:
        for tracker in self.trackers:
            tracker.point(key, point)

    def _send(self, record: Record) -> None:
        self.live.discard(record.key)
        for tracker in self.trackers:
            tracker.record(record, self.store.artifacts(record.key) if record.status == "ok" else None)

    def _send_untimed(self) -> None:
        """Send the records of finished runs that an interruption has kept from being timed."""
        for key in self.outcome.done:
            if key in self.live and (record := self.snapshot.finished(key)):
                self._send(record)


def _data(run: Run) -> tuple[str, str]:
    return run.dataset, canonical(run.data)


def _grouped(runs: Iterable[Run], key: Callable[[Run], tuple[Any, ...]]) -> dict[tuple[Any, ...], tuple[Run, ...]]:
    """Return the runs by a key, in their order."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return {name: tuple(group) for name, group in groups.items()}
