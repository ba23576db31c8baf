"""Counts of what injected faults have done, and the faults themselves."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path

BAD = ("lost", "doubled", "wrong", "hung", "crashed", "executed")
NOTES = 5


@dataclass
class Tally:
    """What came of injected faults.

    Attributes:
        injected: number of faults.
        lost: results that were acknowledged and are gone or cannot be read.
        doubled: runs that were done twice.
        wrong: damage that was used as if it were whole, without a word.
        hung: what did not end in its time.
        crashed: deaths and errors that are not ours, or that do not name what is wrong.
        executed: code that ran from data.
        notes: the first bad ones in words.
    """

    injected: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    hung: int = 0
    crashed: int = 0
    executed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Number of faults that came to no good."""
        return sum(getattr(self, name) for name in BAD)

    def note(self, kind: str, words: str, count: int = 1) -> None:
        """Count bad ones of a kind."""
        setattr(self, kind, getattr(self, kind) + count)
        if count and len(self.notes) < NOTES:
            self.notes.append(f"{kind}: {words}")

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


Inject = Callable[[int, Path], Tally]
"""Injects a number of faults in a new folder; seeded, so that it does the same every time."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: F1 to F25, see `docs/reliability.md`.
        words: what is done.
        quick: number of faults of a quick campaign; 0 leaves the kind out.
        full: number of faults of a full campaign.
        inject: does it.
        unguarded: takes a guard of ours out while it is open.
        prove: number of faults that show what happens without the guard.
        guard: the guard in words.
    """

    name: str
    words: str
    quick: int
    full: int
    inject: Inject
    guard: str
    unguarded: Callable[[], AbstractContextManager[object]] = nullcontext
    prove: int = 20
