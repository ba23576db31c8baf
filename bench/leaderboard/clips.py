"""Each system's prediction for each test clip, from the logits of its runs, or from a published store's `clips/`.

Records that were published before their logits were attached have a file per suite in the folder `clips`, with the
predicted class of each test clip and the probability of the true one.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import RunError
from bench.records import Record, Store, artifacts, write_whole

FOLDER = "clips"
"""Folder of a store with a file per suite."""
MOST = 4000
"""Largest number of test clips of a run that is kept."""


@dataclass(frozen=True)
class RunClips:
    """A run's test clips in the order of their names.

    Attributes:
        ids: names of the clips.
        truth: index of each clip's class.
        predicted: index of the most probable class.
        certainty: probability of the true class, in whole per cent.
    """

    ids: tuple[str, ...]
    truth: tuple[int, ...]
    predicted: tuple[int, ...]
    certainty: tuple[int, ...]


def of_run(store: Store, record: Record) -> RunClips | None:
    """Return a run's clips from its logits; None without logits or names, for several labels, and for too many clips.

    Raises:
        RunError: the logits are damaged, or are not those of the record.
    """
    if record.status != "ok" or record.task != "single":
        return None
    if _clips(record) > MOST or not _has_logits(store, record):
        return None
    saved = artifacts.logits(store, record)
    if "test_ids" not in saved:
        return None
    logits, truth = saved["logits"].astype(np.float64), saved["targets"].astype(int)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    order = np.argsort(saved["test_ids"])
    certainty = np.rint(100 * shares[np.arange(len(truth)), truth]).astype(int)
    return RunClips(
        ids=tuple(map(str, saved["test_ids"][order])),
        truth=tuple(map(int, truth[order])),
        predicted=tuple(map(int, logits.argmax(1)[order])),
        certainty=tuple(map(int, certainty[order])),
    )


def publish(source: Store, target: Store, suite: str, records: Iterable[Record]) -> int:
    """Keep what a suite's runs said of each clip in a published store; return how many runs have logits.

    Args:
        source: has the runs' logits.
        target: the published store.
        suite: its name.
        records: of the runs.

    Raises:
        RunError: logits are damaged, or are not those of their record.
    """
    fresh = {record.key: clips for record in records if (clips := of_run(source, record)) and _fits(clips, record)}
    if fresh:
        path = target.root / FOLDER / f"{suite}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text(read(path) | fresh).encode())
    return len(fresh)


def _logits(store: Store, record: Record) -> tuple[str, str]:
    """Return the two files that a run's logits may be in, as text, because pathlib takes its time."""
    path = f"{store.root}/artifacts/{record.key}/{artifacts.LOGITS}"
    return path, path + artifacts.PACKED


def _has_logits(store: Store, record: Record) -> bool:
    return any(map(os.path.exists, _logits(store, record)))


def states(store: Store, suite: str, records: Iterable[Record]) -> Iterator[tuple[int, int, int] | None]:
    """Yield size and times of each file that `collect` may read; None for one that is not there.

    Args:
        store: of the records.
        suite: its name.
        records: of the runs.
    """
    for path in (str(store.root / FOLDER / f"{suite}.json"), *(path for r in records for path in _logits(store, r))):
        try:
            state = os.stat(path)  # noqa: PTH116 - as text, see above
        except OSError:
            yield None
        else:
            yield state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _clips(record: Record) -> int:
    return record.data.clips.get("test", 0) if record.data else 0


def collect(
    store: Store,
    suite: str,
    records: Iterable[Record],
    room: int | None = None,
    passed_over: list[str] | None = None,
) -> dict[str, RunClips]:
    """Return the clips of these runs, by key: from the suite's file, or else from logits that are at hand.

    A run without logits has no clips.

    Args:
        store: of the records.
        suite: its name.
        records: of the runs.
        room: number of clips of all runs together above which nothing is read, because a page has no room for them.
        passed_over: gets a line for each file that is damaged or of another training, and that is then passed over;
            None makes such a file an error.

    Raises:
        RunError: such a file, which is named.
    """
    kept: dict[str, RunClips] = {}
    with _passing_over(passed_over):
        kept = read(store.root / FOLDER / f"{suite}.json")
    found: dict[str, RunClips] = {}
    records = list(records)
    if room is not None and sum(_clips(r) for r in records if r.key in kept or _has_logits(store, r)) > room:
        return found
    for record in records:
        clips = kept.get(record.key)
        if clips is None:
            with _passing_over(passed_over):
                clips = of_run(store, record)
        if clips is not None and _fits(clips, record):
            found[record.key] = clips
    return found


@contextmanager
def _passing_over(lines: list[str] | None) -> Iterator[None]:
    """Turn the error of a damaged file into one of the lines; None lets it through."""
    try:
        yield
    except RunError as error:
        if lines is None:
            raise
        lines.append(str(error))


def _fits(clips: RunClips, record: Record) -> bool:
    """Return whether the clips give the confusion matrix of the record, so that no other run's take their place."""
    if record.confusion is None:
        return False
    table = np.zeros((len(record.confusion),) * 2, int)
    try:
        np.add.at(table, (list(clips.truth), list(clips.predicted)), 1)
    except IndexError:
        return False
    return bool((table == np.array(record.confusion)).all())


def text(found: Mapping[str, RunClips]) -> str:
    """Return the file of a suite's clips: runs with the same clips share their names and classes."""
    groups: dict[tuple[tuple[str, ...], tuple[int, ...]], dict[str, Any]] = {}
    for key in sorted(found):
        clips = found[key]
        group = groups.setdefault((clips.ids, clips.truth), {"ids": clips.ids, "truth": clips.truth, "runs": {}})
        group["runs"][key] = {"predicted": clips.predicted, "certainty": clips.certainty}
    lines = [json.dumps(group, separators=(",", ":"), ensure_ascii=False) for group in groups.values()]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read(path: Path) -> dict[str, RunClips]:
    """Return the clips of a suite's file by key; nothing where there is no file.

    Raises:
        RunError: the file is damaged, or cannot be read.
    """
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(key): RunClips(
                tuple(map(str, group["ids"])), tuple(map(int, group["truth"])),
                tuple(map(int, run["predicted"])), tuple(map(int, run["certainty"])),
            )
            for group in groups
            for key, run in group["runs"].items()
        }  # fmt: skip
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no file of clips"
        raise RunError(f"{path} is damaged or cannot be read ({why}): restore it") from error
