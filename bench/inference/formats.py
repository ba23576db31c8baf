"""Predictions in words, as JSON and as CSV."""

import csv
import json
from collections.abc import Sequence
from typing import IO, Any

from bench.evaluation.predictions import SEPARATOR, cells, heads, labels
from bench.inference.classifier import Classifier
from bench.inference.predict import Prediction
from bench.text import csv_cell, plain

TOP = 5
"""Classes that are shown unless another number is asked for."""


def line(found: Prediction, classes: Sequence[str], top: int = TOP, each_window: bool = False) -> str:
    """Return a prediction in one line: file, times of a window, and the likeliest classes in percent."""
    where = plain(found.file)
    if found.error:
        return f"{where}: {plain(found.error)}"
    if each_window:
        where += f"  {found.start:.2f}-{found.end:.2f} s"
    assert found.probabilities is not None  # there is no error
    words = (f"{plain(classes[i])} {100 * found.probabilities[i]:.1f} %" for i in found.top(top))
    return f"{where}  {', '.join(words)}"


def content(found: Prediction, model: Classifier, top: int = TOP) -> dict[str, Any]:
    """Return a prediction as content of JSON: file, start, end, windows, prediction and top; or file and error."""
    if found.error:
        return {"file": found.file, "error": found.error}
    assert found.probabilities is not None  # there is no error
    names = labels(found.probabilities, model.classes, model.task)
    return {
        "file": found.file,
        "start": round(found.start, 6),
        "end": round(found.end, 6),
        "windows": found.windows,
        "prediction": names[0] if model.task == "single" else names,
        "top": [
            {"class": model.classes[i], "probability": float(f"{found.probabilities[i]:.9g}")} for i in found.top(top)
        ],
    }


def row(found: Prediction, model: Classifier) -> dict[str, Any]:
    """Return a prediction as a row of a table: the columns of the CSV, with numbers as they are."""
    about = {"file": found.file, "start": found.start, "end": found.end, "windows": found.windows}
    if found.probabilities is None:
        empty = {f"probability_{name}": None for name in model.classes}
        return about | {"start": None, "end": None, "prediction": None} | empty | {"error": found.error}
    values = {
        f"probability_{name}": value for name, value in zip(model.classes, found.probabilities.tolist(), strict=True)
    }
    names = SEPARATOR.join(labels(found.probabilities, model.classes, model.task))
    return about | {"prediction": names} | values | {"error": ""}


def json_line(found: Prediction, model: Classifier, top: int = TOP) -> str:
    """Return a prediction as one line of JSON."""
    return json.dumps(content(found, model, top), allow_nan=False)


def _file_cell(name: str) -> str:
    """Return a file's name for a CSV file: as `csv_cell`, but blanks stay, and other characters are escaped."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


class CsvWriter:
    """Writes predictions to a file as CSV: file, times, prediction, the probability of every class, and the error.

    Args:
        file: opened for text with `newline=""`.
        model: says the classes.
    """

    def __init__(self, file: IO[str], model: Classifier) -> None:
        self._model = model
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(["file", "start", "end", "windows", "prediction", *heads(model.classes), "error"])

    def write(self, found: Prediction) -> None:
        """Write one row."""
        name = _file_cell(found.file)
        if found.error:
            empty = [""] * (4 + len(self._model.classes))
            self._writer.writerow([name, *empty, csv_cell(found.error)])
            return
        assert found.probabilities is not None  # there is no error
        names = SEPARATOR.join(labels(found.probabilities, self._model.classes, self._model.task))
        times = [f"{found.start:.10g}", f"{found.end:.10g}", str(found.windows)]
        self._writer.writerow([name, *times, csv_cell(names), *cells(found.probabilities), ""])
