"""Sending to W&B what it lacks of a suite: records whose W&B run is missing, not finished, or of another version."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.errors import BenchError
from bench.leaderboard import pareto
from bench.leaderboard.board import Leaderboard, summary
from bench.records import Snapshot, Store
from bench.tracking.mirror import LOGIN, SENT, THERE, Mirror, choose_mode

SECONDS = 14.0
"""Time without progress after which W&B is left."""


@dataclass(frozen=True)
class Synced:
    """The outcome of a call.

    Attributes:
        sent: keys of the records that were sent and have arrived.
        there: keys of the records that W&B had.
        missing: keys of the records that W&B lacks.
        warning: one line if something was not sent.
    """

    sent: tuple[str, ...]
    there: tuple[str, ...]
    missing: tuple[str, ...]
    warning: str | None


def sync(
    suite: str, snapshot: Snapshot, keys: Iterable[str], boards: Sequence[Leaderboard], store: Store, *,
    project: str, entity: str | None = None, seconds: float = SECONDS,
) -> Synced:  # fmt: skip
    """Send the records and leaderboards of a suite that W&B lacks; a second call sends nothing.

    What W&B has is asked of W&B. A run of another training, or one that W&B has only a part of, is replaced; otherwise
    a run keeps its curves and gets what has changed, such as timings.

    Args:
        suite: name of the suite.
        snapshot: its records.
        keys: of its runs.
        boards: its leaderboards.
        store: with the runs' files.
        project: W&B project.
        entity: W&B user or team; None for the account's default.
        seconds: time without progress after which W&B is left.

    Raises:
        BenchError: there is no key for W&B, or it does not answer.
    """
    _, trouble = choose_mode("online")
    if trouble:
        reason, _, remedy = trouble.partition(": logging offline; ")
        then = f"{remedy}, and repeat this command" if remedy == LOGIN else "repeat this command later"
        raise BenchError(f"nothing was sent: {reason}; {then}")
    records = [record for key in dict.fromkeys(keys) if (record := snapshot.get(key)) is not None]
    if not records:
        return Synced((), (), (), None)
    mirror = Mirror("online", suite, store.root / "wandb", project, entity)
    for record in records:
        mirror.sync(record, store.artifacts(record.key) if record.status == "ok" else None)
    plots = [plot for each in boards for plot in pareto.plots(each)]
    mirror.summary([table.columns_and_rows() for table in summary(boards)], plots, missing=True)
    warning = mirror.close(seconds)
    by_word = {word: tuple(key for key, found in mirror.synced.items() if found == word) for word in (SENT, THERE)}
    missing = tuple(record.key for record in records if record.key not in mirror.synced)
    return Synced(by_word[SENT], by_word[THERE], missing, warning)
