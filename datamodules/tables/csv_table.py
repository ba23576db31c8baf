"""Strict reading of datasets' CSV tables: a row that does not fit is an error that names its line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from datamodules.errors import DataError


def rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), problems: list[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield `(line number, column → cell)` of each row of a comma-separated UTF-8 table with a header.

    Args:
        path: the table.
        required: columns that it must have.
        optional: columns that it may have.
        problems: list to which problems of single rows are appended; the rows are skipped. None raises them.

    Raises:
        DataError: not UTF-8, an unknown or missing column, a row with too many or too few cells, or an empty cell.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # -sig: spreadsheets write a byte-order mark
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            unknown = [column for column in header if column not in (*required, *optional)]
            missing = [column for column in required if column not in header]
            if unknown or missing or len(set(header)) != len(header):
                raise DataError(
                    f"{path.name!r} line 1 has the columns {header}: it needs {', '.join(required)}"
                    + (f" and may have {', '.join(optional)}" if optional else "")
                    + ", separated by commas"
                )
            for cells in reader:
                if not cells:  # a blank line, such as the last
                    continue
                if len(cells) != len(header) or "" in cells:
                    problem = (
                        f"{path.name!r} line {reader.line_num} has {len(cells)} cells ({cells.count('')} empty), "
                        f"the header {len(header)}: correct the row"
                    )
                    if problems is None:
                        raise DataError(problem)
                    problems.append(problem)
                    continue
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{str(path)!r} cannot be read as a UTF-8 table ({error})") from error


def headless(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield `(line number, column → cell)` of each row of a comma-separated UTF-8 table without a header.

    Lines that start with "#" are comments; blanks after a comma do not count.

    Raises:
        DataError: not UTF-8, a row with too many or too few cells, or an empty cell.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            for cells in reader:
                if not cells or cells[0].startswith("#"):
                    continue
                if len(cells) != len(columns) or "" in cells:
                    raise DataError(
                        f"{path.name!r} line {reader.line_num} has {len(cells)} cells ({cells.count('')} empty), "
                        f"and needs {len(columns)} ({', '.join(columns)}): correct the row"
                    )
                yield reader.line_num, dict(zip(columns, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{str(path)!r} cannot be read as a UTF-8 table ({error})") from error


def inside(root: Path, name: str, where: str) -> Path:
    """Return the file `name` under `root`.

    Raises:
        DataError: the file is outside, through "..", an absolute path or a link; `where` is the row that names it.
    """
    path = root / name
    try:
        lies_inside = "\0" not in name and path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        raise DataError(f"{where}: {name!r} cannot be followed ({error}): put the file itself there") from error
    if not lies_inside:
        raise DataError(f"{where}: {name!r} is outside {str(root)!r}: only files inside it are read")
    return path


def safe(name: str) -> str:
    """Return a file name as valid UTF-8 text: other bytes are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
