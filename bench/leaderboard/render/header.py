"""The facts above a leaderboard's table: what the data are, and what was run."""

from collections.abc import Iterator, Sequence
from typing import Literal

from bench import catalog
from bench.leaderboard.board import Leaderboard
from bench.text import span

MOST_NAMES = 10
"""Names of files that were left out which a page shows."""


def header(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """Yield the facts above a leaderboard's table, as (head, text)."""
    yield "Data", catalog.dataset(board.dataset).line
    if splits := sorted({data.split for data in board.data}):
        yield "Split", "; ".join(splits)
    if board.data:
        *parts, last = [f"{span(data.clips[name] for data in board.data)} {word}" for name, word in _SPLITS]
        lengths = sorted({row.complexity.clip_seconds for row in board.rows if row.complexity})
        each = f" of {' or '.join(f'{seconds:g}' for seconds in lengths)} s" if lengths else ""
        sources = span(data.test_groups for data in board.data)
        sources += " source" if sources == "1" else " sources"
        yield "Clips", f"{', '.join(parts)} and {last} clips{each}; the test clips come from {sources}"
        available = span(data.clips_available for data in board.data)
        official = sorted({data.clips_official for data in board.data if data.clips_official is not None})
        yield "Coverage", f"{available} of {span(official)} official clips" if official else f"{available} clips"
    if notes := sorted({data.note for data in board.data if data.note}):
        yield "Note", "; ".join(notes)
    ledger = {reason: names for data in board.data for reason, names in data.left_out.items()}
    if ledger:
        yield (
            "Left out",
            "; ".join(f"{len(names)} audio files ({why}): {_named(names)}" for why, names in ledger.items()),
        )
    folds, seeds = (", ".join(map(str, numbers)) for numbers in (board.folds, board.seeds))
    yield "Runs", f"{len(board.folds)} of {board.folds_official} folds ({folds}), seeds {seeds}"


def _named(names: Sequence[str]) -> str:
    """Return the first names, and how many more the records have."""
    more = f" and {len(names) - MOST_NAMES} more, which the records name" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


_SPLITS: tuple[tuple[Literal["train", "val", "test"], str], ...] = (
    ("train", "training"),
    ("val", "validation"),
    ("test", "test"),
)
