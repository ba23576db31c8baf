"""A suite's tables in a store: `<suite>.md`, `.csv` and `.html`, drawn from the records and from nothing else.

A README.md beside the store shows the short table of a dataset between the lines `<!-- table all synthetic -->` (suite
and dataset) and `<!-- end -->`.
"""

import re
from pathlib import Path

from bench import leaderboard, render
from bench.errors import RecordError
from bench.leaderboard import Leaderboard
from bench.store import Store, write_whole
from bench.suite import Suite


def boards(store: Store, suite: Suite) -> tuple[tuple[Leaderboard, ...], list[RecordError]]:
    """Return a suite's leaderboards, and what is wrong with records that could not be read.

    An optional dataset without a single record has no board.
    """
    runs = suite.runs()
    records, damaged = store.records(runs)
    present = {records[key].run.dataset for key in records}
    shown = tuple(run for run in runs if run.dataset in suite.datasets or run.dataset in present)
    return leaderboard.leaderboards(shown, records), damaged


def texts(suite: Suite, found: tuple[Leaderboard, ...], store: Store) -> dict[Path, str]:
    """Return the text of each of the suite's table files, by path."""
    title = suite.title or suite.name
    command = f"bench run --suite {suite.name}"
    drawn = {
        store.root / f"{suite.name}.md": render.markdown(title, found, command),
        store.root / f"{suite.name}.csv": render.csv_text(found),
        store.root / f"{suite.name}.html": render.html(title, found, command),
    }
    readme = store.root.resolve().parent / "README.md"
    if store.root.name == "leaderboards" and readme.exists():
        drawn[readme] = _with_tables(readme.read_text(encoding="utf-8"), suite, found)
    return drawn


def _with_tables(text: str, suite: Suite, found: tuple[Leaderboard, ...]) -> str:
    """Return a README with this suite's short tables between their marks."""
    for board in found:
        mark = re.escape(f"<!-- table {suite.name} {board.dataset} -->")
        table = f"\n\n{render.brief(board)}\n".replace("\\", r"\\")
        text = re.sub(f"({mark}).*?(<!-- end -->)", rf"\1{table}\2", text, flags=re.DOTALL)
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
