"""A recording of any length as a time line: segments of classes, and the columns of its picture.

The recording is decoded, classified and smoothed block by block, so that memory does not grow with its length.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from bench.inference import recordings
from bench.inference.classifier import Classifier, Samples
from bench.inference.columns import Picture
from bench.inference.frames import Frames, Way, timeline
from bench.inference.segments import Segment, Segmenter, Smoothing
from datamodules.audio.decoder import decode_blocks

Observer = Callable[[Frames, torch.Tensor], object]
"""Receives frames and their probabilities `(n, C)`, before smoothing."""


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """The time line of a recording.

    Attributes:
        file: name of the recording.
        seconds: its length.
        model: reference of the model.
        classes: names of the classes.
        task: whether a frame has one label or several; segments of several labels overlap.
        way: how the model was used, see `bench.inference.frames`.
        frame_seconds: from one frame to the next.
        smoothing: what was done to the probabilities.
        segments: in the order of their starts.
        picture: what the picture is drawn of; None where none was asked for.
    """

    file: str
    seconds: float
    model: str
    classes: tuple[str, ...]
    task: Literal["single", "multi"]
    way: Way
    frame_seconds: float
    smoothing: Smoothing
    segments: tuple[Segment, ...] = ()
    picture: Picture | None = field(default=None, compare=False)


def segment(
    model: Classifier,
    path: str | Path,
    smoothing: Smoothing | None = None,
    *,
    windows: bool = False,
    hop_seconds: float | None = None,
    picture: bool = False,
    observer: Observer | None = None,
    report: Callable[[float], object] | None = None,
    max_seconds: float = recordings.MAX_SECONDS,
) -> Segmentation:
    """Return the time line of a file.

    Args:
        model: of `load_model`.
        path: an audio file.
        smoothing: how probabilities become segments; None takes what the model's run has chosen on validation streams,
            or the defaults.
        windows: whether to classify windows even where the model has logits of single frames.
        hop_seconds: from one window to the next; None as in `timeline`. Implies windows.
        picture: whether to keep what a picture is drawn of.
        observer: receives the frames.
        report: receives the seconds that have been read.
        max_seconds: longest recording that is accepted.

    Raises:
        AudioError: the file cannot be used; the message says why.
        RunError: the model takes embeddings, or an argument is out of range.
    """
    path = Path(path).expanduser()
    blocks = decode_blocks(path, model.rate(), max_seconds)
    return segment_blocks(
        model, blocks, path.name, smoothing, windows=windows, hop_seconds=hop_seconds, picture=picture,
        observer=observer, report=report,
    )  # fmt: skip


def segment_blocks(
    model: Classifier,
    blocks: Iterable[Samples],
    name: str,
    smoothing: Smoothing | None = None,
    *,
    windows: bool = False,
    hop_seconds: float | None = None,
    picture: bool = False,
    observer: Observer | None = None,
    report: Callable[[float], object] | None = None,
) -> Segmentation:
    """Return the time line of a recording that comes in blocks `(s,)` at the model's rate; the rest as in `segment`."""
    smoothing = smoothing or Smoothing.of(model.records)
    line = timeline(model, windows, hop_seconds)
    segmenter = Segmenter(len(model.classes), model.task, line.frame_seconds, smoothing)
    drawn = Picture(model.rate()) if picture else None
    samples, found = 0, []

    def take(frames: Frames) -> None:
        if not len(frames):
            return
        probabilities = model.probabilities(torch.from_numpy(frames.logits))
        if observer is not None:
            observer(frames, probabilities)
        segmenter.push(frames.times, probabilities.numpy())
        found.extend(segmenter.segments())

    for block in recordings.prepared(model, blocks):
        for part in np.split(block, range(model.rate(), len(block), model.rate())):  # a second at a time
            samples += len(part)
            if drawn is not None:
                drawn.push(part)
            take(line.push(part))
        if report is not None:
            report(samples / model.rate())
    take(line.finish())
    seconds = samples / model.rate()
    segmenter.finish(seconds)
    segments = [*found, *segmenter.segments()]
    if drawn is not None:
        drawn.finish()
    return Segmentation(
        file=name, seconds=seconds, model=model.name, classes=model.classes, task=model.task, way=line.way,
        frame_seconds=line.frame_seconds, smoothing=smoothing, picture=drawn,
        segments=tuple(sorted(segments, key=lambda each: (each.start, each.label))),
    )  # fmt: skip
