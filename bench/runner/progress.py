"""What a suite, or a download, shows while it runs: a bar on a terminal, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar


class Progress:
    """Done and total, what is being done now, and the time left.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.now: dict[str, str] = {}
        self.done = 0
        self.total = 0
        self.began = time.monotonic()
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("", total=None)

    def start(self, total: int) -> None:
        """Show the bar; `total` steps are to come."""
        self.total = total
        self.bar.update(self.task, total=total)
        if total:
            self.bar.start()

    def show(self, key: str, news: str) -> None:
        """Show what a run is doing now."""
        self.now[key] = news
        self._describe()

    def end(self, key: str, line: str) -> None:
        """Count a step as done and print its line."""
        self.now.pop(key, None)
        self.done += 1
        self.bar.update(self.task, completed=self.done)
        self._describe()
        left = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        tail = "" if self.console.is_terminal else f"  ({left:.0f} s left)" if self.done < self.total else ""
        self.console.print(f"[{self.done}/{self.total}] {line}{tail}", markup=False, highlight=False, soft_wrap=True)

    def shrink(self, steps: int) -> None:
        """Take back steps that will not come, such as the timing of a run that failed."""
        self.total -= steps
        self.bar.update(self.task, total=self.total)

    def note(self, line: str) -> None:
        """Print a line that is no step."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away."""
        self.bar.stop()

    def _describe(self) -> None:
        words = [f"{key} {news}" for key, news in sorted(self.now.items())]
        self.bar.update(self.task, description=escape("  ".join(words)))


class Bytes:
    """What is being downloaded, verified or unpacked, how many bytes of it, how fast, and the time left.

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
