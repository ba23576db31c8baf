"""The audio files of a dataset before anything is decoded, and the problems of its tables."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from datamodules.audio import AudioSource
from datamodules.errors import DataError

MOST = 10
"""Problems that a message lists; it counts the others."""

Report = Callable[[int, int], None]
"""Receives the number of files read so far and of all files."""


def silently(done: int, of: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class AudioFile:
    """One audio file of a dataset.

    Attributes:
        id: its name, unique in the dataset.
        source: the file, or the member of a shard.
        labels: names of its classes.
        group: its recording, speaker or video.
        fold: its official fold or part; empty where that depends on the decoded audio.
        where: the table row that names it, such as "'esc50.csv' line 7"; empty without a table.
    """

    id: str
    source: AudioSource
    labels: tuple[str, ...]
    group: str
    fold: str
    where: str = ""


@dataclass
class Listing:
    """All files of a dataset, and a message for each problem that shows without decoding.

    `unreadable` is the number of these problems that are audio which cannot be read.
    """

    files: list[AudioFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unreadable: int = 0

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Append the message of a `DataError` that is raised inside to the problems, and continue after the block."""
        try:
            yield
        except DataError as error:
            self.problems.append(str(error))

    def whole(self) -> list[AudioFile]:
        """Return the files.

        Raises:
            DataError: there are problems; the message lists all of them.
        """
        refuse(self.problems)
        return self.files


def refuse(problems: Sequence[str]) -> None:
    """Raise one `DataError` that lists the problems, if there are any: ten of them, and how many more there are."""
    if len(problems) == 1:
        raise DataError(problems[0])
    if problems:
        raise DataError(f"{len(problems)} problems:\n" + "\n".join(f"  {each}" for each in shortened(problems)))


def shortened(problems: Sequence[str], most: int = MOST) -> list[str]:
    """Return at most `most` problems in their order, some of each kind, and a line with the number of the others.

    Problems are of one kind if their words are the same; numbers and quoted names do not count.
    """
    if len(problems) <= most + 1:  # a line for one more would take as much space as that one
        return list(problems)
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, problem in enumerate(problems):
        kinds[re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "", problem)].append(place)
    chosen: list[int] = []
    rank = 0
    while len(chosen) < most:
        chosen += [places[rank] for places in kinds.values() if rank < len(places)][: most - len(chosen)]
        rank += 1
    return [problems[place] for place in sorted(chosen)] + [f"and {len(problems) - most:,} more"]
