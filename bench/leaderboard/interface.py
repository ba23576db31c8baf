"""The static JSON interface of a published store: `api/index.json`, `api/<suite>.json`, and `api/schema.json`.

Other programs read these files instead of the pages. They have no bootstrap draws, so they stay small, and floats have
six digits, because the last ones differ between builds of the same libraries. `VERSION` grows when a key changes its
meaning or goes away; new keys may come at any time.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config

from bench.catalog import METRICS, STREAM_METRICS
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.render.text import plain
from bench.leaderboard.rows import Row
from bench.records import Grade, Latency

FOLDER = "api"
"""Folder of a published store with these files."""
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


def suite_text(
    name: str, title: str, note: str, command: str, files: Mapping[str, str], boards: Sequence[Leaderboard]
) -> str:
    """Return a suite's file.

    Args:
        name: of the suite.
        title: of its pages.
        note: what a reader must know.
        command: that makes the results again.
        files: kind of a file to its path, relative to the file.
        boards: the suite's leaderboards.
    """
    found = SuiteFile(
        version=VERSION,
        suite=name,
        title=plain(title),
        note=plain(note),
        command=command,
        files=dict(files),
        boards=[_board(board) for board in boards],
    )
    return json_text(asdict(found))


def index_text(suites: Mapping[str, str]) -> str:
    """Return the index of the suites' files.

    Args:
        suites: name of a suite to the text of its file.

    Raises:
        ValueError: a text is no file of this version.
    """
    return json_text(asdict(IndexFile(version=VERSION, suites=[_entry(suites[name]) for name in sorted(suites)])))


@cache
def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) of all these files."""
    definitions: dict[str, Any] = {}
    for of in _FILES:
        content = TypeAdapter(of).json_schema(ref_template="#/$defs/{model}")
        definitions |= content.pop("$defs")
        definitions[of.__name__] = content
    described: tuple[type, ...] = (
        *_FILES,
        SuiteEntry,
        DatasetEntry,
        BoardEntry,
        RowEntry,
        LatencyEntry,
        ReleaseBoard,
        ReleaseRow,
    )
    for each in described:
        _describe(definitions[each.__name__], each)
    for of in _FILES:
        definitions[of.__name__]["properties"]["version"]["const"] = VERSION
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A published store's index, the leaderboards of one of its suites, or the tables of its last release",
        "anyOf": [{"$ref": f"#/$defs/{of.__name__}"} for of in _FILES],
        "$defs": definitions,
    }
    return json_text(schema)


def _entry(text: str) -> SuiteEntry:
    try:
        content = json.loads(text)
        boards = content["boards"]
        if content["version"] != VERSION:
            raise ValueError("another version")
        return SuiteEntry(
            suite=content["suite"],
            title=content["title"],
            datasets=[_dataset(board) for board in boards],
            rows=sum(len(board["rows"]) for board in boards),
            file=f"{content['suite']}.json",
            digest=hashlib.sha256(text.encode()).hexdigest(),
            files=content["files"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no file of the interface: {error!r}") from error


def _dataset(board: Mapping[str, Any]) -> DatasetEntry:
    best = next((row for row in board["rows"] if row["rank"] is not None), None)
    return DatasetEntry(
        dataset=board["dataset"],
        metric=board["metric"],
        rows=len(board["rows"]),
        best=best and best["name"],
        score=best and best["score"],
    )


def _board(board: Leaderboard) -> BoardEntry:
    return BoardEntry(
        dataset=plain(board.name),
        task=board.task,
        metric=board.primary,
        higher_is_better={**METRICS, **STREAM_METRICS}[board.primary].higher_is_better,
        detectable=_rounded(board.detectable),
        folds=list(board.folds),
        folds_official=board.folds_official,
        seeds=list(board.seeds),
        rows=[_row(row, board.primary) for row in board.rows],
    )


def _row(row: Row, primary: str) -> RowEntry:
    size = row.complexity
    low, high = row.interval or (None, None)
    timed = (("cpu", row.cpu), ("cpu", row.cpu_parallel), ("gpu", row.gpu), ("gpu", row.gpu_parallel))
    timings = [*timed, *(("cpu", row.backends[name]) for name in sorted(row.backends))]
    return RowEntry(
        name=plain(row.full),
        label=plain(row.label),
        model=plain(row.model),
        frontend=plain(row.frontend),
        settings=[plain(words) for words in (row.about, row.recipe) if words],
        members=[plain(name) for name in row.members],
        rank=row.rank,
        rank_interval=row.rank_interval,
        score=_rounded(row.scores[primary]),
        interval=None if low is None or high is None else (_six(low), _six(high)),
        scores={name: _rounded(value) for name, value in sorted(row.scores.items()) if name != primary},
        validation=_rounded(row.validation),
        runs_done=row.done,
        runs_expected=row.expected,
        parameters=None if size is None else size.parameters,
        macs=None if size is None else size.macs,
        frontend_macs=None if size is None else size.frontend_macs,
        bytes=None if size is None else size.bytes,
        train_seconds=_rounded(row.train_seconds),
        latencies=[_latency(kind, found) for kind, found in timings if found],
        flags=[plain(flag) for flag in row.flags],
        records=sorted(map(plain, row.finished)),
    )


def _latency(kind: str, found: Latency) -> LatencyEntry:
    return LatencyEntry(
        kind=kind,
        combined=found.combined,
        backend=plain(found.backend),
        device=plain(found.device),
        threads=found.threads,
        dtype=found.dtype,
        clip_seconds=_six(found.clip_seconds),
        p50_ms=_six(found.p50_ms),
        p90_ms=_six(found.p90_ms),
        real_time_factor=_six(found.real_time_factor),
        grade=found.grade,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else _six(value)


def _six(value: float) -> float:
    return float(f"{value:.6g}")


def json_text(content: Any) -> str:
    """Return a file's text: strict JSON.

    Args:
        content: of the file.
    """
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _describe(definition: dict[str, Any], of: type) -> None:
    """Copy the descriptions of a class and its fields from its docstring."""
    summary, _, attributes = (inspect.getdoc(of) or "").partition("\nAttributes:\n")
    definition["description"] = " ".join(summary.split())
    for name, words in _FIELD.findall(attributes):
        definition["properties"][name]["description"] = " ".join(words.split())


_FILES = (IndexFile, SuiteFile, ReleaseFile)
"""Kinds of files."""
_DESCRIBED: tuple[type, ...] = (
    *(*_FILES, SuiteEntry, DatasetEntry, BoardEntry, RowEntry, LatencyEntry),
    *(ReleaseBoard, ReleaseRow),
)
_FIELD = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
