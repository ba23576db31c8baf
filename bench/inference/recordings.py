"""Recordings of any length as clips for a model, read block by block: an hour takes no more memory than a minute."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import RunError
from bench.inference.classifier import NEGLIGIBLE, Classifier, Samples
from datamodules.audio.decoder import decode_blocks
from datamodules.clips.own import features

MAX_SECONDS = 24 * 3600.0
"""Longest recording that is accepted, in seconds."""

CHUNK = 30
"""Seconds of a recording that are prepared at a time."""


@dataclass(frozen=True)
class Window:
    """One clip of a recording.

    Attributes:
        name: of the recording; a file of several embeddings has one for each.
        clip: `(S,)` float32 in [-1, 1), or `(T, F)`.
        start: in the recording, in seconds.
        end: in seconds; padding is left out.
        inside: where the clip is in a file of several embeddings; None where the file has one.
    """

    name: str
    clip: Samples
    start: float
    end: float
    inside: str | int | None = None


def windows_of(
    model: Classifier,
    path: Path,
    name: str,
    hop_seconds: float | None = None,
    max_seconds: float = MAX_SECONDS,
    report: Callable[[float], object] | None = None,
) -> Iterator[Window]:
    """Yield the windows of a file, those of `Classifier.windows`, while it is being read.

    An error that only the end of a file shows, such as a file that is cut off, is raised after its windows.

    Args:
        model: says how long a window is, at which rate, and how recordings are prepared.
        path: an audio file; for a model of embeddings a file of features.
        name: of the file.
        hop_seconds: from the start of one window to the next; None takes the length of a window.
        max_seconds: longest recording that is accepted.
        report: receives the seconds that have been read.

    Raises:
        DataError: the file cannot be used; the message says why.
        ArgumentError: the hop is not above 0, or longer than a window.
    """
    model.check_hop(hop_seconds)
    if not model.takes_sound:
        yield from _embedded(model, path, name, hop_seconds)
        return
    rate, size = model.rate(), model.samples
    hop = size if hop_seconds is None else max(1, round(hop_seconds * rate))
    blocks = prepared(model, decode_blocks(path, rate, max_seconds))
    for start, part in cut(_counted(blocks, rate, report), size, hop):
        yield Window(name, model.clip(part), start / rate, (start + len(part)) / rate)


def cut(blocks: Iterable[Samples], size: int, hop: int) -> Iterator[tuple[int, Samples]]:
    """Cut a recording to windows, of which the last one ends with it.

    A rest of at most a hundredth of a window has none of its own: encoders add some milliseconds to a clip, which would
    count twice.

    Args:
        blocks: of the recording, `(s,)` or `(s, F)`.
        size: of a window, in samples.
        hop: from the start of one window to the next, in samples.

    Yields:
        Start and samples of each window; only a recording that is shorter than a window gives a shorter one. The
        samples are those of the next windows as well, so a caller must not change them.
    """
    parts: list[Samples] = []  # what is held
    first = following = total = 0  # place of what is held, of the next window, and of the end
    for block in blocks:
        parts.append(block)
        total += len(block)
        if following + size > total and total - first < 2 * size:
            continue
        held = np.concatenate(parts)
        while following + size <= total:
            yield following, held[following - first : following - first + size]
            following += hop
        passed = max(0, min(following, total - size) - first)
        first, parts = first + passed, [held[passed:]]
    last = max(0, total - size)
    if total and (following == 0 or following - hop + size // NEGLIGIBLE < last):
        yield last, np.concatenate(parts)[last - first :]


def prepared(model: Classifier, blocks: Iterable[Samples], chunk_seconds: int = CHUNK) -> Iterator[Samples]:
    """Prepare a recording as the model's training data were, block by block.

    Preparation that keeps times works in frames of 10 ms and reaches no further than half a second, so parts of
    `chunk_seconds` with a second before and after them give what the whole recording gives.

    Args:
        model: prepares.
        blocks: of the recording, `(s,)` at the model's rate.
        chunk_seconds: length of a part.
    """
    if model.prepare is None:
        yield from blocks
        return
    second = round(model.rate() / 100) * 100  # whole frames
    chunk = chunk_seconds * second
    held = np.empty(0, np.float32)
    first = done = 0  # place of what is held, and of what is yielded next
    for block in blocks:
        held = np.concatenate([held, block])
        while first + len(held) >= done + chunk + second:
            before = done - first
            yield model.prepared(held[: before + chunk + second])[before : before + chunk]
            done += chunk
            held, first = held[done - second - first :], done - second
    if first + len(held) > done:
        yield model.prepared(held)[done - first :]


def _counted(blocks: Iterable[Samples], rate: int, report: Callable[[float], object] | None) -> Iterator[Samples]:
    samples = 0
    for block in blocks:
        samples += len(block)
        if report is not None:
            report(samples / rate)
        yield block


def _embedded(model: Classifier, path: Path, name: str, hop_seconds: float | None) -> Iterator[Window]:
    """Yield the windows of the embeddings in a file; one that is shorter than a window is padded with zeros."""
    frames, width = model.clip_shape
    each = model.clip_seconds / frames
    hop = frames if hop_seconds is None else max(1, round(hop_seconds / each))
    for inside, clip in features.clips_of(path):
        if clip.shape[1] != width:
            raise RunError(f"{path.name!r} has {clip.shape[1]} values a frame, and the model takes {width}")
        own = name if inside is None else f"{name}[{inside}]"
        for start, part in cut([clip], frames, hop):
            padded = np.zeros((frames, width), np.float32)
            padded[: len(part)] = part
            yield Window(own, padded, start * each, (start + len(part)) * each, inside)
