"""Checks that a published store's tables follow from its records."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from bench import suites
from bench.leaderboard import changes, interface
from bench.leaderboard.clips import FOLDER
from bench.leaderboard.files import COMPLEXITY, boards, texts
from bench.records import Snapshot, Store


def problems(store: Store, names: Sequence[str], readme: Path | None = None) -> list[str]:
    """Return one line for each problem with the tables of these suites or with the store's other files.

    Args:
        store: the published store.
        names: suites, by name or TOML file.
        readme: a file with marks between which tables and plots stand.

    Raises:
        RecordError: a record is damaged.
        SuiteError: there is no such suite.
    """
    wrong: list[str] = []
    drawn: dict[Path, str] = {}
    known: set[str] = set()
    for name in dict.fromkeys([*names, *drawn_suites(store)]):
        suite = suites.read(name, store)
        snapshot = Snapshot(store, suite.runs())
        found = boards(snapshot, suite)
        damaged: list[str] = []
        own = texts(suite, found, store, index=True, readme=readme, passed_over=damaged)
        known |= {run.key for run in suite.runs()}
        known |= {key for board in found for row in board.rows for key in row.keys.values()}
        drawn |= own
        if name not in names:
            continue
        if snapshot.damaged:
            raise snapshot.damaged[0]
        wrong += [f"{store.path(key)} is gone: restore it" for key in _dropped(store, suite.name)]
        wrong += damaged
        page = store.root / f"{suite.name}.html"  # shows what the damaged files hold
        wrong += [
            f"{path} {'differs from its records' if path.exists() else 'is not there: `bench leaderboard` draws it'}"
            for path, text in own.items()
            if not (damaged and path == page) and (not path.exists() or path.read_bytes() != text.encode())
        ]
    orphans = {path.stem for path in (store.root / "records").glob("*.json")} - known
    for name in _names():
        if not orphans:
            break  # no grid has to be expanded
        if name in names or (store.root / f"{name}.md").exists():
            continue
        if own_records := orphans & {run.key for run in suites.read(name).runs()}:
            wrong.append(f"{store.root}/{name}.md is gone: `bench leaderboard --suite {shlex.quote(name)}` draws it")
            orphans -= own_records
    named = {path.stem for path in drawn}
    wrong += [
        f"{path} is of no suite that has tables here; delete it"
        for path in sorted((store.root / FOLDER).glob("*"))
        if path.suffix != ".json" or path.stem not in named
    ]
    wrong += [f"{key} is a record of no suite: delete it" for key in sorted(orphans)]
    kinds = ("*.md", "*.csv", "*.json", "*.html", "plots/*", "api/*", "badges/*", "badges/*/*")
    files = sorted(path for kind in kinds for path in store.root.glob(kind) if not path.is_dir())
    wrong += [
        f"{path} is drawn by no suite that has tables here; delete it"
        for path in files
        if path not in drawn and path not in (store.root / COMPLEXITY, store.root / interface.FOLDER / changes.FILE)
    ]
    return wrong


def drawn_suites(store: Store) -> list[str]:
    """Return the suites with tables in a store: names of the project's suites, and paths of suites in the store."""
    found = [name for name in _names() if (store.root / f"{name}.md").exists()]
    return found + [str(path) for path in sorted(store.root.glob("*.toml"))]


def _names() -> list[str]:
    """Return the names of the project's suites and of their tiers."""
    return [each for name in suites.suites() for each in (name, *(f"{name}-{tier}" for tier in suites.tiers_of(name)))]


def _dropped(store: Store, suite: str) -> list[str]:
    """Return the keys of missing records that a suite's JSON table was drawn from."""
    try:
        content = json.loads((store.root / f"{suite}.json").read_text(encoding="utf-8"))
        rows = [row for board in content["leaderboards"] for row in board["rows"]]
        keys = {str(key) for row in rows for key in row["records"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []  # an edited or missing table is reported because it differs from its records
    return sorted(key for key in keys if not store.path(key).exists())
