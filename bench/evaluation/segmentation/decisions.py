"""A model's decisions over a stream: scores at each frame, and the post-processing that turns them into segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid, pad

from bench.evaluation import pulse
from bench.evaluation.segmentation import FRAME_RATE, HOP_SECONDS
from bench.evaluation.segmentation.events import event_counts, f1
from datamodules.base import AudioDataModule
from datamodules.clips.timeline import UNLABELLED, Segment, Streams, frames_of, segments_of
from models.base import AudioModel, ModelError
from models.layers.framing import Framing

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Form = Literal["frames", "windows"]

DELAY_STEP = 0.05
SMOOTHING_SECONDS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 1.6)
MIN_SECONDS = (0.0, 0.2, 0.4, 0.7, 1.0)
_WINDOWS_AT_ONCE = 64


@dataclass(frozen=True)
class Truth:
    """The true segments of streams.

    Attributes:
        ids: name of each stream.
        groups: source of each stream.
        seconds: length of each stream.
        segments: of each stream.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    seconds: tuple[float, ...]
    segments: tuple[tuple[Segment, ...], ...]

    @staticmethod
    def of(streams: Streams) -> "Truth":
        """Return the truth of these streams."""
        seconds = tuple(map(streams.seconds, range(len(streams))))
        return Truth(streams.ids, streams.groups, seconds, streams.segments)

    def frames(self) -> list[Labels]:
        """Return the class of each frame of each stream, `(T,)` at `FRAME_RATE`."""
        return [frames_of(each, seconds, FRAME_RATE) for each, seconds in zip(self.segments, self.seconds, strict=True)]


@dataclass(frozen=True)
class PostProcessing:
    """Processing of a model's scores before they become decisions, chosen on the validation streams.

    Attributes:
        delay_seconds: time by which the scores are moved to the past, because a model decides on sound before the frame
            (or, with windows, around it).
        smoothing_seconds: length of the moving mean of the log-probabilities; 0 for none.
        min_seconds: shortest segment; a shorter one becomes part of its longer neighbour.
    """

    delay_seconds: float = 0.0
    smoothing_seconds: float = 0.0
    min_seconds: float = 0.0


def form(model: nn.Module) -> Form:
    """Return whether a model decides on single frames of its own, or needs windows."""
    return "windows" if framing(model) is None else "frames"


def framing(model: nn.Module) -> Framing | None:
    """Return where a model's logits of single frames lie among the samples; None for a model that needs windows."""
    try:
        found: Framing = model.frontend.framing().then(model.framing())  # type: ignore[union-attr, operator]
    except (ModelError, AttributeError):  # no frames of its own, or a front-end that depends on the clip as a whole
        return None
    return found


@torch.no_grad()
def stream_scores(model: AudioModel, streams: Streams, data: AudioDataModule) -> list[Floats]:
    """Return the log-probabilities of each stream, `(C, T)` at `FRAME_RATE`; the model is in eval mode.

    The model's own logits of single frames are used where it has them. Otherwise windows of a clip's length start every
    `HOP_SECONDS`, and a window's logits stand at its centre. A frame has the logits nearest to its centre in time.
    """
    device = next(iter([*model.parameters(), *model.buffers()])).device
    return [_scores(model, torch.from_numpy(streams.load(i)).to(device), data) for i in range(len(streams))]


def _scores(model: AudioModel, waveform: Tensor, data: AudioDataModule) -> Floats:
    assert data.sample_rate is not None  # streams are waveforms
    pulse.beat()
    frames = int(np.floor(len(waveform) / data.sample_rate * FRAME_RATE + 0.5))
    own = framing(model)
    if own is not None and len(waveform) >= data.clip_shape[0]:
        logits = model.frame_logits(model.extract(waveform[None]))[0].float()  # (N, C)
        places = own.places(len(logits)).numpy() / data.sample_rate  # (N,) seconds
    else:
        logits, starts = _windows(model, waveform, data)
        places = np.asarray(starts) / data.sample_rate + data.clip_seconds / 2
    logp = log_softmax(logits, 1) if data.task == "single" else logsigmoid(logits)
    centres = (np.arange(frames) + 0.5) / FRAME_RATE
    nearest = np.searchsorted((places[1:] + places[:-1]) / 2, centres)
    return np.ascontiguousarray(logp.cpu().numpy()[nearest].T)


def _windows(model: AudioModel, waveform: Tensor, data: AudioDataModule) -> tuple[Tensor, Sequence[int]]:
    """Return the logits `(N, C)` of windows of a clip's length, and their first samples."""
    assert data.sample_rate is not None
    size, hop = data.clip_shape[0], round(HOP_SECONDS * data.sample_rate)
    waveform = pad(waveform, (0, max(0, size - len(waveform))))
    starts = range(0, len(waveform) - size + 1, hop)
    parts = [
        model(torch.stack([waveform[start : start + size] for start in starts[i : i + _WINDOWS_AT_ONCE]])).float()
        for i in range(0, len(starts), _WINDOWS_AT_ONCE)
    ]
    return torch.cat(parts), starts


def delayed(scores: Floats, seconds: float) -> Floats:
    """Move scores `(C, T)` to the past; the last ones are repeated."""
    frames = min(round(seconds * FRAME_RATE), scores.shape[1] - 1)
    if not frames:
        return scores
    return np.concatenate([scores[:, frames:], np.repeat(scores[:, -1:], frames, 1)], 1)


def smoothed(scores: Floats, seconds: float) -> Floats:
    """Return the moving mean of scores `(C, T)` over this time around each frame, over fewer frames at the ends."""
    width = round(seconds * FRAME_RATE)
    if width < 2:
        return scores
    total = np.concatenate([np.zeros((len(scores), 1)), np.cumsum(scores, 1, dtype=np.float64)], 1)
    frames = np.arange(scores.shape[1])
    first = np.maximum(frames - width // 2, 0)
    last = np.minimum(frames - width // 2 + width, scores.shape[1])
    return np.asarray((total[:, last] - total[:, first]) / (last - first), np.float32)


def without_short(labels: Labels, seconds: float) -> Labels:
    """Return labels `(T,)` whose runs are long enough: a shorter one takes its longer neighbour's, shortest first."""
    shortest = round(seconds * FRAME_RATE)
    edges = np.flatnonzero(np.diff(labels)) + 1
    runs = [
        [int(labels[start]), end - start]
        for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(labels)], strict=True)
    ]
    while len(runs) > 1 and min(length for _, length in runs) < shortest:
        place = min(range(len(runs)), key=lambda i: runs[i][1])
        beside = [i for i in (place - 1, place + 1) if 0 <= i < len(runs)]
        taker = max(beside, key=lambda i: runs[i][1])
        runs[taker][1] += runs[place][1]
        del runs[place]
        for i in range(len(runs) - 1, 0, -1):
            if runs[i][0] == runs[i - 1][0]:
                runs[i - 1][1] += runs[i][1]
                del runs[i]
    return np.repeat([label for label, _ in runs], [length for _, length in runs]).astype(np.int64)


def prepared(scores: Floats, chosen: PostProcessing) -> Floats:
    """Return delayed and smoothed scores `(C, T)`."""
    return smoothed(delayed(scores, chosen.delay_seconds), chosen.smoothing_seconds)


def decided(scores: Floats, chosen: PostProcessing) -> Labels:
    """Return the class of each frame `(T,)` of scores `(C, T)`."""
    return without_short(prepared(scores, chosen).argmax(0), chosen.min_seconds)


def events(labels: Labels, truth: Labels) -> tuple[Segment, ...]:
    """Return the segments of labels `(T,)`, without the frames that have no true class."""
    return segments_of(np.where(truth == UNLABELLED, UNLABELLED, labels), FRAME_RATE)


def choose(scores: Sequence[Floats], truth: Truth, longest_delay: float) -> PostProcessing:
    """Choose the post-processing on validation streams.

    Delay and smoothing are those with the highest frame accuracy, and of equal ones the least. The shortest segment is
    then the one with the highest event-based F1.

    Args:
        scores: log-probabilities of each stream `(C, T)`, from `stream_scores`.
        truth: of the validation streams.
        longest_delay: in seconds.
    """
    truths = truth.frames()
    classes = len(scores[0])
    delays = np.arange(0, longest_delay + 1e-9, DELAY_STEP).round(3).tolist()
    best, best_right = PostProcessing(), -1.0
    for smoothing in SMOOTHING_SECONDS:
        labels = [smoothed(each, smoothing).argmax(0) for each in scores]
        for delay in delays:
            moved = round(delay * FRAME_RATE)
            right = sum(
                float((each[np.minimum(np.arange(len(each)) + moved, len(each) - 1)] == frames).sum())
                for each, frames in zip(labels, truths, strict=True)
            )
            if right > best_right:
                best, best_right = PostProcessing(delay, smoothing), right
    found: list[tuple[float, PostProcessing]] = []
    for shortest in MIN_SECONDS:
        chosen = PostProcessing(best.delay_seconds, best.smoothing_seconds, shortest)
        counts = sum(
            event_counts(segments, events(decided(each, chosen), frames), classes).sum(0)
            for each, frames, segments in zip(scores, truths, truth.segments, strict=True)
        )
        found.append((float(np.nan_to_num(f1(np.asarray(counts)))), chosen))
    return max(found, key=lambda pair: pair[0])[1]
