"""The work of a call of `bench run`: which runs are to do, and why finished ones are done again."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records import Run, Snapshot, data_files, sources
from bench.suites import Suite


@dataclass
class Plan:
    """The work of one call.

    Attributes:
        todo: the runs to do, by key.
        every: all runs of the selection with them.
        changed: key to the components whose source has changed.
        new_data: key to how its data have changed, in words.
        warnings: lines on records that cannot be read, and on data of which only the files' times have changed.
    """

    todo: dict[str, Run]
    every: list[Run]
    changed: dict[str, tuple[str, ...]]
    new_data: dict[str, str]
    warnings: list[str]


def plan(suite: Suite, snapshot: Snapshot, runs: Sequence[Run], force: bool) -> Plan:
    """Return what to do.

    Finished runs are done again if their source or their data have changed, and if they need one of the runs to do.
    """
    sources.refresh()
    data_files.forget()
    finished = {run.key: record for run in runs if not force and (record := snapshot.finished(run.key))}
    changed = {key: found for key, record in finished.items() if (found := sources.changed(record))}
    files = {key: change for key in finished if (change := data_files.change(snapshot.store, key))}
    new_data = {key: change.words for key, change in files.items() if change.content}
    todo = {run.key: run for run in runs if run.key not in finished or run.key in changed or run.key in new_data}
    for run in suite.runs():  # each run comes after the runs that it needs, so one pass is enough
        if run.key not in todo and not todo.keys().isdisjoint(run.needs) and run in snapshot:
            todo[run.key] = run
    touched: dict[tuple[str, str], int] = {}
    for key, change in files.items():
        if not change.content and key not in todo:
            about = finished[key].run.dataset, change.words
            touched[about] = touched.get(about, 0) + 1
    warnings = [
        f"{snapshot.store.path(key)} does not count, and its run is done again ({damage})"
        for key in todo
        if (damage := snapshot.damage(key))
    ]
    warnings += [
        f"{dataset} has {words} since {'1 run was' if count == 1 else f'{count} runs were'} done, which "
        f"{'is' if count == 1 else 'are'} kept: add --force if the files have other content now"
        for (dataset, words), count in touched.items()
    ]
    return Plan(todo, list(({run.key: run for run in runs} | todo).values()), changed, new_data, warnings)
