"""What a dataset consists of before anything is decoded: its files, and what is wrong with its tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from datamodules.audio import AudioSource
from datamodules.errors import DataError


@dataclass(frozen=True)
class AudioFile:
    """One audio file of a dataset.

    Attributes:
        id: its name, unique in the dataset.
        source: where it is: a file, or a member of a shard.
        labels: names of its classes.
        group: its source.
        fold: the official fold or part that it belongs to; empty where that follows from what it holds.
        where: the row that names it, such as "'esc50.csv' line 7"; empty where no table does.
    """

    id: str
    source: AudioSource
    labels: tuple[str, ...]
    group: str
    fold: str
    where: str = ""


@dataclass
class Listing:
    """All files of a dataset, and all problems that show without decoding them, in words."""

    files: list[AudioFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a `DataError` that is raised inside, and go on after it."""
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
    """Raise one `DataError` that lists all problems, if there are any."""
    if len(problems) == 1:
        raise DataError(problems[0])
    if problems:
        raise DataError(f"{len(problems)} problems:\n" + "\n".join(f"  {each}" for each in problems))
