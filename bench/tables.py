"""A suite's tables in a store, drawn from nothing but the records.

`<suite>.md`, `.csv`, `.json` and `.html`, and the Pareto plots in `plots/`. A store called `leaderboards` also has an
index of its suites, README.md, and the command updates a README.md next to that folder between marks:

- `<!-- table all synthetic -->` (suite and dataset) to `<!-- end -->`: the short table;
- `<!-- plot all synthetic -->` to `<!-- end -->`: the Pareto plots; with an axis (`<!-- plot all synthetic macs -->`;
  macs, parameters or latency) only that one.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import leaderboard, pareto, render
from bench.errors import RecordError
from bench.leaderboard import Leaderboard
from bench.store import Store, write_whole
from bench.suite import Suite

COMPLEXITY = "complexity.md"
"""The page of sizes. It is drawn from the models and not from records."""


def boards(store: Store, suite: Suite) -> tuple[tuple[Leaderboard, ...], list[RecordError]]:
    """Return a suite's leaderboards, and the errors of records that could not be read.

    An optional dataset without a single record has no board.
    """
    runs = suite.runs()
    records, damaged = store.records(runs)
    present = {records[key].run.dataset for key in records}
    shown = tuple(run for run in runs if run.dataset in suite.datasets or run.dataset in present)
    return leaderboard.leaderboards(shown, records, suite.names()), damaged


def texts(suite: Suite, found: tuple[Leaderboard, ...], store: Store) -> dict[Path, str]:
    """Return the text of each of the suite's table files, by path."""
    title = suite.title or suite.name
    command = f"bench run --suite {suite.name}"
    stems = [f"plots/{name}" for name in _names(suite, found)]
    as_json = render.json_text(title, found)
    drawn = {
        store.root / f"{suite.name}.md": render.markdown(title, found, command, stems, suite.note),
        store.root / f"{suite.name}.csv": render.csv_text(found),
        store.root / f"{suite.name}.json": as_json,
        store.root / f"{suite.name}.html": render.html(title, found, command, suite.note),
    }
    for board, stem in zip(found, stems, strict=True):
        for plot in pareto.plots(board):
            for theme in render.THEMES:
                drawn[store.root / f"{stem}-{plot.axis.name}-{theme}.svg"] = render.svg(plot, theme)
    if store.root.name == "leaderboards":
        drawn[store.root / "README.md"] = _index(store, {suite.name: json.loads(as_json)})
        readme = store.root.resolve().parent / "README.md"
        if readme.exists():
            drawn[readme] = _with_marked(readme.read_text(encoding="utf-8"), suite, found)
    return drawn


def _names(suite: Suite, found: tuple[Leaderboard, ...]) -> list[str]:
    """Return the beginning of each plot's name: the suite's name, and the dataset's where the suite has several."""
    names: list[str] = []
    for board in found:
        words = re.sub(r"[^A-Za-z0-9.]+", "-", board.name).strip("-")
        name = f"{suite.name}-{words}-pareto" if len(found) > 1 else f"{suite.name}-pareto"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _index(store: Store, fresh: dict[str, Any]) -> str:
    """Return the index of the suites that have tables in the store, with these in their newest state."""
    content: dict[str, Any] = {}
    for path in store.root.glob("*.json"):
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # its own suite's check finds it
        if isinstance(old, dict) and "leaderboards" in old:
            content[path.stem] = old
    return render.index(content | fresh, complexity=(store.root / COMPLEXITY).exists())


def _with_marked(text: str, suite: Suite, found: tuple[Leaderboard, ...]) -> str:
    """Return a README with this suite's short tables and plots between their marks."""
    for board, name in zip(found, _names(suite, found), strict=True):
        stem = f"leaderboards/plots/{name}"
        fillings = {f"table {suite.name} {board.dataset}": render.brief(board)}
        fillings[f"plot {suite.name} {board.dataset}"] = "\n".join(render.pictures(board, stem)) + "\n"
        for axis in pareto.AXES:
            mark = f"plot {suite.name} {board.dataset} {axis.name}"
            fillings[mark] = "\n".join(render.pictures(board, stem, axis.name)) + "\n"
        for mark, filling in fillings.items():
            start, content = re.escape(f"<!-- {mark} -->"), f"\n\n{filling}\n".replace("\\", r"\\")
            text = re.sub(f"({start}).*?(<!-- end -->)", rf"\1{content}\2", text, flags=re.DOTALL)
    return text


def draw(store: Store, suite: Suite) -> tuple[tuple[Leaderboard, ...], list[RecordError]]:
    """Redraw the suite's tables; returns the leaderboards and the errors of damaged records."""
    found, damaged = boards(store, suite)
    for path, text in texts(suite, found, store).items():
        write_whole(path, text.encode())
    return found, damaged


def stale(store: Store, suite: Suite) -> list[Path]:
    """Return the table files that differ from what the records say; damaged records raise.

    Raises:
        RecordError: a record is damaged.
    """
    found, damaged = boards(store, suite)
    if damaged:
        raise damaged[0]
    return [
        path
        for path, text in texts(suite, found, store).items()
        if not path.exists() or path.read_bytes() != text.encode()
    ]


def dropped(store: Store, suite: Suite) -> list[str]:
    """Return the keys of the records that the suite's JSON table was drawn from and that are gone."""
    try:
        content = json.loads((store.root / f"{suite.name}.json").read_text(encoding="utf-8"))
        rows = [row for board in content["leaderboards"] for row in board["rows"]]
        keys = {str(key) for row in rows for key in row["records"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []  # edited or not there: `stale` reports it
    return sorted(key for key in keys if not store.path(key).exists())


def orphans(store: Store, suites: Iterable[Suite]) -> list[Path]:
    """Return the pages and plots in the store that no suite with tables there draws."""
    drawn = {store.root / COMPLEXITY}
    for suite in suites:
        drawn |= set(texts(suite, boards(store, suite)[0], store))
    kinds = ("*.md", "*.csv", "*.json", "*.html", "plots/*")
    return sorted(path for kind in kinds for path in store.root.glob(kind) if path not in drawn)
