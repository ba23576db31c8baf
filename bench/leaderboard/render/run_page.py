"""One run's report: tables for the terminal, plain values, and a page that loads nothing."""

from collections.abc import Iterator
from typing import Any

from bench.leaderboard.board import Leaderboard
from bench.leaderboard.caveats import HEADS
from bench.leaderboard.render import columns, curves, templating
from bench.leaderboard.render.details import confused, of_classes
from bench.leaderboard.render.html import page_parts
from bench.leaderboard.render.table import Cell, Head, Table
from bench.leaderboard.report import HardClip, RunReport
from bench.records import Complexity, Latency, Record
from bench.text import NONE, plain, prefixed, three

LEAST_IMPORTANT = (
    "defined classes",
    "device",
    "scope",
    "probability of the true class, %",
    "element-wise steps",
    "bytes",
)
"""Columns that a narrow terminal leaves out, the least important one first."""
_TRACEBACK = 12
"""Number of lines of a traceback in a terminal."""


def tables(report: RunReport, *, page: bool) -> Iterator[Table]:
    """Yield the tables of a run's report.

    Args:
        report: of the run.
        page: whether they stand on a page, which shows whole confusion matrices and all classes, or in a terminal.
    """
    if report.record.scores:
        yield _scores(report.board, report.record)
    if report.record.complexity:
        yield _size(report.record.complexity)
    if report.record.latencies:
        yield _latencies(report.record.latencies)
    if report.classes:
        if page:
            yield from of_classes(report.classes, all_classes=True)
        else:
            if report.classes.confused():
                yield confused(report.classes)
            yield from (
                each for each in of_classes(report.classes, all_classes=False) if each.title.startswith("Scores")
            )
    if report.hardest:
        yield _hardest(report.hardest)


def _scores(board: Leaderboard, record: Record) -> Table:
    rows = []
    for name in sorted(board.metrics, key=lambda name: name != board.primary):
        value = columns.score(record.scores.get(name), name)
        interval = record.intervals.get(name)
        if interval is None and name == board.primary:
            interval = board.rows[0].interval
        low, high = (columns.score(end, name).text for end in interval) if interval else (NONE, NONE)
        rows.append((
            Cell(columns.head(name)), value, Cell(f"{low} to {high}" if interval else NONE),
            Cell("{} of {}".format(*record.defined[name]) if name in record.defined else NONE),
        ))  # fmt: skip
    validation = board.rows[0].validation
    if validation is not None:
        shown = columns.score(validation, board.primary)
        rows.append((Cell(columns.validation_head(board)), shown, Cell(NONE), Cell(NONE)))
    return Table(
        title="Scores on the test clips",
        heads=(Head("metric", is_text=True), Head("value"), Head("95 % interval"), Head("defined classes")),
        rows=tuple(rows),
    )


def _size(found: Complexity) -> Table:
    named = (
        ("parameters", found.parameters), ("bytes", found.bytes), ("MACs", found.macs),
        ("front-end MACs", found.frontend_macs), ("element-wise steps", found.elementwise),
    )  # fmt: skip
    return Table(
        title=f"Size for a clip of {found.clip_seconds:g} s",
        heads=tuple(Head(name) for name, _ in named),
        rows=(tuple(Cell(prefixed(count), count) for _, count in named),),
    )


def _latencies(found: tuple[Latency, ...]) -> Table:
    order = sorted(found, key=lambda x: (x.device_type, x.backend, x.scope, x.batch, x.threads))
    rows = tuple(
        (
            Cell(each.device), Cell(each.backend), Cell(each.scope), Cell(str(each.batch), each.batch),
            Cell(str(each.threads), each.threads), Cell(three(each.p50_ms), each.p50_ms, grey=each.grade == "C"),
            Cell(three(each.p90_ms), each.p90_ms, grey=each.grade == "C"), Cell(each.grade),
        )
        for each in order
    )  # fmt: skip
    heads = ("device", "backend", "scope", "batch", "threads", "p50, ms", "p90, ms", "grade")
    texts = {"device", "backend", "scope", "grade"}
    return Table("Latency", tuple(Head(head, is_text=head in texts) for head in heads), rows)


def _hardest(found: tuple[HardClip, ...]) -> Table:
    with_loss = any(clip.loss is not None for clip in found)
    certain = any(clip.certainty is not None for clip in found)
    heads = [Head("clip", is_text=True), Head("true class", is_text=True), Head("predicted", is_text=True)]
    heads += [Head("probability of the true class, %")] * certain + [Head("loss")] * with_loss
    rows = []
    for clip in found:
        cells = [Cell(clip.id), Cell(clip.truth), Cell(clip.predicted)]
        if certain:
            cells.append(columns.score(clip.certainty, "accuracy"))
        if with_loss:
            cells.append(Cell(NONE) if clip.loss is None else Cell(three(clip.loss), clip.loss))
        rows.append(tuple(cells))
    return Table("Hardest test clips", tuple(heads), tuple(rows))


def curve_lines(record: Record) -> Iterator[tuple[str, str]]:
    """Yield each learning curve as (name, blocks with its first, tested and last value)."""
    for name, values in record.curves.items():
        if not len(values):
            continue
        best = record.best_epoch
        tested = f", tested {values[best]:.4g}" if best is not None and best < len(values) else ""
        yield name, f"{curves.blocks(values)}  first {values[0]:.4g}{tested}, last {values[-1]:.4g}"


def run_html(report: RunReport) -> str:
    """Return a run's report as one page, in light or dark colours, under the same policy as a suite's page."""
    record = report.record
    return templating.render(
        "run.html.j2",
        title=f"{report.system} on {report.board.name}, fold {record.run.fold}, seed {record.run.seed}",
        key=record.key,
        legend=columns.LEGEND,
        commands=report.commands,
        caveats=[(HEADS[each.kind], f"{each.words}. Remedy: {remedy}") for each, remedy in report.caveats],
        error=record.error,
        traceback=(record.error.traceback.splitlines() if record.error else ()),
        settings=report.settings,
        tables=list(tables(report, page=True)),
        plots=curves.plots(record.curves, record.best_epoch),
        facts_of_run=report.facts,
        **page_parts(styles=("page.css", "suite.css")),
    )


def run_json(report: RunReport) -> dict[str, Any]:
    """Return a run's report as plain values; numbers that are not finite are None."""
    record, row = report.record, report.board.rows[0]
    matrix = report.classes
    return {
        "key": record.key, "store": str(report.store), "status": record.status, "system": report.system,
        "metric": report.board.primary,
        "settings": dict(report.settings), "facts": dict(report.facts), "commands": dict(report.commands),
        "caveats": [{"kind": each.kind, "words": each.words, "remedy": remedy} for each, remedy in report.caveats],
        "scores": record.scores,
        "intervals": {name: list(ends) for name, ends in record.intervals.items()},
        "validation": row.validation,
        "per_class": {
            metric: dict(zip(record.classes, values, strict=True))
            for metric, values in record.per_class.items()
            if len(values) == len(record.classes)
        },
        "confused": [
            {"true": matrix.classes[i], "predicted": matrix.classes[j], "clips": (matrix.confusion or ())[i][j]}
            for i, j in matrix.confused()
        ] if matrix else [],
        "curves": {name: list(values) for name, values in record.curves.items()},
        "best_epoch": record.best_epoch,
        "hardest": [
            {"clip": c.id, "true": c.truth, "predicted": c.predicted, "loss": c.loss, "certainty": c.certainty}
            for c in report.hardest
        ],
        "latencies": [
            {
                "device": x.device, "backend": x.backend, "scope": x.scope, "batch": x.batch, "threads": x.threads,
                "p50_ms": x.p50_ms, "p90_ms": x.p90_ms, "grade": x.grade,
            }
            for x in record.latencies
        ],
        "error": None if record.error is None else {
            "kind": record.error.kind, "message": record.error.message, "traceback": record.error.traceback,
        },
    }  # fmt: skip


def lines(report: RunReport) -> Iterator[str]:
    """Yield the lines above the tables in a terminal."""
    record = report.record
    yield f"{report.system} on {report.board.name}, fold {record.run.fold}, seed {record.run.seed}: {record.status}"
    yield f"  run: {record.key} in {report.store}"
    if record.error:
        yield f"  {record.error.kind}: {plain(record.error.message)}"
        yield from (f"    {plain(line)}" for line in _ending(record.error.traceback))
    for each, remedy in report.caveats:
        yield f"  {HEADS[each.kind]}: {each.words}. Remedy: {remedy}"
    for head, words in (*report.settings, *report.facts):
        yield f"  {head.lower()}: {plain(words)}"
    for name, drawn in curve_lines(record):
        yield f"  {name}: {drawn}"


def _ending(traceback: str) -> list[str]:
    """Return the last lines of a traceback, indented as they are."""
    found = traceback.rstrip().splitlines()
    return [line.replace("    ", "  ") for line in found[-_TRACEBACK:]]
