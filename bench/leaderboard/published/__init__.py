"""Published figures (`results.json`), shown next to a leaderboard for reference and never ranked with its rows.

Each figure has its citation and its protocol. The protocol differs from that of the tables here: other training data,
splits, crops or pre-training. `sizes.toml` has the papers' tables of parameters and multiply-adds.
"""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published figure.

    Attributes:
        model: as the paper calls it.
        dataset: as the paper calls it.
        protocol: training data, split and the like, in words.
        metric: our name of the metric, or the paper's name if our tables do not have it.
        value: a fraction of 1, except for d′.
        params: number of parameters; None if not published.
        macs: multiply-adds as the paper counts them; None if not published.
        citation: the source.
        verified: whether the figure was read in the source itself.
    """

    model: str
    dataset: str
    protocol: str
    metric: str
    value: float
    params: int | None
    macs: int | None
    citation: str
    verified: bool


@dataclass(frozen=True, kw_only=True)
class PublishedSystem:
    """One published system under one protocol, with all figures of its source.

    Attributes:
        model: as the paper calls it.
        protocol: training data, split and the like, in words.
        scores: metric name to value.
        params: number of parameters; None if not published.
        macs: multiply-adds as the paper counts them; None if not published.
        citation: the source.
        verified: whether every figure was read in the source itself.
    """

    model: str
    protocol: str
    scores: dict[str, float]
    params: int | None
    macs: int | None
    citation: str
    verified: bool


@dataclass(frozen=True, kw_only=True)
class Size:
    """A row of a paper's complexity table.

    Attributes:
        model: name in the catalogue.
        name: as the paper calls it.
        parameters: as published.
        multiply_adds: as published, in units of 1e9; None if not published.
        mAP: on AudioSet, as published; None if not published.
    """

    model: str
    name: str
    parameters: int
    multiply_adds: float | None = None
    mAP: float | None = None  # noqa: N815  the metric's own name


@dataclass(frozen=True, kw_only=True)
class SizeTable:
    """A paper's complexity table.

    Attributes:
        title: one line.
        paper: citation.
        convention: the paper's way of counting: "macs" (products of convolutions and linear layers), "panns" or "none".
        classes: number of classes of the models.
        seconds: length of the clip.
        sample_rate: in Hz.
        note: what a reader has to know.
        rows: one per model.
    """

    title: str
    paper: str
    convention: str
    classes: int
    seconds: float
    note: str
    rows: tuple[Size, ...]
    sample_rate: int = 32_000


_NAMES = {
    "esc10": "ESC-10",
    "esc50": "ESC-50",
    "urbansound8k": "UrbanSound8K",
    "ravdess": "RAVDESS",
    "musan": "MUSAN",
    "gtzan": "GTZAN genre",
    "gtzan-music-speech": "GTZAN music/speech",
    "audioset": "AudioSet",
    "audioset-embeddings": "AudioSet VGGish embeddings",
    "vggsound": "VGGSound",
}
"""Name of a dataset in the catalogue to its name in the published figures."""

_METRICS = {
    "top-1 accuracy": "accuracy",
    "macro F1": "macro_f1",
    "F1": "macro_f1",
    "speech/non-speech accuracy": "sns",
    "d-prime": "d_prime",
}
"""Published name of a metric to our name, where they differ."""


def systems(dataset: str, primary: str) -> tuple[PublishedSystem, ...]:
    """Return the published systems on a dataset, best first; systems without the primary metric come last.

    Args:
        dataset: name in the catalogue; a dataset without published figures gives an empty tuple.
        primary: the metric to sort by.
    """
    found: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in _figures():
        if figure.dataset == _NAMES.get(dataset):
            found.setdefault((figure.model, figure.protocol, figure.citation), []).append(figure)
    merged = [
        PublishedSystem(
            model=model,
            protocol=protocol,
            scores={figure.metric: figure.value for figure in figures},
            params=next((figure.params for figure in figures if figure.params), None),
            macs=next((figure.macs for figure in figures if figure.macs), None),
            citation=citation,
            verified=all(figure.verified for figure in figures),
        )
        for (model, protocol, citation), figures in found.items()
    ]
    return tuple(sorted(merged, key=lambda s: (-s.scores.get(primary, -1.0), s.model, s.protocol, s.citation)))


def name_of(dataset: str) -> str:
    """Return the name of a dataset of the catalogue in the published figures; empty where these have none."""
    return _NAMES.get(dataset, "")


def find(*, model: str, dataset: str, metric: str, protocol: str = "", citation: str = "") -> Figure | None:
    """Return the first figure of a model on a dataset.

    Args:
        model: as the paper calls it.
        dataset: as the paper calls it.
        metric: our name.
        protocol: beginning of its protocol.
        citation: beginning of its citation.
    """
    return next(
        (
            figure
            for figure in _figures()
            if (figure.model, figure.dataset, figure.metric) == (model, dataset, metric)
            and figure.value is not None
            and figure.protocol.startswith(protocol)
            and figure.citation.startswith(citation)
        ),
        None,
    )


def size(model: str) -> Size | None:
    """Return the published size of a model of the catalogue."""
    return next((row for table in sizes() for row in table.rows if row.model == model), None)


@cache
def sizes() -> tuple[SizeTable, ...]:
    """Return the papers' complexity tables."""
    text = (resources.files("bench.leaderboard.published") / "sizes.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)["table"]
    return tuple(SizeTable(**{**table, "rows": tuple(Size(**row) for row in table["rows"])}) for table in tables)


@cache
def _figures() -> tuple[Figure, ...]:
    text = (resources.files("bench.leaderboard.published") / "results.json").read_text(encoding="utf-8")
    figures = (Figure(**each) for each in json.loads(text))
    return tuple(Figure(**{**vars(f), "metric": _METRICS.get(f.metric, f.metric)}) for f in figures)
