"""The footnotes below a leaderboard's table: how to read it, what went wrong, where it was measured."""

from collections import Counter
from collections.abc import Iterator, Sequence

from bench import catalog
from bench.leaderboard import caveats
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render import columns
from bench.leaderboard.rows import Row
from bench.records import Environment, Segmentation
from bench.text import plural, shortened

DRIFT = 0.05
"""Relative change of the machine's speed during a timing above which the page mentions it."""


def footnotes(board: Leaderboard, *, of_rows: bool = True, command: str = "") -> Iterator[tuple[str, str]]:
    """Yield the footnotes of a leaderboard's table, as (head, text).

    Args:
        board: the leaderboard.
        of_rows: whether those of single rows are among them; a web page shows these with each row.
        command: shell command that does the suite's runs, which the caveats name.
    """
    metrics = [board.primary, *columns.secondary(board)]
    yield "Scores", "; ".join(f"{name}: {_line(name)}" for name in metrics)
    if any(row.segmentation for row in board.rows):
        yield (
            "Time lines",
            "all scores but accuracy are of whole test streams; accuracy is of clips that were cut inside segments. "
            "MACs per second are the model's for a time line of one second of sound, without the front-end's",
        )
    if any(row.conflict is not None for row in board.rows):
        yield (
            "Conflict",
            "mass of evidence that a fusion's members assign to different classes, averaged over the test clips",
        )
    over = {row.interval_over for row in board.rows}
    alone = any(data.test_groups < 2 for data in board.data)
    if "cells" in over:
        yield (
            "Interval",
            "Student's t over the runs, for rows of at least two runs that do not all have bootstrap draws"
            + ("; Wilson's interval near 0 and 100 % and where all runs are alike" if alone else ""),
        )
    if "groups" in over and board.primary == catalog.STREAM_PRIMARY:
        yield "Interval", "bootstrap over the test streams, 1,000 draws (200 for scores over all thresholds)"
    elif "groups" in over:
        seeds = " and over the seeds" if len(board.seeds) > 1 else ""
        unseen = "" if seeds else "; with one seed, it does not include the variation between trainings"
        yield (
            "Interval",
            f"bootstrap over the sources of the test clips{seeds}, 1,000 draws; Wilson's interval near 0 and 100 %"
            f"{unseen}",
        )
    if board.detectable is not None:
        yield (
            "Rank",
            "rows share a rank if their paired difference from the first of these rows is not significant (5 %); "
            f"minimum detectable difference from the best row (80 % power): {100 * board.detectable:.1f} points",
        )
    if any(row.rank_interval for row in board.rows):
        several = len(board.folds) > 1
        drawn = " and ".join(["test sources", *["folds"] * several, *["seeds"] * (len(board.seeds) > 1)])
        beyond = "; unlike the interval of the score, it covers the choice of the folds" if several else ""
        yield (
            columns.RANK_INTERVAL,
            f"the places in 95 % of 1,000 draws of {drawn}; a shared rank is the place of its first row{beyond}",
        )
    ranked = [row for row in board.rows if row.rank is not None]
    if len(ranked) > 1 and all(row.fold_scores for row in ranked):
        yield (
            "Rank",
            "in some fold all test clips come from one source, so differences are tested by Student's paired t over "
            "the folds",
        )
    elif len(ranked) > 1 and not all(row.run_scores for row in ranked):
        why = "; a fold whose test clips all come from one source has none" if alone else ""
        yield "Rank", f"rows whose runs do not all have bootstrap draws are ranked by their score alone, untested{why}"
    for note in board.notes:
        yield "Note", note
    yield from doubts(board, command)
    for words, rows in _notes_of_rows(board).items():
        shared = 1 < len(rows) == len(board.rows)
        if shared or of_rows:
            yield "all rows" if shared else ", ".join(rows), words
    for key, failure in board.failures:
        yield "Failed", f"{key}: {failure.kind}: {shortened(failure.message)}"
    if board.missing:
        yield "Missing", f"{plural(board.missing, 'run')} {'has' if board.missing == 1 else 'have'} no record"
    machines: dict[str, set[str]] = {}
    for environment in board.environments:
        machines.setdefault(_machine(environment), set()).add(_commit(environment))
    for machine, commits in sorted(machines.items()):
        yield "Trained on", f"{machine}; commit {', '.join(sorted(commits))}"


def doubts(board: Leaderboard, command: str, most: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield what is doubtful about scores, trainings and timings: the rows of each fact, and what removes it.

    Args:
        board: the leaderboard.
        command: shell command that does the suite's runs; may be empty.
        most: names of rows for each fact; further ones are counted.
    """
    found: dict[caveats.Kind, dict[str, list[str]]] = {kind: {} for kind in caveats.HEADS}
    for row, found_of_row in zip(board.rows, board.caveats, strict=True):
        for caveat in found_of_row:
            found[caveat.kind].setdefault(caveat.words, []).append(row.full)
    for kind, facts in found.items():
        if facts:
            named = (
                f"{words}: {'all rows' if 1 < len(rows) == len(board.rows) else listed(rows, most)}"
                for words, rows in facts.items()
            )
            yield caveats.HEADS[kind], f"{'; '.join(named)}. Remedy: {caveats.mends(kind, command)}"


def listed(names: Sequence[str], most: int | None) -> str:
    """Return names of rows in words, at most so many of them, and how many more there are."""
    shown = names if most is None or len(names) <= most else names[:most]
    return ", ".join(shown) + (f" and {plural(len(names) - len(shown), 'more row')}" if len(shown) < len(names) else "")


def _notes_of_rows(board: Leaderboard) -> dict[str, list[str]]:
    """Return each note on a row, and the rows that have it."""
    notes: dict[str, list[str]] = {}
    for row in board.rows:
        for words in about_row(row):
            notes.setdefault(words, []).append(row.full)
    return notes


def _line(metric: str) -> str:
    """Return what a metric is; another package's is known by its name, whether the package is there or not."""
    known = {**catalog.METRICS, **catalog.STREAM_METRICS, **catalog.SECOND_METRICS}
    of_clips = metric.removesuffix("_per_file")
    if of_clips != metric and of_clips in known:
        return f"{of_clips} of whole files, by the mean of the logits of their pieces"
    return known[metric].line if metric in known else "a metric of another package"


def about_row(row: Row) -> Iterator[str]:
    """Yield the footnotes of a row."""
    if row.about and not row.members:  # a fusion's members have their labels below
        yield row.about
    if row.members:
        yield f"combines {', '.join(row.members)}"
    else:
        if row.recipe:
            yield f"recipe: {row.recipe}"
        yield from _arithmetic(row)
    for kind, latency in (("CPU", row.cpu_parallel), ("GPU", row.gpu_parallel)):
        if latency:
            yield (
                f"{kind} ms is the sum over its members, on the fold with the middle sum; "
                f"with the members in parallel: {columns.latency(latency).text}"
            )
    for kind, latency in (("CPU", row.cpu), ("GPU", row.gpu)):
        if latency and latency.sentinel_ms is None:
            yield f"{kind} ms was measured before reference timings were recorded; not comparable with later timings"
        elif latency and abs(latency.sentinel_drift) > DRIFT:
            yield f"the machine's speed changed by more than {100 * DRIFT:.0f} % while {kind} ms was measured"
    if row.segmentation:
        yield _time_line(row.segmentation)
    if row.complexity and row.complexity.elementwise and not row.members:
        yield f"not counted in the MACs: {row.complexity.elementwise:,} element-wise steps in liquid layers per clip"
    if row.done < row.expected:
        yield f"not ranked: {row.done} of {row.expected} runs are done"
    unlike = row.rank is None and row.done == row.expected
    for flag in row.flags:
        yield f"not ranked: {flag}" if unlike and flag == row.flags[0] else flag


def _arithmetic(row: Row) -> Iterator[str]:
    """Yield what the machine's "auto" was in the recipe of a row's runs."""
    found = Counter(
        ", ".join(f"{name}={value}" for name, value in sorted(record.arithmetic.items()))
        for record in row.records
        if record.arithmetic
    )
    for words, runs in sorted(found.items()):
        yield f"computed with {words}" + ("" if runs == row.done else f" in {runs} of {row.done} runs")


def _time_line(found: Segmentation) -> str:
    """Return how a row's time lines are made."""
    made = {
        "frames": f"decides on each frame of {1000 * found.hop_seconds:g} ms",
        "windows": f"decides on windows of a clip's length, one every {1000 * found.hop_seconds:g} ms",
        "fusion": "combines the members' scores of each frame",
    }
    return (
        f"time line: {made[found.form]}; chosen on the validation streams: moved by {found.delay_seconds:g} s, mean "
        f"over {found.smoothing_seconds:g} s, segments of {found.min_seconds:g} s at least"
    )


def _machine(environment: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(environment.packages.items()))
    load = f"{plural(environment.workers, 'run')} at a time, {plural(environment.threads, 'thread')} each"
    return (
        f"{environment.processor}, {plural(environment.cores, 'core')}, {environment.gpu or 'no GPU'}; {load}; "
        f"{environment.platform}; Python {environment.python}, {packages}"
    )


def _commit(environment: Environment) -> str:
    return f"{(environment.commit or 'unknown')[:10]}{' (with uncommitted changes)' if environment.dirty else ''}"
