"""The page of robustness of a suite, as Markdown, HTML and CSV."""

import csv
import io
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.catalog import METRICS
from bench.evaluation.robustness.conditions import CLEAN
from bench.evaluation.robustness.table import Cell, Line, Sheet, sheet
from bench.leaderboard import files
from bench.leaderboard.render import templating
from bench.leaderboard.render.html import page_parts
from bench.leaderboard.render.table import Cell as Drawn
from bench.leaderboard.render.table import Head, Table
from bench.records import Snapshot, Store, robustness, write_whole
from bench.statistics import Difference
from bench.suites import Suite
from bench.text import NONE, csv_cell

LEGEND = (
    "Kept weights on disturbed copies of the test clips; nothing is trained or chosen again. Scores in %, differences "
    "in points with 95 % intervals."
)
_HEADS = (
    *("dataset", "model", "frontend", "condition", "metric", "score", "runs_done", "runs_expected"),
    *("difference", "low", "high", "p", "rank", "rank_change"),
)


def texts(suite: Suite, store: Store) -> dict[Path, str]:
    """Return the text of each file of a suite's page, by path; empty where the store has no results of the suite.

    Raises:
        RecordError: a file of results is damaged.
    """
    boards = files.boards(Snapshot(store, suite.runs()), suite)
    sheets = [found for board in boards if (found := sheet(board, store)) is not None]
    if not sheets:
        return {}
    title = f"Robustness: {suite.title or suite.name}"
    file = suite.file or suite.name
    command = f"bench robustness --suite {shlex.quote(file)}"
    sections: list[dict[str, Any]] = [
        {
            "name": found.board.name, "header": list(_header(found)), "main": _scores(found), "plots": [],
            "pictures": None, "footnotes": list(_footnotes(found)),
            "details": [_changes(found), _ranks(found), _conditions(found)],
        }
        for found in sheets
    ]  # fmt: skip
    given = {"title": title, "note": "", "papers": "", "legend": LEGEND, "command": command, "sections": sections}
    stem = store.root / robustness.FOLDER / suite.name
    return {
        stem.with_name(f"{stem.name}.md"): templating.render("page.md.j2", **given),
        stem.with_name(f"{stem.name}.html"): templating.render("page.html.j2", **given, **page_parts()),
        stem.with_name(f"{stem.name}.csv"): _csv(sheets),
    }


def draw(suite: Suite, store: Store) -> list[Path]:
    """Write a suite's page to its store, and return its files."""
    found = texts(suite, store)
    for path, text in found.items():
        write_whole(path, text.encode())
    return list(found)


def publish(suite: Suite, source: Store, target: Store) -> int:
    """Copy a suite's results to another store that has the records of the same runs, and return their number.

    Logits stay where they are. Results of a run that has no record in the other store are left out.
    """
    count = 0
    for run in files.shown_runs(Snapshot(source, suite.runs()), suite).values():
        found = robustness.read(source, run.key)
        if found is not None and run in target:
            robustness.write(target, found)
            count += 1
    return count


def _header(found: Sheet) -> Iterator[tuple[str, str]]:
    board = found.board
    yield "Metric", f"{found.primary}: {METRICS[found.primary].line}"
    folds, seeds = (", ".join(map(str, numbers)) for numbers in (board.folds, board.seeds))
    yield "Runs", f"{found.of} with results; folds {folds}, seeds {seeds}"
    drawn = {str(each["seed"]) for all_of in found.settings.values() for each in all_of if "seed" in each}
    if drawn:
        yield "Seed of the disturbances", ", ".join(sorted(drawn))
    sounds = {str(each["recordings"]) for all_of in found.settings.values() for each in all_of if "recordings" in each}
    if sounds:
        yield "Recordings of noise and speech", f"digests of their samples: {', '.join(sorted(sounds))}"


def _footnotes(found: Sheet) -> Iterator[tuple[str, str]]:
    yield (
        "Difference",
        "score under the condition minus score on the clean clips, each run against itself on the same clips; the "
        "interval is a bootstrap over the sources of the clips and over seeds; a grey one contains 0",
    )
    yield (
        "Rank",
        "systems whose paired difference is not significant share a rank; in brackets the change from the rank on the "
        "clean clips, where an arrow up is a better rank",
    )
    mixed = [name for name, each in found.settings.items() if len(each) > 1]
    if mixed:
        yield "Not comparable", f"results with different settings under {', '.join(mixed)}: evaluate them again"
    background = [line.row.label for line in found.lines if "background=" in line.row.recipe]
    if background:
        yield "Trained with noise", f"{', '.join(background)}: with background noises, perhaps those of this page"


def _scores(found: Sheet) -> Table:
    heads = [*_names(), *(Head(c.head) for c in found.conditions), Head("largest drop")]
    rows = []
    for line in found.lines:
        worst = line.worst
        drop = Drawn(NONE) if worst is None else Drawn(f"{100 * worst.mean:+.1f}", worst.mean)
        rows.append((*_name(line), *(_score(line, line.cells[c.name]) for c in found.conditions), drop))
    return Table("Scores", tuple(heads), tuple(rows))


def _changes(found: Sheet) -> Table:
    conditions = [c for c in found.conditions if c.name != CLEAN]
    heads = [*_names(), *(Head(c.head) for c in conditions)]
    rows = [(*_name(line), *(_change(line.cells[c.name].change) for c in conditions)) for line in found.lines]
    return Table("Difference from the clean clips", tuple(heads), tuple(rows))


def _ranks(found: Sheet) -> Table:
    heads = [*_names(), *(Head(c.head) for c in found.conditions)]
    rows = [(*_name(line), *(_rank(line.cells[c.name]) for c in found.conditions)) for line in found.lines]
    agreement = [
        Drawn(f"{found.agreement[c.name]:.2f}", found.agreement[c.name]) if c.name in found.agreement else Drawn(NONE)
        for c in found.conditions
    ]
    rows.append((Drawn("Kendall's τ with the clean scores"), Drawn(""), *agreement))
    return Table("Rank under each condition", tuple(heads), tuple(rows))


def _conditions(found: Sheet) -> Table:
    rows = [(Drawn(c.name), Drawn(c.head), Drawn(c.line)) for c in found.conditions]
    heads = (Head("condition", is_text=True), Head("column", is_text=True), Head("disturbance", is_text=True))
    return Table("Conditions", heads, tuple(rows), "Disturbances do not depend on the model: all get the same clips.")


def _names() -> tuple[Head, Head]:
    return Head("system", is_text=True), Head("front-end", is_text=True)


def _name(line: Line) -> tuple[Drawn, Drawn]:
    return Drawn(line.row.label), Drawn(line.row.frontend)


def _score(line: Line, cell: Cell) -> Drawn:
    if cell.score is None:
        return Drawn(f"{cell.done}/{line.row.expected} runs" if cell.done else NONE, grey=True)
    return Drawn(f"{100 * cell.score:.1f}", cell.score)


def _change(change: Difference | None) -> Drawn:
    if change is None:
        return Drawn(NONE, grey=True)
    words = f"{100 * change.mean:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    return Drawn(words, change.mean, grey=not change.significant)


def _rank(cell: Cell) -> Drawn:
    if cell.rank is None:
        return Drawn(NONE, grey=True)
    arrow = "" if not cell.moved else f" ({'↑' if cell.moved < 0 else '↓'}{abs(cell.moved)})"
    return Drawn(f"{cell.rank}{arrow}", cell.rank)


def _csv(sheets: Sequence[Sheet]) -> str:
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(_HEADS)
    for found in sheets:
        for line in found.lines:
            for name, cell in line.cells.items():
                d = cell.change
                values = (
                    found.board.name, line.row.label, line.row.frontend, name, found.primary, cell.score, cell.done,
                    line.row.expected, *((d.mean, d.low, d.high, d.p) if d else (None,) * 4), cell.rank, cell.moved,
                )  # fmt: skip
                writer.writerow(csv_cell(value) for value in values)
    return content.getvalue()
