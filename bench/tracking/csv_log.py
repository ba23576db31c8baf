"""CSV files as Lightning's `CSVLogger` writes them: a row per point, a column per quantity, sorted by name."""

import csv
from collections.abc import Mapping
from pathlib import Path

from bench.tracking.file_log import FileLog


class CsvLog(FileLog):
    """Writes `<folder>/<key>/metrics.csv`; a quantity that a row has not is an empty cell.

    The column `step` has the optimiser's steps where the point has them, and else the number of the row, as in
    Lightning.

    Args:
        folder: folder of the logs.
    """

    name = "csv"
    files = "metrics.csv"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._columns: dict[str, list[str]] = {}
        self._rows: dict[str, int] = {}

    def write(self, key: str, values: Mapping[str, float]) -> None:
        """Append a row; a new quantity makes a new column, for which the file is written again."""
        row = dict(values) | {"step": int(values.get("step", self._rows.get(key, 0)))}
        path = self.folder / key / self.files
        columns = self._columns.get(key, [])
        if set(row) <= set(columns):
            with path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, columns).writerow(row)
        else:
            columns = sorted({*columns, *row})
            earlier: list[dict[str, str]] = []
            if key in self._columns:
                with path.open(newline="", encoding="utf-8") as file:
                    earlier = list(csv.DictReader(file))
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(earlier)
                writer.writerow(row)
            self._columns[key] = columns
        self._rows[key] = self._rows.get(key, 0) + 1

    def end(self, key: str) -> None:
        """Forget the columns of a run."""
        self._columns.pop(key, None)
        self._rows.pop(key, None)
