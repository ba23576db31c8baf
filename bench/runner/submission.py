"""Checks of a submission: rows that somebody sends in to the tables of a published store, as in a pull request."""

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench import suites
from bench.errors import BenchError, RecordError, SuiteError
from bench.evaluation.rescore import rescore
from bench.leaderboard import checks, files
from bench.profiling.environment import git
from bench.records import Record, Store, artifacts, sources
from bench.runner.publishing import LARGEST, unpublishable
from bench.runner.reproduce import reproduce
from bench.runner.settings import RunSettings
from bench.suites import Suite, added

PAGES = (".md", ".csv", ".json", ".html", ".svg")
"""Endings of the files that are drawn from records, and that a submission changes."""


@dataclass(frozen=True)
class Check:
    """One check of a submission.

    Attributes:
        name: what was checked.
        outcome: "ok", "refused", or "not checked".
        words: why, in words.
    """

    name: str
    outcome: Literal["ok", "refused", "not checked"]
    words: str = ""


def check(store: Store, suite: str, settings: RunSettings, base: str = "", runs: int = 1) -> Iterator[Check]:
    """Yield the outcome of each check of the rows that were sent in to a suite's tables.

    The runs to repeat are drawn by a digest of all the records that were sent in, so their author cannot choose them.
    Repeating a run executes the code of the row: read it first.

    Args:
        store: the published store, with the rows.
        suite: whose tables have them.
        settings: of the repeated runs; their store is empty.
        base: a commit or a branch of git; the rows are those that were added since. Empty checks all rows.
        runs: how many runs to repeat.

    Raises:
        SuiteError: there is no such suite.
        BenchError: git does not know the base.
    """
    try:
        whole = suites.read(suite, store)
        whole.runs()
    except SuiteError as error:
        suites.read(suite)  # an unknown suite is an error of the caller
        yield Check("rows", "refused", str(error))
        return
    changed = _changed(store, base) if base else None
    if changed is not None:
        yield _files(changed, store, whole, base)
    own = {path.stem for status, path in changed or () if path.parent.name == "records" and status == "A"}
    added_keys = [run.key for other in whole.added for run in other.runs()]
    if strange := sorted(own.difference(added_keys)):
        yield Check("rows", "refused", _of_no_row(strange, whole, store))
    keys = [key for key in added_keys if changed is None or key in own]
    if not keys:
        if not strange:
            yield Check("rows", "refused", _no_row(whole, store, base))
        return
    records: list[Record] = []
    for key in dict.fromkeys(keys):
        try:
            record = store.get(key)
        except RecordError as error:
            yield Check("records", "refused", str(error))
            continue
        if record is None or record.status != "ok":
            yield Check("records", "refused", f"{key} has no finished record in {store.root}")
            continue
        records.append(record)
    if len(records) == len(set(keys)):
        yield Check("records", "ok", f"all {len(records)} are whole and finished")
    yield from _code(records)
    yield _data(whole, records, store)
    yield from _scores(records, store)
    wrong = checks.problems(store, [suite])
    yield Check("tables", "refused" if wrong else "ok", "; ".join(wrong[:3]) or "they follow from the records")
    yield from _again(store, records, settings, runs)


def _of_no_row(keys: list[str], whole: Suite, store: Store) -> str:
    """Return in words that records were sent in that no row has: its code or its suite is another one."""
    folder = added.folder(store, whole.name)
    gone = [words for other in whole.added for run in other.runs() for words in sources.missing(run).values()]
    why = "; ".join(dict.fromkeys(gone)) or f"code or suite in {folder} is not what made them, or they are of no row"
    return f"{len(keys)} records were added that no row of {whole.name} has, first {keys[0]}: {why}"


def _no_row(whole: Suite, store: Store, base: str) -> str:
    """Return in words that nothing was sent in, and what may be missing."""
    rows = ", ".join(each.name for each in whole.added) or "none"
    words = f"{store.root} has no new row of {whole.name} (rows that were sent in: {rows})"
    if base and git(store.root, "status", "--porcelain", "--", "."):
        words += f". {store.root} has changes that are not committed: commit them first"
    return words


def _changed(store: Store, base: str) -> list[tuple[str, Path]]:
    """Return status and path of each file that was changed since a commit."""
    top = git(store.root, "rev-parse", "--show-toplevel")
    listed = git(store.root, "diff", "--name-status", "--no-renames", f"{base}...HEAD")
    if top is None or listed is None:
        raise BenchError(f"git knows no {base!r} in {store.root}: name a commit or a branch, as in --base origin/main")
    lines = (line.split("\t", 1) for line in listed.splitlines())
    return [(status, Path(top) / path) for status, path in lines]


def _outside_marks(path: Path, base: str) -> bool:
    """Return whether a README was changed elsewhere than between the marks of its tables and plots."""
    name = git(path.parent, "ls-files", "--full-name", "--", path.name)
    old = git(path.parent, "show", f"{git(path.parent, 'merge-base', base, 'HEAD')}:{name}")
    new = git(path.parent, "show", f"HEAD:{name}")
    return old is None or new is None or files.without_fillings(old) != files.without_fillings(new)


def _files(changed: list[tuple[str, Path]], store: Store, suite: Suite, base: str) -> Check:
    """Check that rows and their records were added, pages were redrawn, and nothing else was changed."""
    root, rows = store.root.resolve(), added.folder(store, suite.name).resolve()
    badges = root / files.BADGES
    pages = (root, *(root / name for name in ("plots", "api")), badges)
    strange = []
    for status, path in changed:
        place = path.resolve()
        new = status == "A" and any(place.is_relative_to(each) for each in (root / "records", root / "artifacts"))
        page = place.suffix in PAGES and status != "D" and (place.parent in pages or place.parent.parent == badges)
        readme = place.name == "README.md" and root.is_relative_to(place.parent) and status == "M"
        readme = readme and not _outside_marks(place, base)
        if not (new or page or readme or (place.is_relative_to(rows) and status != "D")):
            strange.append(f"{path.name} ({'added' if status == 'A' else 'removed' if status == 'D' else 'changed'})")
    if strange:
        return Check("files", "refused", f"more than records and rows: {', '.join(strange[:5])}. Send that by itself")
    return Check("files", "ok", f"{len(changed)} files, all of them records, rows and pages")


def _code(records: list[Record]) -> Iterator[Check]:
    unfit = unpublishable(records)
    for key, why in list(unfit.items())[:3]:
        yield Check("code", "refused", f"{key}: {why}")
    for record in records:
        gone = sources.missing(record.run)
        if gone:
            yield Check("code", "refused", f"{record.key}: {'; '.join(gone.values())}")
        elif other := sources.changed(record):
            yield Check("code", "refused", f"{record.key} was made with another source of its {' and '.join(other)}")
        else:
            continue
        return
    if not unfit:
        yield Check("code", "ok", "clean commits that a branch has, and the sources that are here")


def _data(whole: Suite, records: list[Record], store: Store) -> Check:
    """Check that the rows were tested on the clips of the other rows."""
    mine, places = {record.key for record in records}, whole.dataset_names()
    known = {
        (places[run.key], run.fold): record.data.manifest
        for run in whole.runs()
        if run.key not in mine and (record := store.get(run.key)) is not None and record.data is not None
    }
    for record in records:
        there = known.get((places[record.key], record.run.fold))
        if there is not None and (record.data is None or record.data.manifest != there):
            return Check("data", "refused", f"{record.key} was made on other clips than the other rows")
    return Check("data", "ok", "the clips of the other rows" if known else "there is no other row to compare with")


def _scores(records: list[Record], store: Store) -> Iterator[Check]:
    """Check that everything in the records that follows from the logits does follow from those that were sent along."""
    without = []
    for record in records:
        if not any((store.artifacts(record.key) / f"{artifacts.LOGITS}{ending}").exists() for ending in ("", ".gz")):
            if _fit(record):
                words = f"{record.key} came without its logits, {artifacts.LOGITS}{artifacts.PACKED}"
                yield Check("scores", "refused", f"{words}: `bench publish --into` attaches them")
                return
            without.append(record.key)
            continue
        try:
            wrong = _unlike(record, rescore(store, record))
        except RecordError as error:
            wrong = str(error)
        if wrong:
            yield Check("scores", "refused", wrong)
            return
    if without:
        words = f"the logits of {len(without)} records are too large to be sent along, first {without[0]}"
        yield Check("scores", "not checked", words)
    if len(without) < len(records):
        yield Check("scores", "ok", f"computed again from the logits of {len(records) - len(without)} runs")


def _fit(record: Record) -> bool:
    """Return whether the logits of a record are small enough to be sent along, even if they can't be compressed."""
    return record.data is not None and 4 * record.data.clips.get("test", 0) * len(record.classes) < LARGEST


def _unlike(record: Record, new: Record) -> str:
    """Return in words what a record says and its logits don't; empty where all of it follows from them."""
    for name, value in new.scores.items():
        old = record.scores.get(name, math.nan)
        if not _same(value, old):
            return f"{record.key} says {name} {old}, and its logits give {value}"
    for name, pair in new.intervals.items():
        if not all(map(_same, pair, record.intervals.get(name, (math.nan, math.nan)))):
            return f"{record.key} has another interval of {name} than its logits give"
    if new.confusion != record.confusion:
        return f"{record.key} has another confusion matrix than its logits give"
    for name, values in new.per_class.items():
        old_values = record.per_class.get(name, ())
        if len(values) != len(old_values) or not all(map(_same, values, old_values)):
            return f"{record.key} has other scores of its classes ({name}) than its logits give"
    if len(new.draws) != len(record.draws) or not all(map(_same, new.draws, record.draws)):
        return f"{record.key} has other bootstrap draws, which ranks follow from, than its logits give"
    return ""


def _same(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9))


def _again(store: Store, records: list[Record], settings: RunSettings, runs: int) -> Iterator[Check]:
    trained = sorted((record for record in records if not record.run.members), key=lambda record: record.key)
    digest = hashlib.sha256("".join(record.to_json() for record in trained).encode()).hexdigest()
    drawn = random.Random(digest).sample(trained, min(runs, len(trained)))
    if not drawn:
        yield Check("again", "not checked", "no run was repeated")
    for number, record in enumerate(drawn):
        try:
            found = reproduce(store, record.key, replace(settings, store=settings.store / str(number)))
        except BenchError as error:
            yield Check("again", "refused", f"{record.key} could not be repeated: {error}")
            continue
        low, high = found.interval
        words = (
            f"{record.key}: {found.metric} {found.published:.4f} [{low:.4f}, {high:.4f}] sent in, {found.again:.4f} "
            f"now{', the same' if found.identical else ''}. {found.differences}"
        )
        yield Check("again", "ok" if found.within else "refused", words)
        if other := _size(record, Store(settings.store / str(number)).get(record.key)):
            yield Check("size", "refused", other)


def _size(record: Record, again: Record | None) -> str:
    """Return in words which size a record says and its repetition doesn't; empty where they agree."""
    old, new = record.complexity, again and again.complexity
    if old is None or new is None:
        return "" if new is None else f"{record.key} does not say how large the model is"
    for name in ("parameters", "macs", "frontend_macs", "bytes"):
        if getattr(old, name) != getattr(new, name):
            return f"{record.key} says {name} {getattr(old, name)}, and its repetition counts {getattr(new, name)}"
    return ""
