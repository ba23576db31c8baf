"""Embeddings in Parquet files: a row for each clip, with its name and its frames. Needs the extra `parquet`."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError

NAMES = ("file", "id", "name", "path")
"""Columns that may have a clip's name, likeliest first."""
EMBEDDING = "embedding"
"""Column of the values: a list of D numbers, or a list of T lists of D."""


def package() -> Any:
    """Return pyarrow's module of Parquet.

    Raises:
        DataError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f'Parquet needs pyarrow ({error}): pip install "pyarrow>=16"') from error
    return pyarrow.parquet


def written(
    clips: Mapping[str, NDArray[np.float32]],
    times: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> bytes:
    """Return a file of clips `(T, D)` by their names; with times, the start and the end of each frame in seconds."""
    parquet = package()
    import pyarrow

    columns: dict[str, Any] = {NAMES[0]: pyarrow.array(list(clips), pyarrow.string())}
    frames = pyarrow.list_(pyarrow.list_(pyarrow.float32()))
    columns[EMBEDDING] = pyarrow.array([clip.tolist() for clip in clips.values()], frames)
    if times is not None:
        for place, name in enumerate(("starts", "ends")):
            values = [[float(value) for value in times[clip][place]] for clip in clips]
            columns[name] = pyarrow.array(values, pyarrow.list_(pyarrow.float64()))
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), content)
    return content.getvalue()


def names(path: Path) -> list[str]:
    """Return the names of a file's clips; their numbers where no column has names.

    Raises:
        DataError: the file cannot be read.
        ValueError: it is no Parquet file.
    """
    parquet = package()
    schema = parquet.read_schema(path)
    column = next((name for name in NAMES if name in schema.names), None)
    if column is None:
        return [str(i) for i in range(parquet.read_metadata(path).num_rows)]
    return [str(name) for name in parquet.read_table(path, columns=[column])[column].to_pylist()]


def times(path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the start and the end of each frame of the clips in a file of `written`, by name."""
    table = package().read_table(path)
    columns = (table[name].to_pylist() for name in (NAMES[0], "starts", "ends"))
    return {
        name: (np.array(starts, np.float64), np.array(ends, np.float64))
        for name, starts, ends in zip(*columns, strict=True)
    }


def clips(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the clips of a file, `(T, D)` or `(D,)`, by name.

    Raises:
        ValueError: it is no Parquet file, or has no column of embeddings.
    """
    table = package().read_table(path)
    if EMBEDDING not in table.column_names:
        raise ValueError(f"it has no column {EMBEDDING!r}")
    return {
        name: np.asarray(value, np.float32)
        for name, value in zip(names(path), table[EMBEDDING].to_pylist(), strict=True)
    }
