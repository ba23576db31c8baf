"""Time lines as files: CSV, JSON, labels of Audacity, RTTM, and pictures."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from bench.errors import SuiteError
from bench.inference.frames import Frames
from bench.inference.segmentation import Observer, Segmentation
from bench.inference.segments import Segment
from bench.records import write_whole
from bench.text import csv_cell, plain

Format = Literal["csv", "json", "audacity", "rttm", "png", "svg"]
FORMATS: tuple[Format, ...] = get_args(Format)
PICTURES = ("png", "svg")
ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".json": "json", ".txt": "audacity", ".rttm": "rttm", ".png": "png", ".svg": "svg"
}  # fmt: skip
"""Format by the ending of a file's name."""


def format_of(path: Path) -> Format:
    """Return the format of a file by the ending of its name.

    Raises:
        SuiteError: the ending stands for no format.
    """
    if (found := ENDINGS.get(path.suffix.lower())) is None:
        known = ", ".join(f"{ending} ({name})" for ending, name in ENDINGS.items())
        raise SuiteError(f"the ending of {str(path)!r} says no format: use {known}, or --format")
    return found


def as_csv(found: Segmentation) -> str:
    """Return start, end (seconds), class and probability of each segment, with a head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["start", "end", "class", "probability"])
    for each in found.segments:
        name = csv_cell(found.classes[each.label])
        digits = _digits(each)
        writer.writerow([f"{each.start:.{digits}f}", f"{each.end:.{digits}f}", name, f"{each.probability:.4f}"])
    return text.getvalue()


def content(found: Segmentation) -> dict[str, Any]:
    """Return a time line as content of JSON."""
    return {
        "file": found.file,
        "seconds": round(found.seconds, 6),
        "model": found.model,
        "task": found.task,
        "classes": list(found.classes),
        "way": found.way,
        "frame_seconds": round(found.frame_seconds, 9),
        "smoothing": asdict(found.smoothing),
        "segments": [
            {
                "start": round(each.start, 6),
                "end": round(each.end, 6),
                "class": found.classes[each.label],
                "probability": round(each.probability, 6),
            }
            for each in found.segments
        ],
    }


def as_json(found: Segmentation) -> str:
    """Return a time line as JSON."""
    return json.dumps(content(found), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def as_audacity(found: Segmentation) -> str:
    """Return labels that Audacity imports: start, end and name, separated by tabs."""
    return "".join(f"{each.start:.6f}\t{each.end:.6f}\t{plain(found.classes[each.label])}\n" for each in found.segments)


def as_rttm(found: Segmentation) -> str:
    """Return lines of NIST's Rich Transcription Time Marked format; blanks in names become underscores."""
    recording = _one_word(Path(found.file).stem)
    return "".join(
        f"SPEAKER {recording} 1 {each.start:.{_digits(each)}f} {each.end - each.start:.{_digits(each)}f} <NA> <NA> "
        f"{_one_word(found.classes[each.label])} <NA> <NA>\n"
        for each in found.segments
    )


def as_table(found: Segmentation) -> str:
    """Return start, end, class and probability of each segment in lines for a terminal."""
    return "".join(
        f"{each.start:10.2f} {each.end:10.2f}  {each.probability:4.2f}  {plain(found.classes[each.label])}\n"
        for each in found.segments
    )


TEXTS: dict[str, Callable[[Segmentation], str]] = {
    "csv": as_csv, "json": as_json, "audacity": as_audacity, "rttm": as_rttm
}  # fmt: skip


def write(found: Segmentation, path: Path, kind: Format | None = None) -> None:
    """Write a time line to a file, completely or not at all.

    Args:
        found: the time line; for a picture with what it is drawn of.
        path: the file.
        kind: its format; None takes it from the ending of the name.
    """
    kind = kind or format_of(path)
    if kind == "png" or kind == "svg":
        from bench.inference import segment_plot

        write_whole(path, segment_plot.content(found, kind))
    else:
        write_whole(path, TEXTS[kind](found).encode("utf-8", "replace"))


@contextmanager
def posteriors(path: Path | None, classes: Sequence[str]) -> Iterator[Observer | None]:
    """Yield an observer that writes each frame's time and probabilities to a CSV file; None where there is no file.

    The file is opened when the first frames come, so that a call that is wrong leaves an earlier one as it is.
    """
    if path is None:
        yield None
        return
    with ExitStack() as stack:

        @cache
        def rows() -> Callable[[Iterable[str]], object]:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
            write: Callable[[Iterable[str]], object] = csv.writer(file, lineterminator="\n").writerow
            write(["time", *map(csv_cell, classes)])
            return write

        def write_frames(frames: Frames, probabilities: Tensor) -> None:
            for time, row in zip(frames.times.tolist(), probabilities.tolist(), strict=True):
                rows()([f"{time:.4f}", *(f"{value:.9g}" for value in row)])

        yield write_frames
        rows()


def _digits(each: Segment) -> int:
    """Return the digits of a segment's seconds: three, or six where three could make it one of no length."""
    return 3 if each.end - each.start >= 1e-3 else 6


def _one_word(text: str) -> str:
    return "_".join(plain(text).split()) or "_"
