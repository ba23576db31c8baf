"""Names, sizes and times of the files that a run was done on, kept with its artifacts. Never imports torch.

A look at the files shows in milliseconds whether data have changed since. Files that were added or removed, or whose
size is another, are a change. Where only times differ, the files may have been copied, which is said and nothing more.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.records.store import Store, write_whole

NAME = "data_files.json"
MAX_FILES = 50_000
"""Files of the largest dataset that is looked at: more would take longer than a look may."""

ENDINGS = frozenset({
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".csv", ".flac", ".json", ".m4a", ".m4b", ".mka",
    ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".npy", ".npz", ".oga", ".ogg", ".opus", ".rf64", ".snd", ".sph", ".tar",
    ".tfrecord", ".tsv", ".txt", ".w64", ".wav", ".weba", ".webm", ".wma",
})  # fmt: skip
"""Endings of the files of data, in lower case; other files in a folder are not looked at."""

SHOWN = 3
State = Mapping[str, tuple[int, int]]
"""Name of each file to its size in bytes and the time of its last change in nanoseconds."""


@dataclass(frozen=True)
class Change:
    """How files differ from what they were: in words, and whether more than their times does."""

    words: str
    content: bool


@dataclass(frozen=True)
class DataFiles:
    """The files of a dataset: the folders that are looked through, further files, and the state of all."""

    folder: Path | None
    files: tuple[Path, ...]
    state: State
    more: tuple[Path, ...] = ()


def take(store: Store, folder: Path | None, files: Sequence[Path], more: Sequence[Path] = ()) -> DataFiles | None:
    """Return the state of files as they are now; None where there are none, or too many.

    Args:
        store: of the run; where it lies inside the folder, it is no data.
        folder: all files of data in it, at any depth; None for none.
        files: further files.
        more: further folders, such as that of the background noises.
    """
    place = folder and folder.absolute()
    further, others = (tuple(path.absolute() for path in paths) for paths in (files, more))
    state = look.__wrapped__(place, further, store.root.absolute(), others)
    return DataFiles(place, further, state, others) if state else None


def keep(store: Store, folder: Path, found: DataFiles | None) -> None:
    """Write the state of a run's data to the store, and a reference to it to a folder; runs on the same files share it.

    Nothing is written where the state is not known.
    """
    if found is None:
        return
    content = json.dumps({
        "folder": None if found.folder is None else os.fspath(found.folder),
        "files": list(map(os.fspath, found.files)),
        "state": found.state,
        **({"more": list(map(os.fspath, found.more))} if found.more else {}),
    }).encode()  # fmt: skip
    digest = hashlib.sha256(content).hexdigest()[:32]
    if not _place(store.root, digest).exists():
        write_whole(_place(store.root, digest), content)
    write_whole(folder / NAME, json.dumps({"state": digest}).encode())


def change(store: Store, key: str) -> Change | None:
    """Return how a run's data have changed since it was done; None where they have not or where that is not known."""
    try:
        digest = str(json.loads((store.artifacts(key) / NAME).read_bytes())["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _compared(store.root.absolute(), digest)


def _place(root: Path, digest: str) -> Path:
    return root / "data-files" / f"{digest}.json"


@cache
def _compared(root: Path, digest: str) -> Change | None:
    """Compare a state that is kept in a store with the files as they are."""
    try:
        content = json.loads(_place(root, digest).read_bytes())
        folder = None if content["folder"] is None else Path(content["folder"])
        files, more = (tuple(map(Path, paths)) for paths in (content["files"], content.get("more", ())))
        before = {name: (int(size), int(time)) for name, (size, time) in content["state"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if folder is not None and not folder.is_dir():
        return None  # another machine, or a disk that is not there
    now = look(folder, files, root, more)
    absent = [f"{place}{os.sep}" for place in more if not place.is_dir()]
    before = {name: state for name, state in before.items() if not name.startswith(tuple(absent))}
    return None if now is None else difference(before, now)


def difference(before: State, now: State) -> Change | None:
    """Return how two states differ; None where they are the same."""
    found = {
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "changed": sorted(name for name in before.keys() & now.keys() if before[name][0] != now[name][0]),
    }
    said = [f"{_files(names)} {what} ({_few(names)})" for what, names in found.items() if names]
    touched = sorted(
        name for name in before.keys() & now.keys() if before[name][0] == now[name][0] and before[name] != now[name]
    )
    if touched:
        said.append(f"{_files(touched)} with the same size and another time ({_few(touched)})")
    if not said:
        return None
    return Change(", ".join(said), any(found.values()))


def forget() -> None:
    """Look at files again that this process has looked at."""
    look.cache_clear()
    _compared.cache_clear()


@cache
def look(folder: Path | None, files: tuple[Path, ...], without: Path, more: tuple[Path, ...] = ()) -> State | None:
    """Return the state of files, as they are when this process first looks; None where there are too many.

    Args:
        folder: its files of data at any depth, named relative to it; what starts with a dot is passed over.
        files: further files, named by their paths; one that is not there is left out.
        without: a folder that is passed over.
        more: further folders, whose files are named by their paths.
    """
    found: dict[str, tuple[int, int]] = {}
    for place in (*filter(None, [folder]), *more):
        for entry in _walk(os.fspath(place), os.fspath(without)):
            if len(found) >= MAX_FILES:
                return None
            found[os.path.relpath(entry.path, folder) if place is folder else entry.path] = _state(entry.stat())
    if len(files) > MAX_FILES:
        return None
    for path in files:
        try:
            found[os.fspath(path)] = _state(path.stat())
        except OSError:
            continue
    return found


def _walk(folder: str, without: str) -> Iterator["os.DirEntry[str]"]:
    """Yield the files of data in a folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.path == without:
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, without)
            elif entry.name[entry.name.rfind(".") :].lower() in ENDINGS and entry.is_file():
                yield entry
        except OSError:
            continue


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _files(names: Sequence[str]) -> str:
    return "1 file" if len(names) == 1 else f"{len(names)} files"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names[:SHOWN]]
    return ", ".join(shown) + more
