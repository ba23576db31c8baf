"""The footnotes below a leaderboard's table: how to read it, what went wrong, where it was measured."""

from collections.abc import Iterator

from bench import catalog
from bench.leaderboard import Leaderboard, Row
from bench.records import Environment
from bench.render import columns
from bench.render.text import plural, shortened

DRIFT = 0.05
"""Change of the machine's speed while it timed a row, from which on the page says so."""


def footnotes(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """Yield what stands below a table: how to read it, what went wrong, where it was measured, as (head, text)."""
    metrics = [board.primary, *columns.secondary(board)]
    yield "Scores", "; ".join(f"{name}: {catalog.METRICS[name].line}" for name in metrics)
    if any(row.conflict is not None for row in board.rows):
        yield "Conflict", "of a fusion's members: the mass that they give to different classes, mean over test clips"
    over = {row.interval_over for row in board.rows}
    if "cells" in over:
        yield "Interval", "Student's t over the runs, where there are at least two and not all have bootstrap draws"
    if "groups" in over:
        seeds = " and over seeds" if len(board.seeds) > 1 else ""
        unseen = "" if seeds else "; with one seed, what another training would change is not in it"
        yield (
            "Interval",
            f"bootstrap over the sources of the test clips{seeds}, 1,000 draws; Wilson near 0 and 100 %{unseen}",
        )
    if board.detectable is not None:
        yield (
            "Rank",
            "rows share a rank where their paired difference from the first of them is not significant (5 %); a "
            f"difference of {100 * board.detectable:.1f} points from the best row is found at least four times out of "
            "five, whichever row it is of",
        )
    for note in board.notes:
        yield "Note", note
    told: dict[str, list[str]] = {}
    for row in board.rows:
        for words in _about_row(row):
            told.setdefault(words, []).append(row.label if row.frontend == "none" else f"{row.label} on {row.frontend}")
    for words, rows in told.items():
        yield "all rows" if 1 < len(rows) == len(board.rows) else ", ".join(rows), words
    for key, failure in board.failures:
        yield "Failed", f"{key}: {failure.kind}: {shortened(failure.message)}"
    if board.missing:
        yield "Missing", f"{plural(board.missing, 'run')} without a record"
    machines: dict[str, set[str]] = {}
    for environment in board.environments:
        machines.setdefault(_machine(environment), set()).add(_commit(environment))
    for machine, commits in sorted(machines.items()):
        yield "Trained on", f"{machine}; commit {', '.join(sorted(commits))}"


def _about_row(row: Row) -> Iterator[str]:
    """Yield what a reader has to know of a row."""
    if row.about and not row.members:  # whose labels stand below
        yield row.about
    if row.recipe and not row.members:
        yield f"recipe {row.recipe}"
    if row.members:
        yield f"combines {', '.join(row.members)}"
    for kind, latency in (("CPU", row.cpu_parallel), ("GPU", row.gpu_parallel)):
        if latency:
            yield (
                f"{kind} ms are its members' sum, one after another, on the fold in the middle; side by side: "
                f"{columns.latency(latency).text}"
            )
    for kind, latency in (("CPU", row.cpu), ("GPU", row.gpu)):
        if latency and latency.sentinel_ms is None:
            yield f"{kind} ms were taken before the machine's pace was noted: other rows may have met a faster machine"
        elif latency and abs(latency.sentinel_drift) > DRIFT:
            yield f"the machine's speed changed by more than {100 * DRIFT:.0f} % while {kind} ms were taken"
    if row.complexity and row.complexity.elementwise and not row.members:
        yield f"beside the MACs, {row.complexity.elementwise:,} element-wise steps of its liquid layers for one clip"
    if row.done < row.expected:
        yield f"not ranked: {row.done} of {row.expected} runs are done"
    unlike = row.rank is None and row.done == row.expected
    for flag in row.flags:
        yield f"not ranked: {flag}" if unlike and flag == row.flags[0] else flag


def _machine(environment: Environment) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(environment.packages.items()))
    load = f"{plural(environment.workers, 'run')} at a time, {plural(environment.threads, 'thread')} each"
    return (
        f"{environment.processor}, {plural(environment.cores, 'core')}, {environment.gpu or 'no GPU'}; {load}; "
        f"{environment.platform}; Python {environment.python}, {packages}"
    )


def _commit(environment: Environment) -> str:
    return f"{(environment.commit or 'unknown')[:10]}{' (with uncommitted changes)' if environment.dirty else ''}"
