"""The files of the static JSON interface, as data: their schema and its words come from these classes."""

from dataclasses import dataclass

from pydantic import ConfigDict, with_config

from bench.records import Grade

VERSION = 1

_STRICT = ConfigDict(extra="forbid")


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class LatencyEntry:
    """The latency of one clip, end to end.

    Attributes:
        kind: "cpu" or "gpu".
        combined: "sum" or "parallel" for a fusion, whose members' latencies were combined; else null.
        backend: what computes the logits, "eager" for PyTorch.
        device: name of the processor or the GPU.
        threads: intra-operator threads.
        dtype: number format of the weights.
        clip_seconds: length of the clip.
        p50_ms: median in milliseconds.
        p90_ms: 90th percentile in milliseconds.
        real_time_factor: computing time per second of sound.
        grade: "A", "B" or "C"; timings of grade C cannot be compared.
    """

    kind: str
    combined: str | None
    backend: str
    device: str
    threads: int
    dtype: str
    clip_seconds: float
    p50_ms: float
    p90_ms: float
    real_time_factor: float
    grade: Grade


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class RowEntry:
    """One system on one dataset.

    Attributes:
        name: the row's name on the pages, with the front-end where it has one.
        label: the suite's name of the system.
        model: name in the catalogue.
        frontend: name in the catalogue, "none" without one.
        settings: what the label leaves out, and the values that differ from the default recipe.
        members: labels of the systems that a fusion combines.
        rank: 1 is best, and rows without a significant difference share one; null for a row that is not compared.
        rank_interval: both ends of the 95 % interval of the rank; null where there is nothing to draw from.
        score: the board's metric, mean over the runs; null if it is undefined.
        interval: both ends of its 95 % interval; null without one.
        scores: every other metric by name.
        validation: the score on the validation clips at the epoch whose weights were tested; null for fusions.
        runs_done: finished runs.
        runs_expected: runs of the suite.
        parameters: trainable parameters; null where nothing was counted, like the next three.
        macs: multiply-adds of the model for one clip.
        frontend_macs: multiply-adds of the front-end for one clip.
        bytes: of the weights and of fixed tables.
        train_seconds: mean time of training; null without one.
        latencies: of the timed kinds and backends.
        flags: what a reader has to know before comparing the row.
        records: keys of the records of the finished runs; a record is the file `../records/<key>.json`.
    """

    name: str
    label: str
    model: str
    frontend: str
    settings: list[str]
    members: list[str]
    rank: int | None
    rank_interval: tuple[int, int] | None
    score: float | None
    interval: tuple[float, float] | None
    scores: dict[str, float | None]
    validation: float | None
    runs_done: int
    runs_expected: int
    parameters: int | None
    macs: int | None
    frontend_macs: int | None
    bytes: int | None
    train_seconds: float | None
    latencies: list[LatencyEntry]
    flags: list[str]
    records: list[str]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class BoardEntry:
    """The leaderboard of one dataset.

    Attributes:
        dataset: name, with the arguments where it has any.
        task: "single" or "multi": one label of a clip, or several.
        metric: the main score, which ranks.
        higher_is_better: whether a higher main score is better.
        detectable: the smallest difference of scores that would be found four times out of five; null without a test.
        folds: test folds.
        folds_official: number of folds that the dataset has.
        seeds: seeds of the runs.
        rows: best first, rows that are not ranked last.
    """

    dataset: str
    task: str
    metric: str
    higher_is_better: bool
    detectable: float | None
    folds: list[int]
    folds_official: int
    seeds: list[int]
    rows: list[RowEntry]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class SuiteFile:
    """A file `api/<suite>.json`.

    Attributes:
        version: of the interface.
        suite: name of the suite.
        title: of its pages.
        note: what a reader must know about all rows; empty if nothing.
        command: shell command that makes the results again.
        files: kind of a file to its path, relative to this file.
        boards: one for each dataset.
    """

    version: int
    suite: str
    title: str
    note: str
    command: str
    files: dict[str, str]
    boards: list[BoardEntry]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """A dataset of a suite.

    Attributes:
        dataset: name, with the arguments where it has any.
        metric: the main score.
        rows: number of rows.
        best: name of the first ranked row; null without one.
        score: its main score.
    """

    dataset: str
    metric: str
    rows: int
    best: str | None
    score: float | None


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class SuiteEntry:
    """A suite in the index.

    Attributes:
        suite: name.
        title: of its pages.
        datasets: its leaderboards.
        rows: number of rows of all of them.
        file: path of its file, relative to the index.
        digest: SHA-256 of that file.
        files: as in that file.
    """

    suite: str
    title: str
    datasets: list[DatasetEntry]
    rows: int
    file: str
    digest: str
    files: dict[str, str]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """The file `api/index.json`.

    Attributes:
        version: of the interface.
        suites: every suite with tables in the store, by name.
    """

    version: int
    suites: list[SuiteEntry]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class ReleaseRow:
    """A row of a release's table.

    Attributes:
        name: the row's name, with the front-end where it has one.
        score: the board's main score; null if it is undefined.
        interval: both ends of its 95 % interval; null without one.
        rank: 1 is best; null for a row that is not compared.
    """

    name: str
    score: float | None
    interval: tuple[float, float] | None
    rank: int | None


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class ReleaseBoard:
    """A leaderboard of a release.

    Attributes:
        suite: name of its suite.
        dataset: name, with the arguments where it has any.
        metric: the main score.
        rows: in the order of the table.
    """

    suite: str
    dataset: str
    metric: str
    rows: list[ReleaseRow]


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class ReleaseFile:
    """The file `api/release.json`: the tables of the last release, which `CHANGES.md` compares with.

    Attributes:
        version: of the interface.
        since: how the release is called.
        commit: its commit in git.
        date: of the commit.
        boards: its leaderboards, by suite.
    """

    version: int
    since: str
    commit: str
    date: str
    boards: list[ReleaseBoard]
