"""The audio files of a dataset before anything is decoded, and the problems of its tables."""

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
    """All files of a dataset, and a message for each problem that shows without decoding."""

    files: list[AudioFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

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
    """Raise one `DataError` that lists all problems, if there are any."""
    if len(problems) == 1:
        raise DataError(problems[0])
    if problems:
        raise DataError(f"{len(problems)} problems:\n" + "\n".join(f"  {each}" for each in problems))
