"""Changes in a published store's tables since a release: new rows, removed rows, and other scores.

`bench changes --since REF` keeps the tables of a commit in `api/release.json`. From then on `CHANGES.md` is drawn
whenever the tables are, from that file and the tables.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.errors import RecordError
from bench.leaderboard.entries import VERSION, ReleaseBoard, ReleaseFile, ReleaseRow
from bench.leaderboard.interface import FOLDER, json_text
from bench.leaderboard.render import columns, templating
from bench.leaderboard.render.table import Cell, Head, Table
from bench.text import NONE, plain, plural

PAGE = "CHANGES.md"
"""Name of the page in a store."""
FILE = "release.json"
"""Name of the file with the tables of the release, in the folder of the JSON interface."""


def release_text(since: str, commit: str, date: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the file with a release's tables.

    Args:
        since: how the release is called.
        commit: its commit in git.
        date: of the commit, as 2026-01-31.
        tables: suite to the content of its JSON table, `<suite>.json`.
    """
    boards = [board for suite in sorted(tables) for board in _boards(suite, tables[suite])]
    return json_text(asdict(ReleaseFile(version=VERSION, since=since, commit=commit, date=date, boards=boards)))


def read(root: Path) -> ReleaseFile | None:
    """Return the tables of the release; None where the store has none.

    Args:
        root: folder of the store.

    Raises:
        RecordError: the file is damaged.
    """
    path = root / FOLDER / FILE
    if not path.exists():
        return None
    try:
        return TypeAdapter(ReleaseFile).validate_json(path.read_bytes())
    except ValidationError as error:
        raise RecordError(f"{path} is damaged: write it again with `bench changes --since REF`") from error


def page(release: ReleaseFile, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of what changed as GitHub Markdown.

    Args:
        release: the tables of the release.
        tables: suite to the content of its JSON table now.
    """
    now = {(board.suite, board.dataset): board for suite in tables for board in _boards(suite, tables[suite])}
    before = {(board.suite, board.dataset): board for board in release.boards}
    sections = [_section(before.get(key), now.get(key)) for key in sorted({*before, *now})]
    return templating.render(
        "changes.md.j2",
        release=release,
        sections=[section for section in sections if section["facts"] or section["table"]],
        same=[section["name"] for section in sections if not section["facts"] and not section["table"]],
    )


@dataclass(frozen=True)
class Moved:
    """A row that both tables have, with another score or rank."""

    before: ReleaseRow
    now: ReleaseRow


def moved(before: ReleaseBoard, now: ReleaseBoard) -> Iterator[Moved]:
    """Yield the rows whose score or rank changed, in the order of the table now.

    Args:
        before: a leaderboard of the release.
        now: the same leaderboard.
    """
    old = {row.name: row for row in before.rows}
    for row in now.rows:
        if row.name in old and (row.score, row.rank) != (old[row.name].score, old[row.name].rank):
            yield Moved(old[row.name], row)


def _section(before: ReleaseBoard | None, now: ReleaseBoard | None) -> dict[str, Any]:
    """Return what changed on one leaderboard; without facts and table where nothing did."""
    shown = now or before
    assert shown is not None
    name = f"{shown.suite}, {shown.dataset}"
    if before is None or now is None:
        words = "New table" if before is None else "Removed table"
        return {"name": name, "facts": [(words, plural(len(shown.rows), "row"))], "table": None}
    facts = []
    if before.metric != now.metric:
        facts.append(("Main score", f"{now.metric}, before {before.metric}"))
        return {"name": name, "facts": facts, "table": None}
    for words, some, others in (("New rows", now, before), ("Removed rows", before, now)):
        known = {row.name for row in others.rows}
        if found := [row for row in some.rows if row.name not in known]:
            facts.append((words, "; ".join(f"{row.name} {_score(row, some.metric)}" for row in found)))
    changed = list(moved(before, now))
    seen = [each for each in changed if _shown(each.before, now.metric) != _shown(each.now, now.metric)]
    if unseen := len(changed) - len(seen):
        facts.append(("Other digits only", f"{plural(unseen, 'row')} with a score that the tables write alike"))
    rows = [
        (
            Cell(each.now.name),
            Cell(_score(each.before, now.metric)),
            Cell(_score(each.now, now.metric)),
            Cell(_rank(each.before)),
            Cell(_rank(each.now)),
        )
        for each in seen
    ]
    score = columns.head(now.metric)
    heads = ("row", f"{score}, before", f"{score}, now", "rank, before", "rank, now")
    table = Table(title="", heads=tuple(Head(text, is_text=text == "row") for text in heads), rows=tuple(rows))
    return {"name": name, "facts": facts, "table": table if rows else None}


def _shown(row: ReleaseRow, metric: str) -> tuple[str, str]:
    return _score(row, metric), _rank(row)


def _score(row: ReleaseRow, metric: str) -> str:
    interval = "" if row.interval is None else " [{}, {}]".format(*(_text(end, metric) for end in row.interval))
    return f"{_text(row.score, metric)}{interval}"


def _text(value: float | None, metric: str) -> str:
    return columns.score(value, metric).text


def _rank(row: ReleaseRow) -> str:
    return NONE if row.rank is None else str(row.rank)


def _boards(suite: str, content: Mapping[str, Any]) -> Iterator[ReleaseBoard]:
    for board in content.get("leaderboards", ()):
        metric = board["primary"]
        rows = [
            ReleaseRow(
                name=plain(row["model"] if row["frontend"] == "none" else f"{row['model']} on {row['frontend']}"),
                score=row[metric],
                interval=None if row["low"] is None else (row["low"], row["high"]),
                rank=row["rank"],
            )
            for row in board["rows"]
        ]
        yield ReleaseBoard(suite=suite, dataset=plain(board["dataset"]), metric=metric, rows=rows)


def tables_of(texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the JSON tables among files, by suite; other files are left out.

    Args:
        texts: name of a file without its ending to its text.
    """
    found = {}
    for name, text in texts.items():
        try:
            content = json.loads(text)
        except ValueError:
            continue  # the check of its own suite reports it
        if isinstance(content, dict) and "leaderboards" in content:
            found[name] = content
    return found
