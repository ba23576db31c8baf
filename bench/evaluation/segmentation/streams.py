"""Time lines of a run: computed, kept in its artifacts, and scored into its record."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import AGAIN, RunError
from bench.evaluation.fusion import fuse_logits, fusion_rule
from bench.evaluation.segmentation.decisions import Floats, Truth, choose, stream_scores
from bench.evaluation.segmentation.scores import score
from bench.records import Record, Run, Segmentation, Store, artifacts, write_whole
from datamodules.base import AudioDataModule
from datamodules.clips.timeline import Segment
from models.base import AudioModel


@dataclass(frozen=True)
class TimeLines:
    """A system's scores on validation and test streams, with the truth.

    Attributes:
        val: log-probabilities of each validation stream `(C, T)` at 100 frames a second.
        test: of each test stream.
        val_truth: of the validation streams.
        test_truth: of the test streams.
    """

    val: list[Floats]
    test: list[Floats]
    val_truth: Truth
    test_truth: Truth


def predict(model: AudioModel, data: AudioDataModule, device: str) -> TimeLines:
    """Return a trained model's scores on all streams; the model is on the CPU afterwards."""
    assert data.streams is not None
    model.to(device).eval()
    val, test = (stream_scores(model, part, data) for part in (data.streams.val, data.streams.test))
    model.to("cpu")
    return TimeLines(val, test, Truth.of(data.streams.val), Truth.of(data.streams.test))


def fuse(run: Run, store: Store, weights: NDArray[np.float64], task: str) -> TimeLines:
    """Combine the kept scores of a fusion's members, frame by frame.

    Raises:
        RunError: a member has none, or its streams are others.
    """
    members = [load(store, store.finished_record(key, "the fusion's member")) for key in run.members]
    first = members[0]
    for key, member in zip(run.members, members, strict=True):
        if (member.val_truth, member.test_truth) != (first.val_truth, first.test_truth):
            raise RunError(f"the fusion's member {key} was tested on other streams: {AGAIN.format(key)}")
    rule = fusion_rule(run.model, weights)

    def combined(parts: Sequence[list[Floats]]) -> list[Floats]:
        stacked = [torch.from_numpy(np.stack(each)).transpose(1, 2) for each in zip(*parts, strict=True)]  # (N, T, C)
        return [fuse_logits(each, rule, task)[0].float().numpy().T for each in stacked]

    return replace(first, val=combined([each.val for each in members]), test=combined([each.test for each in members]))


def keep(lines: TimeLines, folder: Path) -> None:
    """Write scores and truth to the folder, so that scores can be computed again without training."""
    content = io.BytesIO()
    arrays: dict[str, NDArray[np.generic]] = {}
    for part, scores, truth in (("val", lines.val, lines.val_truth), ("test", lines.test, lines.test_truth)):
        arrays |= {
            f"{part}_scores": np.concatenate(scores, 1),
            f"{part}_frames": np.array([each.shape[1] for each in scores]),
            f"{part}_ids": np.array(truth.ids),
            f"{part}_groups": np.array(truth.groups),
            f"{part}_seconds": np.array(truth.seconds),
            f"{part}_segments": np.array(
                [(i, each.start, each.end, each.label) for i, row in enumerate(truth.segments) for each in row],
                np.float64,
            ).reshape(-1, 4),
        }
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_whole(folder / artifacts.STREAMS, content.getvalue())


def load(store: Store, record: Record) -> TimeLines:
    """Return what `keep` has written for a run.

    Raises:
        RunError: the file is not there, is damaged, or is not the one that the record names.
    """
    path = store.artifacts(record.key) / artifacts.STREAMS
    content = artifacts.read(path, record, record.key)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            (val, val_truth), (test, test_truth) = (_part(saved, part) for part in ("val", "test"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error}): restore it, or {AGAIN.format(record.key)}") from error
    return TimeLines(val, test, val_truth, test_truth)


def _part(saved: np.lib.npyio.NpzFile, part: str) -> tuple[list[Floats], Truth]:
    ends = np.cumsum(saved[f"{part}_frames"])
    scores = np.split(saved[f"{part}_scores"], ends[:-1], 1)
    segments: list[list[Segment]] = [[] for _ in ends]
    for stream, start, end, label in saved[f"{part}_segments"].tolist():
        segments[int(stream)].append(Segment(start, end, int(label)))
    truth = Truth(
        tuple(saved[f"{part}_ids"].tolist()), tuple(saved[f"{part}_groups"].tolist()),
        tuple(saved[f"{part}_seconds"].tolist()), tuple(map(tuple, segments)),
    )  # fmt: skip
    return scores, truth


def scored(record: Record, lines: TimeLines, segmentation: Segmentation, longest_delay: float) -> Record:
    """Return a record with the scores of its time lines, next to those of its clips.

    The draws of the record become those of the frame accuracy, by which stream data are ranked.

    Args:
        record: with the scores of the clips.
        lines: of the run.
        segmentation: form and cost; the post-processing in it is replaced by the one chosen here.
        longest_delay: in seconds.
    """
    chosen = choose(lines.val, lines.val_truth, longest_delay)
    found = score(lines.test, lines.test_truth, record.classes, chosen, record.run.fold)
    return replace(
        record,
        scores=record.scores | found.values,
        intervals=record.intervals | found.intervals,
        draws=found.draws,
        per_class=record.per_class | found.per_class,
        segmentation=replace(
            segmentation,
            delay_seconds=chosen.delay_seconds,
            smoothing_seconds=chosen.smoothing_seconds,
            min_seconds=chosen.min_seconds,
        ),
    )
