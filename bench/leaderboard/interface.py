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
from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from bench.catalog import METRICS, STREAM_METRICS
from bench.leaderboard.board import Leaderboard
from bench.leaderboard.entries import (
    VERSION,
    BoardEntry,
    DatasetEntry,
    IndexFile,
    LatencyEntry,
    ReleaseBoard,
    ReleaseFile,
    ReleaseRow,
    RowEntry,
    SuiteEntry,
    SuiteFile,
)
from bench.leaderboard.rows import Row
from bench.records import Latency
from bench.text import plain

FOLDER = "api"
"""Folder of a published store with these files."""


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
