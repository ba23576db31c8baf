"""The runs in a store, with the name of each one's system and its score."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from bench import catalog
from bench.catalog import PRIMARY
from bench.leaderboard.systems import find_systems, make_labels, with_needs
from bench.records import Record, Snapshot, Store


@dataclass(frozen=True)
class ListedRun:
    """A run in a store.

    Attributes:
        key: of the run.
        system: its name in the table of its suite that is in the store, which `--run SUITE:SYSTEM` takes; else its
            model, with the settings in which it differs from other runs of that model in the store.
        suites: names of the suites in whose tables in the store it stands.
        record: its record.
        metric: name of the dataset's main score.
        score: its value; None where the run failed or the score is undefined.
        usable: whether its weights are in the store, for a fusion those of its members.
    """

    key: str
    system: str
    suites: tuple[str, ...]
    record: Record
    metric: str
    score: float | None
    usable: bool


def snapshot_of(store: Store) -> Snapshot:
    """Read all records of a store."""
    snapshot = Snapshot(store, ())
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        snapshot.read(key)
    return snapshot


def listed(snapshot: Snapshot) -> Iterator[ListedRun]:
    """Yield the runs of a store, by key; damaged records are left out, and `snapshot.damaged` names them."""
    store, records = snapshot.store, snapshot.records
    systems = find_systems([record.run for record in records.values()])
    labels = make_labels(with_needs(systems.values()))
    names = _names(store)
    for key, record in records.items():
        run = record.run
        metric = PRIMARY[record.task or catalog.task(run.dataset, run.data)]
        parts = run.members or (key,)
        usable = record.status == "ok" and all(store.weights(part) is not None for part in parts)
        named = names.get(key, {})
        system = [*named.values(), labels[systems[key]]][0]
        yield ListedRun(key, system, tuple(named), record, metric, record.scores.get(metric), usable)


def _names(store: Store) -> dict[str, dict[str, str]]:
    """Return the name of each run's system in the suites with tables in a store; a damaged table has none."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(store.root.glob("*.json")):
        try:
            boards = json.loads(path.read_text(encoding="utf-8"))["leaderboards"]
            for key, name in [
                (str(key), str(row["model"])) for b in boards for row in b["rows"] for key in row["records"]
            ]:
                found.setdefault(key, {})[path.stem] = name
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # `bench leaderboard --check` says so
    return found
