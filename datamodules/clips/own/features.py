"""A user's own features: arrays in files of four kinds, with the classes and splits of a user's clips.

An array `(T, F)` is a clip of T frames, `(F,)` is a clip of one frame, and `(N, T, F)` holds N clips. A file of several
arrays or records holds as many clips. Never imports torch.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.clips.own.division import divide
from datamodules.clips.own.reading import MIN_FOLDS, Options, OwnClips, fewest_sources, read
from datamodules.errors import DataError, DatasetMissing
from datamodules.listing import AudioFile, refuse
from datamodules.tables import parquet
from datamodules.tables.csv_table import safe
from datamodules.tables.tfrecord import example, records

ENDINGS = (".npy", ".npz", ".parquet", ".tfrecord", ".tfrecords")
"""Endings of files of features, in lower case."""

TABLE = "embeddings"
MAX_VALUES = 1 << 28
"""Most values of one clip."""

Features = NDArray[np.float32]
_WORDS = (
    ("[dataset.folder]", "[dataset.embeddings]"),
    ("audio files", "files of features"),
    ("is audio", "is features"),
    ("are no audio", "are no features"),
    ("no audio", "no features"),
    ("without audio", "without features"),
)


@dataclass(frozen=True)
class OwnFeatures:
    """A user's clips of features, and where each is in its file: a name, a number, or None for the whole file."""

    own: OwnClips
    places: tuple[str | int | None, ...]


@contextmanager
def in_words_of_features() -> Iterator[None]:
    """Let errors of reading a user's clips speak of features."""
    try:
        yield
    except DatasetMissing as error:
        raise DatasetMissing(said(str(error))) from error
    except DataError as error:
        raise DataError(said(str(error))) from error


def said(words: str) -> str:
    """Return words on audio as words on features."""
    for audio, features in _WORDS:
        words = words.replace(audio, features)
    return words


def read_features(arguments: Mapping[str, Any]) -> OwnFeatures:
    """List a user's features.

    Args:
        arguments: the dataset's, as a suite has them.

    Raises:
        DatasetMissing: the folder or the table does not exist, or has no files of features.
        DataError: the table cannot be used, or files cannot be opened.
    """
    with in_words_of_features():
        own = read(replace(Options.of(arguments), endings=ENDINGS))
    problems: list[str] = []
    files: list[AudioFile] = []
    places: list[str | int | None] = []
    several = 0
    for file in own.files:
        try:
            inside = _contents(Path(str(file.source)), file.id)
        except DataError as error:
            problems.append(str(error))
            continue
        several += len(inside) > 1
        for place in inside:
            name = file.id if place is None else f"{file.id}[{place}]"
            files.append(replace(file, id=safe(name)))
            places.append(place)
    lost = [f"{name!r}: {why}" for name, why in own.unreadable.items()]
    own = replace(
        own, files=files, problems=[said(each) for each in (*own.problems, *lost, *problems)],
        notes=[said(each) for each in own.notes], warnings=[said(each) for each in own.warnings],
        group_rule=own.group_rule, group_remedy=said(own.group_remedy),
    )  # fmt: skip
    return OwnFeatures(_sources(own) if several else own, tuple(places))


def _sources(own: OwnClips) -> OwnClips:
    """Return the clips with one source each, where files hold several and a class has too few files to divide."""
    if own.given or own.options.csv is not None:
        return own
    labels = [file.labels[0] for file in own.files if file.labels]
    fewest, label = fewest_sources(labels, [file.group for file in own.files if file.labels])
    if fewest >= MIN_FOLDS:
        return own
    warning = (
        f"each clip of a file counts as a source, because {label!r} has only {fewest}: if clips of one file are of one "
        f"recording, the test leaks; make a file for each recording, as `bench embed --format npy` does, or give folds "
        f"in a table"
    )
    files = [replace(file, group=file.id) for file in own.files]
    return replace(own, files=files, warnings=[*own.warnings, warning], group_rule="the clip")


def folds_of(arguments: Mapping[str, Any]) -> dict[int, str] | None:
    """Return number and name of each fold, in order; None where the clips cannot be divided now.

    Args:
        arguments: as for `read_features`.
    """
    try:
        division = divide(read_features(arguments).own)
    except DataError:  # reading the clips will say what is wrong
        return None
    return dict(zip(division.numbers, ("",) if division.parts else division.names, strict=True))


def load(path: Path, name: str, places: Sequence[str | int | None]) -> list[Features]:
    """Return the features `(T, F)` of these clips of a file.

    Args:
        path: of the file.
        name: of the file in messages.
        places: as in `OwnFeatures`.

    Raises:
        DataError: the file is damaged, or holds something else than finite numbers.
    """
    ending = path.suffix.lower()
    with _opening(name):
        if ending == ".npy":
            array = np.load(path, allow_pickle=False)
            found = [array if place is None else array[place] for place in places]
        elif ending == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                keys = [archive.files[0] if place is None else str(place) for place in places]
                arrays = {key: archive[key] for key in dict.fromkeys(_key(archive.files, key) for key in keys)}
                found = [_part(arrays[_key(archive.files, key)], key, archive.files) for key in keys]
        elif ending == ".parquet":
            rows = parquet.clips(path)
            found = [next(iter(rows.values())) if place is None else rows[str(place)] for place in places]
        else:
            problems: list[str] = []
            whole = {each: _record(data, name) for each, data in _records(path, problems)}
            refuse(problems)
            found = [next(iter(whole.values())) if place is None else whole[str(place)] for place in places]
    return [_clip(array, name) for array in found]


def clips_of(path: Path) -> list[tuple[str | int | None, Features]]:
    """Return the features `(T, F)` of each clip of a file, with its place there: None where it has one clip.

    Raises:
        DataError: the file is damaged, or holds something else than finite numbers.
    """
    name = path.name
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{name!r} is no file of features: give {', '.join(ENDINGS)} files")
    if not path.is_file():
        raise DataError(f"{name!r} cannot be opened (No such file): looked in {str(path.parent)!r}")
    places = _contents(path, name)
    return list(zip(places, load(path, name, places), strict=True))


@contextmanager
def _opening(name: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        if "Object arrays" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{name!r} holds Python objects, which are not read, because that could run code: save an array of "
                f"numbers with numpy.save"
            ) from error
        if "pickled data" in str(error):  # what numpy says of any other content
            raise DataError(f"{name!r} is no file of numpy: save it again with numpy.save or numpy.savez") from error
        raise DataError(f"{name!r} is no file of features ({error}): save it again with numpy.save") from error
    except (OSError, EOFError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise DataError(f"{name!r} cannot be read ({error}): save it again") from error


def _contents(path: Path, name: str) -> list[str | int | None]:
    """Return where the clips of a file are; only headers of arrays are read."""
    ending = path.suffix.lower()
    with _opening(name):
        if ending == ".npy":
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
            return list(range(shape[0])) if len(shape) == 3 else [None]
        if ending == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                inside = [place for key in archive.files for place in _members(key, archive[key].shape)]
                return [None] if len(archive.files) == len(inside) == 1 else list(inside)
        problems: list[str] = []
        found = parquet.names(path) if ending == ".parquet" else [each for each, _ in _records(path, problems)]
        refuse(problems)
        if not found:
            raise DataError(f"{name!r} has no records: save it again")
        if twice := [each for each, count in Counter(found).items() if count > 1]:
            raise DataError(f"{name!r} has two records called {twice[0]!r}: give each clip a name of its own")
        return [None] if len(found) == 1 else list(found)


def _members(key: str, shape: tuple[int, ...]) -> list[str]:
    return [f"{key}/{i}" for i in range(shape[0])] if len(shape) == 3 else [key]


def _key(files: Sequence[str], key: str) -> str:
    return key if key in files else key.rpartition("/")[0]


def _part(array: NDArray[Any], key: str, files: Sequence[str]) -> NDArray[Any]:
    part: NDArray[Any] = array if key in files else array[int(key.rpartition("/")[2])]
    return part


def _records(path: Path, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each record."""
    for number, (_, _, data) in enumerate(records([path], problems)):
        try:
            yield example(data).name or str(number), data
        except ValueError as error:
            problems.append(f"{path.name!r}: record {number} has no features ({error}): save it again")


def _record(data: bytes, name: str) -> NDArray[Any]:
    try:
        return example(data).frames
    except ValueError as error:
        raise DataError(f"{name!r}: a record has no features ({error}): save it again") from error


def _clip(array: NDArray[Any], name: str) -> Features:
    """Return an array as `(T, F)` float32; bytes become shares of 255, as AudioSet's are."""
    if array.ndim == 1:
        array = array[np.newaxis]
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size or array.size > MAX_VALUES:
        raise DataError(
            f"{name!r} has an array of shape {array.shape} and type {array.dtype}: a clip is frames times features "
            f"(T, F) of numbers"
        )
    frames: Features = array.astype(np.float32)
    if array.dtype == np.uint8:
        frames /= np.float32(255)
    if not np.isfinite(frames).all():
        raise DataError(f"{name!r} has numbers that are not finite: compute its features again")
    return frames
