"""A suite's tables in a store, drawn from nothing but the records.

The files are `<suite>.md`, `.csv`, `.json` and `.html`, and the Pareto plots in `plots/`. A published store also has an
index of its suites, README.md, the JSON interface in `api/`, badges in `badges/`, and the reader's own board,
board.html. A command that is given the name of another README updates it between these marks:

- `<!-- table all synthetic -->` (suite and dataset) to `<!-- end -->`: the short table;
- `<!-- plot all synthetic -->` to `<!-- end -->`: the Pareto plots; with an axis (`<!-- plot all synthetic macs -->`;
  macs, parameters or latency) only that plot.
"""

import os
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import SuiteError
from bench.leaderboard import changes, clips, interface, joined, origin, pareto, render
from bench.leaderboard.board import Leaderboard, leaderboards
from bench.leaderboard.papers import paper_tables
from bench.records import Record, Run, Snapshot, Store, latest_like, sources, write_whole
from bench.suites import Suite, is_own

COMPLEXITY = "complexity.md"
"""The page of sizes. It is drawn from the models and not from records."""
INDEX = "README.md"
"""The page of a published store that lists its suites."""
BOARD = "board.html"
"""The page of a published store that ranks the systems of all its suites by weights of the reader."""
RESERVED = ("README", "CHANGES", "complexity", "board", "index", "schema", "release")
"""Names that no suite of a published store may have, because other files have them."""
NO_WEIGHTS = "The commands in the column 'to use it' need weights, which this folder does not have."
"""Said on the pages of a published store."""
_WORDS = 100
"""Characters of a dataset's name, with its arguments, in the names of files."""
BADGES = "badges"
"""Folder of a published store with a badge for each leaderboard."""


def boards(found: Snapshot | Mapping[str, Record], suite: Suite) -> tuple[Leaderboard, ...]:
    """Return a suite's leaderboards; an optional dataset without a single record has none."""
    names, optional = suite.names(), set(suite.datasets_if_here) - set(suite.datasets)
    by_dataset = suite.dataset_names()
    shown = shown_runs(found, suite)
    labels = {run.key: names[key] for key, run in shown.items()}
    records = {run.key: record for run in shown.values() if (record := found.get(run.key))}
    present = {by_dataset[key] for key, run in shown.items() if run.key in records}
    drawn = [run for key, run in shown.items() if by_dataset[key] not in optional or by_dataset[key] in present]
    return leaderboards(drawn, records, labels)


def shown_runs(found: Snapshot | Mapping[str, Record], suite: Suite) -> dict[str, Run]:
    """Return the run that a suite's tables show for each of its runs, by the key of the suite's run.

    A run whose package is not installed has no key, because its source is a part of the key. Its latest record takes
    its place; a snapshot reads it from its store.
    """
    shown: dict[str, Run] = {}
    other: dict[str, str] = {}
    for run in suite.runs():
        shown[run.key] = _latest(run, other, found)
        other[run.key] = shown[run.key].key
    return shown


def shown_records(found: Snapshot, suite: Suite) -> dict[str, Record]:
    """Return the records that a suite's tables show, by their keys, also those of packages that are not installed."""
    shown = [run.key for run in shown_runs(found, suite).values()]
    return {key: record for key in shown if (record := found.get(key))}


def _latest(run: Run, other: Mapping[str, str], found: Snapshot | Mapping[str, Record]) -> Run:
    """Return a run, or the run of its latest record if a package of it, or of a run that it needs, is not installed.

    Args:
        run: of a suite.
        other: key of each earlier run of the suite to the key that is shown in its place.
        found: the records.
    """
    if not run.sources and all(other.get(key, key) == key for key in run.needs):
        return run
    recipe, members = run.recipe, run.members
    recipe = replace(recipe, **{
        role: other.get(key, key) for role in ("teacher", "init") if (key := getattr(recipe, role))
    })  # fmt: skip
    arguments = run.arguments | ({"members": [other.get(key, key) for key in members]} if members else {})
    moved = replace(run, recipe=recipe, arguments=arguments)
    if not sources.missing(run):
        return moved
    record = found.latest_like(moved) if isinstance(found, Snapshot) else latest_like(moved, found.values())
    return moved if record is None else record.run


def texts(
    suite: Suite,
    found: tuple[Leaderboard, ...],
    store: Store,
    index: bool = False,
    readme: Path | None = None,
    passed_over: list[str] | None = None,
) -> dict[Path, str]:
    """Return the text of each of the suite's table files, by path.

    Args:
        suite: the suite.
        found: its leaderboards.
        store: the store of the files.
        index: whether the store's index is one of them, and with it the JSON interface, the badges, the reader's own
            board, and what changed since the release that `bench changes` names.
        readme: another file to update between its marks.
        passed_over: gets a line for each damaged file of clips or logits, which is then left out of the page; None
            makes it an error.

    Raises:
        SuiteError: a suite of a published store has the name of another file there.
        RecordError: the tables of the release are damaged.
        RunError: a file of clips or logits is damaged, or of another training.
    """
    tables, page = _tables_and_page(suite, found, store, index, readme)
    return tables | page(passed_over)


def _tables_and_page(
    suite: Suite, found: tuple[Leaderboard, ...], store: Store, index: bool, readme: Path | None
) -> tuple[dict[Path, str], Callable[[list[str] | None], dict[Path, str]]]:
    """Return the texts of all files but the page and the plots, and a function that returns those of the two.

    The arguments and the errors are those of `texts`; the function takes its `passed_over`.
    """
    if index and suite.name in RESERVED:
        raise SuiteError(f"{suite.name} is the name of another file in a published store: rename the suite's file")
    title = suite.title or suite.name
    own = is_own(suite)
    # A published page names the copy of the suite next to it, which is called like the suite.
    file = suite.name if own else suite.file if suite.file and not index else f"{suite.name}.toml"
    has_weights = not index or any(store.weights(key) for board in found for row in board.rows for key in row.finished)
    place = _place(store.root) if has_weights else ""
    command = command_of(suite, file) + (f" --store {shlex.quote(place)}" if place else "")
    use_note = f"{NO_WEIGHTS} {command} trains them." if not has_weights else ""
    stems = [f"plots/{name}" for name in _names(suite, found)]
    as_json = render.json_text(title, found)
    tables = paper_tables(suite, found)
    note = " ".join((suite.note, *map(_sent_in, suite.added))).strip()
    drawn = {
        store.root / f"{suite.name}.md": render.markdown(
            title, found, command, stems, note, file, tables, place, use_note
        ),
        store.root / f"{suite.name}.csv": render.csv_text(found),
        store.root / f"{suite.name}.json": as_json,
    }
    if index:
        drawn |= shared_texts(store, {suite.name: as_json})
        drawn |= _badges(suite, found, store)
        drawn |= _interface(
            suite, interface.suite_text(suite.name, title, note, command, _api_files(suite), found), store
        )
        drawn[store.root / BOARD] = _own_board(store, suite.name, joined.share(suite.name, found))
    if readme is not None:
        plots = os.path.relpath(store.root.resolve(), readme.resolve().parent)
        drawn[readme] = _with_marked(readme.read_text(encoding="utf-8"), suite, found, Path(plots).as_posix())

    def page(passed_over: list[str] | None) -> dict[Path, str]:
        said: dict[str, clips.RunClips] = {}
        for board in found:
            shown = (r for row in board.rows for r in row.records)
            said |= clips.collect(store, suite.name, shown, render.CLIPS, passed_over)
        whole = render.html(title, found, command, note, file, tables, said, place, use_note)
        plots = {
            store.root / f"{stem}-{plot.axis.name}-{theme}.svg": render.svg(plot, theme)
            for board, stem in zip(found, stems, strict=True) for plot in pareto.plots(board) for theme in render.THEMES
        }  # fmt: skip
        return {store.root / f"{suite.name}.html": whole, **plots}

    return drawn, page


def _place(root: Path) -> str:
    """Return a store as a command in the current folder names it; nothing for the one that `bench` takes by itself."""
    root, here = root.absolute(), Path.cwd()
    if root == here / "runs":
        return ""
    return str(root.relative_to(here) if root != here and root.is_relative_to(here) else root)


def command_of(suite: Suite, file: str = "") -> str:
    """Return the shell command that does the runs of a suite.

    Args:
        suite: the suite.
        file: name by which the command calls it; by default the one by which it was read.
    """
    file = file or (suite.name if is_own(suite) else suite.file or f"{suite.name}.toml")
    whole = file.removesuffix(".toml").removesuffix(f"-{suite.tier}") + file[len(file.removesuffix(".toml")) :]
    tier = f" --tier {suite.tier}" if suite.tier else ""
    return f"bench run --suite {shlex.quote(whole if tier else file)}{tier}"


def _sent_in(row: Suite) -> str:
    """Say where a row's suite is that was sent in, and how to do its runs."""
    file = f"rows/{row.folder.parent.name}/{row.folder.name}/{row.file}" if row.folder else row.file
    names = " and ".join(dict.fromkeys(row.names().values()))
    return f"Sent in: {names}, by bench run --suite {shlex.quote(file)} in this folder."


def _names(suite: Suite, found: tuple[Leaderboard, ...]) -> list[str]:
    """Return the beginning of each plot's name: the suite's name, and the dataset's where the suite has several."""
    names: list[str] = []
    for board in found:
        words = re.sub(r"[^A-Za-z0-9.]+", "-", board.name).strip("-")[:_WORDS]
        name = f"{suite.name}-{words}-pareto" if len(found) > 1 else f"{suite.name}-pareto"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _api_files(suite: Suite) -> dict[str, str]:
    """Return the paths of a suite's pages, relative to its file in the JSON interface."""
    kinds = {"page": "html", "markdown": "md", "csv": "csv", "json": "json"}
    return {kind: f"../{suite.name}.{ending}" for kind, ending in kinds.items()}


def _interface(suite: Suite, fresh: str, store: Store) -> dict[Path, str]:
    """Return the suite's file of the JSON interface, the index of all such files, and their schema."""
    folder = store.root / interface.FOLDER
    texts = {
        path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.json") if _is_drawn(store, path.stem)
    }
    known = {suite.name: fresh}
    for name, text in texts.items():
        with suppress(ValueError):  # the check of its own suite reports a damaged file
            interface.index_text({name: text})
            known.setdefault(name, text)
    return {
        folder / f"{suite.name}.json": fresh,
        folder / "index.json": interface.index_text(known),
        folder / "schema.json": interface.schema_text(),
    }


def _is_drawn(store: Store, name: str) -> bool:
    """Return whether a store has tables of a suite."""
    return (store.root / f"{name}.md").exists()


def _badges(suite: Suite, found: tuple[Leaderboard, ...], store: Store) -> dict[Path, str]:
    """Return the badge of each of the suite's leaderboards that has a ranked row, and in a folder those of its rows."""
    folder, badges = store.root / BADGES, {}
    for name, board in zip(_names(suite, found), found, strict=True):
        stem = name.removesuffix("-pareto")
        if text := render.badge(board):
            badges[folder / f"{stem}.svg"] = text
        badges |= {folder / stem / f"{row}.svg": each for row, each in render.row_badges(board).items()}
    return badges


def _own_board(store: Store, name: str, fresh: list[dict[str, Any]]) -> str:
    """Return the reader's own board; the shares of other suites are those of the page that is there."""
    try:
        old = render.shares_of((store.root / BOARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old = []
    kept = [share for share in old if share["suite"] != name and _is_drawn(store, share["suite"])]
    return render.board_page(sorted([*kept, *fresh], key=lambda share: share["suite"]))


def shared_texts(store: Store, fresh: Mapping[str, str] | None = None) -> dict[Path, str]:
    """Return the index of the suites that have tables in a store, and what changed since the release if it is there.

    Args:
        store: the published store.
        fresh: suite to the text of its JSON table, where the file in the store may be an older one.

    Raises:
        RecordError: the tables of the release are damaged.
    """
    texts = {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in store.root.glob("*.json")}
    tables = changes.tables_of({**texts, **(fresh or {})})
    release = changes.read(store.root)
    sizes = (store.root / COMPLEXITY).exists()
    drawn = {store.root / INDEX: render.index(tables, complexity=sizes, changes=release is not None)}
    if release is not None:
        drawn[store.root / changes.PAGE] = changes.page(release, tables)
    return drawn


def _with_marked(text: str, suite: Suite, found: tuple[Leaderboard, ...], store: str) -> str:
    """Return a README with the suite's short tables and plots between its marks; `store` is the path to the plots."""
    for board, name in zip(found, _names(suite, found), strict=True):
        stem = f"{store}/plots/{name}"
        fillings = {f"table {suite.name} {board.dataset}": render.brief(board)}
        fillings[f"plot {suite.name} {board.dataset}"] = "\n".join(render.pictures(board, stem)) + "\n"
        for axis in pareto.AXES:
            mark = f"plot {suite.name} {board.dataset} {axis.name}"
            fillings[mark] = "\n".join(render.pictures(board, stem, axis.name)) + "\n"
        for mark, filling in fillings.items():
            start, content = re.escape(f"<!-- {mark} -->"), f"\n\n{filling}\n".replace("\\", r"\\")
            text = re.sub(f"({start}).*?(<!-- end -->)", rf"\1{content}\2", text, flags=re.DOTALL)
    return text


def without_fillings(text: str) -> str:
    """Return a README without what stands between the marks of its tables and plots."""
    return re.sub(r"(<!-- (?:table|plot) [^>]*-->).*?(<!-- end -->)", r"\1\2", text, flags=re.DOTALL)


def draw(
    snapshot: Snapshot,
    suite: Suite,
    index: bool | None = None,
    readme: Path | None = None,
    found: tuple[Leaderboard, ...] | None = None,
    passed_over: list[str] | None = None,
    keep_page: bool = False,
) -> tuple[Leaderboard, ...]:
    """Redraw the suite's tables and return its leaderboards.

    Args:
        snapshot: the suite's records, and their store.
        suite: the suite.
        index: whether to draw the store's index; None redraws it only if it exists.
        readme: another file to update between its marks.
        found: what `boards` returns, if it is at hand.
        passed_over: as for `texts`.
        keep_page: whether to leave the page and the plots alone, which take longest, where they were drawn from the
            same records, logits and code, and nobody has changed them since.

    Raises:
        RunError: a file of clips or logits is damaged, or of another training; nothing is then written.
    """
    store = snapshot.store
    found = boards(snapshot, suite) if found is None else found
    index = (store.root / INDEX).exists() if index is None else index
    drawn, page = _tables_and_page(suite, found, store, index, readme)
    state = origin.of(snapshot, suite.name, found, drawn) if keep_page else ""
    pages: dict[Path, str] = {}
    lines: list[str] | None = None if passed_over is None else []
    if not (keep_page and origin.stands(store, suite.name, state)):
        pages = page(lines)
    for path, text in (drawn | pages).items():
        if not _holds(path, text.encode()):  # a finished store may be read-only
            write_whole(path, text.encode())
    if keep_page and pages and not lines:
        origin.keep(store, suite.name, state, pages)
    if passed_over is not None:
        passed_over += lines or []
    for path in _old_badges(drawn) if index else ():
        path.unlink()
    return found


def _old_badges(drawn: Mapping[Path, str]) -> list[Path]:
    """Return the badges of rows that are no longer in the tables, next to those that were drawn."""
    folders = {path.parent for path in drawn if path.parent.parent.name == BADGES}
    return [path for folder in sorted(folders) for path in sorted(folder.glob("*.svg")) if path not in drawn]


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
