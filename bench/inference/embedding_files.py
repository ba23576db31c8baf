"""Files of embeddings that the dataset `embeddings` reads back: `.npy`, Parquet and TFRecord."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from bench.inference.embedding import Embedding
from bench.records import write_whole
from datamodules.tables import parquet, tfrecord

FORMATS = ("npy", "parquet", "tfrecord")

_ENDINGS = (".npy", ".npz", ".parquet", ".tfrecord")

ORIGIN = ".bench-embed.json"
"""File in the folder that says what made its embeddings; its name is hidden, so datasets pass over it."""


def origin(model: Classifier, layer: str | None, hop_seconds: float | None, each_window: bool) -> dict[str, Any]:
    """Return what embeddings are made by; arguments as for `bench.inference.embedding.embed`."""
    hop = model.clip_seconds if hop_seconds is None else hop_seconds
    return {"runs": list(model.keys), "layer": layer, "each_window": each_window, "hop_seconds": hop}


class Writer:
    """Writes a folder of embeddings with the folders of the sounds: `<out>/<class>/`.

    In the format npy each sound has a file `(T, D)`. In the formats parquet and tfrecord each folder has one file,
    `embeddings.parquet` or `embeddings.tfrecord`, with a row or a record for each sound.

    Args:
        out: the folder.
        format: "npy", "parquet" or "tfrecord".
        made: of `origin`; a folder holds embeddings of one origin and in one format.

    Raises:
        ArgumentError: the format is unknown, the folder is a file, or it has embeddings of another origin.
        DataError: the package of the format is not installed.
    """

    def __init__(self, out: Path, format: str, made: Mapping[str, Any]) -> None:
        if format not in FORMATS:
            raise ArgumentError(f"there is no format {format!r}: choose one of {', '.join(FORMATS)}")
        if out.exists() and not out.is_dir():
            raise ArgumentError(f"{out} is a file: name a folder, which the dataset `embeddings` reads as its root")
        if format == "parquet":
            parquet.package()
        self.made = dict(made) | {"format": format}
        _refuse_others(out, self.made)
        self.out, self.format = out, format
        self.rows: dict[Path, dict[str, Any]] = {}
        self.seen: set[Path] = set()
        self.written = 0

    def add(self, place: Path, found: Embedding) -> None:
        """Take the embedding of a file.

        Args:
            place: of the sound, relative to its folder.
            found: without an error.

        Raises:
            RunError: two sounds have one name.
        """
        assert found.values is not None  # the caller has looked for an error
        if place in self.seen:
            raise RunError(f"two sounds are called {place}: give one folder for both, or write them apart")
        self.seen.add(place)
        if not self.written:
            write_whole(self.out / ORIGIN, (json.dumps(self.made, indent=1) + "\n").encode())
        if self.format == "npy":
            path = self.out / place.with_name(f"{place.name}.npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                np.save(file, found.values, allow_pickle=False)
        else:
            self.rows.setdefault(place.parent, {})[place.name] = found
        self.written += 1

    def close(self) -> None:
        """Write what has been collected."""
        for folder, rows in self.rows.items():
            (self.out / folder).mkdir(parents=True, exist_ok=True)
            path = self.out / folder / f"embeddings.{self.format}"
            values = {name: found.values for name, found in rows.items()}
            if self.format == "tfrecord":
                try:
                    content = tfrecord.written([tfrecord.Example(name, frames) for name, frames in values.items()])
                except ValueError as error:
                    raise RunError(f"{path}: {error}: write --format npy") from error
                write_whole(path, content)
            else:
                times = {name: (found.starts, found.ends) for name, found in rows.items()}
                parquet.write(path, values, times)


def _refuse_others(out: Path, made: dict[str, Any]) -> None:
    """Raise an ArgumentError where a folder has embeddings that were not made so."""
    try:
        there: Any = json.loads((out / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = None
    if there == made or not any(path.suffix in _ENDINGS for path in out.rglob("*")):
        return
    if isinstance(there, dict):
        words = "; ".join(
            f"{name} {there.get(name)}, not {value}" for name, value in made.items() if there.get(name) != value
        )
    else:
        words = "nothing in it says by which run"
    raise ArgumentError(f"{out} has other embeddings already ({words}): name another --out, or remove {out}")


def places(files: Iterable[Path], roots: Iterable[Path]) -> list[Path]:
    """Return where each file's embedding belongs: its path below the folder that was named, or else its name.

    Raises:
        ArgumentError: two of them belong in one place.
    """
    folders = [root for root in roots if root.is_dir()]

    def place(path: Path) -> Path:
        own = next((root for root in folders if path.is_relative_to(root)), None)
        return path.relative_to(own) if own else Path(path.name)

    found = [place(path) for path in files]
    twice = [place for place, count in Counter(found).items() if count > 1]
    if twice:
        raise ArgumentError(f"two sounds are called {twice[0]}: give one folder for both, or write them apart")
    return found
