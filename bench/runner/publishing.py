"""Publishing: finished records go to the published store with their logits, and its tables are drawn again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from bench import suites
from bench.errors import BenchError, RecordError, SuiteError, command_for
from bench.leaderboard import files
from bench.profiling.environment import PROJECT, git
from bench.records import Record, Snapshot, Store, artifacts, sources, write_whole
from bench.suites import Suite, added, is_own

LARGEST = 2 << 20
"""Bytes of compressed logits that a published store takes; larger ones are left out, and named."""


@dataclass(kw_only=True)
class Published:
    """The result of a publication.

    Attributes:
        suite: whose tables were drawn.
        keys: of the records that were taken.
        runs: number of runs of the suite, or of the rows.
        code: files of the rows' models that were taken along.
        no_logits: key of each record without logits to the reason.
        warnings: what a reader of the tables should know.
    """

    suite: Suite
    keys: list[str] = field(default_factory=list)
    runs: int = 0
    code: list[Path] = field(default_factory=list)
    no_logits: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def publish(name: str, store: Store, to: Store, into: str = "", readme: Path | None = None) -> Published:
    """Copy the finished records of a suite to a published store, and draw its tables.

    Args:
        name: of the suite, or its file.
        store: where the records are.
        to: the published store.
        into: a suite with tables in the published store, which get the rows of the other suite; empty for tables of
            its own.
        readme: a README to update between its marks, too.

    Raises:
        BenchError: nothing is finished, or records are not fit to be published; nothing is then written.
        SuiteError: a suite is unknown, or the rows do not fit the tables.
    """
    suite = suites.read(name, store)
    source = Snapshot(store, suite.runs())
    finished = [record for record in files.shown_records(source, suite).values() if record.status == "ok"]
    if not finished:
        raise BenchError(
            f"{store.root} has no finished run of {suite.name}: `{command_for(name, store.root)}` makes them"
        )
    unfit = unpublishable(finished)
    fresh = {record.key: unfit[record.key] for record in finished if record.key in unfit and not _is_there(to, record)}
    if fresh and (into or is_own(suite)):
        raise BenchError(_in_words(fresh))
    result = Published(suite=suite, runs=len(suite.runs()), warnings=[str(error) for error in source.damaged])
    if unfit:
        result.warnings.append(_in_words(unfit))
    if into:
        result.suite = _add(suite, name, finished, to, into, result)
    elif name.endswith(".toml"):
        write_whole(to.root / f"{suite.name}.toml", Path(name).read_bytes())  # the tables cannot be redrawn without it
    for record in finished:
        to.write(record)
        _attach(record, store, to, result)
        result.keys.append(record.key)
    files.draw(Snapshot(to, result.suite.runs()), result.suite, index=True, readme=readme)
    return result


def _is_there(to: Store, record: Record) -> bool:
    """Return whether the published store has this very record, which may then get its logits."""
    try:
        return to.get(record.key) == record
    except RecordError:
        return False


def unpublishable(records: Iterable[Record]) -> dict[str, str]:
    """Return for each record whose code cannot be had by others why that is so."""
    found = {}
    for record in records:
        environment = record.environment
        if environment is None:
            found[record.key] = "it does not say which code made it"
        elif environment.dirty:
            found[record.key] = f"its code had uncommitted changes to {(environment.commit or 'no commit')[:10]}"
        elif environment.commit is None:
            found[record.key] = "it was made outside a git checkout of this project"
        elif (why := unpublished(environment.commit)) is not None:
            found[record.key] = why
    return found


@cache
def unpublished(commit: str, folder: Path = PROJECT) -> str | None:
    """Return why a commit cannot be had by others; None where a branch has it, of a remote where there is one."""
    if git(folder, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return f"the repository has no commit {commit[:10]}"
    where = "--remotes" if git(folder, "remote") else "--all"
    if not git(folder, "branch", where, "--contains", commit):
        return f"no branch{' of a remote' if where == '--remotes' else ''} has its commit {commit[:10]}"
    return None


def _in_words(unfit: Mapping[str, str]) -> str:
    reasons = list(dict.fromkeys(unfit.values()))
    many = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
    return (
        f"nobody could make {next(iter(unfit))}{many} again: {'; '.join(reasons[:3])}"
        f"{'; ...' if len(reasons) > 3 else ''}. Commit and push the code, and run the suite again with --force"
    )


def _add(suite: Suite, name: str, finished: list[Record], to: Store, into: str, result: Published) -> Suite:
    """Copy a suite and its code to the rows of another, and return the other with them."""
    if not name.endswith(".toml"):
        raise SuiteError(f"--into takes the rows of a suite of your own: name its file, as in --suite {name}.toml")
    missing = [run.key for run in suite.runs() if run.key not in {record.key for record in finished}]
    if missing:
        raise BenchError(
            f"{len(missing)} of {len(suite.runs())} runs of {suite.name} are not finished, first {missing[0]}: "
            f"`bench run --suite {name}` does them"
        )
    whole = suites.read(into, to)
    others = [each for each in whole.added if each.name != suite.name]
    whole = replace(whole, added=(*others, suite))
    whole.runs()  # raises where the rows do not fit
    _check_data(whole, suite, finished, to)
    folder = added.folder(to, whole.name) / suite.name
    for target in sorted(added.targets(suite)):
        for path in sources.files(target).values():
            if suite.folder is not None and path.is_relative_to(suite.folder) and "site-packages" not in path.parts:
                place = folder / path.relative_to(suite.folder)
                write_whole(place, path.read_bytes())
                result.code.append(place)
    write_whole(folder / f"{suite.name}.toml", Path(name).read_bytes())
    result.code = sorted(set(result.code))
    return suites.read(into, to)


def _check_data(whole: Suite, rows: Suite, finished: list[Record], to: Store) -> None:
    """Raise where a row was tested on other clips than those of the tables."""
    mine = {record.key: record for record in finished}
    places = whole.dataset_names()
    known: dict[tuple[str, int], str] = {}
    for run in whole.runs():
        if run.key not in mine and (record := to.get(run.key)) is not None and record.data is not None:
            known.setdefault((places[run.key], run.fold), record.data.manifest)
    for run in rows.runs():
        record, there = mine[run.key], known.get((places[run.key], run.fold))
        if there is not None and record.data is not None and record.data.manifest != there:
            raise BenchError(
                f"{run.key} was trained and tested on other clips than the rows of {whole.name} "
                f"(digest {record.data.manifest[:12]}, there {there[:12]}): `bench data verify {run.dataset}` says "
                f"what is missing"
            )


def _attach(record: Record, store: Store, to: Store, result: Published) -> None:
    """Copy a record's logits, compressed, so that its scores can be computed again."""
    if store.root.resolve() == to.root.resolve():
        return
    for name in (artifacts.LOGITS, artifacts.STREAMS):
        path = store.artifacts(record.key) / name
        if not path.exists():
            if name == artifacts.LOGITS:
                result.no_logits[record.key] = f"{path} is not there"
            continue
        content = artifacts.packed(artifacts.read(path, record, record.key))
        if len(content) > LARGEST:
            result.no_logits[record.key] = f"{len(content) / 2**20:.1f} MiB of {name} are too many"
            continue
        write_whole(to.artifacts(record.key) / f"{name}{artifacts.PACKED}", content)
