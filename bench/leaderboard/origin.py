"""What a suite's page and plots were drawn from, so that `bench run` with nothing to do need not draw them again.

The file `origins/SUITE.json` of a store has a digest of what they were drawn from, and the digest of each of them. It
may be deleted at any time: they are then drawn again.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from bench.leaderboard import clips
from bench.leaderboard.board import Leaderboard
from bench.records import Snapshot, Store, write_whole

FOLDER = "origins"
"""Folder of a store with a file per suite."""


def of(snapshot: Snapshot, suite: str, found: Iterable[Leaderboard], tables: Mapping[Path, str]) -> str:
    """Return a digest of what a suite's page and plots are drawn from.

    Args:
        snapshot: the suite's records, and their store.
        suite: its name.
        found: its leaderboards.
        tables: texts of its other files, which say the command, the notes and what is known about the datasets.
    """
    records = [r for board in found for row in board.rows for r in row.records]
    whole = sha256(CODE.encode())
    for name, text in sorted((str(path), text) for path, text in tables.items()):
        whole.update(f"{name}\0{text}\0".encode())
    whole.update(repr([(record.key, snapshot.version(record.key)) for record in records]).encode())
    whole.update(repr(list(clips.states(snapshot.store, suite, records))).encode())
    return whole.hexdigest()


def stands(store: Store, suite: str, state: str) -> bool:
    """Return whether a suite's page and plots were drawn from this, and are as they were written.

    Args:
        store: of the suite's tables.
        suite: its name.
        state: what `of` returns.
    """
    try:
        known = json.loads(_file(store, suite).read_bytes())
        return bool(
            known["of"] == state
            and all(_digest((store.root / name).read_bytes()) == digest for name, digest in known["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def keep(store: Store, suite: str, state: str, drawn: Mapping[Path, str]) -> None:
    """Keep what a suite's page and plots were drawn from; a store that cannot be written is left alone.

    Args:
        store: of the suite's tables.
        suite: its name.
        state: what `of` returns.
        drawn: the texts of the page and the plots, which have been written.
    """
    files = {os.path.relpath(path, store.root): _digest(text.encode()) for path, text in drawn.items()}
    with suppress(OSError):
        _file(store, suite).parent.mkdir(exist_ok=True)
        write_whole(_file(store, suite), json.dumps({"of": state, "files": files}, indent=1, sort_keys=True).encode())


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _file(store: Store, suite: str) -> Path:
    return store.root / FOLDER / f"{suite}.json"


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in folder.rglob("*"):
        if "__pycache__" not in path.parts and path.is_file():  # another command may be writing there
            state = path.stat()
            yield str(path), state.st_size, state.st_mtime_ns


CODE = repr([sys.version, *map(version, ("numpy", "jinja2", "markupsafe")), sorted(_files(Path(__file__).parents[1]))])
"""The version of all that draws, as this process has imported it: the libraries', and this project's files."""
