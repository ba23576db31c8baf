"""What the page shows of a sound: its classes over time, its waveform, its mel spectrogram, computed block by block."""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.inference import recordings
from bench.inference.classifier import Classifier, Samples
from bench.inference.columns import Picture
from bench.inference.web.engine import Engine
from bench.inference.web.limits import Refused
from datamodules.audio.in_child import Stopped

DECIBELS = 80.0
"""Range of a spectrogram below its loudest value."""
_PREPARED_SECONDS = 5
"""Seconds of a sound that are prepared at a time; between two parts the work can be stopped."""


@dataclass(frozen=True)
class Options:
    """What a client asks for.

    Attributes:
        top: number of classes in the answer.
        hop_seconds: from the start of a window to the next; None takes the length of a clip.
        pictures: whether waveform and spectrogram are wanted.
    """

    top: int = 10
    hop_seconds: float | None = None
    pictures: bool = False


def analyse(
    engine: Engine,
    blocks: Iterable[Samples],
    options: Options,
    max_windows: int,
    stop: Callable[[], bool],
    report: Callable[[float], object] = lambda seconds: None,
) -> dict[str, Any]:
    """Return the answer to a client: the classes of a sound, and pictures of it.

    The windows are those of `Classifier.windows` on the whole recording.

    Args:
        engine: the model.
        blocks: of the sound, `(s,)` at the model's rate.
        options: what is asked for.
        max_windows: a sound that has more is refused.
        stop: asked between two blocks, between two batches, and between two layers.
        report: receives the seconds that have been read.

    Raises:
        Stopped: `stop` said so.
        Refused: there are too many windows, or a probability is not finite.
    """
    model = engine.model
    rate, size = model.rate(), model.samples
    hop = size if options.hop_seconds is None else max(1, round(options.hop_seconds * rate))
    picture = Picture(rate) if options.pictures else None
    seen = _seen(blocks, rate, picture, stop, report)
    windows = recordings.cut(recordings.prepared(model, seen, _PREPARED_SECONDS), size, hop)
    starts: list[float] = []
    ends: list[float] = []
    found: list[NDArray[np.float32]] = []
    while batch := list(islice(windows, engine.batch)):
        if len(starts) + len(batch) > max_windows:
            raise Refused(422, "windows", f"this makes more than {max_windows:,} windows: use a longer hop")
        clips = torch.from_numpy(np.stack([model.clip(part) for _, part in batch]))
        found.append(engine.probabilities(clips, stop).numpy())
        starts += [start / rate for start, _ in batch]
        ends += [(start + len(part)) / rate for start, part in batch]
    answer = _classes(model, options.top, starts, ends, np.concatenate(found))
    if picture is not None:
        picture.finish()
        answer |= pictures(picture)
    return answer


def _seen(
    blocks: Iterable[Samples],
    rate: int,
    picture: Picture | None,
    stop: Callable[[], bool],
    report: Callable[[float], object],
) -> Iterator[Samples]:
    samples = 0
    for block in blocks:
        if stop():
            raise Stopped
        if picture is not None:
            picture.push(block)
        yield block
        samples += len(block)
        report(samples / rate)


def _classes(
    model: Classifier, top: int, starts: list[float], ends: list[float], found: NDArray[np.float32]
) -> dict[str, Any]:
    """Return the likeliest classes of all windows, with probabilities `(W, C)`."""
    if not np.isfinite(found).all():
        raise Refused(422, "model", f"{model.name} gives no finite probabilities for this sound: use another run")
    mean = found.mean(0, dtype=np.float64)
    order = np.argsort(-mean, kind="stable")[:top]
    return {
        "run": model.name,
        "task": model.task,
        "seconds": round(ends[-1], 6),
        "sample_rate": model.rate(),
        "clip_seconds": model.clip_seconds,
        "top": [{"class": model.classes[at], "probability": round(float(mean[at]), 7)} for at in order],
        "windows": {
            "starts": [round(start, 6) for start in starts],
            "ends": [round(end, 6) for end in ends],
            "classes": [model.classes[at] for at in order],
            "probabilities": [[round(float(value), 5) for value in row] for row in found[:, order]],
        },
    }


def pictures(picture: Picture) -> dict[str, Any]:
    """Return the waveform and the spectrogram of a finished picture, as `bench.inference.web.schema` says."""
    mel = picture.mel.columns if picture.mel.columns.size else np.full((len(picture.hertz), 1), -100.0)  # (F, n)
    high = float(mel.max())
    low = high - DECIBELS
    scaled = np.clip((mel - low) * (255 / DECIBELS), 0, 255).round().astype(np.uint8)
    return {
        "waveform": {
            "seconds_per_column": picture.low.step / picture.rate,
            "high": [round(float(value), 4) for value in picture.high.columns[0]],
            "low": [round(float(value), 4) for value in picture.low.columns[0]],
        },
        "spectrogram": {
            "bands": scaled.shape[0],
            "columns": scaled.shape[1],
            "seconds_per_column": picture.mel.step * picture.frame_seconds,
            "low": round(low, 2),
            "high": round(high, 2),
            "hertz": [round(float(value), 1) for value in picture.hertz],
            "values": base64.b64encode(scaled.tobytes()).decode(),
        },
    }
