"""Event files for TensorBoard, written by tensorboardX, which needs no torch."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.tracking.file_log import FileLog

FLUSH_SECONDS = 5
"""Time after which a point is on the disk at the latest."""


class TensorBoardLog(FileLog):
    """Writes `<folder>/<key>/events.out.tfevents.*`, one scalar per quantity over the optimiser's steps.

    Args:
        folder: folder of the logs.

    Raises:
        BenchError: tensorboardX is not installed.
    """

    name = "tensorboard"
    files = "events.out.tfevents.*"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise BenchError(
                'the logger tensorboard needs the package tensorboardX: pip install -e ".[tensorboard]"'
            ) from error
        self._make: Any = SummaryWriter
        self._writers: dict[str, Any] = {}

    def write(self, key: str, values: Mapping[str, float]) -> None:
        """Append the quantities of a point; their step is the optimiser's, or else the epoch."""
        if key not in self._writers:
            self._writers[key] = self._make(str(self.folder / key), flush_secs=FLUSH_SECONDS)
        step = int(values.get("step", values["epoch"]))
        for name, value in values.items():
            if name != "step":
                self._writers[key].add_scalar(name, value, step)

    def end(self, key: str) -> None:
        """Write what is left, and close the file."""
        if writer := self._writers.pop(key, None):
            with contextlib.suppress(OSError):
                writer.close()
