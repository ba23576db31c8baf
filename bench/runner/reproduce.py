"""Reproduction of a published run from scratch, and comparison of its score with the record's interval."""

from dataclasses import dataclass

from bench.catalog import PRIMARY, dataset
from bench.errors import BenchError
from bench.records import Environment, Record, Store
from bench.runner import worker
from bench.runner.news import News, RunEnded
from bench.runner.settings import RunSettings


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """The result of a reproduction.

    Attributes:
        metric: the primary metric.
        published: the record's score.
        interval: the 95 % interval of the record's score.
        again: the new score.
        seconds: the new run's training time.
        differences: differences between this machine and the record's machine, in words.
    """

    metric: str
    published: float
    interval: tuple[float, float]
    again: float
    seconds: float
    differences: str

    @property
    def within(self) -> bool:
        """Whether the new score lies in the record's interval."""
        low, high = self.interval
        return low <= self.again <= high

    @property
    def identical(self) -> bool:
        """Whether the scores are equal to the last digit, as they are on the same machine with the same versions."""
        return self.again == self.published


def reproduce(store: Store, key: str, settings: RunSettings) -> Reproduction:
    """Do the run of a record again in an empty store, after the runs that it needs (members, teacher, initial weights).

    Args:
        store: contains the record and the records of the runs that it needs.
        key: of the record.
        settings: of the new run; its store is empty.

    Raises:
        BenchError: there is no such finished record, or the new run fails.
    """
    record = store.get(key)
    if record is None or record.status != "ok":
        raise BenchError(f"{store.root} has no finished record {key!r}: `bench run --dry-run` shows a suite's keys")
    metric = record.primary or PRIMARY[dataset(record.run.dataset).task]
    score, interval = record.scores[metric], record.intervals.get(metric)
    if score is None or interval is None:
        raise BenchError(f"{key} has no {metric} with an interval to compare a new run with")
    again = _again(store, record, settings)
    value = again.scores[metric]
    if value is None:
        raise BenchError(f"the new run's {metric} is undefined, but the record's is {score}")
    return Reproduction(
        metric=metric, published=score, interval=interval, again=value, seconds=again.seconds["train"],
        differences=_differences(record, again),
    )  # fmt: skip


def _again(store: Store, record: Record, settings: RunSettings) -> Record:
    for need in record.run.needs:
        needed = store.get(need)
        if needed is None:
            raise BenchError(f"{record.key} needs {need}, whose record is not in {store.root}: add it there")
        if Store(settings.store).get(need) is None:
            _again(store, needed, settings)
    results: list[str | Record] = []

    def keep(news: News) -> None:
        if isinstance(news, RunEnded):
            results.append(news.result)

    if record.run.members:
        worker.fuse((record.run,), settings, frozenset(), keep)
    else:
        worker.execute(record.run, settings, False, keep)
    if (result := results[0]) and isinstance(result, Record) and result.error:
        raise BenchError(f"{record.key} fails now: {result.error.kind}: {result.error.message}")
    found = Store(settings.store).get(record.key)
    assert found is not None  # it has just been written
    return found


def _differences(old: Record, new: Record) -> str:
    """Return the differences that may change a number: the commit, the machine, versions, threads, data."""
    a, b = old.environment, new.environment
    words = [] if old.data and new.data and old.data.manifest == new.data.manifest else ["the data"]
    if a and b:
        fields = ("commit", "processor", "gpu", "threads", "python")
        words += [
            f"{name} {_short(a, name)} then, {_short(b, name)} now"
            for name in fields
            if _short(a, name) != _short(b, name)
        ]
        packages = {p for p in a.packages.keys() & b.packages.keys() if a.packages[p] != b.packages[p]}
        words += [f"{p} {a.packages[p]} then, {b.packages[p]} now" for p in sorted(packages)]
    return f"Differs: {'; '.join(words)}." if words else "Same commit, data, machine and versions."


def _short(environment: Environment, name: str) -> str:
    value = str(getattr(environment, name))
    return value[:10] if name == "commit" else value
