"""Segments from probabilities over time: smoothing, a decision at each frame, and runs of equal decisions.

`Segmenter` works while frames arrive; a whole recording at once gives the same segments. The steps:

1. Mean of each class's log-probability over a window around the frame, over fewer frames at the ends. With one label
   per frame, the probabilities of the means then add up to 1. It is what scores of streams are of
   (`bench.evaluation.segmentation`).
2. Median of each class's probability over a window around the frame, the first and last frame repeated at the ends.
3. Hysteresis. With one label per frame, the class stays until another one's probability exceeds its own by
   `hysteresis`. With several, a class begins at `threshold` and ends below `threshold - hysteresis`.
4. Minimum duration. A run that is shorter takes the decision of the run before it; at the start of the recording, of
   the first run that is long enough. With several labels this holds for each class's runs and for the gaps in between.

A frame lasts from the middle between it and the frame before to the middle between it and the next. The first frame
begins with the recording, and the last ends with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from bench.errors import ArgumentError
from bench.records import Record

NO_CLASS = -1
"""Decision on a frame whose likeliest class is below the threshold."""

MEDIAN_SECONDS = 0.3
MAX_WINDOW_SECONDS = 600.0
"""Longest window of mean and median; all frames in it are held in memory."""
MOST_VALUES = 1 << 22
"""Values of overlapping windows that are sorted at once."""
LEAST = 1e-45
"""Probability in place of 0, whose logarithm no mean could take."""
MIN_SECONDS = 0.3
HYSTERESIS = 0.1
THRESHOLD = 0.5

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """How probabilities become segments.

    Attributes:
        mean_seconds: length of the mean's window, at most `MAX_WINDOW_SECONDS`; 0 for none.
        median_seconds: length of the median's window, at most `MAX_WINDOW_SECONDS`; 0 for none.
        hysteresis: see the module; 0 for none.
        min_seconds: shortest segment; 0 for none.
        threshold: for several labels the probability from which a class is present, 0.5 where None. For one label the
            probability below which a frame has no class; None gives every frame a class.
        delay_seconds: time by which frames are moved to the past, for a model that decides late.

    Raises:
        ArgumentError: a value is out of range.
    """

    mean_seconds: float = 0.0
    median_seconds: float = MEDIAN_SECONDS
    hysteresis: float = HYSTERESIS
    min_seconds: float = MIN_SECONDS
    threshold: float | None = None
    delay_seconds: float = 0.0

    @staticmethod
    def of(
        records: Sequence[Record],
        *,
        mean_seconds: float | None = None,
        median_seconds: float | None = None,
        hysteresis: float | None = None,
        min_seconds: float | None = None,
        threshold: float | None = None,
        delay_seconds: float | None = None,
    ) -> "Smoothing":
        """Return the smoothing for a model.

        Arguments are the attributes. Those of None are what the run of the model has chosen on validation streams: a
        mean, a shortest segment and a delay, without median and hysteresis. Without such a choice, they are the usual
        ones.

        Raises:
            ArgumentError: a value is out of range.
        """
        chosen = records[0].segmentation if len(records) == 1 else None
        usual = Smoothing()
        if chosen is not None:
            usual = Smoothing(
                mean_seconds=chosen.smoothing_seconds, median_seconds=0, hysteresis=0, min_seconds=chosen.min_seconds,
                delay_seconds=chosen.delay_seconds,
            )  # fmt: skip
        given = {
            "mean_seconds": mean_seconds, "median_seconds": median_seconds, "hysteresis": hysteresis,
            "min_seconds": min_seconds, "threshold": threshold, "delay_seconds": delay_seconds,
        }  # fmt: skip
        return replace(usual, **{name: value for name, value in given.items() if value is not None})

    def __post_init__(self) -> None:
        windows = {"mean": self.mean_seconds, "median": self.median_seconds}
        seconds = windows | {"shortest segment": self.min_seconds, "delay": self.delay_seconds}
        for name, value in seconds.items():
            if not 0 <= value < float("inf"):
                raise ArgumentError(f"the {name} takes a number of seconds ≥ 0, not {value}")
        for name, value in windows.items():
            if value > MAX_WINDOW_SECONDS:
                raise ArgumentError(f"the {name} takes at most {MAX_WINDOW_SECONDS:g} seconds, not {value:g}")
        if not 0 <= self.hysteresis < 1:
            raise ArgumentError(f"hysteresis is at least 0 and below 1, not {self.hysteresis}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ArgumentError(f"the threshold lies between 0 and 1, not at {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a recording with one class.

    Attributes:
        start: in seconds.
        end: in seconds.
        label: number of the class.
        probability: mean over the segment's frames, of the smoothed probability of the class.
    """

    start: float
    end: float
    label: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """The begin or end of a class, once it is certain.

    Attributes:
        time: where it lies in the recording, in seconds.
        label: number of the class; `NO_CLASS` where no class begins.
        begins: whether the class begins; with one label per frame, the end of the class before is not said.
        probability: mean over the frames from the change until it was certain.
    """

    time: float
    label: int
    begins: bool
    probability: float


class Mean:
    """Mean over frames around each frame, over fewer at the ends, while frames arrive.

    Args:
        width: frames; `width // 2` of them are before the frame.
    """

    def __init__(self, width: int) -> None:
        self.before = width // 2
        self.after = max(0, width - self.before - 1)
        self.held: Values | None = None
        self.passed = 0  # frames that are held and have their mean

    def push(self, values: Values) -> Values:
        """Map the next frames `(n, C)` to the means `(m, C)` that are known by now."""
        if not self.before:
            return values
        self.held = values if self.held is None else np.concatenate([self.held, values])
        return self._of(len(self.held) - self.after)

    def finish(self) -> Values | None:
        """Return the means of the last frames; None if there are none."""
        return None if self.held is None else self._of(len(self.held))

    def _of(self, end: int) -> Values:
        assert self.held is not None
        frames = np.arange(self.passed, max(self.passed, end))
        total = np.concatenate([np.zeros((1, self.held.shape[1])), np.cumsum(self.held, 0)])
        first = np.maximum(frames - self.before, 0)
        last = np.minimum(frames + self.after + 1, len(self.held))
        means = (total[last] - total[first]) / (last - first)[:, None]
        dropped = max(0, self.passed + len(frames) - self.before)
        self.held, self.passed = self.held[dropped:], self.passed + len(frames) - dropped
        return np.asarray(means)


class Median:
    """Median over frames around each frame, while frames arrive.

    Args:
        half: frames on either side.
    """

    def __init__(self, half: int) -> None:
        self.half = half
        self.held: Values | None = None

    def push(self, values: Values) -> Values:
        """Map the next frames `(n, C)` to the medians `(m, C)` that are known by now."""
        if not self.half or not len(values):
            return values
        if self.held is None:
            values = np.concatenate([np.repeat(values[:1], self.half, 0), values])
        return self._of(values)

    def finish(self) -> Values | None:
        """Return the medians of the last frames; None if there are none."""
        if not self.half or self.held is None:
            return None
        return self._of(np.repeat(self.held[-1:], self.half, 0))

    def _of(self, values: Values) -> Values:
        held = values if self.held is None else np.concatenate([self.held, values])
        width = 2 * self.half + 1
        self.held = held[max(0, len(held) - width + 1) :]
        if len(held) < width:
            return held[:0]
        windows = np.lib.stride_tricks.sliding_window_view(held, width, axis=0)
        if windows.size > MOST_VALUES:
            inner = slice(self.half, len(held) - self.half)
            return np.stack([median_filter(track, width, mode="nearest")[inner] for track in held.T], 1)
        return np.asarray(np.partition(windows, self.half, axis=-1)[..., self.half])


class Segmenter:
    """Probabilities of frames to segments, while frames arrive.

    Args:
        classes: C.
        task: whether a frame has one label or several.
        frame_seconds: from one frame to the next.
        smoothing: how probabilities become segments.

    Attributes:
        delay: largest time from a frame to the certainty about it, in seconds: half the windows of mean and median, and
            the shortest segment.
    """

    def __init__(
        self, classes: int, task: Literal["single", "multi"], frame_seconds: float, smoothing: Smoothing
    ) -> None:
        self.classes = classes
        self.task = task
        self.frame_seconds = frame_seconds
        self.smoothing = smoothing
        half = int(smoothing.median_seconds / frame_seconds / 2 + 1e-9)
        self.mean = Mean(round(smoothing.mean_seconds / frame_seconds))
        self.median = Median(half)
        self.delay = (self.mean.after + half) * frame_seconds + smoothing.min_seconds
        self.waiting: list[float] = []  # times of the frames that mean and median hold back
        self.last_time: float | None = None
        tracks = 1 if task == "single" else classes
        self.tracks = [_Track() for _ in range(tracks)]
        self.labels = np.full(tracks, NO_CLASS)
        self.pending: set[int] = set()
        self.total = np.zeros(classes)  # of the probabilities of all frames before
        self.count = 0
        self.done: list[Segment] = []

    def push(self, times: Sequence[float] | Values, probabilities: NDArray[np.floating]) -> list[Change]:
        """Take the next frames: their times `(n,)` in seconds, ascending, and probabilities `(n, C)`."""
        self.waiting += np.maximum(0, np.asarray(times, np.float64) - self.smoothing.delay_seconds).tolist()
        values = np.asarray(probabilities, np.float64)
        if self.mean.before and len(values):
            values = self._probabilities(self.mean.push(np.log(np.maximum(values, LEAST))))
        return self._decide(self.median.push(values))

    def finish(self, seconds: float) -> list[Change]:
        """Take the end of the recording, and return the last changes."""
        averaged = self.mean.finish()
        changes = [] if averaged is None else self._decide(self.median.push(self._probabilities(averaged)))
        last = self.median.finish()
        changes += [] if last is None else self._decide(last)
        if not self.count:
            return changes
        mean = self.total / self.count
        self.labels = np.full(len(self.tracks), NO_CLASS)
        overall = self._one(mean) if self.task == "single" else self._several(mean)
        for number, track in enumerate(self.tracks):
            if track.label is None:  # no run was long enough: the recording as a whole is one
                track.turn(int(overall[number]), 0.0, self.total, self.count)
                change = self._confirmed(number, track)
                changes += [change] if change is not None else []
            self._close(number, track, seconds, self.total, self.count)
        return changes

    def segments(self) -> list[Segment]:
        """Return the segments that have ended since the last call, in the order of their starts."""
        found, self.done = sorted(self.done, key=lambda each: (each.start, each.label)), []
        return found

    def _probabilities(self, means: Values) -> Values:
        """Return the probabilities of means of log-probabilities `(n, C)`."""
        found = np.exp(means)
        return found / found.sum(1, keepdims=True) if self.task == "single" else found

    def _decide(self, smoothed: Values) -> list[Change]:
        changes: list[Change] = []
        times, self.waiting = self.waiting[: len(smoothed)], self.waiting[len(smoothed) :]
        single = self.task == "single"
        if single and self._goes_on(smoothed):
            self.total = self.total + smoothed.sum(0)
            self.count += len(smoothed)
            self.last_time = times[-1]
            return []
        for time, frame in zip(times, smoothed, strict=True):
            bound = 0.0 if self.last_time is None else (self.last_time + time) / 2
            self.last_time = time
            labels = self._one(frame) if single else self._several(frame)
            turning = np.flatnonzero(labels != self.labels).tolist() if self.count else range(len(self.tracks))
            for number in turning:
                self.tracks[number].turn(int(labels[number]), bound, self.total, self.count)
                self.pending.add(number)
            self.labels = labels
            self.total = self.total + frame
            self.count += 1
            end = time + self.frame_seconds / 2
            for number in sorted(self.pending):
                track = self.tracks[number]
                if track.next_label is None or track.next_label == track.label:
                    self.pending.discard(number)
                elif end - track.next_start >= self.smoothing.min_seconds - 1e-9:
                    change = self._confirmed(number, track)
                    changes += [change] if change is not None else []
                    self.pending.discard(number)
        return changes

    def _goes_on(self, smoothed: Values) -> bool:
        """Return whether the class of one label stays the likeliest in all of some frames, as it mostly does."""
        now = int(self.labels[0])
        if not len(smoothed) or not self.count or self.pending or now == NO_CLASS:
            return False
        least = 0.0 if self.smoothing.threshold is None else self.smoothing.threshold
        return bool((smoothed.argmax(1) == now).all() and (smoothed[:, now] >= least).all())

    def _one(self, frame: Values) -> NDArray[np.int64]:
        """Return the decision `(1,)` on a frame with one label."""
        best, now = int(frame.argmax()), int(self.labels[0])
        least, margin = self.smoothing.threshold, self.smoothing.hysteresis
        if now != NO_CLASS and frame[best] < frame[now] + margin:
            best = now
        if least is not None and frame[best] < (least - margin if best == now else least):
            best = NO_CLASS
        return np.array([best])

    def _several(self, frame: Values) -> NDArray[np.int64]:
        """Return whether each class is present in a frame `(C,)`."""
        begin = THRESHOLD if self.smoothing.threshold is None else self.smoothing.threshold
        end = begin - self.smoothing.hysteresis
        return np.where(self.labels == 1, frame >= end, frame >= begin).astype(np.int64)

    def _confirmed(self, number: int, track: "_Track") -> Change | None:
        """Let a track's next decision become its own; return the change, if it is to be said."""
        first = track.label is None
        start, total, count = track.next_start, track.next_total, track.next_count
        if first:
            start, total, count = 0.0, np.zeros(self.classes), 0
        else:
            self._close(number, track, start, total, count)
        label = track.next_label
        assert label is not None
        track.label, track.start, track.total, track.count = label, start, total, count
        named = label if self.task == "single" else number
        if self.task == "multi" and first and not label:
            return None
        if named == NO_CLASS:
            return None if first else Change(time=start, label=NO_CLASS, begins=False, probability=0.0)
        mean = float((self.total - total)[named]) / max(1, self.count - count)
        return Change(time=start, label=named, begins=self.task == "single" or bool(label), probability=mean)

    def _close(self, number: int, track: "_Track", end: float, total: Values, count: int) -> None:
        """Note the segment of a track that ends here."""
        label = track.label if self.task == "single" else number if track.label else NO_CLASS
        if label is None or label == NO_CLASS or end <= track.start:
            return
        mean = float((total - track.total)[label]) / max(1, count - track.count)
        self.done.append(Segment(start=track.start, end=end, label=label, probability=mean))


class _Track:
    """A run of equal decisions, and the next run, which is not yet long enough."""

    def __init__(self) -> None:
        self.label: int | None = None
        self.start = 0.0
        self.total: Values = np.zeros(0)
        self.count = 0
        self.next_label: int | None = None
        self.next_start = 0.0
        self.next_total: Values = np.zeros(0)
        self.next_count = 0

    def turn(self, label: int, bound: float, total: Values, count: int) -> None:
        """Begin another next run; the one before was too short."""
        self.next_label, self.next_start, self.next_total, self.next_count = label, bound, total, count
