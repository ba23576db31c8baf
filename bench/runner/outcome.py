"""The outcome of a call of `bench run`, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.records import Failure, sources

if TYPE_CHECKING:
    from bench.leaderboard.board import Leaderboard


@dataclass
class Outcome:
    """The outcome of a call of `bench run`.

    Attributes:
        done: keys of the runs that this call finished.
        kept: keys of the runs that were finished before.
        failed: key to failure, for the runs that failed in this call.
        elsewhere: keys of the runs that another process is working on.
        missing: dataset, or class of another package, to a message that says what is missing and how to get it.
        warnings: one line each.
        changed: key to the components whose source has changed, for the finished runs that are done again for it.
        new_data: key to how its data have changed, for the finished runs that are done again for it.
        interrupted: whether the user interrupted the call.
        total: number of runs that the call was to end with.
        untimed: number of timings that are left to do.
        not_timed: key to failure, for the runs whose timing failed in this call.
        boards: the suite's leaderboards afterwards.
        not_drawn: why the tables' files could not be written; None where they were.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    new_data: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    total: int = 0
    untimed: int = 0
    not_timed: dict[str, Failure] = field(default_factory=dict)
    boards: "tuple[Leaderboard, ...]" = ()
    not_drawn: Failure | None = None

    def changed_words(self) -> list[str]:
        """Say how many runs are done again because of which source, and because of which files of their data."""
        lines = [self._source_words()] if self.changed else []
        by_words: dict[str, int] = {}
        for words in self.new_data.values():
            by_words[words] = by_words.get(words, 0) + 1
        for words, count in by_words.items():
            runs, whose = ("1 run is", "its") if count == 1 else (f"{count} runs are", "their")
            lines.append(f"{runs} done again because {whose} data changed: {words}")
        return lines

    def _source_words(self) -> str:
        components = [name for name in sources.WORDS.values() if any(name in found for found in self.changed.values())]
        count = len(self.changed)
        runs = "1 run is" if count == 1 else f"{count} runs are"
        whose = "its" if count == 1 else "their"
        return f"{runs} done again because {whose} source changed: that of the {_joined(components)}"

    def counts_words(self) -> str:
        """Say how many runs ended how."""
        words = f"{len(self.done)} run now, {len(self.kept)} done before, {len(self.failed)} failed"
        left = self.total - len({*self.done, *self.kept, *self.failed, *self.elsewhere})
        return f"{words}, {left} missing" if self.missing and left > 0 else words

    def elsewhere_words(self) -> str:
        """Say how many runs another process is doing."""
        count = len(self.elsewhere)
        return f"{count} {'run is' if count == 1 else 'runs are'} being done by another process"


def _joined(words: Sequence[str]) -> str:
    return " and the ".join(filter(None, (", the ".join(words[:-1]), words[-1])))
