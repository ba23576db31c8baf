"""Caveats about a row's figures: rows at chance, short trainings, timings of grade C.

A pure function of the records, as the table is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench import catalog, statistics
from bench.catalog import STREAM_PRIMARY
from bench.leaderboard.rows import Row
from bench.records import Record

Kind = Literal["chance", "training", "timing"]
HEADS: dict[Kind, str] = {"chance": "At chance", "training": "Short training", "timing": "Grade C"}
"""Head of each kind of caveat."""
FEW_EPOCHS = 3
"""Number of epochs up to which a model was trained only for a moment."""
_SPEECH = frozenset({"speech", "music", "noise"})


@dataclass(frozen=True)
class Caveat:
    """A caveat of a row.

    Attributes:
        kind: what is doubtful: the score, the training or the timing.
        short: in a few words, for the row itself.
        words: the whole fact, without the row's name.
    """

    kind: Kind
    short: str
    words: str


def caveats(row: Row, task: str, primary: str) -> Iterator[Caveat]:
    """Yield what is doubtful about a row.

    Args:
        row: of a leaderboard.
        task: the leaderboard's, "single" or "multi" label.
        primary: the metric that ranks.
    """
    if words := _chance(row, task, primary):
        yield Caveat("chance", "at chance", words)
    yield from _training(row.records)
    kinds = [name for name, found in (("CPU", row.cpu), ("GPU", row.gpu)) if found and found.grade == "C"]
    if kinds:
        what = " and ".join(kinds)
        yield Caveat("timing", f"{what} ms of grade C", f"{what} ms is noisy or from a slow machine, not comparable")


def mends(kind: Kind, command: str) -> str:
    """Return how a caveat is removed.

    Args:
        kind: of the caveat.
        command: shell command that does the suite's runs; may be empty.
    """
    if kind == "timing":
        return f"{command} --time-again measures it again" if command else "bench run --time-again measures it again"
    again = f", then {command}" if command else ""
    more = "more epochs in the suite's recipe"
    return f"more clips, {more} or another learning rate{again}" if kind == "chance" else f"{more}{again}"


def has_speech_score(classes: Sequence[str]) -> bool:
    """Return whether the score "speech or not" means anything: the classes are speech, music and noise."""
    return {name.casefold() for name in classes} == _SPEECH


def _chance(row: Row, task: str, primary: str) -> str:
    """Return the words of a row whose interval reaches down to the score of guessing; otherwise an empty text."""
    if task == "multi":
        return _chance_of_labels(row)
    classes = {r.classes for r in row.records}
    if row.interval is None or len(classes) != 1 or not (names := classes.pop()):
        return ""
    chance, what = 1 / len(names), "the score of guessing"
    if primary != STREAM_PRIMARY and (most := _most_frequent(row.records)) > chance + 1e-9:
        chance, what = most, "the score of naming the most frequent class each time"
    low, high = row.interval
    if low > chance:
        return ""
    side = "contains" if high >= chance else "lies below"
    return f"the interval of {primary} {side} {100 * chance:.1f} %, {what}"


def _most_frequent(records: Sequence[Record]) -> float:
    """Return the share of the most frequent class of the test clips; 0 where a record has no confusion matrix."""
    tables = [r.confusion for r in records]
    if any(table is None for table in tables):
        return 0.0
    counts = [sum(sum(table[i]) for table in tables if table) for i in range(len(tables[0] or ()))] if tables else []
    return max(counts) / sum(counts) if sum(counts) else 0.0


def _chance_of_labels(row: Row) -> str:
    """Return the words of a row whose mean AUC may be one half; records do not have the shares of positives."""
    tables = [values for r in row.records if (values := r.per_class.get("mAUC"))]
    if not tables or len(tables) != len(row.records) or len({len(table) for table in tables}) != 1:
        return ""
    means = []
    for values in zip(*tables, strict=True):
        defined = [value for value in values if value is not None]
        means += [sum(defined) / len(defined)] if defined else []
    if len(means) < 2:
        return ""
    _, low, high = statistics.mean_interval(means)
    if low > 0.5:
        return ""
    side = "contains" if high >= 0.5 else "lies below"
    return f"the interval of mAUC over the classes (Student's t) {side} 50.0 %, the score of guessing"


def _training(records: Sequence[Record]) -> Iterator[Caveat]:
    """Yield the caveat of a system that was trained for a moment, was still improving, or never improved."""
    lengths = [max(map(len, r.curves.values()), default=0) for r in records]
    runs = [(length, r.best_epoch) for length, r in zip(lengths, records, strict=True) if length]
    if not runs:
        return
    if all(r.run.model in catalog.MODELS and catalog.MODELS[r.run.model].one_epoch for r in records):
        return
    of = len(runs)
    longest = max(length for length, _ in runs)
    if longest <= FEW_EPOCHS:
        epochs = f"{longest} epoch{'s' * (longest > 1)}"
        yield Caveat("training", epochs, f"trained for {epochs} only")
        return
    last = sum(best == length - 1 for length, best in runs)
    first = sum(best == 0 for _, best in runs)
    if 2 * last > of:
        yield Caveat("training", "still improving", f"the last epoch was the best{_in(last, of)}")
    elif 2 * first > of:
        yield Caveat("training", "never improved", f"no epoch was better than the first{_in(first, of)}")


def _in(some: int, of: int) -> str:
    return "" if of == 1 else f" in {some} of {of} runs"
