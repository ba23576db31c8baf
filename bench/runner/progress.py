"""Progress of a suite, a download or a measurement: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

TIMING_SECONDS = 1.2
"""Time that the first timing of one model on one backend takes, assumed until models have been timed here."""
LONG_SECONDS = 60.0
"""Duration of a training that makes its start-up negligible."""
TABLE_LINES = 8
"""Lines of a terminal that a table's rows leave free: its title and heading, the bar, and what was printed before."""
EPOCH_SECONDS = 10.0
"""Shortest time between two lines about epochs where there is no terminal, for each training that is running."""


def rounded(value: float, digits: int, unit: str = "") -> str:
    """Return a number with so many decimals and its unit; "<0.01 ms" for a positive number that would become zero."""
    text = f"{value:.{digits}f}"
    return f"<{10.0**-digits:.{digits}f}{unit}" if value > 0 and float(text) == 0 else f"{text}{unit}"


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours: "90 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return rounded(seconds, 0, " s")
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def indented(text: str) -> str:
    """Return text whose following lines, such as those of an exception's message, are seen to belong to its first."""
    return "\n    ".join(text.splitlines())


class _Pace:
    """How long things of one kind take, from those that have ended.

    The first ones take longer than all later ones: they import, compile, and fill caches.
    """

    def __init__(self) -> None:
        self.first: list[float] = []
        self.later: list[float] = []

    def add(self, seconds: float, *, first: bool) -> None:
        (self.first if first else self.later).append(seconds)

    @property
    def mean(self) -> float | None:
        """Mean duration; None as long as it would say more about start-up than about what follows."""
        known = self.later or [seconds for seconds in self.first if seconds >= LONG_SECONDS]
        return sum(known) / len(known) if known else None


class _Training:
    """How far a training is: its epochs, and when they ended.

    The first epoch takes longer than all later ones, so the estimate is made from the epochs after it.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.first: tuple[int, float] | None = None
        self.latest = (0, began)
        self.epochs = 0

    def end_epoch(self, epoch: int, epochs: int, now: float) -> None:
        self.epochs = epochs
        self.latest = (epoch, now)
        self.first = self.first or self.latest

    def seconds_left(self, now: float) -> float | None:
        """Return the time until the last epoch ends; None before two epochs have ended."""
        if self.first is None or self.latest[0] <= self.first[0]:
            return None
        each = (self.latest[1] - self.first[1]) / (self.latest[0] - self.first[0])
        return max(0.0, each * (self.epochs - self.latest[0]) - (now - self.latest[1]))


class _RunsBar(Bar):
    """A bar below a table and one line for each run that is under way; a line that is too long goes on in the next.

    The table has the lines of the terminal that are left.
    """

    lines: tuple[str, ...] = ()
    table: Callable[[int], RenderableType | None] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.table is not None:
            rows = self.console.height - len(self.lines) - TABLE_LINES
            table = self.table(rows) if rows > 0 else None
            yield from () if table is None else (table,)
        yield from (Text(line, overflow="fold") for line in self.lines)
        yield from super().get_renderables()


@dataclass(frozen=True)
class _Reading:
    """A dataset that is being read: since when, files read by then and by now, and files in all."""

    began: float
    first: int
    done: int
    of: int

    def left(self, now: float) -> float:
        """Return the seconds that the rest takes at the pace so far."""
        return (now - self.began) * (self.of - self.done) / max(1, self.done - self.first)


class Progress:
    """Progress of a suite: finished and running runs, and the time left.

    Runs are counted first, and then their timings: trainings share the machine, a timing has it alone.

    Args:
        console: where to write.
        clock: returns seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.now: dict[str, str] = {}
        self._line: Callable[[], str] = str
        self._said_line = clock()
        self.runs = 0
        self.timings = 0
        self.runs_done = 0
        self.timings_done = 0
        self.left = {"train": 0, "fuse": 0, "time": 0}
        self.workers = 1
        self.timing_seconds = TIMING_SECONDS
        self.timed = True
        self._began: dict[str, _Training] = {}
        self._files: dict[str, _Reading] = {}
        self._said_reading = 0.0
        self._said: dict[str, float] = {}
        self._first: dict[str, set[str]] = {"train": set(), "time": set()}
        self._pace = {"train": _Pace(), "time": _Pace()}
        self.bar = _RunsBar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            refresh_per_second=2,  # a model that is being timed has the machine alone
        )
        self.task = self.bar.add_task("", total=None, left="")

    def read(self, done: int, of: int, dataset: str = "") -> None:
        """Show how many files have been read, and the time left; a line every 10 s without a terminal.

        Args:
            done: files of the dataset that have been read.
            of: its files.
            dataset: its name; of several that are read at the same time, the sums and the longest time are shown.
        """
        now = self.clock()
        known = self._files.get(dataset)
        if known is None or done < known.done:
            if not self._files:
                self._said_reading = now
            self._files[dataset] = _Reading(now, done, done, of)
            return
        self._files[dataset] = replace(known, done=done, of=of)
        files = self._files.values()
        words = f"files read, about {duration(max(each.left(now) for each in files))} left"
        done, of = sum(each.done for each in files), sum(each.of for each in files)
        if self.console.is_terminal:
            self.bar.update(self.task, completed=done, total=of, left=words)
            self.bar.start()
        elif now - self._said_reading >= EPOCH_SECONDS:
            self._said_reading = now
            self.note(f"{done:,} of {of:,} {words}")

    def end_reading(self, dataset: str = "") -> None:
        """Take a dataset's files out of the line about files, and the line away with the last ones."""
        if self._files.pop(dataset, None) is not None and not self._files:
            self.bar.stop()
            self.bar.reset(self.task, start=True, total=None, completed=0, left="")

    def start(
        self,
        *,
        trainings: int = 0,
        fusions: int = 0,
        timings: int = 0,
        combined: int = 0,
        workers: int = 1,
        backends: int = 1,
    ) -> None:
        """Show the bar.

        Args:
            trainings: runs to train.
            fusions: runs that combine others.
            timings: models to time.
            combined: fusions whose timings follow from their members'.
            workers: trainings at the same time.
            backends: how many backends each model is timed on.
        """
        self.timing_seconds = TIMING_SECONDS * backends
        self.runs, self.timings, self.workers = trainings + fusions, timings + combined, workers
        self.timed = self.timings > 0
        self.left = {"train": trainings, "fuse": fusions, "time": timings}
        self.bar.update(self.task, total=self.runs + self.timings)
        if self.runs + self.timings:
            self.bar.start()

    def show(self, key: str, news: str) -> None:
        """Show what is happening to a run now."""
        if key not in self._began:
            self._began[key] = _Training(self.clock())
            first = self._first[self._phase]
            if len(first) < (self.workers if self._phase == "train" else 1):
                first.add(key)
        self.now[key] = news
        self._describe()

    def epoch(self, key: str, epoch: int, epochs: int, score: float) -> None:
        """Show that a training has finished an epoch.

        Where there is no terminal, a line says so: the last epoch's always, the others' every `EPOCH_SECONDS` times
        the number of trainings that are running.

        Args:
            key: of the run.
            epoch: number of epochs done.
            epochs: number of epochs in all.
            score: primary metric on validation.
        """
        news = f"epoch {epoch}/{epochs}, validation {score:.3f}"
        self.show(key, news)
        now = self.clock()
        training = self._began[key]
        training.end_epoch(epoch, epochs, now)
        words = self._words_left()
        self.bar.update(self.task, left=words)
        latest = self._said.get(key, training.began)
        if not self.console.is_terminal and (epoch == epochs or now - latest >= EPOCH_SECONDS * len(self.now)):
            self._said[key] = now
            self.note(f"{key}: {news}{f'  ({words})' if words else ''}")

    def end_run(self, key: str, line: str, *, fusion: bool, timed: bool) -> None:
        """Count a run as done and print its line.

        Args:
            key: of the run.
            line: about it.
            fusion: whether it combines others.
            timed: whether its timing is to come; a run that failed has none.
        """
        self._end(key, "fuse" if fusion else "train")
        self.runs_done += 1
        if not timed and self.timed:
            self.timings -= 1
            self.left["time"] -= not fusion
        self._print(f"[{self.runs_done}/{self.runs}] {line}")
        if not self.console.is_terminal and self.clock() - self._said_line >= EPOCH_SECONDS and (words := self._line()):
            self._said_line = self.clock()
            self.note(words)

    def begin_again(self, *, fusion: bool) -> None:
        """Take a run back that was counted as done, because it was left to another process, and can be done now."""
        self.runs_done -= 1
        self.left["fuse" if fusion else "train"] += 1
        if self.timed:
            self.timings += 1
            self.left["time"] += not fusion

    def end_timing(self, key: str, line: str, *, fusion: bool) -> None:
        """Count a run's timing as done and print its line."""
        self._end(key, "combine" if fusion else "time")
        self.timings_done += 1
        self.timings = max(self.timings, self.timings_done)  # runs of another process that ended may be timed here, too
        self._print(f"[timing {self.timings_done}/{self.timings}] {line}")

    def follow(self, table: Callable[[int], RenderableType | None], line: Callable[[], str]) -> None:
        """Show a table of the results so far, where there is no terminal a line of them every `EPOCH_SECONDS`.

        Args:
            table: returns the table with so many rows at most; None where there is nothing to show.
            line: returns the line; "" where there is nothing to show.
        """
        self.bar.table = table
        self._line = line

    def note(self, line: str) -> None:
        """Print a line that is no step."""
        self.console.print(indented(line), markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away."""
        self.bar.stop()

    def seconds_left(self) -> float | None:
        """Return an estimate of the time left; None as long as it would be a guess.

        Trainings are estimated from trainings and timings from timings; fusions take no time worth counting. What is
        being done now is counted only as far as it is not done. A training whose epochs are known is estimated from
        them, and where no training has ended yet, so are the ones to come.
        """
        trainings = self._left("train", self._pace["train"].mean, min(self.workers, max(1, self.left["train"])))
        known = any(training.seconds_left(self.clock()) is not None for training in self._began.values())
        timing = self._pace["time"].mean
        timings = self._left("time", self.timing_seconds if timing is None else timing, 1)
        if trainings is None or timings is None or not (self.runs_done or self.timings_done or known):
            return None
        return trainings + timings

    def _left(self, kind: str, each: float | None, at_once: int) -> float | None:
        """Return the time that the things of one kind take which have not ended; None if that is not known."""
        if self.left[kind] <= 0:
            return 0.0
        now = self.clock()
        running = list(self._began.values()) if kind == self._phase else []
        left = [training.seconds_left(now) for training in running]
        if each is None:
            whole = [now - one.began + rest for one, rest in zip(running, left, strict=True) if rest is not None]
            if not whole:
                return None
            each = sum(whole) / len(whole)
        rest = sum(
            max(0.0, each - (now - one.began)) if rest is None else rest
            for one, rest in zip(running, left, strict=True)
        )
        return (each * (self.left[kind] - len(running)) + rest) / at_once

    @property
    def _phase(self) -> str:
        return "train" if self.left["train"] else "time"

    def _end(self, key: str, kind: str) -> None:
        self.now.pop(key, None)
        began = self._began.pop(key, None)
        self._said.pop(key, None)
        if kind in self.left:
            self.left[kind] -= 1
        if began is not None and kind in self._pace:
            self._pace[kind].add(self.clock() - began.began, first=key in self._first[kind])

    def _print(self, line: str) -> None:
        words = self._words_left()
        self.bar.update(
            self.task,
            completed=self.runs_done + self.timings_done,
            total=self.runs + self.timings,
            left=words,
        )
        self._describe()
        tail = f"  ({words})" if words and not self.console.is_terminal else ""
        self.console.print(indented(f"{line}{tail}"), markup=False, highlight=False, soft_wrap=True)

    def _words_left(self) -> str:
        """Say how much time is left; nothing if that is not known."""
        left = self.seconds_left()
        what = ", timing included" if self.runs_done < self.runs and self.timings else ""
        return f"about {duration(left)} left{what}" if left else ""

    def _describe(self) -> None:
        self.bar.lines = tuple(f"{key} {news}" for key, news in sorted(self.now.items()))


class Files:
    """How many files of a dataset have been read, and the time left.

    A terminal shows a bar; elsewhere a line is printed every `EPOCH_SECONDS`.

    Args:
        console: where to write.
        clock: returns seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress = Progress(console, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.end_reading()

    def report(self, done: int, of: int) -> None:
        """Show that files have been read."""
        self.progress.read(done, of)


class Recordings:
    """How many files a model has been given, and the time left, by their bytes.

    A terminal shows a bar; elsewhere a line is printed every `EPOCH_SECONDS`.

    Args:
        console: where to write.
        total: number of files.
        clock: returns seconds.
    """

    def __init__(self, console: Console, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.total = total
        self.clock = clock
        self._began = self._said = clock()
        self.bar = Bar(
            BarColumn(),
            TextColumn("{task.fields[words]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what goes to a file or a pipe goes there
        )
        self.task = self.bar.add_task("", total=None, words="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def report(self, files: int, done: int, of: int) -> None:
        """Show how many files, and how many bytes of all bytes, have been read."""
        now = self.clock()
        left = (now - self._began) * (of - done) / max(1, done)
        words = f"{files:,} of {self.total:,} files, about {duration(left)} left"
        self.bar.update(self.task, completed=done, total=of, words=words)
        if not self.console.is_terminal and now - self._said >= EPOCH_SECONDS:
            self._said = now
            self.console.print(words, markup=False, highlight=False, soft_wrap=True)


class Steps:
    """Which of some measurements is being made, and the time left.

    A terminal shows a bar; elsewhere a line is printed as each measurement begins.

    Args:
        console: where to write.
        total: number of measurements.
        each: seconds that one takes, assumed until two have been made.
        clock: returns seconds.
    """

    def __init__(self, console: Console, total: int, each: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.total = total
        self.each = each
        self.clock = clock
        self.done = 0
        self._pace = _Pace()
        self._began: float | None = None
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _TimeLeft(self),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a measurement while it is made, and count it."""
        self._began = self.clock()
        self.bar.update(self.task, description=escape(f"timing {what}"))
        if not self.console.is_terminal:
            line = f"[{self.done + 1}/{self.total}] timing {what}  (about {rounded(self.seconds_left(), 0, ' s')} left)"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        try:
            yield
        finally:
            self._pace.add(self.clock() - self._began, first=not self.done)
            self._began = None
            self.done += 1
            self.bar.update(self.task, completed=self.done)

    def skip(self, count: int) -> None:
        """Leave out measurements that turn out not to be needed."""
        self.total -= count
        self.bar.update(self.task, total=self.total)

    def seconds_left(self) -> float:
        """Return an estimate of the time left."""
        each = self._pace.mean or self.each
        running = 0.0 if self._began is None else min(each, self.clock() - self._began)
        return each * (self.total - self.done) - running


class _TimeLeft(ProgressColumn):
    """The time left of `Steps`, which moves on while a measurement is made."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps

    def render(self, task: Task) -> Text:
        """Return the words."""
        return Text(f"about {rounded(self.steps.seconds_left(), 0, ' s')} left")


class Bytes:
    """Progress of a download, a check or an unpacking: bytes done, speed, and the time left.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.what = ""
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def report(self, what: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` bytes are done; another `what` is another step."""
        if what != self.what:
            self.what = what
            self.bar.reset(self.task, completed=done, total=total, description=escape(what))
            if not self.console.is_terminal:
                self.console.print(what, markup=False, highlight=False, soft_wrap=True)
        self.bar.update(self.task, completed=done, total=total)
