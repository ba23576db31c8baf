"""The data of a page's explorer, as compact JSON, because a page must stay below 300 kB."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from bench import statistics
from bench.catalog import METRICS, PRIMARY, STREAM_METRICS
from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.clips import RunClips
from bench.leaderboard.compare import p_value, points
from bench.leaderboard.confusions import PER_CLASS
from bench.leaderboard.ranking import redrawn
from bench.leaderboard.render import columns
from bench.leaderboard.rows import Row, difference, validation
from bench.records import Latency, Record
from bench.text import plain, plural

MOST_ROWS = 40
"""Number of ranked rows of which all pairs are compared."""
MOST_CLASSES = 20
"""Number of classes up to which each row's confusion matrix is there."""
ROOM = 60_000
"""Largest number of characters of a leaderboard's clips, and of its scores per class."""
CLIPS = ROOM // 2
"""Largest number of clips of a leaderboard's runs, each of which takes two characters."""
EPOCHS = 50
"""Largest number of points of a learning curve."""
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""A share is two of these digits, 0 to 4,095; a class of a clip is one of them."""

_PAIRS = tuple(first + second for first in DIGITS for second in DIGITS)

AXES = (
    ("macs", "MACs per clip, front-end included", ""),
    ("parameters", "parameters", ""),
    ("bytes", "bytes of weights and fixed tables", ""),
    ("cpu", "CPU latency p50", "ms"),
    ("gpu", "GPU latency p50", "ms"),
    ("train", "training time", "s"),
    ("rtf", "real-time factor on the CPU", ""),
)
"""Costs that a plot can have: name, words, unit."""


def explorer_data(leaderboards: Sequence[Leaderboard], clips: Mapping[str, RunClips] | None = None) -> str:
    """Return the leaderboards as JSON that may stand inside of HTML.

    Args:
        leaderboards: of the page.
        clips: run key to what the run said of each test clip.
    """
    content = [_board(board, clips or {}) for board in leaderboards]
    found = json.dumps(content, separators=(",", ":"), allow_nan=False, sort_keys=True, ensure_ascii=False)
    return found.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _board(board: Leaderboard, clips: Mapping[str, RunClips]) -> dict[str, Any]:
    costs = [_costs(board, row) for row in board.rows]
    axes = [axis for i, axis in enumerate(AXES) if any(cost[i] is not None for cost in costs)]
    kept = [AXES.index(axis) for axis in axes]
    classes = _classes(board)
    metrics = [board.primary, *(name for name in columns.secondary(board) if name != board.primary)]
    small = sum(len(row.records) for row in board.rows) * len(classes) * 2 <= ROOM
    timings = [(_timing(row.cpu), _timing(row.gpu)) for row in board.rows]
    words = sorted({each for pair in timings for timing in pair for each in timing})
    commit = _usual_commit(board)
    return {
        "name": plain(board.name),
        "metric": board.primary,
        "higher": {**METRICS, **STREAM_METRICS}[board.primary].higher_is_better,
        "axes": axes,
        "classes": [plain(name) for name in classes],
        "perClass": PER_CLASS[board.task][0],
        "metrics": [(name, columns.head(name)) for name in metrics],
        "validation": PRIMARY[board.task],
        "rows": [
            {
                "name": plain(row.full),
                "score": _rounded(row.scores[board.primary]),
                "shown": columns.score(row.scores[board.primary], board.primary).text,
                "interval": row.interval and [_rounded(end) for end in row.interval],
                "ranked": row.rank is not None,
                "costs": [cost[i] for i in kept],
                "int8": row.complexity and row.complexity.parameters,
                "modelMacs": row.complexity and row.complexity.macs,
                "cpu": [words.index(each) for each in cpu],
                "gpu": [words.index(each) for each in gpu],
                "runs": [_run(r, metrics, board.task, classes if small else (), commit) for r in row.records],
                "confusion": _confusion(row.records) if len(classes) <= MOST_CLASSES else None,
            }
            for row, cost, (cpu, gpu) in zip(board.rows, costs, timings, strict=True)
        ],
        "words": words,
        "commit": commit,
        "pairs": _pairs(board),
        "wins": _wins(board),
        "clips": (said := _all_clips(board, clips, len(classes))),
        "sounds": _sounds(board) if said else None,
    }


def _costs(board: Leaderboard, row: Row) -> list[float | None]:
    """Return a row's costs in the order of `AXES`; a timing counts as in the Pareto plots."""
    usual = pareto.usual_device([each for each in board.rows if each.rank is not None])
    axes = {axis.name: pareto.cost_of(row, axis, usual) for axis in pareto.AXES}
    cpu = axes["latency"] if isinstance(axes["latency"], float) else None
    found = [
        axes["macs"],
        axes["parameters"],
        row.complexity and float(row.complexity.bytes),
        cpu,
        row.gpu.p50_ms if row.gpu and row.gpu.grade != "C" else None,
        row.train_seconds,
        row.cpu.real_time_factor if row.cpu and cpu is not None else None,
    ]
    return [_number(value) if isinstance(value, float) and value > 0 else None for value in found]


def _number(value: float) -> float:
    """Return a count as it is, and six digits of any other number."""
    return int(value) if value.is_integer() else float(f"{value:.6g}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _classes(board: Leaderboard) -> tuple[str, ...]:
    """Return the classes that the records of all rows have, or nothing where they differ."""
    found = {r.classes for row in board.rows for r in row.records}
    return found.pop() if len(found) == 1 else ()


def _timing(found: Latency | None) -> list[str]:
    """Return what is behind a timing's grade, in the order of the script's heads."""
    if found is None:
        return []
    spread = "one process" if found.spread is None else f"slowest {100 * found.spread:.1f} % above the fastest"
    return [
        found.grade if found.combined is None else f"{found.grade}; the members' {found.combined}",
        f"{found.device}, {plural(found.threads, 'thread')}, {found.dtype}, {found.backend}",
        found.software or "named with the run",
        f"{found.samples} calls, {spread}",
        f"{100 * found.iqr_share:.1f} % of the median",
        "not known" if found.others is None else f"{100 * found.others:.1f} % of the processors",
        f"{100 * found.sentinel_drift:+.1f} %",
    ]


def _commit(record: Record) -> str:
    return ((record.environment and record.environment.commit) or "")[:10]


def _usual_commit(board: Leaderboard) -> str:
    """Return the commit of most runs, which a run then does not have in the data."""
    found = Counter(_commit(record) for row in board.rows for record in row.records)
    return max(found, key=lambda commit: (found[commit], commit), default="")


def _run(record: Record, metrics: Sequence[str], task: str, classes: Sequence[str], usual: str) -> dict[str, Any]:
    """Return a run's evidence; its key stands in the page's list of records, in the same order."""
    curves = record.curves
    scores = curves.get(f"val_{PRIMARY[task]}", ())
    step = max(1, math.ceil(len(scores) / EPOCHS))
    losses = curves.get("train_loss", ())
    most = max((value for value in losses if math.isfinite(value)), default=0.0)
    found = {
        "fold": record.run.fold,
        "seed": record.run.seed,
        "scores": [None if (v := record.scores.get(name)) is None else float(f"{v:.4g}") for name in metrics],
        "val": None if (v := validation(record, task)) is None else float(f"{v:.4g}"),
        "seconds": round(record.seconds.get("train", 0.0), 1),
        "commit": None if (commit := _commit(record)) == usual else commit,
        "epoch": record.best_epoch,
        "step": step,
        "curve": encoded(scores[::step]),
        "loss": encoded([value / most for value in losses[::step]]) if most > 0 else "",
        "mostLoss": float(f"{most:.4g}"),
        "classes": encoded(record.per_class.get(PER_CLASS[task][0], ())) if classes else "",
    }
    return {name: value for name, value in found.items() if value is not None and (value != "" or name == "commit")}


def encoded(shares: Iterable[float | None]) -> str:
    """Return shares of 1 as text, two digits each; ".." stands for none."""
    return "".join([
        ".." if share is None or share - share != 0
        else _PAIRS[round(4095 * (0.0 if share < 0 else 1.0 if share > 1 else share))]
        for share in shares
    ])  # fmt: skip


def _confusion(records: Sequence[Record]) -> list[list[int]] | None:
    tables = [r.confusion for r in records]
    if not tables or any(table is None for table in tables):
        return None
    return [[int(n) for n in row] for row in np.sum([np.array(table) for table in tables], axis=0)]


def _pairs(board: Leaderboard) -> str:
    """Return the paired differences of ranked rows, each to each, in the digits of `bench compare`."""
    rows = [row for row in board.rows if row.rank is not None][:MOST_ROWS]
    if len(rows) < 2:
        return ""
    table: Iterator[Sequence[statistics.Difference | None]]
    same = len({frozenset(fold for fold, _ in row.run_scores) for row in rows}) == 1
    if (
        same
        and all(row.run_scores for row in rows)
        and len({len(d.draws) for r in rows for d in r.run_scores.values()}) == 1
    ):
        table = iter(statistics.differences([row.run_scores for row in rows]))
    else:
        table = ([difference(a, b) for b in rows] for a in rows)
    tokens = [["" if i == j else _token(d) for j, d in enumerate(row)] for i, row in enumerate(table)]
    return ";".join(
        ",".join("" if i > j and token == _mirrored(tokens[j][i]) else token for j, token in enumerate(row))
        for i, row in enumerate(tokens)
    )


def _token(found: statistics.Difference | None) -> str:
    """Return a difference in tenths of points, its interval, and its p-value in thousandths."""
    if found is None:
        return ""
    numbers = [f"{'-' * text.startswith('-')}{int(text[1:].replace('.', ''))}" for text in points(found)]
    p = p_value(found.p)
    numbers.append("<" if "<" in p else str(int(p.removeprefix("p = ").replace(".", ""))))
    return f"{'!' * found.significant}{' '.join(numbers)}"


def _mirrored(token: str) -> str:
    """Return the token of the same difference with the other sign, which the page computes itself."""
    if not token:
        return ""
    mean, low, high, p = token.removeprefix("!").split(" ")
    opposite = (text[1:] if text.startswith("-") else f"-{text}" for text in (mean, high, low))
    return f"{'!' * token.startswith('!')}{' '.join((*opposite, p))}"


def _wins(board: Leaderboard) -> str:
    draws = redrawn(board.rows)
    if draws is None:
        return ""
    better = {**METRICS, **STREAM_METRICS}[board.primary].higher_is_better
    found = statistics.win_probabilities(draws[:MOST_ROWS], higher_is_better=better)
    return encoded(found.flatten().tolist())


def _sounds(board: Leaderboard) -> dict[str, str] | None:
    """Return the sounds of a made dataset that a page plays, by clip; None where there are none."""
    kept = json.loads((resources.files(__package__) / "sounds.json").read_text(encoding="utf-8"))
    found: dict[str, str] | None = None if board.arguments else kept.get(board.dataset)
    return found


def _all_clips(board: Leaderboard, clips: Mapping[str, RunClips], classes: int) -> dict[str, Any] | None:
    """Return the names of the clips by fold, and what each run said of them; None where there are too many of them."""
    keys = [r.key for row in board.rows for r in row.records]
    if not 0 < classes <= len(DIGITS) or board.task != "single":
        return None
    if sum(len(clips[key].ids) for key in keys if key in clips) > CLIPS:
        return None
    groups: list[tuple[tuple[str, ...], tuple[int, ...]]] = []
    said: list[list[list[Any] | None]] = []
    for row in board.rows:
        own: list[list[Any] | None] = []
        for record in row.records:
            found = clips.get(record.key)
            if found is None:
                own.append(None)
                continue
            if (found.ids, found.truth) not in groups:
                groups.append((found.ids, found.truth))
            predicted = "".join(DIGITS[i] for i in found.predicted)
            certainty = "".join(DIGITS[round(63 * percent / 100)] for percent in found.certainty)
            own.append([groups.index((found.ids, found.truth)), predicted, certainty])
        said.append(own)
    if not groups:
        return None
    return {
        "groups": [
            {"ids": [plain(name) for name in ids], "truth": "".join(DIGITS[t] for t in truth)} for ids, truth in groups
        ],
        "said": said,
    }  # fmt: skip
