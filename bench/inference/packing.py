"""One file of a trained model: a zip archive with the folders of a run and of the runs that it combines."""

import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.errors import ArgumentError, RunError
from bench.records import Store, scratch
from bench.records.store import RECORD, WEIGHTS, write_whole
from bench.training.stored import DESCRIPTION
from datamodules.errors import DataError
from datamodules.fetch.archives import Limits, unpack

MANIFEST = "pack.json"
FORMAT = 1
"""Version of the archive's layout; another version is refused by name."""

FILES = (DESCRIPTION, WEIGHTS, RECORD)
"""Files of each run that are packed, where they are there."""

KEY = r"\w[\w.-]*"
"""Pattern of a run's key, which names a folder."""

LIMITS = Limits(entries=10_000, bytes=32 << 30, ratio=50.0, path=300, depth=4)
_MANIFEST = 1 << 20
"""Most bytes of a manifest."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(folders: Sequence[tuple[str, Path]], texts: dict[str, str], out: Path, keys: Sequence[str] = ()) -> None:
    """Write a packed file; the same content gives the same bytes.

    Args:
        folders: key and artifacts of each run.
        texts: further files by name.
        out: the file.
        keys: of the runs that the file is of, whose probabilities are averaged where there are several; without any,
            the first of `folders`.
    """
    manifest = json.dumps({"format": FORMAT, "keys": list(keys) or [folders[0][0]]}, indent=1) + "\n"
    with tempfile.TemporaryFile() as buffer:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, text in {MANIFEST: manifest, **texts}.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
            for key, folder in folders:
                for path in (folder / name for name in FILES):
                    if path.is_file():
                        archive.writestr(zipfile.ZipInfo(f"artifacts/{key}/{path.name}", _EPOCH), path.read_bytes())
        buffer.seek(0)
        write_whole(out, buffer.read())


def refuse_other(out: Path) -> None:
    """Raise an ArgumentError where a file is there that `write` would replace, and that is no packed file."""
    if os.path.lexists(out) and not (out.is_file() and _is_packed(out)):
        raise ArgumentError(f"{out} is there already and is no file of `bench pack`, so it stays: name another --out")


def _is_packed(path: Path) -> bool:
    """Whether a file is an archive with a manifest, of any version."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(MANIFEST).file_size > _MANIFEST:
                return False
            content = json.loads(archive.read(MANIFEST))
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zlib.error, zipfile.BadZipFile):
        return False
    return isinstance(content, dict) and {"format", "keys"} <= set(content)


@contextmanager
def opened(run: str | Path) -> Iterator[Store | None]:
    """Yield a temporary store with the content of a packed file; None where the reference is no file, or a suite's.

    Raises:
        RunError: the file is no packed model, is damaged, or holds what no packed model holds.
    """
    path = Path(run).expanduser()
    if not path.is_file() or path.suffix == ".toml":
        yield None
        return
    with scratch.folder("model") as folder:
        store = Store(folder / "store")
        extract(path, store)
        with in_words_of(path, store):
            yield store


@contextmanager
def in_words_of(path: Path, store: Store) -> Iterator[None]:
    """Let errors on a file of an unpacked store name the packed file and its part; their remedies are for other stores.

    Args:
        path: the packed file.
        store: the temporary one with its content.
    """
    try:
        yield
    except RunError as error:
        reason, _, remedy = str(error).rpartition(": ")
        if str(store.root) not in reason:
            raise
        reason = reason.replace(f"{store.root}{os.sep}", "")
        remedy = remedy if remedy.startswith("install") else "fetch the file again, or pack it again"
        raise RunError(f"{path} cannot be used, for {reason}: {remedy}") from error


def extract(path: Path, store: Store) -> tuple[str, ...]:
    """Unpack a packed file into a new store, and return the keys of the runs that it is of.

    Raises:
        RunError: as from `opened`.
    """
    try:
        unpack(path, store.root, LIMITS)
    except DataError as error:
        reason = str(error).removeprefix(path.name).removeprefix(":").strip()
        reason = reason.removeprefix("is damaged or cut off: ")
        raise RunError(
            f"{path} is no file of `bench pack`, or is damaged ({reason}): fetch it again, or pack it again"
        ) from error
    keys = main_keys(store, str(path))
    for record in store.root.glob(f"artifacts/*/{RECORD}"):
        write_whole(store.path(record.parent.name), record.read_bytes())
    return keys


def main_keys(store: Store, file: str = "the file") -> tuple[str, ...]:
    """Return the keys of the runs that an unpacked file is of; of several, probabilities are averaged.

    Args:
        store: with the content of the file.
        file: its name in messages.

    Raises:
        RunError: the manifest is missing, damaged, or of another version.
    """
    path = store.root / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        version, keys = content["format"], tuple(map(str, content["keys"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{file} is an archive, but no file of `bench pack`: name another one") from error
    if version != FORMAT:
        raise RunError(f"{file} has format {version}, but this version reads {FORMAT}: install that version")
    for key in keys:
        if not re.fullmatch(KEY, key) or not (store.artifacts(key) / DESCRIPTION).is_file():
            raise RunError(f"{file} names the run {key[:100]!r}, and does not hold it: pack it again")
    if not keys:
        raise RunError(f"{file} names no run: pack it again")
    return keys
