"""The card of a packed model: what it is, what it was trained on and how well it does, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from bench import __version__, catalog
from bench.catalog import METRICS, STREAM_METRICS
from bench.errors import SuiteError
from bench.inference.parts import Part
from bench.leaderboard.render import columns, templating
from bench.leaderboard.render.table import Cell, Head, Table
from bench.records import Record
from bench.text import NONE, plain, plural, prefixed
from bench.training.stored import Description
from datamodules.fetch.sources import SOURCES

NOT_KNOWN = "not known: the clips are of the one who trained it"


def text(parts: Sequence[Part], everything: Mapping[str, Part], file: str, runtime: str = "") -> str:
    """Return the card.

    Args:
        parts: the runs whose probabilities are averaged, one of a single model.
        everything: these runs and the members of those that are fusions, by key.
        file: name of the packed file.
        runtime: how the file is used, in words, if it is one for another runtime; empty for a packed file.
    """
    about = parts[0].description
    assert about is not None  # only described runs are packed
    records = [part.record for part in parts if part.record is not None]
    embedded = about.sample_rate is None
    return templating.render(
        "card.md.j2",
        title=f"{_model(about)} on {about.dataset}",
        what=_what(parts, about),
        facts=list(_facts(about, parts)),
        data=list(_data(about, records)),
        tested=_tested(parts),
        scores=_scores(records),
        use=_use(about),
        latencies=_latencies(records),
        runtime=runtime,
        commands=[
            f"bench predict {'features.npy' if embedded else 'sound.wav'} --run {file}",
            f"bench unpack {file} --store runs",
        ],
        file=repr(plain(file)),
        embedded=embedded,
        classes=", ".join(about.classes),
        runs=[(key, _run(part)) for key, part in everything.items()],
    )


def _model(about: Description) -> str:
    return about.model if about.frontend == "none" else f"{about.model} on {about.frontend}"


def _what(parts: Sequence[Part], about: Description) -> str:
    labels = "one of" if about.task == "single" else "any of"
    what = "embeddings" if about.sample_rate is None else "sound"
    words = f"A trained classifier of {what}: it gives each clip {labels} {plural(len(about.classes), 'label')}."
    if about.members:
        words += f" It combines {len(about.members)} models by the rule {about.model}."
    if len(parts) > 1:
        words += f" It is the mean of {len(parts)} trainings, one per fold and seed."
    return words


def _facts(about: Description, parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    yield "model", about.model
    yield "front-end", NONE if about.frontend == "none" else about.frontend
    if about.sample_rate is None:
        frames, width = about.clip_shape
        yield "input", f"embeddings of {frames} frames with {width} values"
    else:
        yield "sample rate", f"{about.sample_rate:,} Hz, mono; other rates are resampled, channels are averaged"
        yield "clip length", f"{about.clip_seconds:g} s; longer recordings are cut to windows"
        yield "shorter sounds", "padded with zeros" if about.short_clips == "pad" else "repeated"
    yield "labels per clip", "one" if about.task == "single" else "several"
    sizes = [part.record.complexity for part in parts if part.record is not None and part.record.complexity]
    if len(sizes) == len(parts):
        for head, name in (
            ("parameters", "parameters"), ("MACs per clip", "macs"), ("front-end MACs per clip", "frontend_macs"),
            ("bytes", "bytes"),
        ):  # fmt: skip
            count = sum(getattr(size, name) for size in sizes)
            yield head, f"{count:,} ({prefixed(count)})" if count >= 1000 else str(count)
    yield "packed by", f"audio-classification-bench {__version__}"
    if about.recipe:
        yield "recipe", ", ".join(f"{name}={value}" for name, value in sorted(about.recipe.items()))


def _data(about: Description, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    try:
        yield "Dataset", f"{about.dataset}: {catalog.dataset(about.dataset).line}"
    except SuiteError:
        yield "Dataset", about.dataset
    source = SOURCES.get(about.dataset)
    if source is not None:
        yield "Licence", source.licence
        yield "Source", f"{source.citation}; {source.homepage}"
    elif about.dataset.startswith("synthetic"):
        yield "Licence", "none is needed: the code generates the sounds"
    else:
        yield "Licence", NOT_KNOWN
    for record in records[:1]:
        if record.data is not None:
            clips = record.data.clips
            yield "Split", record.data.split
            yield "Clips", f"{clips['train']:,} training, {clips['val']:,} validation and {clips['test']:,} test clips"
            if record.data.note:
                yield "Note", record.data.note


def _tested(parts: Sequence[Part]) -> str:
    records = [part.record for part in parts if part.record is not None]
    if not records:
        return "No record is packed, so the scores are not known."
    words = "The scores are of test clips that the model was not trained on, with a 95 % interval in brackets."
    if len(parts) > 1:
        words += (
            " Each row is one fold. The mean of the folds was not tested: every clip is a training clip of some fold."
        )
    return words


def _scores(records: Sequence[Record]) -> Table:
    known = (*STREAM_METRICS, *METRICS)
    names = [name for name in known if any(record.scores.get(name) is not None for record in records)]
    primary = records[0].primary if records else None
    names.sort(key=lambda name: name != primary)
    rows = []
    for record in records:
        cells = [Cell(str(record.run.fold)), Cell(str(record.run.seed))]
        for name in names:
            cell = columns.score(record.scores.get(name), name)
            if (interval := record.intervals.get(name)) is not None:
                cell = Cell(f"{cell.text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]")
            cells.append(cell)
        rows.append(tuple(cells))
    return Table("", (Head("test fold"), Head("seed"), *(Head(columns.head(name)) for name in names)), tuple(rows))


def _use(about: Description) -> str:
    words = (
        "Labelling of recordings that resemble the training data, with the classes below and no other ones: a sound "
        "of another kind gets one of these labels, too. The probabilities are not calibrated. Test the model on "
        "recordings of your own before you rely on it, and do not let it decide alone on people or on safety."
    )
    source = SOURCES.get(about.dataset)
    if source is not None and "not for commercial use" in source.licence:
        words += " The licence of its training data excludes commercial use."
    return words


def _latencies(records: Sequence[Record]) -> Table:
    rows = [
        (
            Cell(latency.device), Cell(latency.backend), Cell(str(latency.threads)), Cell(f"{latency.p50_ms:.3g}"),
            Cell(f"{latency.p90_ms:.3g}"), Cell(latency.grade), Cell(latency.combined or NONE),
        )
        for record in records[:1]
        for latency in record.latencies
        if latency.scope == "end-to-end" and latency.batch == 1
    ]  # fmt: skip
    heads = ("device", "backend", "threads", "p50, ms", "p90, ms", "grade", "members")
    texts = ("device", "backend", "grade", "members")
    return Table("", tuple(Head(name, is_text=name in texts) for name in heads), tuple(rows))


def _run(part: Part) -> str:
    if part.record is None:
        return "no record"
    run, place = part.record.run, part.record.environment
    commit = f", commit {place.commit[:10]}" if place is not None and place.commit else ""
    return (
        f"{run.model}, fold {run.fold}, seed {run.seed}, started {part.record.started or 'at an unknown time'}{commit}"
    )
