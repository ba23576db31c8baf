"""Predictions of a trained model for files: windows of many files fill one batch, and a bad file stops no other one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from bench import catalog
from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from bench.inference.recordings import MAX_SECONDS, Window, windows_of
from datamodules.audio.decoder import ENDINGS, MAX_BYTES, AudioError, length
from datamodules.clips.own import features
from datamodules.errors import DataError
from datamodules.tables.csv_table import safe
from models.base import use_kernels

Combine = Literal["mean", "max"]
BATCH_SIZE = 32
MANY = 300
"""Files from which on kernels compute the features: loading them takes as long as they save on so many clips of 5 s."""
LONG_BYTES = 8 << 20
"""Size above which the progress within a file is shown."""

STDIN = "stdin"
"""Name of the sound on standard input in results, messages and file names."""

MAX_EVENTS = 1000
"""Windows and files with errors that are read before they are shown."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """A file to be classified.

    Attributes:
        path: where it is.
        name: what it is called in the results.
        error: why it cannot be used, where that is known already.
    """

    path: Path
    name: str
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Prediction for a file, or for one window of it.

    Attributes:
        file: name of the file.
        start: of the window in seconds; 0 for a whole file.
        end: of the window or of the file, in seconds.
        windows: number of windows that were combined.
        logits: `(C,)`, the mean or the maximum over the windows; None where there is an error.
        probabilities: `(C,)`, likewise.
        error: why the file cannot be used; empty where it can.
    """

    file: str
    start: float = 0.0
    end: float = 0.0
    windows: int = 0
    logits: Values | None = None
    probabilities: Values | None = None
    error: str = ""

    def top(self, count: int) -> list[int]:
        """Return the numbers of the likeliest classes, likeliest first."""
        assert self.probabilities is not None  # the caller has looked for an error
        order: list[int] = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return order


Report = Callable[[int, int, int], object]
"""Receives the number of files that have been read, the bytes of all files that have been read, and all bytes."""


def find(places: Iterable[str | Path], sound: bool = True) -> list[Source]:
    """Return the files that paths lead to, in their order; a folder gives its files at any depth, by name.

    Hidden files and files of other kinds in folders are left out. What is named itself is taken as it is. A link in a
    folder that leads to nothing, or to a folder, is a source with an error, as is a pipe or a device by the name of a
    wanted file.

    Args:
        places: files and folders.
        sound: whether audio files are wanted, or else files of features.
    """
    endings = ENDINGS if sound else features.ENDINGS
    found: list[Source] = []
    for given in places:
        place = Path(given)
        folder = place.expanduser()
        if given == "":  # which Path takes for the current folder, such as where a shell's variable is not set
            found.append(Source(folder, '""', "the name is empty: name a file or a folder, `.` for this one"))
            continue
        if not folder.is_dir():
            found.append(Source(folder, safe(str(place))))
            continue
        inside = []
        for path in sorted(folder.rglob("*")):
            if _hidden(path.relative_to(folder)):
                continue
            error, wanted = _link_error(path), path.name.lower().endswith(endings)
            if wanted and not error and not path.is_file() and not path.is_dir():
                error = "this is no regular file, such as a pipe or a device: remove it from the folder"
            if (wanted and (error or path.is_file())) or (error and path.is_dir()):
                inside.append(Source(path, safe(str(place / path.relative_to(folder))), error))
        found += inside
        if not inside:
            what = "audio files" if sound else f"{', '.join(endings)} files"
            found.append(Source(folder, safe(str(place)), f"the folder has no {what}: name another one"))
    return found


def from_stream(stream: IO[bytes], folder: Path) -> Source:
    """Return a stream as a file, such as standard input.

    Args:
        stream: an audio file's bytes.
        folder: where they are written.
    """
    path = folder / STDIN
    with path.open("wb") as file:
        while file.tell() <= MAX_BYTES and (block := stream.read(1 << 20)):  # a larger file is refused
            file.write(block)
    empty = "no sound came in: pipe an audio file into the command" if path.stat().st_size == 0 else ""
    return Source(path, STDIN, empty)


def _link_error(path: Path) -> str:
    """Return why a link in a folder is not followed; empty where it leads to a file, and for what is no link."""
    if not path.is_symlink() or path.is_file():
        return ""
    if path.is_dir():
        return "this is a link to a folder, which is not followed: name the folder itself, too"
    if path.exists():  # a pipe or a device
        return ""
    return "this is a link to a file that is not there: mend the link"


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def predict(
    model: Classifier,
    sources: Sequence[Source],
    *,
    hop_seconds: float | None = None,
    combine: Combine = "mean",
    each_window: bool = False,
    batch_size: int = BATCH_SIZE,
    max_seconds: float = MAX_SECONDS,
    report: Report | None = None,
) -> Iterator[Prediction]:
    """Yield the predictions of files, in their order, while the files are being read.

    The next batch is decoded while the model computes. From `MANY` files on, kernels compute the features on a CPU
    (`models.base.use_kernels`) if logits stay within 1e-5 of torch's; for fewer, loading them would take longer than
    they save. Memory grows neither with the number nor with the length of the files. With `each_window`, the windows
    of a file that turns out to be damaged come before its error.

    Args:
        model: of `load_model`.
        sources: of `find`.
        hop_seconds: from the start of one window to the next; None takes the length of a window.
        combine: whether probabilities are averaged over the windows of a file, or the highest one of each class counts.
        each_window: whether to yield each window instead.
        batch_size: clips that the model gets at once.
        max_seconds: longest file that is accepted.
        report: receives the progress; it is called from another thread.

    Raises:
        ArgumentError: the hop is not above 0 or longer than a window, a batch has no clips, or windows cannot be
            combined so.
    """
    if combine not in get_args(Combine):
        raise ArgumentError(f"combine = {combine!r} is not one of {', '.join(get_args(Combine))}")
    model.check_hop(hop_seconds)
    if batch_size < 1:
        raise ArgumentError(f"a batch of {batch_size} clips is too small: give 1 or more")
    use_kernels(model.module, len(sources) >= MANY and _kernels_exact(model))
    return _predictions(
        model, _read(model, sources, hop_seconds, max_seconds, report), combine, each_window, batch_size
    )


def _kernels_exact(model: Classifier) -> bool:
    """Return whether the kernels of all front-ends give torch's logits; a front-end without an entry has none."""
    known = {name: entry.target for name, entry in catalog.FRONTENDS.items() if not entry.kernel_exact}
    return not {record.run.frontend for record in model.records} & {*known, *known.values()}


@dataclass(frozen=True)
class _Ended:
    """All windows of a file have been read, or its error has been found."""

    name: str
    error: str = ""


def _read(
    model: Classifier,
    sources: Sequence[Source],
    hop_seconds: float | None,
    max_seconds: float,
    report: Report | None,
) -> Iterator[Window | _Ended]:
    """Yield the windows of all files, and the end of each recording."""
    sizes = [_size(source.path) for source in sources]
    done, total = 0, max(1, sum(sizes))
    for number, (source, size) in enumerate(zip(sources, sizes, strict=True)):
        name = source.name
        try:
            if source.error:
                raise DataError(source.error)
            tell = _within(source.path, size, max_seconds, report, number, done, total)
            latest = None
            for window in windows_of(model, source.path, name, hop_seconds, max_seconds, tell):
                if latest is not None and window.name != latest:
                    yield _Ended(latest)
                latest = window.name
                yield window
            yield _Ended(latest or name)
        except (DataError, RunError) as error:
            yield _Ended(name, str(error))
        done += size
        if report is not None:
            report(number + 1, done, total)


def _size(path: Path) -> int:
    try:
        return max(1, path.stat().st_size)
    except OSError:
        return 1


def _within(
    path: Path, size: int, max_seconds: float, report: Report | None, number: int, done: int, total: int
) -> Callable[[float], object] | None:
    """Return the function that reports how much of a long file has been read; None for a short one."""
    if report is None or size < LONG_BYTES:
        return None
    seconds = 0.0
    with suppress(AudioError):  # decoding it says why
        seconds = length(path, max_seconds)
    if not seconds:
        return None
    return lambda read: report(number, done + int(size * min(1.0, read / seconds)), total)


class _Combined:
    """The mean or the maximum of a file's windows."""

    def __init__(self, combine: Combine) -> None:
        self.combine = combine
        self.windows, self.end = 0, 0.0
        self.values: NDArray[np.float64] | None = None

    def add(self, window: Window, values: Values) -> None:
        """Take a window's logits and probabilities `(2, C)`."""
        if self.values is None:
            self.values = values.astype(np.float64)
        elif self.combine == "mean":
            self.values += values
        else:
            np.maximum(self.values, values, out=self.values)
        self.windows, self.end = self.windows + 1, window.end

    def prediction(self, name: str) -> Prediction:
        """Return the file's prediction."""
        assert self.values is not None  # a file without windows has an error
        values = self.values / self.windows if self.combine == "mean" else self.values
        logits, probabilities = values.astype(np.float32)
        return Prediction(file=name, end=self.end, windows=self.windows, logits=logits, probabilities=probabilities)


def _predictions(
    model: Classifier, read: Iterator[Window | _Ended], combine: Combine, each_window: bool, batch_size: int
) -> Iterator[Prediction]:
    combined = _Combined(combine)
    with ThreadPoolExecutor(1, "reading") as reading:
        following = reading.submit(_batch, read, batch_size)
        while events := following.result():
            following = reading.submit(_batch, read, batch_size)
            windows = [event for event in events if isinstance(event, Window)]
            values = iter(_values(model, windows))
            for event in events:
                if isinstance(event, Window):
                    found = next(values)
                    if each_window:
                        yield Prediction(
                            file=event.name, start=event.start, end=event.end, windows=1, logits=found[0],
                            probabilities=found[1],
                        )  # fmt: skip
                    else:
                        combined.add(event, found)
                    continue
                if event.error:
                    yield Prediction(file=event.name, error=event.error)
                elif not each_window:
                    yield combined.prediction(event.name)
                combined = _Combined(combine)


def _batch(read: Iterator[Window | _Ended], batch_size: int) -> list[Window | _Ended]:
    """Return the next windows, as many as a batch has, and what lies between them; empty at the end."""
    events: list[Window | _Ended] = []
    clips = 0
    while clips < batch_size and len(events) < MAX_EVENTS and (found := list(islice(read, 1))):
        events += found
        clips += isinstance(found[0], Window)
    return events


def _values(model: Classifier, windows: Sequence[Window]) -> NDArray[np.float32]:
    """Return the logits and the probabilities of windows, `(N, 2, C)`."""
    if not windows:
        return np.empty((0, 2, len(model.classes)), np.float32)
    logits = model.logits(torch.from_numpy(np.stack([window.clip for window in windows])))
    both: NDArray[np.float32] = torch.stack([logits, model.probabilities(logits)], 1).numpy()
    return both
